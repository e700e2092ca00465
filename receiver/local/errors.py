"""What local mode raises; apart from click, so that `fetch_redis` runs on the standard library alone."""


class LocalModeError(Exception):
    """Something on this machine keeps local mode from running; the message says what to do about it."""
