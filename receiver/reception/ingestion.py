"""From an authentic delivery to an outcome: translate, route, store. Knows nothing of HTTP requests."""

from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import Any

from receiver.config.settings import Settings
from receiver.events import Delivery
from receiver.observability.metrics import ReceptionMetrics
from receiver.reception.delivery_store import DeliveryStore
from receiver.routing import route
from receiver.sources import SOURCES
from receiver.sources.base import Ignored, Source, Translation, Untranslatable, translate


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an authentic delivery: the answer's status and body, and which markers it is about."""

    status: HTTPStatus
    body: dict[str, Any]
    keys: tuple[str, ...] = ()


def meaning_of(source: Source[Any], delivery: Delivery, settings: Settings) -> Translation:
    """What a delivery means under this configuration, at least one change, each with its scope.

    Raises `Ignored`, `Untranslatable` or `Invalid`.
    """
    translation = translate(source, delivery, settings.options_for(source))
    routed = (route(change, settings.route) for change in translation.changes)
    changes = tuple(change for change in routed if change is not None)
    if not changes:
        raise Ignored("a [[route]] in apitraffic.toml says to skip it")
    return replace(translation, changes=changes)


class Ingestor:
    """Takes deliveries in."""

    def __init__(
        self, settings: Settings, store: DeliveryStore, metrics: ReceptionMetrics | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics

    def ingest(self, delivery: Delivery) -> Outcome:
        """Store what the delivery means, or the delivery itself where that cannot be told.

        Raises `StorageUnavailable` where neither could be stored, and `Invalid` where its sender is to be
        told what is wrong.
        """
        source = SOURCES[delivery.source]
        try:
            meaning = self._meaning_of(source, delivery)
        except Ignored as ignored:
            return Outcome(HTTPStatus.OK, {"status": "ignored", "reason": ignored.reason})
        except Untranslatable as failure:
            self._store.quarantine(delivery, failure.reason)
            kept = {"status": "quarantined", "delivery": delivery.id, "reason": failure.reason}
            return Outcome(HTTPStatus.ACCEPTED, kept)
        keys = tuple(change.key for change in meaning.changes)
        if not self._store.store(meaning.changes):
            return Outcome(HTTPStatus.OK, {"status": "duplicate", "delivery": delivery.id}, keys)
        body: dict[str, Any] = {"status": "accepted", "delivery": delivery.id, "changes": len(keys)}
        if source.answers_with_keys:
            body["keys"] = keys
        if meaning.errors:
            body["errors"] = [asdict(error) for error in meaning.errors]
        return Outcome(HTTPStatus.ACCEPTED, body, keys)

    def _meaning_of(self, source: Source[Any], delivery: Delivery) -> Translation:
        if self._metrics is None:
            return meaning_of(source, delivery, self._settings)
        with self._metrics.translation_seconds.labels(source.name).time():
            return meaning_of(source, delivery, self._settings)
