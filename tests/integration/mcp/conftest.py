"""An Events API and an MCP server over HTTP for all of these tests; each test begins without events."""

from collections.abc import Iterator

import pytest

from tests.support.assistant import BEARER, Assistant, McpServer, over_http
from tests.support.local_api import running_local_api


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServer]:
    folder = tmp_path_factory.mktemp("mcp")
    with running_local_api(folder) as api:
        server = McpServer(folder, api, "--allowed-host", "events.example.test")
        server.program.start()
        yield server
        assert server.program.stop() == 0
        assert api.token not in server.program.log()
        assert BEARER not in server.program.log()


@pytest.fixture
def server(running_server: McpServer) -> McpServer:
    api = running_server.api
    api.set_faults([])
    for event in api.call("GET", "/events?limit=100").json()["records"]:
        api.call("DELETE", f"/events/{event['sid']}")
    return running_server


@pytest.fixture
def assistant(server: McpServer) -> Assistant:
    return Assistant(over_http(server.url))
