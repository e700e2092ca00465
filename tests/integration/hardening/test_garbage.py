"""What is no request, or goes to no address: how it is answered, and what of it is logged."""

import json
import re
import time
from collections import Counter
from contextlib import ExitStack

import pytest
import requests

from tests.fuzz.wire import MALFORMED, STATUS
from tests.support.connections import connected, connected_only, read_to_end, url_of
from tests.support.github import deployment_status, post
from tests.support.programs import Program
from tests.support.waiting import wait_until

TOKEN = "abcdefgh-the-token-ijklmnop"


def sent(receiver: Program, data: bytes) -> bytes:
    """What comes back for these bytes."""
    with connected(url_of(receiver)) as client:
        client.sendall(data)
        return read_to_end(client)


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("line without end", 414),
        ("field without colon", 400),
        ("field without end", 431),
        ("a thousand fields", 431),
        ("both lengths", 400),
        ("coding that is not chunked", 501),
        ("expectation", 417),
        ("no version", 400),
    ],
)
def test_what_is_no_request_is_answered_with_a_problem(shared: Program, case: str, status: int) -> None:
    head, _, body = sent(shared, MALFORMED[case]).partition(b"\r\n\r\n")
    assert STATUS.findall(head) == [b"%d" % status]
    assert b"\r\nContent-Type: application/problem+json\r\n" in head + b"\r\n"
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]


def test_garbage_is_logged_once_a_second_a_kind_with_a_count(one_thread: Program) -> None:
    began = time.monotonic()
    for number in range(300):
        assert b" 400 " in sent(one_thread, MALFORMED["no version"])
        if number < 50:
            assert b" 414 " in sent(one_thread, MALFORMED["line without end"])
    lines = re.compile(
        r"receiver\.server request refused reason=(\w+) address=127\.0\.0\.1(?: times=(\d+))?$", re.MULTILINE
    )

    def counted() -> Counter[str]:
        found = Counter[str]()
        for reason, times in lines.findall(one_thread.log()):
            found[reason] += int(times or 1)
        return found

    wait_until(lambda: counted() == {"malformed_head": 300, "head_too_large": 50}, "all are counted", 10)
    seconds = time.monotonic() - began
    assert len(one_thread.log().splitlines()) <= 15 + 2 * (seconds + 1)


@pytest.mark.parametrize(
    "data",
    [
        f"POST /webhooks/jenkins/{TOKEN} HTTP/9.9\r\n\r\n",
        f"POST /webhooks/jenkins/{TOKEN}\r\n\r\n",
        f"post /webhooks/jenkins/{TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST /webhooks/jenkins/{TOKEN}\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST /webhooks/jenkins/{TOKEN}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /webhooks//jenkins/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /webhooks/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {TOKEN}\r\n\r\n",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\x00\r\n\r\n",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n {TOKEN}\r\n\r\n",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nExpect: {TOKEN}\r\n\r\n",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {TOKEN}\r\n\r\n",
        f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n",
    ],
)
def test_nothing_of_a_malformed_request_is_logged_or_repeated(shared: Program, data: str) -> None:
    answer = sent(shared, data.encode("latin-1"))
    assert int(STATUS.findall(answer)[0]) in {400, 401, 404, 417, 501}
    assert TOKEN.encode() not in answer
    assert TOKEN not in shared.log()


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/webhooks//gitlab", "/webhooks/gitlab"),
        ("/webhooks/gitlab/", "/webhooks/gitlab"),
        ("/webhooks/GitLab", "/webhooks/gitlab"),
        ("/webhooks/gitlab%20", "/webhooks/gitlab"),
        ("/webhook/github", "/webhooks/github"),
        ("/github", "/webhooks/github"),
        ("/api/webhooks/events", "/webhooks/events"),
        ("/webhooks//jenkins/" + TOKEN, "/webhooks/jenkins/<token>"),
        ("/webhooks/jenkins/" + TOKEN + "/", "/webhooks/jenkins/<token>"),
    ],
)
def test_a_path_that_is_nearly_right_is_404_and_the_log_has_the_right_one(
    shared: Program, path: str, right: str
) -> None:
    before = len(shared.log())
    line = re.compile(rf'no such path .*status=404 right_path="?{re.escape(right)}"? ')

    def is_logged() -> bool:
        """The log has at most one such line a second, so it may take a second request."""
        answer = requests.post(url_of(shared) + path, json={}, timeout=10)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"].endswith(f" Send it to {right}.")
        return line.search(shared.log()[before:]) is not None

    wait_until(is_logged, "it is logged")
    assert TOKEN not in shared.log()


def test_2500_idle_connections_keep_nobody_out(one_thread: Program) -> None:
    url = url_of(one_thread)
    with ExitStack() as open_ones:
        for _ in range(2_500):
            open_ones.enter_context(connected_only(url))
        for number in range(5):
            began = time.monotonic()
            assert post(url, deployment_status(number + 1)).status_code == 202
            assert time.monotonic() - began < 1.0
