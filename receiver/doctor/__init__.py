"""Checks for common problems: each check is a function that returns a `Finding` with what to do.

They change nothing. Whether the token may write is found out by updating an event that cannot exist. In
Redis, they write only the key that `/readyz` writes too.
"""
