"""Notes in the log of deliveries what the queue does not: refusals, and deliveries that are not queued."""

from http import HTTPStatus
from typing import Final

from flask import request

from receiver.config.networks import Networks
from receiver.events import Delivery
from receiver.queue.delivery_log import DeliveryNotes
from receiver.reception.ingestion import Outcome
from receiver.reception.quarantine import Quarantined
from receiver.sources import SOURCES
from receiver.sources.base import Invalid
from receiver.web.admission import Refused
from receiver.web.client_address import client_address
from receiver.web.pings import is_from_doctor

NOT_QUEUED: Final = frozenset({"ignored", "quarantined"})
SOURCE_OFF: Final = "the source is off: none of its secrets is set"


class Noting:
    """For the request that Flask is answering."""

    def __init__(self, notes: DeliveryNotes, trusted_proxies: Networks) -> None:
        self._notes = notes
        self._trusted_proxies = trusted_proxies

    def outcome(self, delivery: Delivery, outcome: Outcome) -> None:
        if is_from_doctor(delivery.id):
            return
        if self._notes.keeps_payloads:
            self._notes.keep_payload(Quarantined.of(delivery, "").delivery)
        status = outcome.body["status"]
        if status in NOT_QUEUED:
            self._notes.note(status, delivery.source, delivery.id, delivery.event, outcome.body["reason"])

    def refusal(self, refused: Refused) -> None:
        if refused.source is not None:
            reason = refused.fields.get("reason") or refused.detail or refused.status.phrase
            self._notes.refused(refused.source, str(reason), self._address())
        elif refused.status is HTTPStatus.NOT_FOUND and (name := self._source_name()) in SOURCES:
            self._notes.refused(name, SOURCE_OFF, self._address())

    def invalid(self, error: Invalid) -> None:
        self._notes.refused(self._source_name(), error.reason, self._address())

    def _source_name(self) -> str:
        return str((request.view_args or {}).get("source_name"))

    def _address(self) -> str:
        forwarded = request.headers.getlist("X-Forwarded-For")
        return str(client_address(request.remote_addr, forwarded, self._trusted_proxies) or "")
