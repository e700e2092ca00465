"""What only the real process shows: connections, threads, signals, files and the command line."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from receiver.cli.api import TOKEN_VARIABLE
from receiver.local.events_api.server import THREADS
from tests.support.local_api import LocalApi, running_local_api
from tests.support.processes import started

EVENT = {"type": "deployment", "name": "v2.3.1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(running: LocalApi) -> LocalApi:
    running.set_faults([])
    return running


def names(api: LocalApi) -> list[str]:
    return [record["name"] for record in api.call("GET", "/events", params={"limit": 100}).json()["records"]]


def test_twenty_threads_create_twenty_events(api: LocalApi) -> None:
    def create(number: int) -> str:
        response = api.call("POST", "/events", json={**EVENT, "name": f"thread {number}"})
        assert response.status_code == 201
        return str(response.json()["sid"])

    with ThreadPoolExecutor(20) as pool:
        sids = set(pool.map(create, range(20)))
    assert len(sids) == 20
    assert sorted(name for name in names(api) if name.startswith("thread ")) == sorted(
        f"thread {number}" for number in range(20)
    )


def test_connection_is_kept_and_the_answer_dated(api: LocalApi) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {api.token}"
        address = f"{api.url}/accounts/{api.account_sid}/events"
        first = session.get(address, timeout=20)
        assert first.headers["Connection"] == "keep-alive"
        assert abs(parsedate_to_datetime(first.headers["Date"]).timestamp() - time.time()) < 60
        assert session.get(address, timeout=20).status_code == 200


def test_open_connections_do_not_keep_others_waiting(api: LocalApi) -> None:
    address = f"{api.url}/accounts/{api.account_sid}/events"
    with ExitStack() as opened:
        for _ in range(4 * THREADS):
            session = opened.enter_context(requests.Session())
            session.headers["Authorization"] = f"Bearer {api.token}"
            assert session.get(address, timeout=20).status_code == 200


@pytest.mark.parametrize("fault", ["POST:dropx1", "POST:hang=0.05x1"])
def test_answer_is_withheld_after_the_event_is_kept(api: LocalApi, fault: str) -> None:
    before = api.requests()
    api.set_faults([fault])
    with pytest.raises(requests.ConnectionError):
        api.call("POST", "/events", json={**EVENT, "name": fault})
    assert names(api).count(fault) == 1
    assert api.call("POST", "/events", json=EVENT).status_code == 201
    kind = fault.removeprefix("POST:")[:4]
    assert api.requests()["POST"][kind] == before.get("POST", {}).get(kind, 0) + 1


def test_dropped_connection_says_nothing_at_all(api: LocalApi) -> None:
    api.set_faults(["GET:dropx1"])
    address = api.url.removeprefix("http://").removesuffix("/v1")
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        request = (
            f"GET /v1/accounts/{api.account_sid}/events HTTP/1.1\r\n"
            f"Host: {address}\r\nAuthorization: Bearer {api.token}\r\n\r\n"
        )
        connection.sendall(request.encode())
        assert connection.recv(1) == b""


def test_refused_connection_keeps_nothing(api: LocalApi) -> None:
    api.set_faults(["POST:refusex1"])
    with pytest.raises(requests.ConnectionError):
        api.call("POST", "/events", json={**EVENT, "name": "refused"})
    assert "refused" not in names(api)


def test_client_that_gives_up_on_a_hang_frees_the_thread(api: LocalApi) -> None:
    api.set_faults(["POST:hang=600x16"])
    for number in range(16):
        with pytest.raises(requests.ReadTimeout):
            api.call("POST", "/events", json={**EVENT, "name": f"hung {number}"}, timeout=(20, 0.1))
    deadline = time.monotonic() + 20
    while len([name for name in names(api) if name.startswith("hung ")]) < 16:
        assert time.monotonic() < deadline, "not all were kept"


def test_latency(api: LocalApi) -> None:
    api.set_faults(["GET:latency=0.15x1"])
    started = time.monotonic()
    assert api.call("GET", "/events").status_code == 200
    assert time.monotonic() - started >= 0.15


def test_faults_leave_no_traceback(api: LocalApi) -> None:
    api.set_faults(["POST:dropx1", "POST:status=500x1"])
    with pytest.raises(requests.ConnectionError):
        api.call("POST", "/events", json=EVENT)
    assert api.call("POST", "/events", json=EVENT).status_code == 500
    assert api.log() == ""


def test_support_says_what_is_wrong_with_a_fault(api: LocalApi) -> None:
    with pytest.raises(ValueError, match="the kind 'explode' is none of"):
        api.set_faults(["explode"])


def test_options_reach_the_api(tmp_path: Path) -> None:
    arguments = [
        *("--quota", "4", "--window", "120", "--update-method", "put", "--envelope"),
        *("--account-sid", "acc_other1", "--fault", "DELETE:status=503x1", "--fault", "latency=0.001"),
    ]
    with running_local_api(tmp_path, *arguments, token="another") as api:
        assert (api.account_sid, api.token) == ("acc_other1", "another")
        assert api.faults() == ["DELETE:status=503x1", "latency=0.001"]
        created = api.call("POST", "/events", json=EVENT)
        assert created.headers["X-RateLimit-Limit"] == "4"
        assert 0 < int(created.headers["X-RateLimit-Reset"]) - time.time() <= 121
        event = f"/events/{created.json()['data']['sid']}"
        assert api.call("PATCH", event, json={}).status_code == 405
        assert api.call("PUT", event, json={}).status_code == 200
        assert api.call("DELETE", event).status_code == 503
        assert api.call("DELETE", event).status_code == 429


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_events_outlive_the_process_at_the_same_address(tmp_path: Path, end: str) -> None:
    with running_local_api(tmp_path) as api:
        url = api.url
        event = api.call("POST", "/events", json=EVENT).json()
        getattr(api, end)()
        with pytest.raises(requests.ConnectionError):
            api.call("GET", "/events")
        api.start()
        assert api.url == url
        assert api.call("GET", f"/events/{event['sid']}").json() == event


def run_to_the_end(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    return subprocess.run(
        [sys.executable, "-m", "receiver", "api", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_to_the_end("--port", str(port), **{TOKEN_VARIABLE: "t", "TMPDIR": str(tmp_path)})
    assert ended.returncode == 1
    assert ended.stderr == f"Error: port {port} is in use; choose another with --port\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--data", "/nosuch/folder/events.sqlite"], "cannot keep events in /nosuch/folder/events.sqlite"),
        (["--fault", "explode"], "the kind 'explode' is none of"),
        (["--account-sid", "bkt_1"], "'bkt_1' is not acc_ followed by letters and digits"),
        (["--quota", "0"], "'--quota'"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(arguments: list[str], problem: str) -> None:
    ended = run_to_the_end("--port", "0", *arguments, **{TOKEN_VARIABLE: "t"})
    assert ended.returncode in {1, 2}
    assert problem in ended.stderr
    assert "Traceback" not in ended.stderr


def test_token_is_required() -> None:
    ended = run_to_the_end("--port", "0")
    assert ended.returncode == 1
    assert f"{TOKEN_VARIABLE} is not set" in ended.stderr
    assert f'export {TOKEN_VARIABLE}="$(openssl rand -hex 20)"' in ended.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_behind(tmp_path: Path, sent: signal.Signals) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "TMPDIR": str(temporary)}
    with started(
        [sys.executable, "-m", "receiver", "api", "--port", "0"],
        env={**os.environ, **places, TOKEN_VARIABLE: "t"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3]
        assert requests.get(url.removesuffix("/v1") + "/healthz", timeout=20).status_code == 200
        assert len(list(temporary.iterdir())) == 1
        process.send_signal(sent)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "", "")
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []
