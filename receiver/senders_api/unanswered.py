"""Why a request to somebody else's server got no answer, in words for people."""

import socket
from typing import Final

import requests

from apitraffic_events.responses import cause_of

ADVICE: Final = "check whether this host may connect to it, directly or through the proxy in HTTPS_PROXY"

MEANINGS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (requests.exceptions.ProxyError, "the proxy did not connect to it"),
    (requests.exceptions.SSLError, "TLS failed; this host may not trust its certificate"),
    (socket.gaierror, "its name is not known"),
    (ConnectionRefusedError, "it refuses connections"),
    (requests.ConnectTimeout, "nothing answered there in time"),
    (requests.Timeout, "it did not answer in time"),
)
"""What requests, urllib3 and the system call it, and what that means; the first match counts."""


def no_answer(error: requests.RequestException, address: str) -> str:
    """What happened and what to check. The error's own words are left out: they may hold the URL of a proxy,
    with its password.
    """
    return f"no answer from {address}: {_happened(error)}; {ADVICE}"


def what_happened(error: requests.RequestException) -> str:
    """The same without the address, which may be secret, and without advice."""
    return f"no answer: {_happened(error)}"


def _happened(error: requests.RequestException) -> str:
    reason = cause_of(error)
    causes = (error, reason, getattr(reason, "__cause__", None))
    return next(
        (words for kind, words in MEANINGS if any(isinstance(cause, kind) for cause in causes)),
        "the connection failed",
    )
