"""From an authentic delivery to durable storage."""
