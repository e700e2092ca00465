"""The part of GitHub's REST API that deals with webhook deliveries: typed, paged, within its rate limits."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests
from pydantic import TypeAdapter, ValidationError
from requests.adapters import HTTPAdapter

from apitraffic_events.errors import ConfigurationError
from apitraffic_events.responses import retry_after_of
from apitraffic_events.retrying import Backoff
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now
from receiver.senders_api.redelivery import ATTEMPTS, Attempt

API_VERSION: Final = "2022-11-28"
TIMEOUTS: Final = (5.0, 30.0)
"""Seconds to connect and to wait for an answer."""
LARGEST_PAGE: Final = "100"
KEPT_BY_GITHUB_COM: Final = timedelta(days=3)
KEPT_BY_SERVER: Final = timedelta(days=7)
MOST_ATTEMPTS: Final = 3
"""How often a read is attempted."""
BACKOFF: Final = Backoff(first=2.0, longest=8.0)
LONGEST_WAIT: Final = 300.0
"""Seconds that all rate limits of one run may cost; beyond, the next run goes on."""
UNSPECIFIED_LIMIT: Final = Backoff(first=60.0, longest=LONGEST_WAIT)
"""A minute, doubled each time: what GitHub asks for if it limits without saying for how long."""
PACE: Final = 1.0
"""Seconds between redeliveries from the first rate limit on, as GitHub's best practices ask."""
LONGEST_MESSAGE: Final = 300
JWT_BEFORE: Final = timedelta(seconds=60)
JWT_AFTER: Final = timedelta(minutes=9)
"""GitHub takes at most ten minutes, and asks for a minute in the past against clocks that differ."""

ItemT = TypeVar("ItemT")


class GitHubError(Exception):
    """What GitHub did not do, why, and what to do about it."""


class GitHubUnavailable(GitHubError):
    """No answer, or one that cannot be used. Another try may work; this one may have been carried out."""


class GitHubRateLimited(GitHubError):
    """More requests only after longer than a run should wait."""


class GitHubRefused(GitHubError):
    """The token is wrong or may not do this (401, 403). A person must act."""


class GitHubRejected(GitHubError):
    """There is no such thing, or it is not to be had (other 4xx, redirects)."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose webhooks these are: the path below the API's address, and what a token must be allowed."""

    path: str
    permission: str

    def deliveries_path(self, hook: int | None) -> str:
        """An App has one hook, which goes without a number."""
        return f"{self.path}/hook/deliveries" if hook is None else f"{self.path}/hooks/{hook}/deliveries"


def repository(name: str) -> Owner:
    return Owner(
        f"/repos/{name}",
        "a classic token needs the scope admin:repo_hook, a fine-grained one the repository permission "
        "“Webhooks: read and write”, of somebody who administers the repository",
    )


def organisation(name: str) -> Owner:
    return Owner(
        f"/orgs/{name}",
        "a classic token needs the scope admin:org_hook, a fine-grained one the organisation permission "
        "“Webhooks: read and write”, of an owner of the organisation",
    )


APP: Final = Owner(
    "/app",
    "this needs a JWT that is signed with the App's own private key, not a user's or an installation's token",
)


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook's settings, but for its secret."""

    id: int
    config: WebhookConfig
    active: bool = True

    @property
    def address(self) -> str:
        """Its URL without the places where people put credentials."""
        try:
            parts = urlsplit(self.config.url)
        except ValueError:
            return "(not a URL)"
        return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", LONGEST_MESSAGE)


WEBHOOKS: Final = TypeAdapter(list[Webhook])


class GitHubApi:
    """Calls GitHub as `owner`'s webhooks need it. Every method raises a subclass of `GitHubError`.

    `credential` gives the token of each request, so that a JWT never gets too old. Rate limits are waited
    for with `sleep`, and reading is tried again where GitHub fails.
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
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(max_retries=0))
        self._session.mount("https://", HTTPAdapter(max_retries=0))
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": API_VERSION,
                "User-Agent": f"apitraffic-events/{version('apitraffic-events')}",
            }
        )
        # As `auth`, because a plain header gives way to what a .netrc file has for GitHub.
        self._session.auth = self._authorise

    def close(self) -> None:
        self._session.close()

    def hooks(self) -> list[Webhook]:
        return [hook for page in self._pages(f"{self.owner.path}/hooks", WEBHOOKS) for hook in page]

    def attempts(self, hook: int | None, *, since: datetime) -> Iterator[Attempt]:
        """A hook's attempts, the newest first, back to the page that is wholly before `since`."""
        for page in self._pages(self.owner.deliveries_path(hook), ATTEMPTS):
            yield from page
            if all(attempt.delivered_at < since for attempt in page):
                return

    def redeliver(self, hook: int | None, attempt: int) -> None:
        """Ask GitHub to make this delivery once more, with the same GUID."""
        if self._is_paced:
            self._sleep(PACE)
        self._call("POST", f"{self.owner.deliveries_path(hook)}/{attempt}/attempts")

    def _pages(self, path: str, items: TypeAdapter[list[ItemT]]) -> Iterator[list[ItemT]]:
        query: dict[str, str] | None = {"per_page": LARGEST_PAGE}
        asked: list[dict[str, str]] = []
        while query is not None and query not in asked:
            asked.append(query)
            response = self._call("GET", path, query)
            try:
                page = items.validate_python(response.json())
            except (ValidationError, ValueError, RecursionError) as error:
                raise GitHubUnavailable(
                    f"{self.api_url}{path} does not answer as GitHub's API does; is --api-url right? "
                    "That of a GitHub Enterprise Server ends in /api/v3"
                ) from error
            yield page
            query = _next_query(response)

    def _call(self, method: str, path: str, query: Mapping[str, str] | None = None) -> requests.Response:
        failures = 0
        while True:
            try:
                response = self._send(method, path, query)
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

    def _send(self, method: str, path: str, query: Mapping[str, str] | None) -> requests.Response:
        try:
            response = self._session.request(
                method, self.api_url + path, params=query, timeout=TIMEOUTS, allow_redirects=False
            )
        except requests.RequestException as error:
            # Its own words may hold the address of a proxy with a password.
            raise GitHubUnavailable(f"no answer from {self.api_url} ({type(error).__name__})") from None
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise GitHubUnavailable(f"GitHub fails: {_said(response)}")
        return response

    def _seconds_to_wait(self, response: requests.Response) -> float | None:
        """Until a rate limit ends, `None` where none is in the way.

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
        if response.status_code == HTTPStatus.FORBIDDEN and "rate limit" not in _said(response).lower():
            return None
        self._unspecified_limits += 1
        return UNSPECIFIED_LIMIT.limit(self._unspecified_limits)

    def _wait(self, seconds: float) -> None:
        self._is_paced = True
        if self._waited + seconds > LONGEST_WAIT:
            raise GitHubRateLimited(
                f"GitHub's rate limit is used up for another {seconds:.0f} s; run this again after that"
            )
        self._waited += max(PACE, seconds)
        self._sleep(seconds)

    def _fail(self, response: requests.Response) -> NoReturn:
        said = _said(response)
        match response.status_code:
            case HTTPStatus.UNAUTHORIZED:
                raise GitHubRefused(
                    f"GitHub does not accept the token ({said}); is it whole, and has it expired or been "
                    f"revoked? {_sentence(self.owner.permission)}"
                )
            case HTTPStatus.FORBIDDEN:
                single_sign_on = (
                    " Authorise it for the organisation's single sign-on too."
                    if "X-GitHub-SSO" in response.headers
                    else ""
                )
                raise GitHubRefused(
                    f"the token may not do this ({said}): {self.owner.permission}.{single_sign_on}"
                )
            case HTTPStatus.NOT_FOUND:
                raise GitHubRejected(
                    f"GitHub shows nothing there ({said}): it does not exist, is not kept any more, or the "
                    f"token may not see it; {self.owner.permission}"
                )
        if response.is_redirect or response.is_permanent_redirect:
            raise GitHubRejected("GitHub has it elsewhere: renamed or moved? Give the name that it has now")
        raise GitHubRejected(f"GitHub refuses it: {said}")

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._credential()}"
        return request


def kept_for(api_url: str) -> timedelta:
    """How long GitHub keeps deliveries, and with them the possibility to redeliver."""
    host = urlsplit(api_url).hostname or ""
    in_cloud = host == "api.github.com" or host.endswith(".ghe.com")
    return KEPT_BY_GITHUB_COM if in_cloud else KEPT_BY_SERVER


def _next_query(response: requests.Response) -> dict[str, str] | None:
    """The parameters of the next page; only these, for the token is not to follow a link to anywhere."""
    link = response.links.get("next", {}).get("url")
    if not link:
        return None
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def _said(response: requests.Response) -> str:
    try:
        content = response.json()
    except (ValueError, RecursionError):
        content = None
    message = content.get("message") if isinstance(content, dict) else None
    words = message if isinstance(message, str) else response.reason or ""
    return one_line(f"{response.status_code} {words}", LONGEST_MESSAGE)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def app_jwt(app_id: str, private_key: str, moment: datetime) -> str:
    """Who an App is, in its own words. Raises `ConfigurationError` where it cannot be signed.

    https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
    """
    try:
        jwt: Any = import_module("jwt")
        import_module("cryptography")
    except ImportError as error:
        raise ConfigurationError(
            "Signing as a GitHub App needs PyJWT and cryptography: "
            "pip install 'apitraffic-events[github-app]', or set GITHUB_APP_JWT to a JWT made elsewhere"
        ) from error
    claims = {
        "iat": int((moment - JWT_BEFORE).timestamp()),
        "exp": int((moment + JWT_AFTER).timestamp()),
        "iss": app_id,
    }
    try:
        # In a variable, a key's line breaks are often written as \n.
        signed: str = jwt.encode(claims, private_key.replace("\\n", "\n"), algorithm="RS256")
    except (ValueError, TypeError, jwt.exceptions.PyJWTError):
        raise ConfigurationError(
            "GITHUB_APP_PRIVATE_KEY is not a private key that can be read; put the whole .pem file there "
            "that GitHub made, or its path in GITHUB_APP_PRIVATE_KEY_FILE"
        ) from None
    return signed
