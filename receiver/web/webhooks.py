"""POST /webhooks/<source>: read, verify, translate and store a delivery, and answer."""

from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from time import perf_counter
from typing import Final

from flask import Blueprint, Response, abort, g, json, request
from structlog import get_logger
from werkzeug.exceptions import ClientDisconnected, NotFound

from receiver.config.settings import Settings
from receiver.errors import StorageUnavailable
from receiver.observability.metrics import ReceptionMetrics
from receiver.observability.repeated_lines import RepeatedLines
from receiver.reception.ingestion import Ingestor
from receiver.sources.base import MIB, Invalid
from receiver.translation import translate_and_route
from receiver.web.admission import ADMITTED, Admission, IncomingBody, Refused, headers_of
from receiver.web.pings import is_from_doctor
from receiver.web.problems import DETAILS, problem

RETRY_AFTER: Final = 30
"""Seconds after which a sender may try again if nothing could be stored."""
UNREADABLE: Final = (OSError, ClientDisconnected)
"""The sender went away, or its chunks are malformed: WSGI servers raise `OSError`, and Werkzeug makes it a
`ClientDisconnected` when the body is read through it."""
MOST_DISCARDED: Final = 8 * MIB
"""Bytes read and discarded beyond a limit, so that the sender gets a 413 and not a broken connection."""
READ_AT_ONCE: Final = 64 * 1024


REJECTIONS: Final = {
    HTTPStatus.BAD_REQUEST: "unreadable",
    HTTPStatus.UNAUTHORIZED: "unauthorised",
    HTTPStatus.FORBIDDEN: "sender_address",
    HTTPStatus.NOT_FOUND: "source_off",
    HTTPStatus.REQUEST_TIMEOUT: "too_slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "content_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
    HTTPStatus.INTERNAL_SERVER_ERROR: "failure",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_stored",
}
"""Values of the metric's label `reason`, for responses that accept nothing."""


def webhooks(
    settings: Settings,
    admission: Admission,
    ingestor: Ingestor,
    metrics: ReceptionMetrics,
    repeated_lines: RepeatedLines,
) -> Blueprint:
    blueprint = Blueprint("webhooks", __name__)
    log = get_logger("receiver.webhooks")

    options = {name: settings.options_for(source) for name, source in settings.active_sources.items()}

    @blueprint.post("/webhooks/<source_name>")
    @blueprint.post("/webhooks/<source_name>/<path_token>")
    def accept(source_name: str, **_path_token: str) -> Response:
        """The path's token is read by `Admission`."""
        began = perf_counter()
        admitted = request.environ.get(ADMITTED) or admission.admit(request.environ)
        if isinstance(admitted, Refused):
            raise NotFound if admitted.status is HTTPStatus.NOT_FOUND else admitted
        source = admitted.source
        body = _body_of(admitted)
        delivery = g.delivery = source.receive(admitted.headers, body, admitted.received_at)
        with metrics.translation_seconds.labels(source_name).time():
            meaning = translate_and_route(source, delivery, options[source_name], settings.route)
        outcome = g.outcome = ingestor.ingest(delivery, meaning)
        seconds = perf_counter() - began
        metrics.deliveries.labels(source_name, outcome.body["status"]).inc()
        metrics.accept_seconds.labels(source_name).observe(seconds)
        log.info(
            outcome.body["status"],
            source=source_name,
            delivery_event=delivery.event,
            delivery=delivery.id,
            key=" ".join(outcome.keys) or None,
            reason=outcome.body.get("reason"),
            ms=round(seconds * 1000, 1),
        )
        return Response(json.dumps(outcome.body), outcome.status, content_type="application/json")

    @blueprint.after_request
    def count(response: Response) -> Response:
        if response.status_code >= HTTPStatus.BAD_REQUEST and not _is_examined():
            source_name = str((request.view_args or {}).get("source_name"))
            metrics.rejected(source_name, REJECTIONS.get(HTTPStatus(response.status_code), "other"))
        return response

    @blueprint.errorhandler(StorageUnavailable)
    def not_stored(error: StorageUnavailable) -> Response:
        log.error("not stored", status=503, reason=str(error))
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The delivery could not be stored just now and was not accepted; send it again.",
            {"Retry-After": str(RETRY_AFTER)},
        )

    @blueprint.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        if error.source is not None:
            # The reason is in our own words, and of each there is one line a second.
            kind = f"{error.source} {error.status.value} {error.fields.get('reason', '')}"
            fields = {
                "source": error.source,
                "status": error.status.value,
                **_facts(admission),
                **error.fields,
            }
            repeated_lines.warn("receiver.webhooks", "refused", kind, **fields)
        return problem(error.status, error.detail or DETAILS[error.status])

    @blueprint.errorhandler(Invalid)
    def invalid(error: Invalid) -> Response:
        source_name = str((request.view_args or {}).get("source_name"))
        if not _is_examined():
            log.warning("invalid", source=source_name, status=422, reason=error.reason, **_facts(admission))
        errors = [asdict(item) for item in error.errors]
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, members={"errors": errors})

    return blueprint


def _facts(admission: Admission) -> dict[str, str]:
    return admission.facts(headers_of(request.environ), request.remote_addr)


def _is_examined() -> bool:
    return "delivery" in g and is_from_doctor(g.delivery.id)


def _body_of(incoming: IncomingBody) -> bytes:
    """The whole body, from the server if that has read it. Raises `Refused`."""
    if not incoming.is_finished and not incoming.is_refused:
        try:
            while part := request.stream.read(READ_AT_ONCE):
                incoming.add(part)
                if incoming.is_refused:
                    _discard_rest()
                    break
            incoming.finish()
        except UNREADABLE:
            if not incoming.is_refused:
                abort(HTTPStatus.BAD_REQUEST, "The body could not be read.")
    return incoming.take()


def _discard_rest() -> None:
    discarded = 0
    with suppress(*UNREADABLE):
        while discarded < MOST_DISCARDED and (part := request.stream.read(READ_AT_ONCE)):
            discarded += len(part)
