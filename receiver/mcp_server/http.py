"""Streamable HTTP for the MCP server: only with the bearer token, and safe from DNS rebinding in browsers.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning
"""

import signal
import socket
from collections.abc import Sequence
from typing import Any, Final

import uvicorn
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.authentication import AuthenticationMiddleware
from structlog import get_logger

from receiver.serving.sockets import base_url
from receiver.sources.signatures import matches_any

PATH: Final = "/mcp"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
TIME_TO_STOP: Final = 5
"""Seconds that running calls have to finish after SIGTERM."""
LARGEST_REQUEST: Final = 256 * 1024
"""Bytes; an event with all its metadata takes a tenth of that."""


class ConfiguredBearer:
    """The SDK's `TokenVerifier` for the configured tokens; there are several while one is replaced."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(token.encode("utf-8", "surrogateescape") for token in tokens)

    async def verify_token(self, token: str) -> AccessToken | None:
        if not matches_any(token, self._tokens):
            return None
        return AccessToken(token=token, client_id="bearer", scopes=[])


def http_app(server: Server[Any], tokens: Sequence[str], allowed_hosts: Sequence[str]) -> Starlette:
    """The ASGI application; `allowed_hosts` are the host names, besides localhost, by which clients reach it.

    It is stateless: no call depends on an earlier one, so a restart does not disturb clients.
    """
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=LARGEST_REQUEST,
        transport_security=_only_for(allowed_hosts),
        token_verifier=ConfiguredBearer(tokens),
    )
    # The SDK's own `auth` settings would need an OAuth server.
    app.add_middleware(AuthenticationMiddleware, backend=BearerAuthBackend(ConfiguredBearer(tokens)))
    return app


def serve_http(app: Starlette, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=TIME_TO_STOP,
    )
    get_logger("receiver.mcp").info("mcp server listens", url=base_url(listener) + PATH)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Once it has stopped, uvicorn raises the signal again, for the handler that was there before.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])


def _only_for(allowed_hosts: Sequence[str]) -> TransportSecuritySettings:
    hosts = [name for host in (*LOOPBACK, *allowed_hosts) for name in (host, f"{host}:*")]
    origins = [f"http://{host}:*" for host in LOOPBACK]
    origins += [origin for host in allowed_hosts for origin in (f"https://{host}", f"https://{host}:*")]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
