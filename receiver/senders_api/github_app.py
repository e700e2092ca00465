"""Authentication as a GitHub App."""

from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final

from apitraffic_events.errors import ConfigurationError

JWT_BEFORE: Final = timedelta(seconds=60)
JWT_AFTER: Final = timedelta(minutes=9)
"""GitHub accepts at most ten minutes, and recommends starting a minute ago in case the clocks differ."""


def app_jwt(app_id: str, private_key: str, moment: datetime) -> str:
    """The JWT with which an App authenticates. Raises `ConfigurationError` if it cannot be signed.

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
        # In a variable, the line breaks of a key are often written as \n.
        signed: str = jwt.encode(claims, private_key.replace("\\n", "\n"), algorithm="RS256")
    except (ValueError, TypeError, jwt.exceptions.PyJWTError):
        raise ConfigurationError(
            "GITHUB_APP_PRIVATE_KEY is not a readable private key; set it to the whole .pem file from "
            "GitHub, or set GITHUB_APP_PRIVATE_KEY_FILE to the path of that file"
        ) from None
    return signed
