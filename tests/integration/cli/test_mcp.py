"""`apitraffic-events mcp`: what it needs before it starts. `tests/integration/mcp` speaks to it."""

from tests.support.assistant import BEARER
from tests.support.command import Command


def test_what_is_missing_is_said_before_it_starts(run: Command) -> None:
    account = {"APITRAFFIC_API_TOKEN": "token-of-the-api", "APITRAFFIC_ACCOUNT_SID": "acc_1"}
    assert "APITRAFFIC_API_TOKEN is not set" in run("mcp").stderr
    assert "APITRAFFIC_MCP_TOKEN is not set" in run("mcp", "--http", environment=account).stderr
    short = run("mcp", "--http", environment=account, APITRAFFIC_MCP_TOKEN="short enough")
    assert "could be guessed" in short.stderr
    assert "short enough" not in short.stderr
    open_to_all = run(
        "mcp", "--http", "--host", "192.0.2.1", environment=account, APITRAFFIC_MCP_TOKEN=BEARER
    )
    assert open_to_all.exit_code == 2
    assert "--allowed-host" in open_to_all.stderr
