"""Local mode: the receiver on one machine, with nothing else installed."""
