"""The queue between receiver and workers: what RQ keeps in Redis, and how it gets there."""
