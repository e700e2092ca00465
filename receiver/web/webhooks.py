"""POST /webhooks/<source>: read, verify, translate and store a delivery, and answer."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from time import perf_counter
from typing import Final

from flask import Blueprint, Response, abort, g, request
from structlog import get_logger
from werkzeug.exceptions import ClientDisconnected, NotFound

from receiver.errors import StorageUnavailable
from receiver.observability.metrics import ReceptionMetrics
from receiver.observability.repeated_lines import RepeatedLines
from receiver.reception.ingestion import Ingestor
from receiver.sources import SOURCES
from receiver.sources.not_translated import Invalid
from receiver.sources.request import MIB
from receiver.web.acceptance import LOGGER, READING, Acceptance, Reading
from receiver.web.admission import ADMITTED, Admission, Head, IncomingBody, Refused, headers_of
from receiver.web.answers import answer_to
from receiver.web.pings import is_from_doctor
from receiver.web.problems import DETAILS, problem, response_of
from receiver.web.refusal_notes import RefusalNotes

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
    admission: Admission,
    acceptance: Acceptance,
    ingestor: Ingestor,
    metrics: ReceptionMetrics,
    repeated_lines: RepeatedLines,
    refusals: RefusalNotes,
) -> Blueprint:
    blueprint = Blueprint("webhooks", __name__)
    log = get_logger(LOGGER)

    @blueprint.post("/webhooks/<source_name>")
    @blueprint.post("/webhooks/<source_name>/<path_token>")
    def accept(**_in_path: str) -> Response:
        """What is in the path is read by `Admission`."""
        reading = request.environ.get(READING) or _read(admission, acceptance, refusals)
        g.delivery = reading.delivery
        outcome = g.outcome = ingestor.ingest(reading.delivery, reading.meaning)
        acceptance.conclude(reading, outcome, log.info)
        return response_of(answer_to(outcome))

    _add_own_paths(blueprint, accept)

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
        refusals.refusal(error)
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
            refusals.invalid(error)
            log.warning("invalid", source=source_name, status=422, reason=error.reason, **_facts(admission))
        errors = [asdict(item) for item in error.errors]
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, members={"errors": errors})

    return blueprint


def _read(admission: Admission, acceptance: Acceptance, refusals: RefusalNotes) -> Reading:
    """What the request says; raises `Refused`."""
    began = perf_counter()
    admitted = request.environ.get(ADMITTED) or admission.admit(Head.of_environ(request.environ))
    if isinstance(admitted, Refused):
        if admitted.status is not HTTPStatus.NOT_FOUND:
            raise admitted
        refusals.refusal(admitted)
        raise NotFound
    _receive(admitted)
    return acceptance.read(admitted, began)


def _add_own_paths(blueprint: Blueprint, accept: Callable[..., Response]) -> None:
    """The paths of sources that have one of their own, and of items there."""
    for name, path in ((name, source.api_path) for name, source in SOURCES.items() if source.api_path):
        names, methods = {"source_name": name}, ("POST", "PATCH", "PUT")
        blueprint.add_url_rule(path, view_func=accept, methods=("POST",), defaults=names)
        blueprint.add_url_rule(f"{path}/<path_token>", view_func=accept, methods=methods, defaults=names)


def _facts(admission: Admission) -> dict[str, str]:
    return admission.facts(headers_of(request.environ), request.remote_addr)


def _is_examined() -> bool:
    return "delivery" in g and is_from_doctor(g.delivery.id)


def _receive(incoming: IncomingBody) -> None:
    """Read the body, unless the server has, or it has been refused."""
    if incoming.is_finished or incoming.is_refused:
        return
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


def _discard_rest() -> None:
    discarded = 0
    with suppress(*UNREADABLE):
        while discarded < MOST_DISCARDED and (part := request.stream.read(READ_AT_ONCE)):
            discarded += len(part)
