"""Clients for the senders' own APIs, and for a Prometheus."""
