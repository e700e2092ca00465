"""Errors that several packages raise and catch."""

from apitraffic_events.errors import ConfigurationError

__all__ = ["ConfigurationError", "StorageUnavailable"]


class StorageUnavailable(Exception):
    """The delivery could not be stored; the message says where and why."""
