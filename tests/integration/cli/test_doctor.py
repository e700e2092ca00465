"""`apitraffic-events doctor`, let loose on real ones: Redis, the local Events API, a receiver."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from redis import Redis

from apitraffic_events.timestamps import format_timestamp, now
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.doctor.findings import Finding, ok
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import DEAD_LETTER_LIFETIME, delivery_queue, job_of
from receiver.reception.quarantine import Quarantine
from receiver.reception.spool import Spool
from tests.support.changes import change
from tests.support.command import Command
from tests.support.disks import fill
from tests.support.github import received
from tests.support.local_api import LocalApi, running_local_api
from tests.support.programs import REPOSITORY
from tests.support.serving import serving
from tests.support.stack import Stack, running_stack

SECRETS = {
    name: f"{name.lower()}-of-the-tests-0123456789"
    for name in (
        *("GITHUB_WEBHOOK_SECRET", "GITLAB_WEBHOOK_TOKEN", "GITLAB_SIGNING_TOKEN"),
        *("JENKINS_WEBHOOK_TOKEN", "PAGERDUTY_WEBHOOK_SECRET", "EVENTS_WEBHOOK_SECRET"),
        *("GITEA_WEBHOOK_SECRET", "FORGEJO_WEBHOOK_SECRET", "ALERTMANAGER_WEBHOOK_TOKEN"),
        *("GRAFANA_WEBHOOK_SECRET", "ANNOTATIONS_TOKEN"),
    )
}
SENDERS = (
    *("github", "gitlab", "gitea", "forgejo", "jenkins", "pagerduty"),
    *("alertmanager", "grafana", "annotations", "events"),
)


PROMETHEUS_AWAY = """
[verdict.prometheus]
url = "http://127.0.0.1:9"
requests = "sum(increase(requests_total[$window]))"
errors = "sum(increase(failures_total[$window]))"
mean_response = "sum(rate(seconds_total[$window]))"
"""


class Doctor:
    """Calls it with `--json`; gives the findings by check."""

    def __init__(self, run: Command) -> None:
        self._run = run

    def __call__(self, *arguments: str, **variables: str) -> dict[str, dict[str, str]]:
        variables = {"APITRAFFIC_SPOOL": str(self._run.folder / "spool.sqlite")} | variables
        result = self._run("doctor", "--json", *arguments, environment=variables)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        report = json.loads(result.stdout)
        states = [check["state"] for check in report["checks"]]
        assert report["ok"] is ("failure" not in states)
        assert result.exit_code == (0 if report["ok"] else 1)
        for secret in SECRETS.values():
            assert secret not in result.output
        for check in report["checks"]:
            assert set(check) == {"check", "state", "found", "advice"}
            assert (check["advice"] is None) is (check["state"] == "ok")
        return {check["check"]: check for check in report["checks"]}


@pytest.fixture
def doctor(run: Command) -> Doctor:
    return Doctor(run)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All parts, with a secret for every source."""
    with running_stack(tmp_path_factory.mktemp("doctor")) as stack:
        stack.environment |= SECRETS
        stack.receiver = stack.program(
            *("serve", "--port", "0", "--workers", "1"), ready=r"receiver listens url=(?P<url>\S+)"
        )
        stack.receiver.start()
        stack.worker.start()
        yield stack


@pytest.fixture(scope="module")
def running_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(running_api: LocalApi) -> LocalApi:
    running_api.set_faults([])
    return running_api


def account(api: LocalApi) -> dict[str, str]:
    return {
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_API_TOKEN": api.token,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
    }


class TestAllOfIt:
    def test_a_system_that_is_well(self, doctor: Doctor, run: Command, served: Stack) -> None:
        findings = doctor("--url", served.url, **served.environment)
        assert {name: found for name, found in findings.items() if found["state"] != "ok"} == {}
        assert {f"url_{name}" for name in SENDERS} < set(findings)
        result = run("doctor", "--url", served.url, environment=served.environment)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == "All is well."

    def test_it_leaves_nothing_behind(self, doctor: Doctor, served: Stack) -> None:
        before = served.events()
        keys = {key for key in served.redis.keys("apitraffic:*") if b":seen:" in key or b":quarantine" in key}
        doctor("--url", served.url, **served.environment)
        assert served.events() == before
        after = {
            key for key in served.redis.keys("apitraffic:*") if b":seen:" in key or b":quarantine" in key
        }
        assert after == keys
        assert served.is_idle()

    def test_it_counts_and_logs_no_invalid_delivery(self, doctor: Doctor, served: Stack) -> None:
        doctor("--url", served.url, **served.environment)
        figures = requests.get(f"{served.url}/metrics", timeout=10).text
        assert not re.search(r"^apitraffic_rejected_total\{.*invalid.*\} [1-9]", figures, re.MULTILINE)
        assert " invalid " not in served.receiver.log()

    def test_the_table_has_marks_and_says_what_to_do(self, run: Command) -> None:
        result = run("doctor")
        lines = result.stdout.splitlines()
        assert result.exit_code == 1
        assert any(line.startswith("✗ redis") and "REDIS_URL is not set" in line for line in lines)
        assert any(line.strip().startswith("→ for example redis://localhost") for line in lines)
        assert all(line == line.rstrip() for line in lines)
        assert "\x1b" not in result.stdout

    def test_a_mistake_in_the_configuration_hides_nothing_else(
        self, doctor: Doctor, run: Command, redis_url: str
    ) -> None:
        run.write("apitraffic.toml", "[delivery]\ndeployment = 1\n")
        findings = doctor(REDIS_URL=redis_url, GITHUB_WEBHOOK_SECRET=SECRETS["GITHUB_WEBHOOK_SECRET"])
        assert findings["configuration"]["state"] == "failure"
        assert "apitraffic.toml:2: delivery.deployment is not a setting" in findings["configuration"]["found"]
        assert findings["github_secret"]["state"] == findings["redis"]["state"] == "ok"

    def test_a_file_that_is_no_toml_hides_nothing_else(self, doctor: Doctor, run: Command) -> None:
        run.write("apitraffic.toml", "[delivery")
        findings = doctor(REDIS_URL="redis://127.0.0.1:9")
        assert "is not valid TOML" in findings["configuration"]["found"]
        assert findings["redis"]["state"] == "failure"

    def test_what_is_probably_a_mistake_is_a_warning(self, doctor: Doctor, run: Command) -> None:
        run.write(
            "apitraffic.toml", "[github]\nevents = ['isues']\n[[route]]\nmatch = { source = 'gihub' }\n"
        )
        findings = doctor(GITHUB_WEBHOK_SECRET="x")
        assert {findings[name]["state"] for name in ("variables", "event_names", "routes")} == {"warning"}

    def test_each_finding_is_shown_when_it_is_there(
        self, run: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Looking from outside takes seconds, in which a person should see the others."""

        def findings(*_: object) -> Iterator[Finding]:
            yield ok("first", "is well")
            raise RuntimeError("while it looks for the second")

        monkeypatch.setattr("receiver.doctor.examination.examine", findings)
        assert "✓ first" in run("doctor").stdout

    def test_every_check_is_in_its_page(self, doctor: Doctor, run: Command, served: Stack) -> None:
        page = (REPOSITORY / "docs/doctor.md").read_text(encoding="utf-8")
        documented = set(re.findall(r"`([a-z_<>]+)`", page))
        run.write("apitraffic.toml", '[[route]]\nbuckets = ["Checkout API"]\nenvironments = ["production"]\n')
        for check in doctor("--url", served.url, **served.environment):
            name = re.sub(f"({'|'.join(SENDERS)})", "<source>", check)
            assert name in documented


class TestApi:
    def test_a_wrong_token(self, doctor: Doctor, api: LocalApi) -> None:
        found = doctor(**account(api) | {"APITRAFFIC_API_TOKEN": "another"})["api"]
        assert found["state"] == "failure"
        assert "wrong, expired or switched off; the API says 401: INVALID_TOKEN" in found["found"]
        assert "copy a new one" in found["advice"]

    def test_a_token_in_quotes(self, doctor: Doctor, api: LocalApi) -> None:
        found = doctor(**account(api) | {"APITRAFFIC_API_TOKEN": f'"{api.token}"'})["api"]
        assert found["advice"] == "APITRAFFIC_API_TOKEN is in quotes; remove that"

    def test_another_account(self, doctor: Doctor, api: LocalApi) -> None:
        findings = doctor(**account(api) | {"APITRAFFIC_ACCOUNT_SID": "acc_another"})
        assert "has no access to this account" in findings["api"]["found"]
        assert "APITRAFFIC_ACCOUNT_SID" in findings["api"]["advice"]
        assert findings["account_sid"]["state"] == "warning"
        assert "api_write" not in findings

    @pytest.mark.parametrize(
        ("fault", "state", "words"),
        [
            ("status=403", "failure", "the token lacks a scope"),
            ("status=401", "failure", "the token is wrong, expired or switched off"),
            ("status=429", "warning", "the request budget is used up"),
            ("status=500", "warning", "the API fails"),
            ("refuse", "failure", "cannot be reached"),
        ],
    )
    def test_an_api_that_does_not_list(
        self, doctor: Doctor, api: LocalApi, fault: str, state: str, words: str
    ) -> None:
        api.set_faults([fault])
        found = doctor(**account(api))["api"]
        assert found["state"] == state
        assert words in found["found"]

    def test_a_token_that_may_only_read(self, doctor: Doctor, api: LocalApi) -> None:
        api.set_faults([f"{method}:status=403" for method in ("POST", "PUT", "PATCH")])
        findings = doctor(**account(api))
        assert findings["api"]["state"] == "ok"
        assert findings["api_write"]["state"] == "failure"
        assert "the right to write events" in findings["api_write"]["advice"]

    @pytest.mark.parametrize(
        ("faults", "state", "words"),
        [
            ([], "ok", "filters by startDate and endDate"),
            (["renamed"], "ok", "filters by start_date and end_date"),
            (["unfiltered"], "warning", "ignores every known spelling"),
        ],
    )
    def test_how_the_list_is_filtered(
        self, doctor: Doctor, api: LocalApi, faults: list[str], state: str, words: str
    ) -> None:
        event = {"type": "custom", "name": "x", "startedAt": "2026-01-10T10:00:00Z"}
        sid = api.call("POST", "/events", json=event).json()["sid"]
        api.set_faults(faults)
        found = doctor(**account(api))["api_filters"]
        api.set_faults([])
        api.call("DELETE", f"/events/{sid}")
        assert found["state"] == state
        assert words in found["found"]

    def test_without_events_it_cannot_tell_how_the_list_is_filtered(
        self, doctor: Doctor, api: LocalApi
    ) -> None:
        found = doctor(**account(api))["api_filters"]
        assert found["state"] == "ok"
        assert "until the account has an event" in found["found"]

    @pytest.mark.parametrize(
        ("faults", "toml", "state", "words"),
        [
            ([], "", "ok", "1.2 k requests within an hour, 2 % errors (with a status of 5xx)"),
            ([], "[verdict]\nenabled = false", "ok", "off, as [verdict] says"),
            (["metrics=403"], "", "warning", "give it the scope metrics:read"),
            (["metrics=404"], "", "warning", "the API has no metrics"),
            (["metrics=503"], "", "warning", "the API did not return metrics"),
            (["unfiltered"], "", "warning", "ignore the period and the bucket and the environment"),
            (
                [],
                PROMETHEUS_AWAY,
                "warning",
                "the query `requests` in [verdict.prometheus] failed: no answer",
            ),
        ],
    )
    def test_whether_deploys_can_be_judged(
        self,
        doctor: Doctor,
        api: LocalApi,
        run: Command,
        faults: list[str],
        toml: str,
        state: str,
        words: str,
    ) -> None:
        half_past = format_timestamp(now() - timedelta(minutes=30))
        api.set_traffic([{"timestamp": half_past, "requests": 1_200, "errors": 24, "average": 50}])
        api.set_faults(faults)
        run.write("apitraffic.toml", toml)
        found = doctor(**account(api))["verdicts"]
        api.set_traffic([])
        assert (found["state"], words in found["found"]) == (state, True), found

    def test_without_traffic_there_is_nothing_to_judge_yet(self, doctor: Doctor, api: LocalApi) -> None:
        found = doctor(**account(api))["verdicts"]
        assert found["state"] == "ok"
        assert "nothing to compare yet" in found["found"]

    def test_nobody_there(self, doctor: Doctor, api: LocalApi) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        found = doctor(**account(api) | {"APITRAFFIC_API_URL": url})["api"]
        assert "Connection refused" in found["found"]
        assert "APITRAFFIC_API_URL" in found["advice"]

    def test_something_else_at_that_address_and_with_another_clock(
        self, doctor: Doctor, api: LocalApi
    ) -> None:
        with http_server(HTTPStatus.OK, b"<html>Welcome</html>") as url:
            findings = doctor(**account(api) | {"APITRAFFIC_API_URL": url})
        assert "does not answer as the Events API does" in findings["api"]["found"]
        assert findings["clock"]["state"] == "failure"
        assert "ahead of the API's" in findings["clock"]["found"]

    def test_names_in_routes_that_lead_nowhere(self, doctor: Doctor, api: LocalApi, run: Command) -> None:
        run.write(
            "apitraffic.toml",
            '[[route]]\nbuckets = ["Checkout API", "Chekout"]\nenvironments = ["production", "env456"]\n',
        )
        findings = doctor(**account(api))
        assert findings["route_environments"]["state"] == "ok"
        assert findings["route_buckets"]["state"] == "warning"
        assert "names Chekout," in findings["route_buckets"]["found"]
        assert "Payments API" in findings["route_buckets"]["advice"]


class TestRedis:
    @pytest.fixture
    def redis(self, redis_url: str) -> Redis:
        return connect(redis_url)

    def test_as_up_starts_it(self, doctor: Doctor, redis_url: str) -> None:
        findings = doctor(REDIS_URL=redis_url)
        checks = ("redis", "redis_write", "redis_version", "redis_persistence", "redis_memory")
        assert [findings[name]["state"] for name in checks] == ["ok"] * 5
        assert findings["redis_persistence"]["found"] == "append-only file, appendfsync always"

    def test_without_its_append_only_file(self, doctor: Doctor, redis: Redis, redis_url: str) -> None:
        redis.config_set("appendonly", "no")
        found = doctor(REDIS_URL=redis_url)["redis_persistence"]
        assert found["state"] == "failure"
        assert "appendonly yes" in found["advice"]

    def test_that_throws_keys_away(self, doctor: Doctor, redis: Redis, redis_url: str) -> None:
        redis.config_set("maxmemory", "100mb")
        redis.config_set("maxmemory-policy", "allkeys-lru")
        found = doctor(REDIS_URL=redis_url)["redis_memory"]
        assert found["state"] == "failure"
        assert "allkeys-lru" in found["found"]

    def test_that_has_no_memory_left(self, doctor: Doctor, redis: Redis, redis_url: str) -> None:
        redis.config_set("maxmemory", "1")
        findings = doctor(REDIS_URL=redis_url)
        assert findings["redis"]["state"] == "ok"
        assert findings["redis_write"]["state"] == "failure"
        assert findings["redis_memory"]["state"] == "failure"
        assert "go to the spool" in findings["redis_memory"]["found"]
        assert findings["queue"]["state"] == "ok"

    def test_that_is_a_replica(self, doctor: Doctor, redis: Redis, redis_url: str) -> None:
        redis.replicaof("127.0.0.1", 1)
        assert "read only replica" in doctor(REDIS_URL=redis_url)["redis_write"]["found"]

    def test_that_lets_nobody_see_its_settings(self, doctor: Doctor, redis: Redis, redis_url: str) -> None:
        def acl(*rules: str) -> None:
            redis.execute_command("ACL", "SETUSER", "app", *rules)  # type: ignore[no-untyped-call]  # redis-py

        acl("on", ">pass", "~*", "&*", "+@all", "-config")
        url = redis_url.replace("unix://", "unix://app:pass@")
        findings = doctor(REDIS_URL=url)
        assert findings["redis_persistence"]["found"] == "append-only file"
        acl("-zcard")
        assert doctor(REDIS_URL=url)["backlog"]["state"] == "warning"
        acl("-info")
        assert doctor(REDIS_URL=url)["redis_info"]["state"] == "warning"
        found = doctor(REDIS_URL=url.replace(":pass@", ":wrong@"))["redis"]
        assert "refuses the connection" in found["found"]

    def test_that_is_gone(self, doctor: Doctor, tmp_path: Path) -> None:
        findings = doctor(REDIS_URL=f"unix://{tmp_path}/nothing.sock")
        assert "cannot be reached" in findings["redis"]["found"]
        assert "queue" not in findings

    def test_what_waits_in_it(self, doctor: Doctor, redis: Redis, redis_url: str) -> None:
        Enqueuer(redis).enqueue([change("point")])
        queue = delivery_queue(redis)
        job = job_of(change("point"), "dead", queue)
        job.save()
        queue.failed_job_registry.add(job, ttl=DEAD_LETTER_LIFETIME)
        Quarantine(redis).keep(received(b"{}", "deployment_status"), "unreadable")
        RequestBudget(redis).pause("INVALID_TOKEN expired", 60)
        findings = doctor(REDIS_URL=redis_url)
        assert findings["workers"]["found"] == "none, but changes wait: 1"
        assert findings["line"]["found"] == "delivery is paused: INVALID_TOKEN expired"
        assert findings["queue"]["found"].startswith("waiting: 1, to retry: 0; the oldest for ")
        assert findings["dead_letters"]["found"] == "changes that were given up: 1"
        assert findings["quarantine"]["found"] == "deliveries that could not be translated: 1"

    def test_a_worker_that_was_killed_is_not_at_work(self, doctor: Doctor, stack: Stack) -> None:
        """Redis has its entry for minutes, as it has if Redis was full when the worker ended."""
        stack.worker.start()
        redis_url = stack.environment["REDIS_URL"]
        assert doctor(REDIS_URL=redis_url)["workers"]["found"] == "1 running"
        stack.worker.kill()
        assert doctor(REDIS_URL=redis_url)["workers"]["found"] == "none"

    def test_a_worker_on_another_host_that_has_been_silent_is_not_at_work(
        self, doctor: Doctor, redis: Redis, redis_url: str
    ) -> None:
        key = "apitraffic:rq:worker:elsewhere.17.abc"
        redis.sadd("apitraffic:rq:workers", key)

        def seen(seconds: float, state: str) -> str:
            moment = format_timestamp(now() - timedelta(seconds=seconds))
            redis.hset(key, mapping={"state": state, "last_heartbeat": moment})
            return doctor(REDIS_URL=redis_url)["workers"]["found"]

        assert seen(10, "idle") == seen(100, "busy") == "1 running"
        assert seen(60, "idle") == seen(200, "busy") == "none"


class TestSpool:
    def test_it_is_not_made_by_looking(self, doctor: Doctor, tmp_path: Path) -> None:
        path = tmp_path / "state" / "spool.sqlite"
        assert doctor(APITRAFFIC_SPOOL=str(path))["spool"]["found"] == f"{path} can be created"
        assert not path.parent.exists()

    def test_off(self, doctor: Doctor) -> None:
        assert doctor(APITRAFFIC_SPOOL="off")["spool"]["state"] == "warning"

    def test_where_no_file_can_be(self, doctor: Doctor, run: Command) -> None:
        path = run.write("file", "")
        found = doctor(APITRAFFIC_SPOOL=f"{path}/spool.sqlite")["spool"]
        assert found["state"] == "failure"
        assert "cannot be created" in found["found"]

    def test_what_is_no_spool(self, doctor: Doctor, run: Command) -> None:
        path = run.write("spool.sqlite", "no database " * 100)
        assert doctor(APITRAFFIC_SPOOL=path)["spool"]["state"] == "failure"

    def test_one_that_takes_nothing_more(self, doctor: Doctor, disk: Path) -> None:
        path = disk / "spool.sqlite"
        Spool(path).put((change("point"),))
        fill(disk)
        found = doctor(APITRAFFIC_SPOOL=str(path))["spool"]
        assert found["state"] == "failure"
        assert "full" in found["found"]
        assert found["advice"].startswith("free space on its disk")

    def test_one_that_does_not_drain_although_redis_accepts_writes(
        self, doctor: Doctor, tmp_path: Path, redis_url: str
    ) -> None:
        path = tmp_path / "spool.sqlite"
        assert "spool_drain" not in doctor(APITRAFFIC_SPOOL=str(path), REDIS_URL=redis_url)
        Spool(path).put((change("point"),))
        found = doctor(APITRAFFIC_SPOOL=str(path), REDIS_URL=redis_url)["spool_drain"]
        assert found["state"] == "failure"
        assert found["found"] == f"deliveries stay in {path} although Redis accepts writes: 1"
        assert "spool_drain" not in doctor(APITRAFFIC_SPOOL=str(path), REDIS_URL="redis://127.0.0.1:1/0")


class TestUrl:
    def test_a_receiver_with_another_secret(self, doctor: Doctor, served: Stack) -> None:
        others = {name: f"{secret}-another" for name, secret in SECRETS.items()}
        findings = doctor("--url", f"{served.url}/webhooks/github", **others)
        assert findings["url"]["state"] == "ok"
        for name in SENDERS:
            assert findings[f"url_{name}"]["state"] == "failure"
            assert "answers 401" in findings[f"url_{name}"]["found"]

    def test_gitlab_with_a_signing_token_alone(self, doctor: Doctor, served: Stack) -> None:
        signing = {"GITLAB_SIGNING_TOKEN": SECRETS["GITLAB_SIGNING_TOKEN"]}
        assert doctor("--url", served.url, **signing)["url_gitlab"]["state"] == "ok"

    def test_a_secret_that_signs_nothing(self, doctor: Doctor, served: Stack) -> None:
        """What no header may hold; and `whsec_` without base64, which is refused at start."""
        findings = doctor("--url", served.url, GITLAB_WEBHOOK_TOKEN="tökën-→-0123456789")
        assert "cannot be used" in findings["url_gitlab"]["found"]
        refused = doctor("--url", served.url, EVENTS_WEBHOOK_SECRET="whsec_1234567890123")["configuration"]
        assert refused["found"].startswith(
            "EVENTS_WEBHOOK_SECRET begins with whsec_, and what follows is not"
        )

    def test_a_receiver_where_the_source_is_off(self, doctor: Doctor, stack: Stack) -> None:
        stack.receiver.start()
        found = doctor("--url", stack.url, PAGERDUTY_WEBHOOK_SECRET=SECRETS["PAGERDUTY_WEBHOOK_SECRET"])
        assert "answers 404" in found["url_pagerduty"]["found"]
        assert "the source is off there" in found["url_pagerduty"]["advice"]

    def test_nothing_is_sent_to_what_is_no_receiver(self, doctor: Doctor) -> None:
        asked: list[str] = []
        with http_server(HTTPStatus.OK, b"Welcome", asked) as url:
            findings = doctor("--url", url, **SECRETS)
        assert "not as a receiver does" in findings["url"]["found"]
        assert asked == ["GET /v1/healthz"]

    def test_a_redirect(self, doctor: Doctor) -> None:
        with http_server(HTTPStatus.MOVED_PERMANENTLY, b"", location="https://hooks.example.test/") as url:
            findings = doctor("--url", url, **SECRETS)
        assert "redirects to https://hooks.example.test/" in findings["url"]["found"]

    def test_what_is_no_address_of_a_receiver(self, run: Command) -> None:
        for url in ("hooks.example.test", "ftp://u:pass@h.test", "https://u:pass@h.test", "http://[::1"):
            result = run("doctor", "--url", url)
            assert result.exit_code == 2
            assert "pass@" not in result.stderr


@contextmanager
def http_server(
    status: HTTPStatus, body: bytes, asked: list[str] | None = None, location: str | None = None
) -> Iterator[str]:
    """A server that is neither the Events API nor a receiver, and whose clock stands in 2020."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return "Wed, 01 Jan 2020 00:00:00 GMT"

        def log_message(self, *_arguments: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answering)
    with serving(server) as url:
        yield f"{url}/v1"
