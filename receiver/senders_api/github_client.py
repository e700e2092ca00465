"""Requests to GitHub's REST API: paged, repeated if GitHub fails, within its rate limits, typed errors."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
from pydantic import TypeAdapter, ValidationError

from apitraffic_events.responses import retry_after_of
from apitraffic_events.retrying import Backoff
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now
from receiver.senders_api.client import (
    BACKOFF,
    LARGEST_PAGE,
    LONGEST_MESSAGE,
    MOST_ATTEMPTS,
    TIMEOUTS,
    new_session,
)
from receiver.senders_api.github_owners import Owner
from receiver.senders_api.unanswered import no_answer
from receiver.senders_api.webhooks import SenderError, SenderRefused, SenderUnavailable

API_VERSION: Final = "2022-11-28"
LONGEST_WAIT: Final = 300.0
"""Seconds that one run waits for rate limits in total. After that, the next run continues."""
UNSPECIFIED_LIMIT: Final = Backoff(first=60.0, longest=LONGEST_WAIT)
"""What GitHub asks for if a response states no time: a minute, then twice as long each time."""
PACE: Final = 1.0
"""Seconds between redeliveries after the first rate limit, as GitHub's best practices ask."""

ItemT = TypeVar("ItemT")
ContentT = TypeVar("ContentT")


class GitHubError(SenderError):
    """A request to GitHub failed. The message says why and what to do."""


class GitHubUnavailable(GitHubError, SenderUnavailable):
    """No response, or an unusable one. Retry; the request may have been carried out."""


class GitHubRateLimited(GitHubError):
    """The rate limit lasts longer than one run waits."""


class GitHubRefused(GitHubError, SenderRefused):
    """The token is wrong or lacks a permission (401, 403). Retrying does not help."""


class GitHubRejected(GitHubError):
    """What was asked for does not exist or is not available (other 4xx, redirects)."""


class GitHubClient:
    """Requests about `owner`'s webhooks. Methods raise a `GitHubError` if they fail.

    `credential` returns the token and is called for each request, because a JWT expires. The client waits
    for rate limits to end, and retries GET requests if GitHub fails.
    """

    def __init__(
        self,
        *,
        api_url: str,
        owner: Owner,
        credential: Callable[[], str],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.api_url = api_url.rstrip("/")
        self.owner = owner
        self._credential = credential
        self._sleep = sleep
        self._clock = clock
        self._waited = 0.0
        self._unspecified_limits = 0
        self._is_paced = False
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
        self._session = new_session(self._authorise, headers)

    def close(self) -> None:
        self._session.close()

    def _keep_pace(self) -> None:
        """Before a request that is one of many: after the first rate limit, they are spread out."""
        if self._is_paced:
            self._sleep(PACE)

    def _pages(self, path: str, items: TypeAdapter[list[ItemT]]) -> Iterator[list[ItemT]]:
        query: dict[str, str] | None = {"per_page": str(LARGEST_PAGE)}
        asked: list[dict[str, str]] = []
        while query is not None and query not in asked:
            asked.append(query)
            response = self._call("GET", path, query)
            yield self._read(response, path, items)
            query = _next_query(response)

    def _read(self, response: requests.Response, path: str, content: TypeAdapter[ContentT]) -> ContentT:
        try:
            return content.validate_python(response.json())
        except (ValidationError, ValueError, RecursionError):
            # Without the error itself, which quotes the response.
            raise GitHubUnavailable(
                f"{self.api_url}{path} does not answer as GitHub's API does. Check --api-url; "
                "for GitHub Enterprise Server it ends in /api/v3"
            ) from None

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> requests.Response:
        failures = 0
        while True:
            try:
                response = self._send(method, path, query, body)
            except GitHubUnavailable:
                failures += 1
                if method != "GET" or failures == MOST_ATTEMPTS:
                    raise
                self._sleep(BACKOFF.limit(failures))
                continue
            wait = self._seconds_to_wait(response)
            if wait is None:
                break
            self._wait(wait)
        if not response.ok or response.is_redirect:
            self._fail(response)
        return response

    def _send(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> requests.Response:
        try:
            response = self._session.request(
                *(method, self.api_url + path),
                params=query,
                json=body,
                timeout=TIMEOUTS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Not from the error, whose message may hold the URL of a proxy, with its password.
            raise GitHubUnavailable(no_answer(error, self.api_url)) from None
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise GitHubUnavailable(f"GitHub failed: {_message(response)}")
        return response

    def _seconds_to_wait(self, response: requests.Response) -> float | None:
        """Seconds until the rate limit ends; `None` if the response is not about a rate limit.

        https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
        """
        if response.status_code not in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}:
            return None
        retry_after = retry_after_of(response.headers)
        if retry_after is not None:
            return retry_after
        reset = response.headers.get("X-RateLimit-Reset", "")
        if response.headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
            return max(0.0, float(reset) - self._clock().timestamp()) + 1
        if response.status_code == HTTPStatus.FORBIDDEN and "rate limit" not in _message(response).lower():
            return None
        self._unspecified_limits += 1
        return UNSPECIFIED_LIMIT.limit(self._unspecified_limits)

    def _wait(self, seconds: float) -> None:
        self._is_paced = True
        if self._waited + seconds > LONGEST_WAIT:
            raise GitHubRateLimited(
                f"GitHub's rate limit is used up for another {seconds:.0f} s; then run this again"
            )
        self._waited += max(PACE, seconds)
        self._sleep(seconds)

    def _fail(self, response: requests.Response) -> NoReturn:
        message = _message(response)
        match response.status_code:
            case HTTPStatus.UNAUTHORIZED:
                raise GitHubRefused(
                    f"GitHub does not accept the token ({message}). Check that it is complete and has not "
                    f"expired or been revoked. {_sentence(self.owner.permission)}"
                )
            case HTTPStatus.FORBIDDEN:
                single_sign_on = (
                    " Authorise it for the organisation's single sign-on too."
                    if "X-GitHub-SSO" in response.headers
                    else ""
                )
                raise GitHubRefused(
                    f"the token may not do this ({message}): {self.owner.permission}.{single_sign_on}"
                )
            case HTTPStatus.NOT_FOUND:
                raise GitHubRejected(
                    f"GitHub finds nothing there ({message}): it does not exist, is no longer kept, or the "
                    f"token may not see it; {self.owner.permission}"
                )
        if response.is_redirect or response.is_permanent_redirect:
            raise GitHubRejected("GitHub redirects: it was renamed or moved. Use its current name")
        raise GitHubRejected(f"GitHub refused the request: {message}")

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._credential()}"
        return request


def _next_query(response: requests.Response) -> dict[str, str] | None:
    """The query of the next page. Only the query, so that no link can lead the token to another host."""
    link = response.links.get("next", {}).get("url")
    if not link:
        return None
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def _message(response: requests.Response) -> str:
    try:
        content = response.json()
    except (ValueError, RecursionError):
        content = None
    message = content.get("message") if isinstance(content, dict) else None
    text = message if isinstance(message, str) else response.reason or ""
    return one_line(f"{response.status_code} {text}", LONGEST_MESSAGE)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
