"""An assistant, as far as a server can tell: the MCP SDK's own client over either transport."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ReadResourceResult, TextContent, TextResourceContents

from tests.support.local_api import LocalApi
from tests.support.programs import REPOSITORY, Program

BEARER: Final = "a-bearer-of-the-tests-0123456789"
T = TypeVar("T")
Connect = Callable[[], AbstractAsyncContextManager[Client]]


def over_stdio(folder: Path, environment: Mapping[str, str], *options: str, mode: str = "auto") -> Connect:
    """Each connection is a process of its own, as an assistant on a desk would start it."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "receiver", "mcp", *options],
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
    )
    return lambda: Client(parameters, mode=mode)


def over_http(url: str, bearer: str | None = BEARER, mode: str = "auto", **headers: str) -> Connect:
    sent = ({"Authorization": f"Bearer {bearer}"} if bearer else {}) | headers

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        async with (
            # Nothing here is encrypted, and to load the certificates of all authorities takes 15 ms.
            httpx2.AsyncClient(headers=sent, verify=False) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            yield client

    return connect


class Assistant:
    """Connects anew for each call, so that no test leaves anything to the next."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def do(self, work: Callable[[Client], Awaitable[T]]) -> T:
        async def connected() -> T:
            async with self._connect() as client:
                return await work(client)

        return anyio.run(connected)

    def call(self, tool: str, **arguments: Any) -> Any:
        """What the tool answers; raises AssertionError with its words where it is an error."""
        result = self.do(lambda client: client.call_tool(tool, arguments))
        assert not result.is_error, text_of(result)
        return result.structured_content

    def error(self, tool: str, **arguments: Any) -> str:
        """The words with which the tool refuses."""
        result = self.do(lambda client: client.call_tool(tool, arguments))
        assert result.is_error, text_of(result)
        return text_of(result)

    def read(self, uri: str) -> str:
        """A resource's text."""
        return content_of(self.do(lambda client: client.read_resource(uri)))


def text_of(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def content_of(result: ReadResourceResult) -> str:
    content = result.contents[0]
    assert isinstance(content, TextResourceContents)
    return content.text


class McpServer:
    def __init__(self, folder: Path, api: LocalApi, *options: str) -> None:
        self.api = api
        self.environment = {
            "APITRAFFIC_API_URL": api.url,
            "APITRAFFIC_API_TOKEN": api.token,
            "APITRAFFIC_ACCOUNT_SID": api.account_sid,
        }
        self.program = Program(
            folder / "mcp.log",
            self.environment | {"APITRAFFIC_MCP_TOKEN": BEARER},
            *("mcp", "--http", "--port", "0", *options),
            ready=r"mcp server listens url=(?P<url>\S+)",
        )

    @property
    def url(self) -> str:
        assert self.program.announced is not None
        return self.program.announced["url"]

    def create(self, **fields: Any) -> str:
        """An event that is there already; its SID."""
        event = {"type": "deployment", "name": "Deploy acme/shop v2.3.1 to production", **fields}
        sid: str = self.api.call("POST", "/events", json=event).json()["sid"]
        return sid

    def event(self, sid: str) -> dict[str, Any]:
        event: dict[str, Any] = self.api.call("GET", f"/events/{sid}").json()
        return event
