"""Sessions in a signed cookie, and the tokens that prove that a form came from one of our own pages."""

import hashlib
import hmac
import secrets
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
