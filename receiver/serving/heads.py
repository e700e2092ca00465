"""The head of a request that gunicorn has parsed, as the application's admission reads it.

The same as what gunicorn makes the WSGI environment of, which costs more, and which most requests do without.
"""

import os
from typing import Any

from gunicorn.http.errors import ConfigurationProblem  # type: ignore[import-untyped]  # has no types
from gunicorn.util import unquote_to_wsgi_str  # type: ignore[import-untyped]

from receiver.web.admission import Head


def head_of(request: Any, client: Any) -> Head:
    """Raises gunicorn's `ConfigurationProblem` if the path is not below SCRIPT_NAME."""
    headers: dict[str, str] = {}
    for upper, value in request.headers:
        name = upper.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    for name in ("content-type", "content-length"):
        if headers.get(name) == "":
            del headers[name]
    path = request.path
    if script_name := os.environ.get("SCRIPT_NAME"):
        if not path.startswith(script_name):
            raise ConfigurationProblem("the path is not below SCRIPT_NAME")
        path = path.removeprefix(script_name)
    return Head(
        request.method, unquote_to_wsgi_str(path) if "%" in path else path, headers, _address_of(client)
    )


def _address_of(client: Any) -> str:
    """Of a TCP client its address, of one on a unix socket whatever name it has."""
    if isinstance(client, bytes):
        return client.decode()
    return client if isinstance(client, str) else str(client[0])
