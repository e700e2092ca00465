"""Several accounts from one receiver: each has its line, its budget, its markers and its dead letters."""

import json
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis import Redis
from rq import SimpleWorker

from apitraffic_events.client import EventsClient
from receiver.config.settings import Settings
from receiver.console.app import Options, create_console
from receiver.datastore.address import connect
from receiver.datastore.keys import MARKER_PREFIX, keys_of
from receiver.delivery.budget import BUDGET, RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.doctor.examination import in_redis
from receiver.doctor.findings import Finding, FindingState
from receiver.events import Change
from receiver.monitoring.backlog import Backlog
from receiver.monitoring.status import read_status
from receiver.observability.metrics import DeliveryMetrics
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import delivery_queues
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.quarantine import Quarantine
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.batch import LARGEST
from receiver.worker.due_markers import alert_checks
from receiver.worker.job_queue import JobQueue
from receiver.worker.resources import RunJob, ThreadResources
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import at, change
from tests.support.command import Command
from tests.support.github import deployment_status, post
from tests.support.local_api import LocalApi, running_local_api
from tests.support.redis import long_in_use
from tests.support.stack import Stack
from tests.support.waiting import wait_until

SETTLE: Final = timedelta(seconds=1)
TOO_LONG: Final = "x" * 300


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """RQ replaces them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as redis:
        long_in_use(redis)
        yield redis


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path)


@dataclass
class Account:
    """One account in an Events API of its own."""

    api: LocalApi
    token: str = ""
    clients: list[EventsClient] = field(default_factory=list)

    def client(self, budget: RequestBudget | None = None) -> EventsClient:
        token = self.token or self.api.token
        client = EventsClient(
            api_url=self.api.url, account_sid=self.api.account_sid, token=token, pacer=budget
        )
        self.clients.append(client)
        return client

    def resources(
        self, redis: Redis, account: str | None, metrics: DeliveryMetrics | None = None
    ) -> ThreadResources:
        budget = RequestBudget(redis, account=account)

        def attempts(client: EventsClient, markers: MarkerStore) -> RunJob:
            return DeliveryAttempts(Deliverer(client, markers, budget, settle=SETTLE), metrics, account).make

        return ThreadResources(budget, partial(attempts, self.client(budget)))

    def names(self) -> list[str]:
        return sorted(
            record["name"] for record in self.api.call("GET", "/events?limit=100").json()["records"]
        )


Accounts = dict[str | None, Account]


@pytest.fixture(scope="module")
def apis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str | None, LocalApi]]:
    folder = tmp_path_factory.mktemp
    with (
        running_local_api(folder("default")) as default,
        running_local_api(folder("emea")) as emea,
        running_local_api(folder("apac")) as apac,
    ):
        yield {None: default, "emea": emea, "apac": apac}


@pytest.fixture
def accounts(apis: Mapping[str | None, LocalApi]) -> Iterator[Accounts]:
    accounts = {name: Account(api) for name, api in apis.items()}
    for account in accounts.values():
        account.api.set_faults([])
        with account.client() as client:
            for event in client.iter_events():
                client.delete_event(event.sid)
    yield accounts
    for account in accounts.values():
        for client in account.clients:
            client.close()


def worker_of(
    redis: Redis, accounts: Accounts, *, helpers: int = 0, metrics: DeliveryMetrics | None = None
) -> DeliveryWorker:
    def resources() -> ThreadResources:
        default = accounts[None].resources(redis, None, metrics)
        others = {
            name: of.resources(redis, name, metrics) for name, of in accounts.items() if name is not None
        }
        return ThreadResources(default.budget, default.attempts, others)

    own = resources()
    worker = DeliveryWorker(redis, own.budget, accounts=own.accounts)
    worker.run_job = own.attempts(worker.markers)
    if helpers:
        worker.employ([resources() for _ in range(helpers)])
    return worker


def work(redis: Redis, accounts: Accounts, helpers: int = 0) -> None:
    """As a worker that has just been started, until nothing is left that may be delivered now."""
    worker_of(redis, accounts, helpers=helpers).work(burst=True, logging_level="CRITICAL")


def change_of(account: str | None, key: str = "deploy:1", effect: str = "point", **fields: Any) -> Change:
    fields.setdefault("name", f"{key} for {account}")
    fields.setdefault("metadata", {"marker_key": key})
    return change(effect, key=key, started_at=at(0), **fields).model_copy(update={"account": account})


def queue(redis: Redis, *changes: Change) -> None:
    for each in changes:
        assert Enqueuer(redis).enqueue([each])


def retry_now(redis: Redis, account: str | None) -> None:
    """As when the pause of this account is over and its retries are due."""
    redis.delete(keys_of(account).pause)
    for own in delivery_queues(redis, account):
        for job_id in own.scheduled_job_registry.get_job_ids():
            redis.zadd(own.scheduled_job_registry.key, {job_id: 0})


def enqueue_due(worker: DeliveryWorker) -> None:
    for recovery in worker.recoveries:
        recovery.enqueue_due()


@pytest.mark.parametrize("helpers", [0, 3])
def test_each_account_gets_its_own_changes(redis: Redis, accounts: Accounts, helpers: int) -> None:
    queue(redis, *(change_of(name, f"deploy:{number}") for number in range(5) for name in accounts))
    work(redis, accounts, helpers=helpers)
    for name, account in accounts.items():
        assert account.names() == [f"deploy:{number} for {name}" for number in range(5)]


def test_a_refused_token_stops_only_its_own_account_and_nothing_of_it_is_lost_over_a_restart(
    redis: Redis, accounts: Accounts
) -> None:
    accounts["emea"].token = "revoked"
    queue(redis, *(change_of(name, f"deploy:{number}") for number in range(3) for name in accounts))
    work(redis, accounts)
    assert len(accounts[None].names()) == len(accounts["apac"].names()) == 3
    assert accounts["emea"].names() == []
    status = read_status(redis)
    paused = {account.name: account.pause for account in status.accounts}
    assert status.pause is None
    assert paused["apac"] is None
    assert paused["emea"] is not None
    assert status.dead_letters == 0
    queue(redis, *(change_of(name, "deploy:later") for name in accounts))
    work(redis, accounts)  # while it is paused, by another worker
    assert [len(account.names()) for account in accounts.values()] == [4, 0, 4]
    accounts["emea"].token = ""
    retry_now(redis, "emea")
    worker = worker_of(redis, accounts)
    enqueue_due(worker)
    worker.work(burst=True, logging_level="CRITICAL")
    assert [len(account.names()) for account in accounts.values()] == [4, 4, 4]


def test_a_budget_that_is_used_up_stops_only_its_own_account(redis: Redis, accounts: Accounts) -> None:
    exhausted = {"limit": "100", "remaining": "0", "reset": "9999999999", "provisional": "0"}
    for name, value in exhausted.items():
        redis.hset(keys_of("emea").budget, name, value)
    queue(redis, *(change_of(name, effect="close", ended_at=at(1)) for name in accounts))
    work(redis, accounts)
    assert [len(account.names()) for account in accounts.values()] == [1, 0, 1]
    assert redis.hget(BUDGET, "limit") != b"100", "each knows what its own API has said"
    assert delivery_queues(redis, "emea")[0].count == 1
    redis.delete(keys_of("emea").budget)
    work(redis, accounts)
    assert len(accounts["emea"].names()) == 1


def test_a_backlog_of_one_account_lets_the_others_be_served_in_turn(redis: Redis) -> None:
    many = 3 * LARGEST
    queue(redis, *(change_of("emea", f"deploy:{number}") for number in range(many)))
    queue(redis, change_of(None, "incident"), change_of("apac", "incident"))
    queues = [each for name in (None, "emea", "apac") for each in delivery_queues(redis, name)]
    worker_key = f"{SimpleWorker.redis_worker_namespace_prefix}it"
    jobs = JobQueue(redis, queues, "it", worker_key)
    served = [[job.account for job in jobs.dequeue_some(LARGEST)] for _ in range(4)]
    assert {account for batch in served[:3] for account in batch} == {None, "emea", "apac"}
    assert [len(batch) for batch in served] == [LARGEST, LARGEST, LARGEST, 2]


def test_the_same_deployment_in_two_accounts_is_two_markers(redis: Redis, accounts: Accounts) -> None:
    queue(redis, change_of("emea", effect="open"), change_of(None, effect="open"))
    queue(redis, change_of("emea", effect="close", ended_at=at(9)))
    work(redis, accounts)
    ended = {
        name: [event.ended_at for event in account.client().iter_events()]
        for name, account in accounts.items()
    }
    assert ended == {None: [None], "emea": [at(9)], "apac": []}
    sids = {name: redis.hget(f"{keys_of(name).marker}deploy:1", "sid") for name in (None, "emea")}
    assert None not in sids.values()
    assert sids[None] != sids["emea"]


def test_a_dead_worker_s_job_and_lock_go_back_to_their_account(redis: Redis, accounts: Accounts) -> None:
    queue(redis, change_of("emea"))
    dead = "elsewhere.1.dead"
    worker_key = f"{SimpleWorker.redis_worker_namespace_prefix}{dead}"
    taken = JobQueue(redis, delivery_queues(redis, "emea"), dead, worker_key).dequeue()
    assert taken is not None
    assert redis.exists(f"{keys_of('emea').lock}deploy:1")
    redis.delete(worker_key)
    worker = worker_of(redis, accounts)
    for recovery in worker.recoveries:
        recovery.requeue_abandoned()
    worker.work(burst=True, logging_level="CRITICAL")
    assert accounts["emea"].names() == ["deploy:1 for emea"]
    assert accounts[None].names() == []


def test_a_worker_that_does_not_know_the_account_leaves_its_changes_alone(
    redis: Redis, accounts: Accounts
) -> None:
    """As those of earlier versions, and those whose apitraffic.toml does not define it."""
    queue(redis, change_of("emea"), change_of(None))
    work(redis, {None: accounts[None]})
    assert accounts[None].names() == ["deploy:1 for None"]
    assert accounts["emea"].names() == []
    assert delivery_queues(redis, "emea")[1].count == 1
    work(redis, accounts)
    assert accounts["emea"].names() == ["deploy:1 for emea"]


def test_an_alert_without_news_is_looked_at_again_in_its_account(redis: Redis, accounts: Accounts) -> None:
    metadata = {"marker_key": "alert:1", "delivery_id": "1"}
    alert = change_of("emea", "alert:1", effect="open", type="incident", metadata=metadata).model_copy(
        update={"heard_at": at(0), "lapses_after": timedelta(minutes=5)}
    )
    queue(redis, alert)
    work(redis, accounts)
    redis.zadd(keys_of("emea").alerts_to_check, {"alert:1": 0})
    assert alert_checks(redis).enqueue_due() == 0
    assert alert_checks(redis, "emea").enqueue_due() == 1
    work(redis, accounts)
    (shown,) = accounts["emea"].client().iter_events()
    assert shown.ended_at is not None
    assert accounts[None].names() == []


class TestDeadLetters:
    @pytest.fixture
    def buried(self, redis: Redis, accounts: Accounts) -> Redis:
        for name in (None, "emea"):
            accounts[name].api.set_faults(["POST:status=422"])
        queue(redis, change_of(None), change_of("emea"))
        metrics = DeliveryMetrics(has_accounts=True)
        worker_of(redis, accounts, metrics=metrics).work(burst=True, logging_level="CRITICAL")
        (counted,) = metrics.dead_letters.collect()
        self.counted = {
            sample.labels["account"]: sample.value
            for sample in counted.samples
            if sample.name.endswith("_total")
        }
        for account in accounts.values():
            account.api.set_faults([])
        return redis

    def test_they_tell_the_account_and_can_be_chosen_by_it(
        self, buried: Redis, redis_url: str, run: Command
    ) -> None:
        lines = run("deadletters", "list", "--json", REDIS_URL=redis_url).stdout.splitlines()
        letters = [json.loads(line) for line in lines]
        assert [letter.get("account") for letter in letters] == [None, "emea"]
        assert [letter["queue"] for letter in letters] == ["deliveries", "deliveries@emea"]
        table = run("deadletters", "list", REDIS_URL=redis_url).stdout.splitlines()
        assert [line.split()[-1] for line in table][0::2] == ["ACCOUNT", "emea"]
        only = run("deadletters", "list", "--json", "--account", "emea", REDIS_URL=redis_url).stdout
        assert [json.loads(line)["account"] for line in only.splitlines()] == ["emea"]
        assert [state.dead_letters for state in read_status(buried).accounts] == [1]
        assert self.counted == {"": 1, "emea": 1}

    def test_the_console_shows_them_with_their_account(self, buried: Redis) -> None:
        settings = Settings.model_validate(
            {"account_sid": "acc_1", "api_token": "tok_1", "api_url": "http://127.0.0.1:9/v1"}
        )
        console = create_console(settings, Options("http://localhost:8080"), buried).test_client()
        for letter in DeadLetters.of_all_accounts(buried):
            assert f"name={letter.name}" in console.get("/problems").text
            page = console.get("/problems/dead-letter", query_string={"name": letter.name}).text
            assert ("<dt>Account</dt><dd>emea</dd>" in page) is (letter.account == "emea")
        RequestBudget(buried, account="emea").pause("401 for emea", 60)
        page = console.get("/problems/lists").text
        assert [page.count(f"<td>{name}</td>") for name in ("default", "emea")] == [1, 1]
        states = dict(re.findall(r"<li><b>(\w+)</b>:(.*?)</li>", page, re.DOTALL))
        assert list(states) == ["default", "emea"]
        assert "401 for emea" in states["emea"]
        assert "paused" not in states["default"]
        assert all(re.search(r"requests left|budget not known", state) for state in states.values())

    def test_the_console_shows_of_which_account_a_delivery_is(self, redis: Redis) -> None:
        settings = Settings.model_validate({"account_sid": "acc_1", "api_token": "tok_1"})
        console = create_console(settings, Options("http://localhost:8080"), redis).test_client()
        queue(redis, change_of(None))
        assert "Account</th>" not in console.get("/deliveries/rows").text
        assert "Account</th>" not in console.get("/problems/lists").text
        queue(redis, change_of("emea"))
        page = console.get("/deliveries/rows").text
        assert re.findall(r'<td class="nowrap">(default|emea)</td>', page) == ["emea", "default"]

    def test_a_replay_goes_to_the_account(
        self, buried: Redis, accounts: Accounts, redis_url: str, run: Command
    ) -> None:
        buried.delete(f"{keys_of('emea').marker}deploy:1")
        result = run("deadletters", "replay", "--account", "emea", "--wait", "0", REDIS_URL=redis_url)
        assert result.exit_code == 0, result.output
        assert buried.hget(f"{keys_of('emea').marker}deploy:1", "in_doubt") == b"1"
        work(buried, accounts)
        assert accounts["emea"].names() == ["deploy:1 for emea"]
        assert accounts[None].names() == []
        assert [letter.account for letter in DeadLetters.of_all_accounts(buried)] == [None]


class TestWhatOperatorsSee:
    def test_without_accounts_everything_is_as_it_was(
        self, redis: Redis, redis_url: str, run: Command
    ) -> None:
        queue(redis, change_of(None))
        status = json.loads(run("status", "--json", REDIS_URL=redis_url, APITRAFFIC_SPOOL="off").stdout)
        assert "accounts" not in status
        assert [each["name"] for each in status["queues"]] == ["urgent", "deliveries"]
        RequestBudget(redis).pause("401", 60)
        assert "account=" not in scraped(redis)
        assert {key for key in redis.keys("*") if b"account" in key or b"@" in key} == set()
        assert redis.exists(f"{MARKER_PREFIX}deploy:1") == 0

    def test_status_metrics_and_doctor_tell_them_apart(
        self, redis: Redis, redis_url: str, run: Command
    ) -> None:
        queue(redis, change_of("emea"))
        RequestBudget(redis, account="emea").pause("the token was revoked", 60)
        call = partial(run, "status", REDIS_URL=redis_url, APITRAFFIC_SPOOL="off")
        status = json.loads(call("--json").stdout)
        assert status["paused"] is None
        (account,) = status["accounts"]
        assert account["name"] == "emea"
        assert account["paused"]["reason"] == "the token was revoked"
        assert account["budget"] is None
        assert account["dead_letters"] == 0
        assert {each["name"]: each["waiting"] for each in status["queues"]}["deliveries@emea"] == 1
        text = call().stdout
        assert "deliveries@emea" in text
        assert "the token was revoked" in text
        figures = scraped(redis)
        assert "apitraffic_delivery_paused 0.0" in figures
        assert 'apitraffic_delivery_paused{account="emea"} 1.0' in figures
        assert 'apitraffic_queue_depth{queue="deliveries@emea"} 1.0' in figures
        found = by_check(in_redis(redis, ["emea"]))
        assert found["line"].state is FindingState.OK
        assert found["line@emea"].state is FindingState.FAILURE
        assert "account emea: delivery is paused: the token was revoked" in found["line@emea"].found

    def test_doctor_names_an_account_whose_changes_no_worker_takes(self, redis: Redis) -> None:
        queue(redis, change_of("emea"))
        finding = by_check(in_redis(redis, ["apac"]))["account@emea"]
        assert finding.state is FindingState.FAILURE
        assert finding.advice is not None
        assert "[account.emea]" in finding.advice

    def test_doctor_asks_each_api(
        self, accounts: Accounts, redis_url: str, run: Command, tmp_path: Path
    ) -> None:
        default, emea = accounts[None].api, accounts["emea"].api
        (tmp_path / "token").write_text("revoked\n")
        configuration = run.write(
            "apitraffic.toml",
            f'[account.emea]\nsid = "{emea.account_sid}"\napi_url = "{emea.url}"\n'
            f'token_file = "{tmp_path / "token"}"\n'
            '[[route]]\nmatch = { environment = "eu*" }\naccount = "emea"\nbuckets = "Not there"\n',
        )
        variables = {
            "APITRAFFIC_CONFIG": configuration,
            "REDIS_URL": redis_url,
            "APITRAFFIC_SPOOL": "off",
            "APITRAFFIC_API_URL": default.url,
            "APITRAFFIC_API_TOKEN": default.token,
            "APITRAFFIC_ACCOUNT_SID": default.account_sid,
        }

        def checks() -> dict[str, dict[str, str]]:
            report = json.loads(run("doctor", "--json", environment=variables).stdout)
            return {check["check"]: check for check in report["checks"]}

        refused = checks()
        assert refused["api"]["state"] == "ok"
        assert refused["api@emea"]["state"] == "failure"
        assert refused["api@emea"]["found"].startswith("account emea: the token is wrong")
        (tmp_path / "token").write_text(emea.token)
        right = checks()
        assert right["api@emea"]["state"] == "ok"
        assert "Not there" in right["route_buckets@emea"]["found"]
        assert "route_buckets" not in right
        (tmp_path / "token").unlink()
        missing = checks()["api@emea"]
        assert missing["state"] == "failure"
        assert "[account.emea]" in missing["found"]


def scraped(redis: Redis) -> str:
    registry = CollectorRegistry()
    registry.register(Backlog(redis, DeliveryStore(Enqueuer(redis), Quarantine(redis), None)))
    return generate_latest(registry).decode()


def by_check(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_the_whole_way_with_a_refused_token_and_a_killed_worker(
    stack: Stack, apis: Mapping[str | None, LocalApi], accounts: Accounts, tmp_path: Path
) -> None:
    emea = accounts["emea"]
    token = tmp_path / "emea-token"
    token.write_text("revoked")
    configuration = Path(stack.environment["APITRAFFIC_CONFIG"])
    configuration.write_text(
        configuration.read_text()
        + f'[account.emea]\nsid = "{emea.api.account_sid}"\napi_url = "{emea.api.url}"\n'
        f'token_file = "{token}"\n'
        '[[route]]\nmatch = { environment = "eu-*" }\naccount = "emea"\n'
    )
    stack.receiver.start()
    stack.worker.start()
    assert "accounts=emea" in stack.worker.log()
    for number, environment in ((1, "eu-production"), (2, "production")):
        assert post(stack.url, deployment_of(number, environment)).json()["status"] == "accepted"
    wait_until(stack.events, "the default account delivers")
    wait_until(lambda: read_status(stack.redis).accounts[0].pause, "the other one is paused")
    assert "account=emea" in stack.worker.log()
    assert "[account.emea]" in stack.worker.log()
    stack.worker.kill()
    token.write_text(emea.api.token)
    retry_now(stack.redis, "emea")
    stack.worker.start()
    wait_until(emea.names, "the other one delivers, too")
    assert len(emea.names()) == len(stack.events()) == 1


def deployment_of(number: int, environment: str) -> bytes:
    payload = json.loads(deployment_status(number, environment=environment))
    payload["deployment"]["environment"] = environment
    return json.dumps(payload).encode()
