"""The error of local mode. It does not need click, so that `fetch_redis` needs the standard library only."""


class LocalModeError(Exception):
    """Local mode cannot run on this machine. The message says why and what to do."""
