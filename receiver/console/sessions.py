"""Sessions in a signed cookie, and how often somebody may try to log in. Forms carry a token of the
session, which proves that they came from one of our own pages.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

COOKIE: Final = "apitraffic_console"
LIFETIME: Final = 12 * 3600
"""Seconds; then one has to log in again."""
PURPOSE: Final = b"apitraffic-events console session"


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is random; `is_logged_in` says whether its holder has shown the token."""

    id: str
    is_logged_in: bool = False


class Sessions:
    """Reads and writes the cookie.

    The key is made of the console's token, so that a restart logs nobody out and a new token logs out
    everybody. Without a token it is made of chance.
    """

    def __init__(self, token: str | None) -> None:
        secret = token.encode() if token else secrets.token_bytes(32)
        self._key = hmac.digest(secret, PURPOSE, hashlib.sha256)
        self._serializer = URLSafeTimedSerializer(self._key, salt="session")

    def new(self, *, is_logged_in: bool = False) -> Session:
        return Session(secrets.token_urlsafe(18), is_logged_in)

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie that we have written within `LIFETIME`."""
        try:
            match self._serializer.loads(cookie or "", max_age=LIFETIME):
                case [str() as name, bool() as is_logged_in]:
                    return Session(name, is_logged_in)
        except BadData:
            pass
        return None

    def write(self, session: Session) -> str:
        """The cookie's value."""
        return str(self._serializer.dumps([session.id, session.is_logged_in]))

    def form_token(self, session: Session) -> str:
        """What each form of this session's pages has to bring back."""
        return hmac.new(self._key, f"form {session.id}".encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, session: Session, given: str) -> bool:
        return hmac.compare_digest(
            self.form_token(session).encode(), given.encode("utf-8", "surrogateescape")
        )


WINDOW: Final = 60.0
"""Seconds."""
MOST_OF_ONE: Final = 5
MOST_OF_ALL: Final = 50
"""Failures within the window, from one address and from all."""


class LoginAttempts:
    """Counts failures; `clock` returns seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque(maxlen=MOST_OF_ALL)
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str) -> float:
        """Until the next attempt from this address is allowed; 0 if it is allowed now."""
        with self._lock:
            now = self._clock()
            while self._failures and self._failures[0][0] <= now - WINDOW:
                self._failures.popleft()
            of_this = [moment for moment, other in self._failures if other == address]
            waits = [0.0]
            if len(of_this) >= MOST_OF_ONE:
                waits.append(of_this[-MOST_OF_ONE] + WINDOW - now)
            if len(self._failures) >= MOST_OF_ALL:
                waits.append(self._failures[0][0] + WINDOW - now)
            return max(waits)

    def failed(self, address: str) -> None:
        with self._lock:
            self._failures.append((self._clock(), address))
