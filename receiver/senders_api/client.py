"""Requests to a sender's API, without its details: time-outs, retries, and errors in words."""

import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, NoReturn, TypeVar

import requests
from pydantic import TypeAdapter, ValidationError
from requests.adapters import HTTPAdapter

from apitraffic_events.responses import retry_after_of
from apitraffic_events.retrying import Backoff
from apitraffic_events.text import one_line
from receiver.senders_api.unanswered import no_answer
from receiver.senders_api.webhooks import (
    SenderNotFound,
    SenderRefused,
    SenderRejected,
    SenderUnavailable,
)

TIMEOUTS: Final = (5.0, 30.0)
"""Seconds to wait for a connection and for a response."""
MOST_ATTEMPTS: Final = 3
"""How often a GET request is attempted."""
BACKOFF: Final = Backoff(first=2.0, longest=8.0)
LONGEST_PAUSE: Final = 60.0
"""Seconds that one request waits because of a rate limit."""
LONGEST_MESSAGE: Final = 300
LARGEST_PAGE: Final = 100
MOST_PAGES: Final = 50
LONGEST_WORD: Final = 15
"""Characters; a secret has more."""

ContentT = TypeVar("ContentT")
Authorise = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class SenderClient:
    """Methods raise a `SenderError` if they fail.

    `authorise` adds the credential to a request. `permission` says what the token needs, for messages.
    """

    def __init__(
        self,
        *,
        title: str,
        api_url: str,
        authorise: Authorise,
        permission: str,
        headers: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.title = title
        self.api_url = api_url.rstrip("/")
        self.permission = permission
        self._sleep = sleep
        self._session = new_session(authorise, {"Accept": "application/json", **(headers or {})})

    def close(self) -> None:
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        xml: str | None = None,
    ) -> requests.Response:
        """Only GET is repeated if there is no answer; every method if the rate limit was reached."""
        attempts = 0
        while True:
            attempts += 1
            is_last = attempts == MOST_ATTEMPTS
            try:
                response = self._send(method, path, query, body, xml)
            except SenderUnavailable:
                if method != "GET" or is_last:
                    raise
                self._sleep(BACKOFF.limit(attempts))
                continue
            if response.status_code != HTTPStatus.TOO_MANY_REQUESTS or is_last:
                break
            self._sleep(min(LONGEST_PAUSE, retry_after_of(response.headers) or LONGEST_PAUSE))
        if not response.ok or response.is_redirect:
            self._fail(response)
        return response

    def read(
        self,
        content: TypeAdapter[ContentT],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> ContentT:
        """The response's JSON, checked."""
        response = self.call(method, path, query=query, body=body)
        try:
            return content.validate_python(response.json())
        except (ValidationError, ValueError, RecursionError):
            # Without the error itself, which quotes the response.
            raise SenderUnavailable(
                f"{self.api_url}{path} does not answer as {self.title}'s API does; check --api-url"
            ) from None

    def pages(self, items: TypeAdapter[list[ContentT]], path: str) -> Iterator[ContentT]:
        """All items of a list that is paged with `page` and `per_page`."""
        for page in range(1, MOST_PAGES + 1):
            query = {"per_page": str(LARGEST_PAGE), "page": str(page)}
            found = self.read(items, "GET", path, query=query)
            yield from found
            if len(found) < LARGEST_PAGE:
                return

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        xml: str | None,
    ) -> requests.Response:
        try:
            response = self._session.request(
                *(method, self.api_url + path),
                params=query,
                json=body,
                data=None if xml is None else xml.encode(),
                headers=None if xml is None else {"Content-Type": "application/xml; charset=utf-8"},
                timeout=TIMEOUTS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Not from the error, whose message may hold the URL of a proxy, with its password.
            raise SenderUnavailable(no_answer(error, self.api_url)) from None
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SenderUnavailable(f"{self.title} failed: {_status_of(response)}")
        return response

    def _fail(self, response: requests.Response) -> NoReturn:
        status = _status_of(response)
        if response.is_redirect:
            raise SenderRejected(
                f"{self.title} redirects: it was renamed or moved. Use its current name and --api-url"
            )
        match response.status_code:
            case HTTPStatus.UNAUTHORIZED:
                raise SenderRefused(
                    f"{self.title} does not accept the token ({status}). Check that it is complete and has "
                    f"not expired or been revoked; {self.permission}"
                )
            case HTTPStatus.FORBIDDEN:
                raise SenderRefused(f"the token may not do this ({status}); {self.permission}")
            case HTTPStatus.NOT_FOUND:
                raise SenderNotFound(
                    f"{self.title} finds nothing there ({status}): it does not exist, or the token may not "
                    f"see it; {self.permission}"
                )
        raise SenderRejected(f"{self.title} refused the request: {status}{_reason_in(response)}")


def new_session(authorise: Authorise, headers: Mapping[str, str]) -> requests.Session:
    """A session that retries nothing by itself, and sends the credential that `authorise` adds."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=0))
    session.mount("https://", HTTPAdapter(max_retries=0))
    session.headers.update({"User-Agent": f"apitraffic-events/{version('apitraffic-events')}", **headers})
    # As `auth`: requests replaces a plain header by credentials from a .netrc file.
    session.auth = authorise
    return session


def _status_of(response: requests.Response) -> str:
    return one_line(f"{response.status_code} {response.reason or ''}", LONGEST_MESSAGE)


def _reason_in(response: requests.Response) -> str:
    """What the API says besides the status, unless it repeats what it was sent, which may be a secret."""
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return ""
    holder = content.get("error", content) if isinstance(content, dict) else None
    message = holder.get("message") if isinstance(holder, dict) else holder
    if not isinstance(message, str):
        return ""
    sent = response.request.body or b""
    text = sent if isinstance(sent, str) else sent.decode(errors="replace")
    words = [word.strip("\"'.,;:()[]") for word in message.split()]
    return (
        ""
        if any(len(word) > LONGEST_WORD and word in text for word in words)
        else (f" ({one_line(message, LONGEST_MESSAGE)})")
    )
