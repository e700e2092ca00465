"""Clients for the senders' own APIs."""
