"""Notices are posted signed, to the one address, and no error names more than its host."""

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apitraffic_events.errors import EventsApiError, RateLimited, Rejected, ServerFailed, Unreachable
from apitraffic_events.timestamps import now
from receiver.delivery.notifier import signing
from receiver.delivery.retries import is_outage, is_refusal, needs_operator
from receiver.senders_api.notify import NoticeTarget
from receiver.senders_api.unanswered import ADVICE
from receiver.sources.signatures import standard_webhook_verification
from tests.support.chat import PATH, Chat, running_chat
from tests.support.waiting import wait_until

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes, as it is told!").decode()
BODY = '{"text":"Failed deploy acme/shop — résumé"}'.encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Chat]:
    with running_chat() as chat:
        yield chat


@pytest.fixture
def chat(server: Chat) -> Chat:
    server.clear()
    return server


def failure(chat: Chat, status: int, text: str = "", **headers: str) -> EventsApiError:
    chat.will_answer(status, text, **headers)
    with pytest.raises(EventsApiError) as caught:
        NoticeTarget(chat.url, signing(SECRET)).post("deploy_failed-1", BODY)
    said = f"{caught.value}{caught.value.message}{caught.value.__cause__}"
    assert chat.host in said
    assert PATH not in said
    assert "nobody-may-see" not in said
    return caught.value


class TestTheSignature:
    def test_is_accepted_by_the_receiver_s_own_verification(self, chat: Chat) -> None:
        NoticeTarget(chat.url, signing(SECRET)).post("deploy_failed-1", BODY)
        (posted,) = chat.posted
        verification = standard_webhook_verification(posted.headers, [SECRET.encode()], now())
        assert verification is not None
        verification.update(posted.body)
        assert verification.is_authentic()
        assert posted.body == BODY
        assert posted.headers["content-type"] == "application/json"

    def test_is_that_of_the_specification(self, chat: Chat) -> None:
        """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
        NoticeTarget(chat.url, signing(SECRET)).post("deploy_failed-1", BODY)
        headers = chat.posted[0].headers
        assert headers["webhook-id"] == "deploy_failed-1"
        message = f"deploy_failed-1.{headers['webhook-timestamp']}.".encode() + BODY
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"

    def test_is_left_out_for_a_chat_which_has_no_secret(self, chat: Chat) -> None:
        target = NoticeTarget(chat.url, None)
        assert not target.is_signed
        target.post("deploy_failed-1", BODY)
        headers = chat.posted[0].headers
        assert headers["webhook-id"] == "deploy_failed-1"
        assert "webhook-signature" not in headers

    def test_no_credentials_of_this_machine_are_sent(
        self, chat: Chat, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As requests would send those of a .netrc file."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
        monkeypatch.setenv("NETRC", str(netrc))
        NoticeTarget(chat.url, signing(SECRET)).post("deploy_failed-1", BODY)
        assert "authorization" not in chat.posted[0].headers


class TestWhatFollowsFromAnAnswer:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422, 451])
    def test_a_refusal_ends_the_attempts(self, chat: Chat, status: int) -> None:
        error = failure(chat, status)
        assert isinstance(error, Rejected)
        assert is_refusal(error)
        assert not needs_operator(error)
        assert error.status == status
        assert "APITRAFFIC_NOTIFY_URL" in error.message

    def test_an_address_that_is_gone_is_called_so(self, chat: Chat) -> None:
        error = failure(chat, 410, "channel_is_archived")
        assert "410 (channel_is_archived): this address no longer accepts notices" in error.message

    @pytest.mark.parametrize("status", [408, 425, 500, 502, 503])
    def test_a_failure_is_tried_again(self, chat: Chat, status: int) -> None:
        error = failure(chat, status, Retry_After="7")
        assert isinstance(error, ServerFailed)
        assert is_outage(error)
        assert error.retry_after == 7

    def test_a_rate_limit_says_when(self, chat: Chat) -> None:
        error = failure(chat, 429, Retry_After="30")
        assert isinstance(error, RateLimited)
        assert error.retry_after == 30

    @pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
    def test_a_redirect_is_not_followed(self, chat: Chat, status: int) -> None:
        error = failure(chat, status, Location=f"http://{chat.host}/elsewhere")
        assert is_refusal(error)
        assert not needs_operator(error), "else it would be tried for ever"
        assert str(status) in error.message
        assert "redirects are not followed" in error.message
        assert len(chat.posted) == 1

    def test_no_answer_is_tried_again(self, chat: Chat) -> None:
        chat.before_answering = ConnectionAbort()
        with pytest.raises(Unreachable) as caught:
            NoticeTarget(chat.url, signing(SECRET)).post("deploy_failed-1", BODY)
        assert caught.value.message == f"no answer from {chat.host}: the connection failed; {ADVICE}"
        assert caught.value.__cause__ is None

    def test_nor_is_waited_for_without_end(self, chat: Chat) -> None:
        is_over = threading.Event()
        chat.before_answering = is_over.wait
        with pytest.raises(Unreachable, match="it did not answer in time"):
            NoticeTarget(chat.url, signing(SECRET), timeouts=(5, 0.02)).post("deploy_failed-1", BODY)
        is_over.set()
        # Or the answer to it would be one that the next test has set.
        wait_until(lambda: chat.posted, "the answer that came too late")


class TestTheReasonOfAChat:
    @pytest.mark.parametrize("word", ["invalid_payload", "no_service", "gone"])
    def test_is_repeated_if_it_is_one_word(self, chat: Chat, word: str) -> None:
        assert f"({word})" in failure(chat, 400, f"{word}\n").message

    @pytest.mark.parametrize(
        "text",
        [
            f"The requested URL {PATH} was not found",
            "xoxb-nobody-may-see-this",
            "services",
            "<html>",
            "a" * 61,
        ],
    )
    def test_and_left_out_if_it_may_hold_the_address(self, chat: Chat, text: str) -> None:
        assert "(" not in failure(chat, 400, text).message


class ConnectionAbort:
    """The connection is closed in place of an answer."""

    def __call__(self) -> None:
        raise ConnectionAbortedError
