"""The rules by which an authentic request becomes an accepted delivery, the same under every server.

Knows neither Flask nor a server, and stores nothing: `read` says what a request means, its caller has
that stored (`receiver.reception`), and `conclude` counts and logs the outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from receiver.config.settings import Settings
from receiver.events import Delivery
from receiver.observability.metrics import ReceptionMetrics
from receiver.queue.delivery_log import DeliveryNotes
from receiver.reception.ingestion import Outcome
from receiver.reception.quarantine import Quarantined
from receiver.sources.not_translated import Invalid
from receiver.translation import Meaning, translate_and_route
from receiver.web.admission import IncomingBody
from receiver.web.pings import is_from_doctor

NOT_QUEUED: Final = frozenset({"ignored", "quarantined"})
LOGGER: Final = "receiver.webhooks"
READING: Final = "apitraffic.reading"
"""The key under which a server leaves what `Acceptance.read` has returned, so that it is not read again."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an authentic request says."""

    delivery: Delivery
    read: Meaning | Invalid
    began: float
    """When it was begun to be read, by `perf_counter`."""

    @property
    def meaning(self) -> Meaning:
        """Raises `Invalid` if its sender is to be told what is wrong."""
        if isinstance(self.read, Invalid):
            raise self.read
        return self.read


class Acceptance:
    """Reads requests under one configuration."""

    def __init__(self, settings: Settings, metrics: ReceptionMetrics, notes: DeliveryNotes) -> None:
        self._options = {
            name: settings.options_for(source) for name, source in settings.active_sources.items()
        }
        self._routes = settings.route
        self._metrics = metrics
        self._notes = notes

    def read(self, admitted: IncomingBody, began: float) -> Reading:
        """What the request means, once its body is there.

        Raises `Refused` if it is not authentic.
        """
        source = admitted.source
        delivery = source.receive(admitted.headers, admitted.take(), admitted.received_at)
        translation_began = perf_counter()
        meaning: Meaning | Invalid
        try:
            meaning = translate_and_route(source, delivery, self._options[source.name], self._routes)
        except Invalid as error:
            meaning = error.with_traceback(None)
        finally:
            self._metrics.translated(source.name, perf_counter() - translation_began)
        return Reading(delivery, meaning, began)

    def conclude(self, reading: Reading, outcome: Outcome, log: Callable[..., object], **names: str) -> None:
        """Count, note and log the outcome; `names` are further fields of the log line."""
        delivery, status = reading.delivery, outcome.body["status"]
        self._note(delivery, status, outcome)
        seconds = perf_counter() - reading.began
        self._metrics.answered(delivery.source, status, seconds)
        log(
            status,
            source=delivery.source,
            delivery_event=delivery.event,
            delivery=delivery.id,
            key=" ".join(outcome.keys) or None,
            reason=outcome.body.get("reason"),
            ms=round(seconds * 1000, 1),
            **names,
        )

    def _note(self, delivery: Delivery, status: str, outcome: Outcome) -> None:
        """Record it in the log of deliveries. The script that queues a delivery records that itself."""
        if is_from_doctor(delivery.id):
            return
        if self._notes.keeps_payloads:
            self._notes.keep_payload(Quarantined.of(delivery, "").delivery)
        if status in NOT_QUEUED:
            self._notes.note(status, delivery.source, delivery.id, delivery.event, outcome.body["reason"])
