"""The buffering worker with a short way for ordinary deliveries: no thread, and many of them with one fsync.

A delivery that is small, authentic and understood needs nothing but a place in Redis. The loop reads it by
the same rules as the application (`receiver.web.acceptance`), sends it to Redis with the others of its turn,
and answers when Redis has. Everything else, and everything that Redis does not take, goes the ordinary way:
through a thread and the application.
"""

from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

from structlog import get_logger

from receiver.observability.logs import LinesTogether
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.ingestion import outcome_of
from receiver.serving.budget import SMALL
from receiver.serving.buffering_worker import CHECK_INTERVAL, TIME_TO_ANSWER, BufferingWorker
from receiver.serving.connection import Connection, Exchange
from receiver.serving.group_commit import GroupCommit, Loop
from receiver.serving.responses import FAILURE, ResponseWriter
from receiver.serving.slow_sources import SlowSources
from receiver.serving.tls_worker import TlsWorker
from receiver.sources.not_translated import Ignored
from receiver.sources.source import Translation
from receiver.web.acceptance import LOGGER, READING, Acceptance, Reading
from receiver.web.admission import HEAD, IncomingBody
from receiver.web.answers import HEALTH, HEALTH_PATH, Answer, answer_to
from receiver.web.request_ids import HEADER, request_id

HTTP_1_1: Final = (1, 1)
REQUEST_ID: Final = HEADER.lower()


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """A delivery that Redis is to store."""

    connection: Connection
    exchange: Exchange
    reading: Reading


class DirectWorker(BufferingWorker):
    """Everything here but `_send_rest` runs on the process' one event loop."""

    def run(self) -> None:
        extensions = self.wsgi.extensions
        self._acceptance: Acceptance = extensions["acceptance"]
        self._store: DeliveryStore = extensions["delivery_store"]
        loop = Loop(self.poller, self.method_queue.defer)
        self._commit = GroupCommit(extensions["redis"], self._store, loop, self._replied)
        self._writer, self._log = ResponseWriter(), LinesTogether(LOGGER)
        self._slow = SlowSources()
        self._answered: list[tuple[Connection, Exchange, Answer]] = []
        self._commit.check()
        super().run()

    @property
    def _answering(self) -> int:
        return self._with_threads + len(self._commit) + len(self._answered)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn. What it has received goes to Redis together."""
        if self._answered:
            timeout = 0.0
        elif self._commit.is_awaiting:
            timeout = min(timeout, CHECK_INTERVAL)
        super().wait_for_and_dispatch_events(timeout)
        self._commit.flush()
        self._log.flush()
        # Once the log says so. And not as they are read: a client may send many at once, each of which
        # follows the answer before.
        answered, self._answered = self._answered, []
        for each in answered:
            self._send(*each)

    def murder_pending(self) -> None:
        super().murder_pending()
        self._commit.check()

    def _give_to_thread(self, connection: Connection) -> None:
        """Unless the loop itself can see to it."""
        exchange = connection.exchange
        if (
            exchange is None
            or exchange.request.version != HTTP_1_1
            or not self._sees_to(connection, exchange)
        ):
            super()._give_to_thread(connection)

    def _sees_to(self, connection: Connection, exchange: Exchange) -> bool:
        """Small and authentic deliveries; the loop has no time for others. And whether the process is up."""
        body, request = exchange.body, exchange.request
        if request.path == HEALTH_PATH and request.method == "GET":
            self._answered.append((connection, exchange, HEALTH))
            return True
        if (
            not isinstance(body, IncomingBody)
            or body.is_refused
            or not body.is_finished
            or body.size > SMALL
            or not self._commit.is_open
            or body.source.name in self._slow
        ):
            return False
        try:
            with self._slow.measured(body.source.name):
                reading = exchange.found[READING] = self._acceptance.read(body, perf_counter())
            return self._goes_directly(OnItsWay(connection, exchange, reading))
        except Exception:  # noqa: BLE001 - the application fails too, and says so
            return False

    def _goes_directly(self, delivery: OnItsWay) -> bool:
        meaning = delivery.reading.read
        if isinstance(meaning, Ignored):
            answer = self._conclude(delivery, is_new=True)
            self._answered.append((delivery.connection, delivery.exchange, answer))
            return True
        call = self._store.call_to_store(meaning.changes) if isinstance(meaning, Translation) else None
        if call is None:
            return False
        self._commit.add(delivery, call)
        return True

    def _replied(self, delivery: OnItsWay, reply: int | None) -> None:
        if reply is None:
            super()._give_to_thread(delivery.connection)
            return
        try:
            answer = self._conclude(delivery, is_new=bool(reply))
        except Exception:  # noqa: BLE001 - the loop goes on for all others
            get_logger("receiver.server").exception("response failed")
            self._refuse(delivery.connection, FAILURE)
            return
        self._answered.append((delivery.connection, delivery.exchange, answer))

    def _conclude(self, delivery: OnItsWay, *, is_new: bool) -> Answer:
        reading = delivery.reading
        outcome = outcome_of(reading.delivery, reading.meaning, is_new=is_new)
        self._acceptance.conclude(reading, outcome, self._log.info, request=_id_of(delivery.exchange))
        return answer_to(outcome)

    def _send(self, connection: Connection, exchange: Exchange, answer: Answer) -> None:
        self._count_request(exchange)
        is_kept = not exchange.request.should_close()
        response = self._writer.response(answer, _id_of(exchange), is_kept=is_kept)
        try:
            sent = connection.sock.send(response)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:  # The client has gone.
            sent, is_kept = len(response), False
        if sent == len(response):
            self._finish(connection, is_kept=is_kept)
            return
        self._with_threads += 1
        sending = self.tpool.submit(self._send_rest, connection, response[sent:], is_kept)
        sending.add_done_callback(partial(self.method_queue.defer, self.finish_request, connection))

    def _send_rest(self, connection: Connection, rest: bytes, is_kept: bool) -> bool:
        """In a thread: a client that takes its answer slowly. Returns whether the connection is kept."""
        try:
            connection.sock.settimeout(TIME_TO_ANSWER)
            connection.sock.sendall(rest)
        except OSError:
            return False
        return is_kept


def _id_of(exchange: Exchange) -> str:
    """The request's id, the same whenever it is asked for."""
    if exchange.request_id is None:
        exchange.request_id = request_id(exchange.found[HEAD].headers.get(REQUEST_ID, ""))
    return exchange.request_id


class DirectTlsWorker(DirectWorker, TlsWorker):
    """Used only with TLS."""
