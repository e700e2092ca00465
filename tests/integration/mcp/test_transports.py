"""`apitraffic-events mcp` over both transports, spoken to by the SDK's own client."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
from mcp import Client, MCPError
from mcp_types import Tool

from receiver.config.verdict import VerdictSection
from receiver.mcp_server.arguments import CreateEvent
from receiver.mcp_server.verdicts import Judge, all_tools
from tests.support.assistant import BEARER, Assistant, McpServer, content_of, over_http, over_stdio

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    },
}
TOOLS = all_tools(Judge(VerdictSection()))
OFFERED = [tool.name for tool in TOOLS if tool.name != "delete_event"]


@pytest.fixture(params=["stdio auto", "stdio legacy", "http auto", "http legacy"])
def any_assistant(request: pytest.FixtureRequest, server: McpServer, tmp_path: Path) -> Assistant:
    """Over each transport, in today's protocol and in that of the years before."""
    transport, mode = request.param.split()
    if transport == "stdio":
        return Assistant(over_stdio(tmp_path, server.environment, mode=mode))
    return Assistant(over_http(server.url, mode=mode))


def test_an_incident_from_start_to_end(any_assistant: Assistant, server: McpServer) -> None:
    async def whole_story(client: Client) -> tuple[list[str], str, Any]:
        tools = (await client.list_tools()).tools
        opened = await client.call_tool("create_event", {"type": "incident", "name": "Checkout is slow"})
        sid = opened.structured_content["sid"]
        near = (await client.call_tool("what_changed", {"minutes": 5})).structured_content
        assert [change["event"]["sid"] for change in near["changes"]] == [sid]
        await client.call_tool("close_incident", {"sid": sid, "resolution": "Rolled back"})
        resource = await client.read_resource(f"apitraffic://events/{sid}")
        return [tool.name for tool in tools], sid, json.loads(content_of(resource))

    offered, sid, event = any_assistant.do(whole_story)
    assert offered == OFFERED
    assert event["description"] == "Rolled back"
    assert server.event(sid)["endedAt"] == event["endedAt"]


def test_the_schema_is_that_of_the_model_with_a_word_on_every_field(assistant: Assistant) -> None:
    tools = {tool.name: tool for tool in assistant.do(lambda client: client.list_tools()).tools}
    schema = tools["create_event"].input_schema
    assert set(schema["properties"]) == {field.alias for field in CreateEvent.model_fields.values()}
    assert schema["required"] == ["type", "name"]
    assert schema["additionalProperties"] is False
    for tool in tools.values():
        for name, field in tool.input_schema["properties"].items():
            assert field["description"], (tool.name, name)


def test_every_tool_says_what_it_returns(assistant: Assistant) -> None:
    """The SDK's client checks each result of these tests against its schema."""
    for tool in assistant.do(lambda client: client.list_tools()).tools:
        assert tool.output_schema is not None, tool.name
        assert tool.output_schema["type"] == "object"
        assert tool.output_schema["required"]


def test_tools_say_what_they_do_to_what_is_there(assistant: Assistant) -> None:
    tools = assistant.do(lambda client: client.list_tools()).tools
    hints = {tool.name: tool.annotations for tool in tools if tool.annotations}
    assert {name for name, hint in hints.items() if hint.read_only_hint} == {
        *("what_changed", "deploy_verdict", "list_events", "get_event")
    }
    assert {name for name, hint in hints.items() if hint.destructive_hint} == {"update_event"}


def test_delete_event_is_there_only_when_it_is_allowed(
    assistant: Assistant, server: McpServer, tmp_path: Path
) -> None:
    sid = server.create()
    assert "--allow-delete" in assistant.error("delete_event", sid=sid)
    assert server.event(sid)["sid"] == sid

    async def delete(client: Client) -> tuple[Tool, Any]:
        offered = (await client.list_tools()).tools[-1]
        return offered, (await client.call_tool("delete_event", {"sid": sid})).structured_content

    allowed = Assistant(over_stdio(tmp_path, server.environment, "--allow-delete"))
    offered, answer = allowed.do(delete)
    assert offered.name == "delete_event"
    assert offered.annotations is not None
    assert offered.annotations.destructive_hint is True
    assert answer["event"]["sid"] == sid
    assert server.api.call("GET", f"/events/{sid}").status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("bearer", [None, "", "wrong", BEARER[:-1], BEARER + "x", "ä"])
def test_without_the_bearer_nobody_gets_in(server: McpServer, bearer: str | None) -> None:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}".encode()}
    answer = requests.post(server.url, json=INITIALIZE, headers=headers, timeout=10)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "apitraffic" not in answer.text
    for method in ("GET", "DELETE"):
        assert requests.request(method, server.url, headers=headers, timeout=10).status_code == 401


def test_the_sdk_client_sees_that_it_was_refused(server: McpServer) -> None:
    with pytest.raises(ExceptionGroup) as refused:
        Assistant(over_http(server.url, bearer="wrong")).call("list_events")
    assert refused.value.subgroup(MCPError) is not None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:6274"}, 200),
        ({"Host": "events.example.test"}, 200),
        ({"Host": "events.example.test", "Origin": "https://events.example.test"}, 200),
    ],
)
@pytest.mark.parametrize("protocol", ["2025-11-25", "2026-07-28"])
def test_a_web_page_cannot_borrow_a_name(
    server: McpServer, headers: dict[str, str], status: int, protocol: str
) -> None:
    """DNS rebinding: the bearer alone would not do where a browser has it."""
    sent = {
        "Authorization": f"Bearer {BEARER}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": protocol,
        **headers,
    }
    answer = requests.post(server.url, json=INITIALIZE, headers=sent, timeout=10)
    if status == 200:
        assert answer.status_code not in {401, 403, 421}
    else:
        assert answer.status_code == status


def test_a_body_without_end_is_refused(server: McpServer) -> None:
    headers = {"Authorization": f"Bearer {BEARER}", "Content-Type": "application/json"}
    answer = requests.post(server.url, data=b" " * 300_000, headers=headers, timeout=10)
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
