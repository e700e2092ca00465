"""`apitraffic-events github redeliver` against a server on 127.0.0.1 that behaves as GitHub's API does."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import Result

from tests.support.command import Command
from tests.support.serving import serving

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
TOKEN = "ghp_a-token-nobody-may-see"
HOOK_SECRET = "a-hook-secret-nobody-may-see"
REPOSITORY_HOOK = "/repos/acme/shop/hooks/7"
FULL_PAGE = 100

Fault = tuple[int, dict[str, str], str]
"""Status, headers and message of an answer instead of the real one."""

Answer = tuple[int, dict[str, str], Any]
"""Status, headers and what the body holds as JSON."""
NOT_THERE: Answer = (404, {}, {"message": "Not Found"})


@dataclass
class Clock:
    moment: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)


@dataclass
class GitHub:
    """GitHub, as far as https://docs.github.com/en/rest/repos/webhooks tells it."""

    clock: Clock
    url: str = ""
    prefix: str = ""
    largest_page: int = FULL_PAGE
    hooks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deliveries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """Method -> what its next requests are answered instead."""
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    next_page: str = ""
    """Where every page says that the next one is."""
    is_receiver_up: bool = True

    def deliver(
        self, guid: str, *, at: datetime, to: str = REPOSITORY_HOOK, status_code: int = 503, **more: Any
    ) -> dict[str, Any]:
        item = {
            "id": sum(len(items) for items in self.deliveries.values()) + 1001,
            "guid": guid,
            "delivered_at": at.isoformat().replace("+00:00", "Z"),
            "redelivery": False,
            "duration": 0.27,
            "status": "OK" if status_code == 200 else f"Invalid HTTP Response: {status_code}",
            "status_code": status_code,
            "event": "deployment_status",
            "action": "created",
            "installation_id": None,
            "repository_id": 456,
            "throttled_at": None,
        }
        item.update(more)
        self.deliveries.setdefault(to, []).append(item)
        return item

    def answer(self, method: str, target: str, token: str) -> Answer:
        self.requests.append(f"{method} {target}")
        self.tokens.append(token)
        if self.faults.get(method):
            status, headers, message = self.faults[method].pop(0)
            return status, headers, {"message": message}
        parts = urlsplit(target)
        path = parts.path.removeprefix(self.prefix)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if token.count(".") != 2 if path.startswith("/app/") else token != TOKEN:
            return 401, {}, {"message": "Bad credentials"}
        if method == "POST":
            return self._attempt(path)
        if path in self.hooks:
            return self._page(self.hooks[path], path, "page", int(query.get("page", "0")), query)
        items = self.deliveries.get(path.removesuffix("/deliveries"))
        if items is None:
            return NOT_THERE
        newest_first = sorted(items, key=lambda item: -item["id"])
        start = int(query.get("cursor", "v1_0").removeprefix("v1_"))
        return self._page(newest_first, path, "cursor", start, query)

    def _attempt(self, path: str) -> Answer:
        hook, _, number = path.removesuffix("/attempts").rpartition("/deliveries/")
        for item in self.deliveries.get(hook, []):
            if str(item["id"]) == number:
                code = 200 if self.is_receiver_up else 503
                self.deliver(item["guid"], at=self.clock(), to=hook, status_code=code, redelivery=True)
                return 202, {}, {}
        return NOT_THERE

    def _page(
        self, items: list[dict[str, Any]], path: str, name: str, start: int, query: dict[str, str]
    ) -> Answer:
        per_page = min(int(query.get("per_page", "30")), self.largest_page)
        page, end = items[start : start + per_page], start + per_page
        if self.next_page:
            return 200, {"Link": f'<{self.next_page}>; rel="next"'}, page
        if end >= len(items):
            return 200, {}, page
        cursor = f"v1_{end}" if name == "cursor" else str(end)
        following = f"{self.url}{path}?per_page={query.get('per_page', '30')}&{name}={cursor}"
        return 200, {"Link": f'<{following}>; rel="next", <{self.url}{path}>; rel="first"'}, page

    def posts(self) -> list[str]:
        return [line for line in self.requests if line.startswith("POST")]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, github: GitHub, *arguments: Any) -> None:
        self.github = github
        super().__init__(*arguments)

    def do_GET(self) -> None:
        assert self.headers["Accept"] == "application/vnd.github+json"
        assert self.headers["User-Agent"].startswith("apitraffic-events/")
        token = self.headers["Authorization"].removeprefix("Bearer ")
        status, headers, content = self.github.answer(self.command, self.path, token)
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the base class's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    clock = Clock()
    monkeypatch.setattr("receiver.cli.github.redelivering.now", clock)
    monkeypatch.setattr("receiver.timestamps.now", clock)
    monkeypatch.setattr("receiver.cli.github.redelivering.sleep", clock.sleep)
    state = GitHub(clock)
    state.hooks["/repos/acme/shop/hooks"] = [hook(7, "https://events.acme.test/webhooks/github")]
    state.deliveries[REPOSITORY_HOOK] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state))
    server.daemon_threads = True
    with serving(server) as state.url:
        yield state


Redeliver = Callable[..., Result]


@pytest.fixture
def redeliver(run: Command, github: GitHub, monkeypatch: pytest.MonkeyPatch) -> Redeliver:
    """Run the command for acme/shop with a token; what it prints never holds a secret."""
    for name in ("TOKEN", "APP_JWT", "APP_ID", "APP_PRIVATE_KEY", "API_URL"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
        monkeypatch.delenv(f"GITHUB_{name}_FILE", raising=False)

    def call(
        *arguments: str, owner: tuple[str, ...] = ("--repository", "acme/shop"), **variables: str
    ) -> Result:
        environment = {"GITHUB_TOKEN": TOKEN, **variables}
        environment = {name: value for name, value in environment.items() if value}
        where = () if "--api-url" in arguments else ("--api-url", github.url)
        result = run("github", "redeliver", *owner, *where, *arguments, environment=environment)
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        for secret in (TOKEN, HOOK_SECRET, "PRIVATE KEY"):
            assert secret not in result.output
        return result

    return call


def hook(number: int, url: str, **more: Any) -> dict[str, Any]:
    config = {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": HOOK_SECRET}
    return {"type": "Repository", "id": number, "name": "web", "active": True, "config": config, **more}


def ago(**period: float) -> datetime:
    return NOW - timedelta(**period)


def test_what_failed_is_redelivered_and_a_second_run_finds_nothing_to_do(
    github: GitHub, redeliver: Redeliver
) -> None:
    github.deliver("arrived", at=ago(hours=5), status_code=200)
    github.deliver("failed", at=ago(hours=4))
    github.deliver("unreached", at=ago(hours=3), status_code=0, status="failed to connect to host")
    github.deliver("mended", at=ago(hours=2))
    github.deliver("mended", at=ago(hours=1), status_code=200, redelivery=True)
    result = redeliver()
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "2026-01-05T08:00:00.000Z  deployment_status.created  failed  503 Invalid HTTP Response: 503  asked",
        "2026-01-05T09:00:00.000Z  deployment_status.created  unreached  failed to connect to host  asked",
        # Not github.com, therefore a server that keeps deliveries for seven days.
        "4 events since 2025-12-29T12:00:00.000Z: 2 not delivered (2 asked for again)",
    ]
    assert github.posts() == [
        f"POST {REPOSITORY_HOOK}/deliveries/{number}/attempts" for number in (1002, 1003)
    ]
    assert github.clock.slept == []
    again = redeliver()
    assert (again.exit_code, again.stdout) == (
        0,
        "4 events since 2025-12-29T12:00:00.000Z: all delivered\n",
    )


def test_runs_do_not_pile_up_while_the_receiver_is_down(github: GitHub, redeliver: Redeliver) -> None:
    github.is_receiver_up = False
    github.deliver("a", at=ago(minutes=1))
    asked = []
    for _ in range(60):  # a cron job, every minute for an hour
        before = len(github.posts())
        assert redeliver("--hook", "7").exit_code == 0
        asked.append(len(github.posts()) - before)
        github.clock.sleep(60)
    assert [minute for minute, count in enumerate(asked) if count] == [0, 5, 15, 35]
    github.is_receiver_up = True
    github.clock.sleep(3600)
    assert "1 asked for again" in redeliver().stdout
    assert "all delivered" in redeliver().stdout


def test_pages_are_followed_by_their_cursor_until_since(github: GitHub, redeliver: Redeliver) -> None:
    for hours in range(40, 0, -1):
        github.deliver(f"guid-{hours}", at=ago(hours=hours))
    github.largest_page = 4
    result = redeliver("--since", "10h", "--hook", "7")
    assert [line.split("  ")[2] for line in result.stdout.splitlines()[:-1]] == [
        f"guid-{hours}" for hours in range(10, 0, -1)
    ]
    lists = [line for line in github.requests if line.startswith("GET")]
    assert lists[0] == f"GET {REPOSITORY_HOOK}/deliveries?per_page=100"
    assert lists[1] == f"GET {REPOSITORY_HOOK}/deliveries?per_page=100&cursor=v1_4"
    assert len(lists) == 4, "the fourth page is the first that is wholly before"


@pytest.mark.parametrize("since", ["yesterday", "2026-01-04", "2026-01-04T00:00:00Z", "36h", "2160m"])
def test_since_takes_every_form_of_a_time(github: GitHub, redeliver: Redeliver, since: str) -> None:
    github.deliver("before", at=ago(hours=37))
    github.deliver("after", at=ago(hours=35))
    result = redeliver("--since", since)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(
        "1 events since 2026-01-04T00:00:00.000Z: 1 not delivered (1 asked for again)\n"
    )


def test_a_link_elsewhere_does_not_get_the_token(github: GitHub, redeliver: Redeliver) -> None:
    github.deliver("a", at=ago(hours=1))
    elsewhere = "http://127.0.0.1:9/steal?cursor=v1_0"
    github.next_page = elsewhere
    result = redeliver("--hook", "7")
    assert result.exit_code == 0, "and a link that leads in a circle ends"
    assert len(github.requests) == 3


def test_a_dry_run_and_json(github: GitHub, redeliver: Redeliver) -> None:
    github.deliver("a", at=ago(hours=2), event="issues", action=None, status="\x1b[31mred")
    github.deliver("b", at=ago(hours=1))
    github.deliver("b", at=ago(minutes=1), redelivery=True)
    result = redeliver("--dry-run", "--json")
    assert result.exit_code == 0
    assert github.posts() == []
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first == {
        "guid": "a",
        "id": 1001,
        "event": "issues",
        "action": None,
        "first_delivered_at": "2026-01-05T10:00:00.000Z",
        "delivered_at": "2026-01-05T10:00:00.000Z",
        "attempts": 1,
        "status": "\x1b[31mred",
        "status_code": 503,
        "outcome": "would_ask",
        "reason": None,
    }
    assert (second["outcome"], second["id"], second["attempts"]) == ("left", 1003, 2)
    assert "2 not delivered (1 would be asked for, 1 left alone)" in result.stderr
    assert "\x1b" not in redeliver("--dry-run").output


def test_only_some_events_and_only_so_many(github: GitHub, redeliver: Redeliver) -> None:
    for number in range(4):
        github.deliver(f"d{number}", at=ago(hours=9 - number))
    github.deliver("push", at=ago(hours=1), event="push", action=None)
    result = redeliver("--event", "deployment_status.*", "--event", "release", "--limit", "3")
    assert result.exit_code == 0
    assert len(github.posts()) == 3
    assert "d3  503 Invalid HTTP Response: 503  left: over --limit, for the next run" in result.stdout
    assert "push" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ((), 7),
        (("--url", "https://other.acme.test/"), 8),
        (("--url", "https://events.acme.test/webhooks/github/"), 7),
        (("--url", "https://events.acme.test/webhooks/gitlab"), 9),
    ],
)
def test_the_webhook_is_found_by_its_url(
    github: GitHub, redeliver: Redeliver, arguments: tuple[str, ...], chosen: int
) -> None:
    github.largest_page = 1
    github.hooks["/repos/acme/shop/hooks"] += [
        hook(8, "https://other.acme.test/ci?key=1"),
        hook(9, "https://events.acme.test/webhooks/gitlab"),
    ]
    github.deliver("a", at=ago(hours=1), to=f"/repos/acme/shop/hooks/{chosen}")
    assert redeliver(*arguments).exit_code == 0
    assert github.posts() == [f"POST /repos/acme/shop/hooks/{chosen}/deliveries/1001/attempts"]


def test_where_it_is_not_clear_which_webhook_they_are_listed(github: GitHub, redeliver: Redeliver) -> None:
    hooks = github.hooks["/repos/acme/shop/hooks"]
    hooks.append(hook(8, f"https://user:{HOOK_SECRET}@b.test/webhooks/github?k={HOOK_SECRET}", active=False))
    several = redeliver()
    assert several.exit_code == 2
    assert "2 webhooks have a URL whose path ends in /webhooks/github" in several.stderr
    assert "  --hook 7  https://events.acme.test/webhooks/github\n" in several.stderr
    assert "  --hook 8  https://b.test/webhooks/github  (switched off)\n" in several.stderr
    none = redeliver("--url", "https://c.test")
    assert none.exit_code == 2
    assert "No webhook has a URL that begins with --url" in none.stderr
    hooks.clear()
    assert "There are no webhooks here" in redeliver().stderr
    assert github.posts() == []


def test_an_organisation_and_a_github_enterprise_server(
    github: GitHub, redeliver: Redeliver, run: Command
) -> None:
    github.prefix = "/api/v3"
    github.hooks["/orgs/acme/hooks"] = [hook(3, "https://events.acme.test/webhooks/github")]
    github.deliver("a", at=ago(days=6), to="/orgs/acme/hooks/3")
    result = redeliver(
        "--api-url",
        f"{github.url}/api/v3/",
        owner=("--organization", "acme"),
        GITHUB_TOKEN="",
        GITHUB_TOKEN_FILE=run.write("token", f"{TOKEN}\n"),
    )
    assert result.exit_code == 0, result.output
    assert github.posts() == ["POST /api/v3/orgs/acme/hooks/3/deliveries/1001/attempts"]


def test_an_app_with_a_jwt_made_elsewhere(github: GitHub, redeliver: Redeliver) -> None:
    github.deliver("a", at=ago(hours=1), to="/app/hook")
    result = redeliver(owner=("--app",), GITHUB_APP_JWT="header.claims.signature")
    assert result.exit_code == 0, result.output
    assert github.requests == [
        "GET /app/hook/deliveries?per_page=100",
        "POST /app/hook/deliveries/1001/attempts",
    ]
    assert set(github.tokens) == {"header.claims.signature"}


def test_an_app_signs_with_its_key(github: GitHub, redeliver: Redeliver, run: Command) -> None:
    pytest.importorskip("jwt", reason="PyJWT and cryptography are optional")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    github.deliver("a", at=ago(hours=1), to="/app/hook")
    path = run.write("app.pem", key)
    result = redeliver(owner=("--app",), GITHUB_APP_ID="4242", GITHUB_APP_PRIVATE_KEY_FILE=path)
    assert result.exit_code == 0, result.output
    header, claims, _ = (base64.urlsafe_b64decode(f"{part}==") for part in github.tokens[0].split("."))
    assert json.loads(header)["alg"] == "RS256"
    issued, expires = NOW.timestamp() - 60, NOW.timestamp() + 540
    assert json.loads(claims) == {"iss": "4242", "iat": issued, "exp": expires}
    in_variable = key.decode().replace("\n", "\\n")
    result = redeliver(owner=("--app",), GITHUB_APP_ID="4242", GITHUB_APP_PRIVATE_KEY=in_variable)
    assert result.exit_code == 0, result.output
    no_key = redeliver(owner=("--app",), GITHUB_APP_ID="4242", GITHUB_APP_PRIVATE_KEY="x")
    assert no_key.exit_code == 1
    assert "GITHUB_APP_PRIVATE_KEY is not a readable private key" in no_key.stderr


def test_without_pyjwt_it_says_what_to_install(
    github: GitHub, redeliver: Redeliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    result = redeliver(owner=("--app",), GITHUB_APP_ID="1", GITHUB_APP_PRIVATE_KEY="x")
    assert result.exit_code == 1
    assert "pip install 'apitraffic-events[github-app]', or set GITHUB_APP_JWT" in result.stderr


@pytest.mark.parametrize(
    ("owner", "variables", "words"),
    [
        (("--repository", "a/b"), {"GITHUB_TOKEN": ""}, "GITHUB_TOKEN (or GITHUB_TOKEN_FILE) is not set; "),
        (("--organization", "a"), {"GITHUB_TOKEN": ""}, "needs the scope admin:org_hook"),
        (("--repository", "a/b"), {"GITHUB_TOKEN": "two words"}, "GITHUB_TOKEN holds characters that no"),
        (("--repository", "a/b"), {"GITHUB_TOKEN_FILE": "x"}, "GITHUB_TOKEN and GITHUB_TOKEN_FILE are both"),
        (("--app",), {}, "GITHUB_APP_ID is not set"),
        (("--app",), {"GITHUB_APP_ID": "1"}, "GITHUB_APP_PRIVATE_KEY (or …_FILE) is not set"),
    ],
)
def test_a_missing_credential_is_named(
    github: GitHub,
    redeliver: Redeliver,
    owner: tuple[str, ...],
    variables: dict[str, str],
    words: str,
) -> None:
    result = redeliver(owner=owner, **variables)
    assert result.exit_code == 1
    assert words in result.stderr
    assert github.requests == []


@pytest.mark.parametrize(
    ("owner", "arguments", "words"),
    [
        ((), (), "Give one of --repository"),
        (("--app", "--repository", "a/b"), (), "Give one of --repository"),
        (("--repository", "shop"), (), "is not of the form OWNER/NAME"),
        (("--repository", "acme/.."), (), "is not of the form OWNER/NAME"),
        (("--repository", "acme/shop?x"), (), "is not of the form OWNER/NAME"),
        (("--organization", "a/b"), (), "--organization 'a/b' is not an organisation's name"),
        (("--app",), ("--hook", "1"), "An App has one webhook"),
        (("--repository", "a/b"), ("--hook", "1", "--url", "x"), "Give --hook or --url"),
        (("--repository", "a/b"), ("--since", "soon"), "'soon' is not a time; write"),
        (("--repository", "a/b"), ("--since", "2026-01-06"), "is not a time in the past"),
        (("--repository", "a/b"), ("--since", "999999w"), "'999999w' is not a time; write"),
        (("--repository", "a/b"), ("--limit", "0"), "--limit"),
        (("--repository", "a/b"), ("--api-url", "http://github.acme.test/api/v3"), "show the token"),
        (("--repository", "a/b"), ("--api-url", "https://u:p@github.acme.test"), "without a user name"),
        (("--repository", "a/b"), ("--api-url", "https://[x"), "Write an https URL"),
    ],
)
def test_wrong_use_exits_with_2(
    github: GitHub, redeliver: Redeliver, owner: tuple[str, ...], arguments: tuple[str, ...], words: str
) -> None:
    result = redeliver(*arguments, owner=owner)
    assert result.exit_code == 2
    assert words in result.stderr
    assert github.requests == []


def test_a_wrong_token(redeliver: Redeliver) -> None:
    result = redeliver(GITHUB_TOKEN="another")
    assert result.exit_code == 1
    assert "GitHub does not accept the token (401 Bad credentials)" in result.stderr
    assert "admin:repo_hook" in result.stderr


def test_a_token_that_may_not(github: GitHub, redeliver: Redeliver) -> None:
    message = "Resource not accessible by personal access token"
    github.faults["GET"] = [(403, {"X-GitHub-SSO": "required; url=https://github.test"}, message)]
    result = redeliver()
    assert result.exit_code == 1
    assert f"the token may not do this (403 {message}): a classic token needs the scope" in result.stderr
    assert "“Webhooks: read and write”" in result.stderr
    assert "single sign-on" in result.stderr


def test_what_the_token_does_not_see(redeliver: Redeliver) -> None:
    result = redeliver("--hook", "99")
    assert result.exit_code == 1
    assert "GitHub finds nothing there (404 Not Found): it does not exist" in result.stderr


def test_a_renamed_repository_and_a_site_that_is_no_api(github: GitHub, redeliver: Redeliver) -> None:
    github.faults["GET"] = [(301, {"Location": "http://127.0.0.1:9/repositories/1"}, "Moved")]
    assert "it was renamed or moved. Use its current name" in redeliver().stderr
    github.faults["GET"] = [(200, {}, "Welcome")]
    assert "Check --api-url" in redeliver().stderr
    nobody = redeliver("--api-url", "http://127.0.0.1:9")
    assert nobody.exit_code == 1
    assert "no answer from http://127.0.0.1:9: it refuses connections" in nobody.stderr
    assert github.clock.slept == [2.0, 4.0]


def test_reading_is_tried_again(github: GitHub, redeliver: Redeliver) -> None:
    github.deliver("a", at=ago(hours=1))
    github.faults["GET"] = [(502, {}, "Server Error")] * 2
    assert "1 asked for again" in redeliver().stdout
    github.faults["GET"] = [(502, {}, "Server Error")] * 3
    result = redeliver()
    assert result.exit_code == 1
    assert "GitHub failed: 502 Server Error" in result.stderr


def test_one_that_cannot_be_redelivered_does_not_keep_the_others(
    github: GitHub, redeliver: Redeliver
) -> None:
    for number in range(4):
        github.deliver(f"d{number}", at=ago(hours=9 - number))
    github.faults["POST"] = [(404, {}, "Not Found"), (422, {}, "Validation Failed"), (500, {}, "Oops")]
    result = redeliver()
    assert result.exit_code == 1
    outcomes = [line.split("  ")[4] for line in result.stdout.splitlines()[:-1]]
    assert outcomes[0].startswith("failed: GitHub finds nothing there (404 Not Found)")
    assert outcomes[1:] == [
        "failed: GitHub refused the request: 422 Validation Failed",
        "failed: GitHub failed: 500 Oops",
        "asked",
    ]
    assert "4 not delivered (1 asked for again, 3 could not be asked for)" in result.stdout


def test_where_github_fails_three_times_in_a_row_the_rest_waits(github: GitHub, redeliver: Redeliver) -> None:
    for number in range(9):
        github.deliver(f"d{number}", at=ago(hours=9 - number))
    github.faults["POST"] = [(503, {}, "Unavailable")] * 9
    result = redeliver()
    assert result.exit_code == 1
    assert len(github.posts()) == 3
    assert "9 not delivered (3 could not be asked for, 6 not reached)" in result.stdout
    assert "Error: GitHub failed: 503 Unavailable" in result.stderr


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (403, {"Retry-After": "30"}, "You have exceeded a secondary rate limit.", 30),
        (429, {"Retry-After": "7"}, "", 7),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 120)},
            "API rate limit exceeded for user",
            121,
        ),
        (403, {"X-RateLimit-Remaining": "4000"}, "You have exceeded a secondary rate limit.", 60),
    ],
)
def test_rate_limits_are_waited_for_and_then_it_goes_slowly(
    github: GitHub, redeliver: Redeliver, status: int, headers: dict[str, str], message: str, wait: float
) -> None:
    for number in range(3):
        github.deliver(f"d{number}", at=ago(hours=9 - number))
    github.faults["POST"] = [(status, headers, message)]
    result = redeliver()
    assert result.exit_code == 0, result.output
    assert "3 asked for again" in result.stdout
    assert github.clock.slept == [wait, 1.0, 1.0]


def test_a_long_rate_limit_is_left_to_the_next_run(github: GitHub, redeliver: Redeliver) -> None:
    github.deliver("a", at=ago(hours=1))
    github.faults["POST"] = [(429, {"Retry-After": "3600"}, "")]
    result = redeliver()
    assert result.exit_code == 1
    assert "used up for another 3600 s; then run this again" in result.stderr
    assert "1 not delivered (1 not reached)" in result.stdout
    assert github.clock.slept == []


def test_a_limit_that_never_ends_ends_the_run(github: GitHub, redeliver: Redeliver) -> None:
    github.faults["GET"] = [(429, {}, "Too many")] * 20
    assert redeliver().exit_code == 1
    assert github.clock.slept == [60, 120]
