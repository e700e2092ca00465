"""Who may use the console, and which requests come from its own pages."""

import pytest
from pydantic import ValidationError

from receiver.config.console import ConsoleSection
from receiver.console.access import Access, is_from_our_page, is_loopback
from receiver.console.sessions import MOST_OF_ALL, MOST_OF_ONE, WINDOW, LoginAttempts, Sessions

TOKEN = "0123456789abcdef-console"
PROXIED = ConsoleSection.model_validate(
    {"hosts": ["Console.example.com"], "user_header": "X-Forwarded-User", "user_proxies": ["10.0.0.5"]}
)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8081",
        "localhost:8081",
        "LOCALHOST",
        "[::1]:8081",
        "192.0.2.7",
        "console.example.com",
        "Console.Example.COM:443",
    ],
)
def test_addresses_and_configured_names_are_ours(host: str) -> None:
    assert Access(None, PROXIED).is_our_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "console.example.com.evil.example",
        "127.0.0.1.nip.io",
        "[::1",
        "@",
    ],
)
def test_other_names_are_not_which_stops_dns_rebinding(host: str) -> None:
    assert not Access(None, PROXIED).is_our_host(host)


def test_a_form_of_our_own_page_is_taken() -> None:
    assert is_from_our_page({"Host": "a:1", "Origin": "http://a:1", "Sec-Fetch-Site": "same-origin"})
    # A proxy ends TLS.
    assert is_from_our_page({"Host": "a", "Origin": "https://a"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://a:2"},
        {"Origin": "http://a:1", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://a:1", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_page_is_not(headers: dict[str, str]) -> None:
    assert not is_from_our_page({"Host": "a:1", **headers})


def test_a_user_is_believed_from_the_proxy_only() -> None:
    access = Access(None, PROXIED)
    named = {"X-Forwarded-User": "alice"}
    assert access.user_of("10.0.0.5", named) == "alice"
    assert access.user_of("10.0.0.6", named) is None
    assert access.user_of(None, named) is None
    assert access.user_of("10.0.0.5", {}) is None
    assert access.user_of("10.0.0.5", {"X-Forwarded-User": " "}) is None


def test_a_header_without_a_proxy_is_refused() -> None:
    with pytest.raises(ValidationError, match="user_proxies"):
        ConsoleSection.model_validate({"user_header": "X-Forwarded-User"})


def test_the_token_is_compared_whole() -> None:
    access = Access(TOKEN, ConsoleSection())
    assert access.is_token(f" {TOKEN}\n")
    for other in ("", TOKEN[:-1], f"{TOKEN}x", "\udcff"):
        assert not access.is_token(other)
    assert not Access(None, ConsoleSection()).is_token("")


def test_loopback_is_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("::", "", "192.0.2.1", "example.com")))


class TestSessions:
    def test_one_is_read_back_and_another_key_does_not_read_it(self) -> None:
        sessions = Sessions(TOKEN)
        session = sessions.new(is_logged_in=True)
        assert Sessions(TOKEN).read(sessions.write(session)) == session
        assert Sessions(f"{TOKEN}2").read(sessions.write(session)) is None
        assert Sessions(None).read(sessions.write(session)) is None

    def test_what_we_have_not_written_is_none(self) -> None:
        sessions = Sessions(TOKEN)
        cookie = sessions.write(sessions.new())
        for forged in (None, "", "x", cookie[:-1], cookie.replace(cookie[3], "A", 1) + "A"):
            assert sessions.read(forged) is None

    def test_a_form_token_is_of_its_session(self) -> None:
        sessions = Sessions(TOKEN)
        mine, other = sessions.new(), sessions.new()
        assert sessions.is_form_token(mine, sessions.form_token(mine))
        assert not sessions.is_form_token(other, sessions.form_token(mine))
        assert not sessions.is_form_token(mine, "")


class TestLoginAttempts:
    def test_after_some_failures_an_address_has_to_wait(self) -> None:
        moment = 0.0
        attempts = LoginAttempts(lambda: moment)
        for _ in range(MOST_OF_ONE):
            assert attempts.seconds_to_wait("192.0.2.1") == 0
            attempts.failed("192.0.2.1")
        assert attempts.seconds_to_wait("192.0.2.1") == WINDOW
        assert attempts.seconds_to_wait("192.0.2.2") == 0
        moment = WINDOW
        assert attempts.seconds_to_wait("192.0.2.1") == 0

    def test_many_addresses_have_to_wait_together(self) -> None:
        attempts = LoginAttempts(lambda: 0.0)
        for number in range(MOST_OF_ALL):
            attempts.failed(f"192.0.2.{number}")
        assert attempts.seconds_to_wait("198.51.100.1") == WINDOW
