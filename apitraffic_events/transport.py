"""Sending requests to one server, without what requests does again for each: most of a request's cost."""

from typing import Any, Final

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connectionpool import ConnectionPool

MOST_KEPT_OPEN: Final = 4
"""Connections; a client sends one request at a time."""


class OneServerAdapter(HTTPAdapter):
    """An adapter whose requests all go to the same server, with the same certificates and proxies.

    It looks the connections up once. Cookies are not read: the Events API is called with a token.
    """

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=MOST_KEPT_OPEN, max_retries=0)
        self._connections: ConnectionPool | None = None
        self._is_verified = False
        self._origin: str | None = None
        """What a URL begins with that is not part of the request line."""

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        if self._connections is None:
            self._connections = super().get_connection_with_tls_context(*arguments, **options)
        return self._connections

    def cert_verify(self, *arguments: Any, **options: Any) -> None:
        """Tell the connections once how to verify the server."""
        if not self._is_verified:
            super().cert_verify(*arguments, **options)  # type: ignore[no-untyped-call]  # no types there
            self._is_verified = True

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """What stands in the request line: the path, or the whole URL for a proxy that forwards it."""
        url = request.url or ""
        if self._origin is None:
            asked = super().request_url(request, proxies)
            if not url.endswith(asked):
                return asked
            self._origin = url.removesuffix(asked)
        return url.removeprefix(self._origin)

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        response = Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.reason = resp.reason
        response.url = req.url or ""
        response.request = req
        return response

    def close(self) -> None:
        super().close()
        self._connections = None
