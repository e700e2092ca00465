"""Decide what is stored of an authentic delivery, and how it is answered. Knows nothing of Flask."""

from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from receiver.events import Delivery
from receiver.reception.delivery_store import DeliveryStore
from receiver.sources import SOURCES
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import Translation
from receiver.translation import Meaning


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an authentic delivery is answered, and the keys of the markers that it is about."""

    status: HTTPStatus
    body: dict[str, Any]
    keys: tuple[str, ...] = ()


class Ingestor:
    """Stores what deliveries mean."""

    def __init__(self, store: DeliveryStore) -> None:
        self._store = store

    def ingest(self, delivery: Delivery, meaning: Meaning) -> Outcome:
        """Store the changes, or the delivery itself if it could not be translated.

        Raises `StorageUnavailable` if neither could be stored.
        """
        is_new = True
        if isinstance(meaning, Translation):
            is_new = self._store.store(meaning.changes)
        elif isinstance(meaning, Untranslatable):
            self._store.quarantine(delivery, meaning.reason)
        return outcome_of(delivery, meaning, is_new=is_new)


def outcome_of(delivery: Delivery, meaning: Meaning, *, is_new: bool) -> Outcome:
    """The outcome of a delivery that is stored, or that there is nothing to store of."""
    outcome = _outcome_of(delivery, meaning, is_new=is_new)
    source = SOURCES.get(delivery.source)
    if source is None or source.answer is None:
        return outcome
    return Outcome(HTTPStatus.OK, outcome.body | source.answer(delivery), outcome.keys)


def _outcome_of(delivery: Delivery, meaning: Meaning, *, is_new: bool) -> Outcome:
    if isinstance(meaning, Ignored):
        return Outcome(HTTPStatus.OK, {"status": "ignored", "reason": meaning.reason})
    if isinstance(meaning, Untranslatable):
        kept = {"status": "quarantined", "delivery": delivery.id, "reason": meaning.reason}
        return Outcome(HTTPStatus.ACCEPTED, kept)
    keys = tuple(change.key for change in meaning.changes)
    if not is_new:
        return Outcome(HTTPStatus.OK, {"status": "duplicate", "delivery": delivery.id}, keys)
    body: dict[str, Any] = {"status": "accepted", "delivery": delivery.id, "changes": len(keys)}
    source = SOURCES.get(delivery.source)
    if source is not None and source.answers_with_keys:
        body["keys"] = keys
    if meaning.errors:
        body["errors"] = [asdict(error) for error in meaning.errors]
    return Outcome(HTTPStatus.ACCEPTED, body, keys)
