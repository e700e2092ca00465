"""The senders' own APIs."""
