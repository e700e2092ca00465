"""Posts notices to people: to the webhook of a chat, or to anything that speaks Standard Webhooks.

The address is the operator's and often a secret: messages name its host only. Nothing is followed elsewhere.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import requests

from apitraffic_events.errors import EventsApiError, RateLimited, Rejected, ServerFailed, Unreachable
from apitraffic_events.responses import TRANSIENT, retry_after_of
from receiver.senders_api.unanswered import no_answer

Sign = Callable[[bytes, str], dict[str, str]]
TIMEOUTS: Final = (5.0, 10.0)
"""Seconds to wait for a connection and for a response."""
REFUSED: Final = "NOTICE_REFUSED"
"""The `code` of the error if an answer says that the same would be refused again."""
REASON: Final = re.compile(rb"[a-z]+(_[a-z]+)*")
"""What a chat says in one word, as Slack's `channel_is_archived`. A longer answer may repeat the address."""
LONGEST_REASON: Final = 60
CHECK: Final = "check APITRAFFIC_NOTIFY_URL"


class NoticeTarget:
    """Where notices are posted. Several threads may use it.

    `sign` makes the headers that go with a body and the id of its notice; `None` if notices are not signed.
    """

    def __init__(self, url: str, sign: Sign | None = None, timeouts: tuple[float, float] = TIMEOUTS) -> None:
        self._url = url
        self._sign = sign
        self._timeouts = timeouts

    @property
    def host(self) -> str:
        """Its name and port, which are no secret."""
        return urlsplit(self._url).netloc

    @property
    def is_signed(self) -> bool:
        return self._sign is not None

    def post(self, notice_id: str, body: bytes) -> None:
        """Post this JSON; `notice_id` is the same for each attempt at a notice.

        Raises an `EventsApiError` by which the queue decides what follows: `Rejected` if the answer refuses
        the notice for good, and `RateLimited`, `ServerFailed` or `Unreachable` if another attempt may
        succeed.
        """
        try:
            with requests.post(
                self._url,
                data=body,
                headers=self._headers(notice_id, body),
                timeout=self._timeouts,
                allow_redirects=False,
                auth=lambda request: request,  # else requests sends credentials from a .netrc file
                stream=True,  # of an answer, a line is read
            ) as response:
                if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
                    raise self._failure(response)
        except requests.RequestException as error:
            # Its message may hold the address, or that of a proxy with its password.
            raise Unreachable(no_answer(error, self.host), was_sent=True) from None

    def _headers(self, notice_id: str, body: bytes) -> dict[str, str]:
        agent = {"User-Agent": f"apitraffic-events/{version('apitraffic-events')}"}
        if self._sign is not None:
            return self._sign(body, notice_id) | agent
        unsigned = {"webhook-id": notice_id, "webhook-timestamp": str(int(time.time()))}
        return {"Content-Type": "application/json"} | unsigned | agent

    def _failure(self, response: requests.Response) -> EventsApiError:
        status = response.status_code
        said = f"{self.host} answers {status}{self._reason_in(response)}"
        if status < HTTPStatus.BAD_REQUEST:
            # Without its status, by which the queue would take it for a wrong address of the Events API.
            return Rejected(f"{said}, and redirects are not followed; {CHECK}", code=REFUSED)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(said, status=status, retry_after=retry_after_of(response.headers))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in TRANSIENT:
            return ServerFailed(said, status=status, retry_after=retry_after_of(response.headers))
        if status == HTTPStatus.GONE:
            said = f"{said}: this address no longer accepts notices"
        return Rejected(f"{said}; {CHECK}", code=REFUSED, status=status)

    def _reason_in(self, response: requests.Response) -> str:
        """The one word that the answer consists of, unless it is part of the address."""
        word = b""
        with suppress(requests.RequestException):
            word = next(response.iter_content(LONGEST_REASON + 1), b"").strip()
        if len(word) > LONGEST_REASON or not REASON.fullmatch(word) or word.decode() in self._url:
            return ""
        return f" ({word.decode()})"
