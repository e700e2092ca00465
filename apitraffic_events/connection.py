"""The connection to the Events API: sends requests within the pace, and reads what comes back."""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from apitraffic_events.errors import RateLimit, ServerFailed, Unreachable
from apitraffic_events.responses import (
    cause_of,
    content_of,
    date_of,
    failure_of,
    rate_limit_of,
    reason_of,
    unwrap,
)
from apitraffic_events.transport import OneServerAdapter

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 20.0
"""Seconds."""


class Pacer(Protocol):
    """Decides whether a request may be sent now, and learns the rate limit from each response."""

    def before_request(self) -> None:
        """Count one request; raises `RateLimited` if none may be sent now."""

    def after_answer(self, rate_limit: RateLimit | None) -> None: ...


class ApiConnection:
    """Requests about one account, one at a time.

    `rate_limit` and `date` are what the last response said: the request budget and the API's clock.
    """

    def __init__(
        self,
        account_url: str,
        token: str,
        *,
        timeouts: tuple[float, float],
        pacer: Pacer | None,
        adapter: HTTPAdapter | None,
    ) -> None:
        """`timeouts` are the seconds to wait for a connection and for a response. Raises `ValueError` if the
        token cannot be sent.
        """
        self._account_url = account_url
        self._timeout = timeouts
        self._pacer = pacer
        self._adapter = adapter or OneServerAdapter()
        self._template: requests.PreparedRequest | None = None
        self._proxies, self._verify = self._environment()
        self._headers = {
            "Accept": "application/json",
            "User-Agent": f"apitraffic-events/{version('apitraffic-events')}",
        }
        # As `auth`: requests replaces a plain header by credentials that the URL holds.
        self._authorise = _bearer(token)
        self.rate_limit: RateLimit | None = None
        self.requests_made = 0
        self._date: str | None = None

    def _environment(self) -> tuple[Any, Any]:
        """Proxies and certificates from the environment, read once and not for every request."""
        with requests.Session() as session:
            found = session.merge_environment_settings(self._account_url, {}, None, None, None)
        return found["proxies"], found["verify"]

    @property
    def date(self) -> datetime | None:
        return date_of({"Date": self._date}) if self._date is not None else None

    def close(self) -> None:
        self._adapter.close()

    def wait_at_most(self, seconds: float) -> None:
        """From now on, wait at most this long for a connection and for a response."""
        self._timeout = (min(CONNECT_TIMEOUT, seconds), min(READ_TIMEOUT, seconds))

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: str | None = None,
        before_sending: Callable[[], None] | None = None,
    ) -> tuple[Any, Mapping[str, Any]]:
        """The data of the response and the envelope around it; raises `EventsApiError`."""
        if self._pacer is not None:
            self._pacer.before_request()
        try:
            request = self._prepared(method, path, query, body)
            if before_sending is not None:
                before_sending()
            self.requests_made += 1
            # Without `Session.send`, which would look for cookies and redirects.
            response = self._adapter.send(
                request, timeout=self._timeout, verify=self._verify, proxies=self._proxies
            )
            response.content  # noqa: B018 - read now, within the time-out
        except requests.ConnectTimeout as error:
            raise Unreachable(f"no connection to {self._account_url} in time", was_sent=False) from error
        except requests.Timeout as error:
            raise Unreachable(f"no answer within {self._timeout[1]:g} s", was_sent=True) from error
        except requests.RequestException as error:
            is_unconnected = isinstance(cause_of(error), NewConnectionError)
            raise Unreachable(
                f"no answer: {reason_of(error)}", was_sent=not is_unconnected, is_lasting=is_unconnected
            ) from error
        rate_limit = rate_limit_of(response.headers)
        self.rate_limit = rate_limit or self.rate_limit
        self._date = response.headers.get("Date") or self._date
        if self._pacer is not None:
            self._pacer.after_answer(rate_limit)
        content = content_of(response)
        if not response.ok or response.is_redirect:
            raise failure_of(response, content, rate_limit)
        if response.status_code == HTTPStatus.NO_CONTENT:
            return None, {}
        if content is None:
            raise ServerFailed("the answer is not JSON", status=response.status_code)
        return unwrap(content)

    def _prepared(
        self, method: str, path: str, query: Mapping[str, str] | None, body: str | None
    ) -> requests.PreparedRequest:
        """A request made from parts that are prepared once, which take requests as long as all the rest."""
        if self._template is None:
            template = requests.PreparedRequest()
            template.prepare("GET", self._account_url, self._headers, auth=self._authorise)
            self._template = template
        request = self._template.copy()
        request.method = method
        request.url = f"{request.url}{path}?{urlencode(query)}" if query else f"{request.url}{path}"
        if body is not None:
            request.body = body.encode()
            request.headers["Content-Type"] = "application/json"
        if method != "GET":
            request.headers["Content-Length"] = str(len(request.body or b""))
        return request


def is_token(text: str) -> bool:
    """Whether it can be sent as a bearer token: printable ASCII without spaces."""
    return text.isascii() and text.isprintable() and " " not in text


def _bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    if not is_token(token):
        # requests would refuse it too, but its message would show the token.
        raise ValueError("the API token holds characters that no token has")

    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise
