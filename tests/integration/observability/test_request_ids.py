"""A request's name, in its answer and in the log; and the headers that every answer has."""

import re

import pytest
import requests

from tests.support.github import deployment_status, post, signed
from tests.support.stack import Stack
from tests.support.waiting import wait_until


@pytest.fixture
def url(stack: Stack) -> str:
    stack.receiver.start()
    return stack.url


def test_a_request_keeps_the_name_it_comes_with_and_the_log_has_it(url: str, stack: Stack) -> None:
    body = deployment_status(1)
    answer = post(url, body, signed(body) | {"X-Request-ID": "proxy-7f.3"})
    assert answer.headers["X-Request-ID"] == "proxy-7f.3"
    wait_until(lambda: re.search(r"accepted .*request=proxy-7f\.3", stack.receiver.log()), "it is in the log")

    for given in ("", "two words", "x" * 129, "a;b", "caf\u00e9".encode().decode("latin-1"), "{{7*7}}"):
        answer = requests.get(f"{url}/healthz", headers={"X-Request-ID": given}, timeout=30)
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"]), given

    refused = requests.post(f"{url}/webhooks/github", data=b"{}", headers={"X-Request-ID": "r-1"}, timeout=30)
    assert (refused.status_code, refused.headers["X-Request-ID"]) == (401, "r-1")
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert refused.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    assert (
        requests.get(f"{url}/nowhere", headers={"X-Request-ID": "r-2"}, timeout=30).headers["X-Request-ID"]
        == "r-2"
    )
