"""Records refused requests in the log of deliveries."""

from http import HTTPStatus
from typing import Final

from flask import request

from receiver.queue.delivery_log import DeliveryNotes
from receiver.sources import SOURCES
from receiver.sources.not_translated import Invalid
from receiver.web.admission import Admission, Refused, headers_of

SOURCE_OFF: Final = "the source is off: none of its secrets is set"


class RefusalNotes:
    """About the request that Flask is answering."""

    def __init__(self, notes: DeliveryNotes, admission: Admission) -> None:
        self._notes = notes
        self._admission = admission

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
        facts = self._admission.facts(headers_of(request.environ), request.remote_addr)
        return facts.get("address", "")
