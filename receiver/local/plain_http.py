"""HTTP to this machine. It ignores proxies, and needs no client library, which would be slow to import."""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    body: bytes


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 5.0,
) -> Answer:
    """Send one request; raises OSError if there is no answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except HTTPException as error:
        raise OSError(f"not a valid HTTP answer: {error!r}") from error
    finally:
        connection.close()


def answers_ok(url: str) -> bool:
    """Whether a GET is answered with 200 within a second."""
    try:
        return request("GET", url, timeout=1.0).status == 200  # noqa: PLR2004 - HTTP's own number
    except OSError:
        return False
