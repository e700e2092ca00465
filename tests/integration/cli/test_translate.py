"""`apitraffic-events translate`: what a payload would become, and which routes say so."""

import json

from tests.support.command import Command
from tests.support.github import deployment_status

ROUTES = """
[[route]]
match = { environment = "prod*" }
buckets = "Checkout API"
name = "Ship {repository} {ref}"
metadata = { team = "checkout" }

[[route]]
match = { environment = "review/*" }
skip = true
"""


def test_a_payload_is_printed_as_its_changes(run: Command) -> None:
    file = run.write("payload.json", deployment_status(42))
    result = run("translate", "github", file, "--event", "deployment_status")
    assert result.exit_code == 0
    (change,) = json.loads(result.stdout)
    assert list(change) == ["key", "effect", "occurred_at", "event"]
    assert change["key"] == "github:deployment:42"
    assert change["effect"] == "point"
    assert change["occurred_at"] == change["event"]["startedAt"]
    assert change["event"]["name"] == "Deploy acme/checkout v2.3.1 to production"
    assert result.stderr == ""


def test_the_configuration_is_applied_and_routes_are_explained(run: Command) -> None:
    run.write("apitraffic.toml", ROUTES)
    file = run.write("payload.json", deployment_status(42))
    result = run("translate", "github", file, "--event", "deployment_status")
    (change,) = json.loads(result.stdout)
    assert change["event"]["name"] == "Ship acme/checkout v2.3.1"
    assert change["event"]["buckets"] == ["Checkout API"]
    assert change["event"]["metadata"]["team"] == "checkout"
    first, second = result.stderr.splitlines()
    assert first.startswith("route 1 matches (environment 'production' matches prod*): buckets = ")
    assert second == "route 2 does not match (environment 'production' does not match review/*)"


def test_what_a_route_skips_is_an_empty_list_with_the_reason(run: Command) -> None:
    run.write("apitraffic.toml", "[[route]]\nskip = true\n")
    file = run.write("payload.json", deployment_status(42))
    result = run("translate", "github", file, "--event", "deployment_status")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert "route 1 matches (it matches everything): skip = True" in result.stderr
    assert "ignored: a [[route]] in apitraffic.toml says to skip it" in result.stderr


def test_an_ignored_one_is_an_empty_list_with_the_reason(run: Command) -> None:
    result = run("translate", "github", "-", "--event", "star", body=b"{}")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert "ignored: GitHub event 'star' is not one that becomes a marker" in result.stderr


def test_one_that_would_be_quarantined_says_why_and_fails(run: Command) -> None:
    result = run("translate", "github", "-", "--event", "deployment_status", body=b"{}")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "would be quarantined: deployment_status.state is missing from the payload\n"


def test_headers_may_be_given(run: Command) -> None:
    body = b"payload=" + deployment_status(42).replace(b" ", b"+").replace(b"%", b"%25").replace(b"&", b"%26")
    result = run(
        "translate",
        "github",
        "-",
        *("--header", "X-GitHub-Event: deployment_status", "--header", "X-GitHub-Delivery: d-1"),
        *("--header", "Content-Type: application/x-www-form-urlencoded"),
        body=body,
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)[0]["event"]["metadata"]["delivery_id"] == "d-1"


def test_a_header_that_is_none_is_named(run: Command) -> None:
    result = run("translate", "github", "-", "--header", "no colon", body=b"{}")
    assert result.exit_code == 2
    assert "--header 'no colon' is not of the form 'Name: value'" in result.stderr
