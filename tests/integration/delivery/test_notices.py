"""Notices to people, with a real Redis and Events API: posted, retried, given up, and nobody told twice."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis import Redis
from structlog.testing import capture_logs

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import Unauthorised
from apitraffic_events.timestamps import format_timestamp, now
from receiver.config.accounts import NOTIFY
from receiver.config.notify import NoticeKind
from receiver.datastore.address import connect
from receiver.datastore.keys import keys_of
from receiver.delivery.budget import PAUSE, RequestBudget
from receiver.delivery.deliverer import SECOND_LOOK, Delivered, Deliverer
from receiver.delivery.insights import Insights
from receiver.delivery.marker_lock import MarkerBusy
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.notices import Notice, paused_line, sample_notice
from receiver.delivery.notifier import POSTED, Notices, Notifier, Told, signing
from receiver.delivery.verdicts import VerdictRules
from receiver.doctor.examination import in_redis
from receiver.events import Change, DeliveryReference
from receiver.insight.figures import ApiFigures
from receiver.insight.timeline import Timeline
from receiver.insight.verdict import Thresholds
from receiver.monitoring.backlog import Backlog
from receiver.monitoring.status import read_accounts
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.delivery_log import DELIVERIES
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.queues import announce, delivery_queues
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.quarantine import Quarantine
from receiver.senders_api.notify import NoticeTarget
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.resources import RunJob, ThreadResources
from receiver.worker.worker import DeliveryWorker
from tests.support.changes import KEY, change
from tests.support.chat import PATH, Chat, running_chat
from tests.support.command import Command
from tests.support.local_api import LocalApi, running_local_api
from tests.support.processes import started
from tests.support.redis import long_in_use, running_redis
from tests.support.stack import Stack
from tests.support.waiting import wait_until

SETTLE: Final = timedelta(seconds=1)
SECRET: Final = "notify-secret-of-the-tests"


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """RQ replaces them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def server() -> Iterator[Chat]:
    with running_chat() as chat:
        yield chat


@pytest.fixture
def redis(url: str) -> Iterator[Redis]:
    with connect(url) as redis:
        redis.flushdb()
        long_in_use(redis)
        yield redis
        redis.config_set("maxmemory", 0)


@pytest.fixture
def chat(server: Chat) -> Chat:
    server.clear()
    return server


@pytest.fixture
def client(api: LocalApi) -> Iterator[EventsClient]:
    with EventsClient(api_url=api.url, account_sid=api.account_sid, token=api.token) as client:
        for event in tuple(client.iter_events()):
            client.delete_event(event.sid)
        yield client
    api.set_faults([])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path)


def ago(minutes: float) -> datetime:
    """In seconds: jobs hold milliseconds."""
    return now().replace(microsecond=0) - timedelta(minutes=minutes)


def deploy(status: str = "failure", key: str = KEY, minutes_ago: float = 0, **fields: Any) -> Change:
    """One that has ended then."""
    moment = ago(minutes_ago)
    name = f"{'Failed deploy' if status == 'failure' else 'Deploy'} {key}"
    metadata = {"status": status, "marker_key": key}
    made = change(
        "close", key=key, name=name, metadata=metadata, started_at=moment, ended_at=moment, **fields
    )
    return made.model_copy(update={"occurred_at": moment})


def traffic(minutes_ago: float, errors: int) -> dict[str, Any]:
    return {
        "timestamp": format_timestamp(ago(minutes_ago)),
        "requests": 600,
        "errors": errors,
        "average": 145.0,
    }


def deliverer_of(
    redis: Redis,
    client: EventsClient,
    tell: Callable[[Notice], None] | None,
    budget: RequestBudget | None = None,
) -> Deliverer:
    markers = MarkerStore(redis, "the worker under test")
    return Deliverer(client, markers, budget or RequestBudget(redis), settle=SETTLE, tell=tell)


def notices_of(redis: Redis, *wanted: NoticeKind) -> Notices:
    return Notices(redis, wanted or tuple(NoticeKind))


def queued(redis: Redis) -> list[str]:
    return [job_id for queue in delivery_queues(redis, NOTIFY) for job_id in queue.job_ids]


def worker_of(redis: Redis, chat: Chat, client: EventsClient | None = None) -> DeliveryWorker:
    def notices(markers: MarkerStore) -> RunJob:
        target = NoticeTarget(chat.url, signing(SECRET))
        return DeliveryAttempts(Notifier(target, markers, budget, threading.Lock()), account=NOTIFY).make

    budget = RequestBudget(redis, account=NOTIFY)
    own = RequestBudget(redis)
    worker = DeliveryWorker(redis, own, accounts={NOTIFY: ThreadResources(budget, notices)})
    if client is not None:
        deliverer = Deliverer(client, worker.markers, own, settle=SETTLE, tell=notices_of(redis).tell)
        worker.run_job = DeliveryAttempts(deliverer).make
    return worker


def work(redis: Redis, chat: Chat, client: EventsClient | None = None) -> None:
    """Until nothing is left that may be done now."""
    worker = worker_of(redis, chat, client)
    for recovery in worker.recoveries:
        recovery.enqueue_due()
    worker.work(burst=True, logging_level="CRITICAL")


def retry_now(redis: Redis) -> None:
    redis.delete(keys_of(NOTIFY).budget)
    for queue in delivery_queues(redis, NOTIFY):
        for job_id in queue.scheduled_job_registry.get_job_ids():
            redis.zadd(queue.scheduled_job_registry.key, {job_id: 0})


def test_a_deploy_that_fails_is_told_once(redis: Redis, client: EventsClient, chat: Chat) -> None:
    assert Enqueuer(redis).enqueue([deploy()])
    assert Enqueuer(redis).enqueue([deploy(source="gitlab")])  # and somebody reports it, too
    work(redis, chat, client)
    (posted,) = chat.posted
    assert posted.json["type"] == "deploy_failed"
    assert posted.text.startswith(f"Failed deploy {KEY}")
    assert posted.json["data"]["key"] == KEY
    assert queued(redis) == []
    assert redis.hget(f"{keys_of(NOTIFY).marker}notify:{posted.id}", "sid") == POSTED.encode()
    assert redis.xlen(DELIVERIES) == 2, "no sender has delivered the notice"


def test_and_again_if_it_is_run_again_and_fails_again(redis: Redis, client: EventsClient) -> None:
    deliverer = deliverer_of(redis, client, notices_of(redis).tell)
    assert deliverer.deliver(deploy(minutes_ago=2)) is Delivered.CREATED
    again = change("reopen", key=KEY, name="Deploy", metadata={"status": "in_progress"})
    assert deliverer.deliver(again.model_copy(update={"occurred_at": ago(1)})) is Delivered.UPDATED
    assert len(queued(redis)) == 1
    assert deliverer.deliver(deploy()) is Delivered.UPDATED
    assert len(queued(redis)) == 2


def test_a_worse_verdict_is_told_once(redis: Redis, client: EventsClient, api: LocalApi, chat: Chat) -> None:
    ended = deploy("success", minutes_ago=60)
    api.set_traffic([traffic(70, errors=2), traffic(55, errors=60)])
    budget = RequestBudget(redis)
    rules = VerdictRules(timedelta(minutes=15), Thresholds(1.0, 50.0, 100), ApiFigures(client))
    insights = Insights(Timeline(redis), client, budget, now, rules)
    markers = MarkerStore(redis, "the worker under test")
    tell = notices_of(redis).tell
    deliverer = Deliverer(client, markers, budget, settle=SETTLE, insights=insights, tell=tell)
    assert deliverer.deliver(ended) is Delivered.CREATED
    assert queued(redis) == []
    look = ended.model_copy(
        update={"delivery": DeliveryReference(source=SECOND_LOOK, id="look", event="second look")}
    )
    assert deliverer.deliver(look) is Delivered.UPDATED
    assert deliverer.deliver(look) is Delivered.UNCHANGED
    work(redis, chat)
    (posted,) = chat.posted
    assert posted.json["type"] == "verdict_worse"
    name, line, *_ = posted.text.splitlines()
    assert name == f"Deploy {KEY} (worse)"
    assert line.startswith("15 min after: errors 0.33 % → 10 %")
    assert posted.json["data"]["verdict"] == "worse"


def test_nobody_is_told_what_is_not_wanted(redis: Redis, client: EventsClient) -> None:
    wanted = notices_of(redis, NoticeKind.PAUSED)
    assert deliverer_of(redis, client, wanted.tell).deliver(deploy()) is Delivered.CREATED
    assert deliverer_of(redis, client, None).deliver(deploy(key="another")) is Delivered.CREATED
    assert queued(redis) == []


def test_without_notices_a_delivery_costs_no_round_trip_more(redis: Redis, client: EventsClient) -> None:
    def commands(tell: Callable[[Notice], None] | None, each: Change) -> int:
        before = int(redis.info("stats")["total_commands_processed"])
        assert deliverer_of(redis, client, tell).deliver(each) is Delivered.CREATED
        return int(redis.info("stats")["total_commands_processed"]) - before

    commands(None, deploy(key="loads the scripts"))
    without = commands(None, deploy(key="fails"))
    assert commands(notices_of(redis).tell, deploy("success", key="succeeds")) == without
    assert commands(notices_of(redis).tell, deploy(key="fails, too")) > without


def test_a_notice_is_posted_again_after_a_failure(redis: Redis, client: EventsClient, chat: Chat) -> None:
    deliverer_of(redis, client, notices_of(redis).tell).deliver(deploy())
    chat.will_answer(503)
    work(redis, chat)
    assert len(chat.posted) == 1
    retry_now(redis)
    work(redis, chat)
    first, second = chat.posted
    assert (first.answered, second.answered) == (503, 200)
    assert first.id == second.id


def test_a_rate_limit_holds_all_of_them_up_for_as_long_as_it_says(
    redis: Redis, client: EventsClient, chat: Chat
) -> None:
    deliverer = deliverer_of(redis, client, notices_of(redis).tell)
    for number in range(3):
        deliverer.deliver(deploy(key=f"deploy:{number}"))
    chat.will_answer(429, Retry_After="60")
    work(redis, chat)
    assert len(chat.posted) == 1
    retry_now(redis)
    work(redis, chat)
    assert len(chat.taken()) == 3


def test_one_thread_of_a_worker_posts_at_a_time(redis: Redis, chat: Chat) -> None:
    """So that a chat that answers slowly leaves the others to deliveries."""
    turn, is_asked, is_over = threading.Lock(), threading.Event(), threading.Event()

    def post(number: int) -> Told:
        markers = MarkerStore(redis, f"thread {number}", account=NOTIFY)
        budget = RequestBudget(redis, account=NOTIFY)
        notice = paused_line(None, ago(number), "401")
        return Notifier(NoticeTarget(chat.url, signing(SECRET)), markers, budget, turn).deliver(
            notice.as_change()
        )

    def answer_slowly() -> None:
        is_asked.set()
        is_over.wait(10)

    chat.before_answering = answer_slowly
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, 1)
        assert is_asked.wait(10)
        with pytest.raises(MarkerBusy):
            post(2)
        is_over.set()
        assert first.result() is Told.POSTED
    assert post(2) is Told.POSTED


class TestADeadLetter:
    @pytest.fixture
    def buried(self, redis: Redis, client: EventsClient, chat: Chat) -> Redis:
        deliverer_of(redis, client, notices_of(redis).tell).deliver(deploy())
        chat.will_answer(400, "invalid_payload")
        work(redis, chat)
        assert queued(redis) == []
        return redis

    def test_says_what_it_is_and_not_the_address(
        self, buried: Redis, url: str, run: Command, chat: Chat
    ) -> None:
        result = run("deadletters", "list", "--json", "--source", "notify", REDIS_URL=url)
        letter = json.loads(result.stdout)
        assert letter["event"] == f"Failed deploy {KEY}"
        assert letter["account"] == "notify"
        assert letter["status"] == 400
        assert letter["name"].startswith("notify-deploy_failed-")
        assert letter["message"].startswith(f"{chat.host} answers 400 (invalid_payload)")
        shown = run("deadletters", "show", letter["name"], REDIS_URL=url).stdout
        assert PATH not in result.stdout + shown

    def test_is_replayed_as_any_other(self, buried: Redis, url: str, run: Command, chat: Chat) -> None:
        assert run("deadletters", "replay", "--all", "--wait", "0", REDIS_URL=url).exit_code == 0
        work(buried, chat)
        (posted,) = chat.taken()
        assert posted.text.startswith(f"Failed deploy {KEY}")
        assert DeadLetters.of_all_accounts(buried).count() == 0

    def test_is_discarded_as_any_other(self, buried: Redis, url: str, run: Command) -> None:
        assert run("deadletters", "discard", "--all", REDIS_URL=url).exit_code == 0
        assert DeadLetters.of_all_accounts(buried).count() == 0

    def test_is_counted_among_the_notices(self, buried: Redis, url: str, run: Command) -> None:
        announce(buried, NOTIFY)
        text = run("status", REDIS_URL=url, APITRAFFIC_SPOOL="off").stdout
        assert "Notices       0 waiting, 0 in work, 0 to retry\n              dead letters: 1\n" in text
        assert "@notify" not in text
        status = json.loads(run("status", "--json", REDIS_URL=url, APITRAFFIC_SPOOL="off").stdout)
        assert "accounts" not in status, "it is no account"
        assert status["dead_letters"] == 1
        assert read_accounts(buried) == ()
        found = {finding.check: finding.found for finding in in_redis(buried)}
        assert found["dead_letters"] == "changes that were given up: 1, notices to people: 1"
        assert not any("@notify" in check for check in found)


class TestAPausedLine:
    @pytest.fixture
    def budget(self, redis: Redis) -> RequestBudget:
        return RequestBudget(redis)

    @pytest.fixture
    def deliverer(self, redis: Redis, client: EventsClient, budget: RequestBudget) -> Deliverer:
        return deliverer_of(redis, client, notices_of(redis).tell, budget)

    def refuse(self, deliverer: Deliverer, api: LocalApi) -> None:
        api.set_faults(["POST:status=401"])
        with pytest.raises(Unauthorised):
            deliverer.deliver(deploy("success"))
        api.set_faults([])

    def test_is_told_although_it_is_paused_and_so_is_that_it_goes_on(
        self, redis: Redis, deliverer: Deliverer, api: LocalApi, chat: Chat
    ) -> None:
        self.refuse(deliverer, api)
        self.refuse(deliverer, api)
        assert Enqueuer(redis).enqueue([deploy(key="waits")])
        work(redis, chat)
        (paused,) = chat.posted
        assert paused.json["type"] == "paused"
        assert "APITRAFFIC_API_TOKEN" in paused.text
        assert delivery_queues(redis)[0].count == 1, "deliveries wait"
        assert deliverer.deliver(deploy("success")) is Delivered.CREATED
        assert deliverer.deliver(deploy("success", key="another")) is Delivered.CREATED
        redis.delete(*(queue.key for queue in delivery_queues(redis)))
        work(redis, chat)
        _, resumed = chat.posted
        assert resumed.json["type"] == "resumed"
        assert not redis.exists(PAUSE)

    def test_is_told_by_another_worker_if_the_one_that_paused_it_has_died_before(
        self, redis: Redis, deliverer: Deliverer, budget: RequestBudget, api: LocalApi
    ) -> None:
        assert budget.pause("401", 60)
        self.refuse(deliverer, api)
        self.refuse(deliverer, api)
        assert len(queued(redis)) == 1

    def test_is_told_to_go_on_by_a_worker_that_was_started_with_the_right_token(
        self, redis: Redis, deliverer: Deliverer, client: EventsClient, api: LocalApi
    ) -> None:
        self.refuse(deliverer, api)
        restarted = RequestBudget(redis)
        restarted.take_over_pause()
        assert restarted.has_paused
        deliverer_of(redis, client, notices_of(redis).tell, restarted).deliver(deploy("success"))
        assert [job_id.split("-")[1] for job_id in queued(redis)] == ["paused", "resumed"]
        assert not redis.exists(PAUSE)

    def test_goes_on_only_if_the_api_has_accepted_something(
        self, redis: Redis, deliverer: Deliverer, api: LocalApi
    ) -> None:
        known = deploy("success", key="known before")
        deliverer.deliver(known)
        self.refuse(deliverer, api)
        assert deliverer.deliver(known) is Delivered.UNCHANGED
        assert redis.exists(PAUSE)
        assert len(queued(redis)) == 1

    def test_is_told_again_if_it_is_paused_again(
        self, redis: Redis, deliverer: Deliverer, api: LocalApi
    ) -> None:
        for number in range(2):
            self.refuse(deliverer, api)
            deliverer.deliver(deploy("success", key=f"deploy:{number}"))
        assert [job_id.split("-")[1] for job_id in queued(redis)] == ["paused", "resumed"] * 2


DELIVER_AND_DIE: Final = """
import os, signal, sys
from datetime import timedelta
import receiver.queue
from apitraffic_events.client import EventsClient
from receiver.config.notify import NoticeKind
from receiver.datastore.address import connect
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.notifier import Notices
from receiver.events import Change

url, api, account, token, change = sys.argv[1:]
redis = connect(url)
notices = Notices(redis, tuple(NoticeKind))

def tell(notice):
    notices.tell(notice)
    os.kill(os.getpid(), signal.SIGKILL)

client = EventsClient(api_url=api, account_sid=account, token=token)
markers, budget = MarkerStore(redis, "a worker that dies"), RequestBudget(redis)
deliverer = Deliverer(client, markers, budget, settle=timedelta(seconds=1), tell=tell)
deliverer.deliver(Change.model_validate_json(change))
"""


def test_a_worker_that_is_killed_between_telling_and_the_ack_leaves_one_notice(
    redis: Redis, url: str, api: LocalApi, client: EventsClient, chat: Chat
) -> None:
    each = deploy(key="deploy:killed")
    arguments = (url, api.url, api.account_sid, api.token, each.model_dump_json(by_alias=True))
    with started([sys.executable, "-c", DELIVER_AND_DIE, *arguments]) as process:
        assert process.wait(30) == -signal.SIGKILL
    assert len(queued(redis)) == 1
    work(redis, chat)
    MarkerStore(redis, "a worker that dies").break_lock(each.key)
    assert deliverer_of(redis, client, notices_of(redis).tell).deliver(each) is Delivered.FOUND
    work(redis, chat)
    assert len(chat.posted) == 1
    assert chat.posted[0].json["data"]["key"] == "deploy:killed"


def test_a_worker_that_is_killed_between_posting_and_the_ack_leaves_one_notice(
    redis: Redis, chat: Chat
) -> None:
    each = sample_notice(now()).as_change()

    def attempt(owner: str) -> Told:
        markers = MarkerStore(redis, owner, releases_with_ack=True, account=NOTIFY)
        budget = RequestBudget(redis, account=NOTIFY)
        target = NoticeTarget(chat.url, signing(SECRET))
        return Notifier(target, markers, budget, threading.Lock()).deliver(each)

    assert attempt("a worker that dies") is Told.POSTED
    MarkerStore(redis, "a worker that dies", account=NOTIFY).break_lock(each.key)
    assert attempt("another") is Told.POSTED_BEFORE
    assert len(chat.posted) == 1


def test_a_redis_without_memory_takes_no_notice_and_delivery_goes_on(
    redis: Redis, client: EventsClient
) -> None:
    redis.config_set("maxmemory", 1)
    with capture_logs() as logged:
        notices_of(redis).tell(paused_line(None, now(), "401"))
    assert [entry["event"] for entry in logged] == ["a notice is lost"]
    assert queued(redis) == []


def test_prometheus_sees_the_notices_as_a_queue_and_not_as_an_account(redis: Redis) -> None:
    announce(redis, NOTIFY)
    registry = CollectorRegistry()
    registry.register(Backlog(redis, DeliveryStore(Enqueuer(redis), Quarantine(redis), None)))
    figures = generate_latest(registry).decode()
    assert 'apitraffic_queue_depth{queue="deliveries@notify"} 0.0' in figures
    assert "account=" not in figures


def test_the_whole_way_with_a_worker_that_is_killed_while_it_posts(stack: Stack, chat: Chat) -> None:
    stack.environment |= {"APITRAFFIC_NOTIFY_URL": chat.url, "APITRAFFIC_NOTIFY_SECRET": SECRET}
    chat.before_answering = stack.worker.kill
    Enqueuer(stack.redis).enqueue([deploy()])
    stack.worker.start()
    wait_until(lambda: chat.posted, "it is posted, and the worker is killed")
    assert f"notify={chat.host}" in stack.worker.log()
    chat.before_answering = None
    stack.worker.start()
    wait_until(lambda: len(chat.posted) == 2, "it is posted again")
    wait_until(lambda: stack.is_idle() and not queued(stack.redis), "all is done")
    assert len({posted.id for posted in chat.posted}) == 1
    assert len(stack.events()) == 1
    assert PATH not in stack.worker.log()
    assert SECRET not in stack.worker.log()


class TestDoctor:
    def examined(self, run: Command, *arguments: str, **variables: str) -> dict[str, Any]:
        result = run("doctor", "--json", *arguments, environment={"APITRAFFIC_SPOOL": "off", **variables})
        assert PATH not in result.output
        return {check["check"]: check for check in json.loads(result.stdout)["checks"]}

    def test_posts_nothing_to_people_unless_it_is_asked_to(self, run: Command, chat: Chat) -> None:
        assert "notify" not in self.examined(run, APITRAFFIC_NOTIFY_URL=chat.url)
        assert chat.posted == []

    def test_posts_a_sample_on_request(self, run: Command, chat: Chat) -> None:
        found = self.examined(run, "--notify", APITRAFFIC_NOTIFY_URL=chat.url)["notify"]
        assert found["state"] == "ok"
        assert found["found"].startswith(f"{chat.host} takes a sample notice; workers post: deploy_failed,")
        assert chat.posted[0].json == {"text": "This is a test of apitraffic-events. Notices arrive here."}

    def test_says_why_it_is_not_taken_and_not_where(self, run: Command, chat: Chat) -> None:
        chat.will_answer(410, "channel_is_archived")
        found = self.examined(run, "--notify", APITRAFFIC_NOTIFY_URL=chat.url)["notify"]
        assert found["state"] == "failure"
        assert "410 (channel_is_archived): this address no longer accepts notices" in found["found"]
        assert self.examined(run, "--notify")["notify"]["state"] == "warning"

    def test_sees_notices_that_nobody_posts(self, redis: Redis) -> None:
        notices_of(redis).tell(paused_line(None, now(), "401"))
        found = {finding.check: finding for finding in in_redis(redis, are_notices_posted=False)}
        assert found["notices"].found == "there is no address to post notices to, and notices wait: 1"
        assert "notices" not in {finding.check for finding in in_redis(redis)}
