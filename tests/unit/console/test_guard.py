"""Every page is behind the guard: tried with all routes of the application, without a network."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.config.settings import Settings
from receiver.console.app import Options, create_console
from receiver.console.guard import HEADERS, PUBLIC

TOKEN = "0123456789abcdef-console"
ORIGIN = {"Origin": "http://127.0.0.1:8081"}
Make = Callable[..., Flask]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(*, is_read_only: bool = False, **settings: Any) -> Flask:
        # Nothing listens there, so the API is away.
        account = {"api_token": "tok_1", "account_sid": "acc_1", "api_url": "http://127.0.0.1:9/v1"}
        settings = {"spool": "off", **account, **settings}
        options = Options("http://127.0.0.1:9", is_read_only=is_read_only)
        return create_console(Settings.model_validate(settings), options, redis=None)

    return make


class Browser(FlaskClient):
    host = "127.0.0.1:8081"

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, base_url=f"http://{self.host}", **kwargs)


def browser(app: Flask, host: str = "127.0.0.1:8081") -> FlaskClient:
    client = Browser(app, Response)
    client.host = host
    return client


def form_token(client: FlaskClient, path: str = "/events/new") -> str:
    found = re.search(r'name="form_token" value="(\w+)"', client.get(path).text)
    assert found
    return found[1]


def routes(app: Flask, method: str) -> list[tuple[str, str]]:
    return [
        (rule.endpoint, re.sub(r"<[^>]+>", "x", rule.rule))
        for rule in app.url_map.iter_rules()
        if method in (rule.methods or ())
    ]


def test_without_login_no_page_is_shown(make: Make) -> None:
    app = make(console_token=TOKEN)
    for endpoint, path in routes(app, "GET"):
        if endpoint not in PUBLIC:
            answer = browser(app).get(path)
            assert answer.status_code == 302, path
            assert answer.headers["Location"].startswith("/login?next="), path


def test_without_the_token_of_a_form_nothing_is_changed(make: Make) -> None:
    app = make()
    for _, path in routes(app, "POST"):
        assert browser(app).post(path, headers=ORIGIN).status_code == 403, path


def test_the_token_of_a_form_is_not_enough_from_another_site(make: Make) -> None:
    client = browser(make())
    form = {"form_token": form_token(client)}
    assert client.post("/events/new", data=form).status_code == 403
    other = {"Origin": "http://evil.example"}
    assert client.post("/events/new", data=form, headers=other).status_code == 403
    assert client.post("/events/new", data=form, headers=ORIGIN).status_code == 422


def test_another_name_is_refused_on_every_path(make: Make) -> None:
    app = make()
    for _, path in routes(app, "GET"):
        assert browser(app, "evil.example").get(path).status_code == 421, path


def test_read_only_changes_nothing_and_offers_no_change(make: Make) -> None:
    app = make(is_read_only=True)
    client = browser(app)
    token = form_token(client)
    for endpoint, path in routes(app, "POST"):
        if endpoint not in {"login", "logout", "trying.translated"}:
            answer = client.post(path, data={"form_token": token}, headers=ORIGIN)
            assert answer.status_code == 403, path
            assert "--read-only" in answer.text
    assert "New event" not in client.get("/").text


class TestLogin:
    def test_the_token_lets_in_and_log_out_ends_it(self, make: Make) -> None:
        client = browser(make(console_token=TOKEN))
        form = {"form_token": form_token(client, "/login"), "token": TOKEN, "next": "/?range=7d"}
        answer = client.post("/login", data=form, headers=ORIGIN)
        assert answer.headers["Location"] == "/?range=7d"
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert client.get("/").status_code == 200
        client.post("/logout", data={"form_token": form_token(client)}, headers=ORIGIN)
        assert client.get("/").status_code == 302

    def test_a_wrong_token_is_refused_and_guessing_is_slowed_down(self, make: Make) -> None:
        client = browser(make(console_token=TOKEN))
        form = {"form_token": form_token(client, "/login"), "token": "x" * 24}
        codes = [client.post("/login", data=form, headers=ORIGIN).status_code for _ in range(6)]
        assert codes == [403] * 5 + [429]
        # The right one has to wait as well, or the answer would tell it from others.
        assert client.post("/login", data={**form, "token": TOKEN}, headers=ORIGIN).status_code == 429

    @pytest.mark.parametrize(
        "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil"]
    )
    def test_it_leads_to_no_other_site(self, make: Make, elsewhere: str) -> None:
        client = browser(make(console_token=TOKEN))
        form = {"form_token": form_token(client, "/login"), "token": TOKEN, "next": elsewhere}
        assert client.post("/login", data=form, headers=ORIGIN).headers["Location"] == "/"

    def test_a_part_of_a_page_sends_the_whole_page_there(self, make: Make) -> None:
        answer = browser(make(console_token=TOKEN)).get("/events/table", headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")

    def test_a_trusted_proxy_names_the_user(self, make: Make) -> None:
        section = {"user_header": "X-Forwarded-User", "user_proxies": ["127.0.0.1"]}
        client = browser(make(console=section))
        assert client.get("/").status_code == 401
        assert "alice &lt;b&gt;" in client.get("/", headers={"X-Forwarded-User": "alice <b>"}).text


def test_every_response_says_what_a_browser_may_do(make: Make) -> None:
    client = browser(make())
    for path in ("/", "/nowhere", "/events/markers.json"):
        answer = client.get(path)
        for name, value in HEADERS:
            assert answer.headers[name] == value
    assert "unsafe" not in dict(HEADERS)["Content-Security-Policy"]


def test_no_page_has_inline_script_or_style_or_loads_from_elsewhere(make: Make) -> None:
    client = browser(make())
    for path in ("/", "/events/new", "/nowhere"):
        page = client.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", page)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)


def test_an_api_that_is_away_is_said_in_words(make: Make) -> None:
    page = browser(make()).get("/")
    assert page.status_code == 200
    assert "The Events API does not answer" in page.text
    assert browser(make()).get("/events/evt_1").status_code == 502
