"""What goes wrong in practice, looked for: each check is a function that gives a `Finding` with what to do.

Nothing is changed by it: the API is read, and asked to update an event that there cannot be, which shows
whether the token may; Redis is written one key that `/readyz` writes too.
"""
