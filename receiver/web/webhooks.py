"""POST /webhooks/<source>: read, verify, translate and store a delivery, and answer."""

from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from flask import Blueprint, Response, abort, g, json, request
from structlog import get_logger
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from apitraffic_events.timestamps import now
from receiver.config.settings import Settings
from receiver.errors import StorageUnavailable
from receiver.observability.metrics import ReceptionMetrics
from receiver.reception.ingestion import Ingestor
from receiver.sources import SOURCES
from receiver.sources.base import BODY_START, MIB, PATH_TOKEN, Invalid, Source, explain_refusal
from receiver.translation import translate_and_route
from receiver.web.client_address import client_address, is_in
from receiver.web.problems import problem

RETRY_AFTER: Final = 30
"""Seconds after which a sender may try again if nothing could be stored."""
UNREADABLE: Final = (OSError, ClientDisconnected)
"""The sender went away, or its chunks are malformed: WSGI servers raise `OSError`, and Werkzeug makes it a
`ClientDisconnected` when the body is read through it."""
MOST_DISCARDED: Final = 8 * MIB
"""Bytes read and discarded beyond a limit, so that the sender gets a 413 and not a broken connection."""


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


def webhooks(settings: Settings, ingestor: Ingestor, metrics: ReceptionMetrics) -> Blueprint:
    blueprint = Blueprint("webhooks", __name__)
    log = get_logger("receiver.webhooks")
    secrets = {name: settings.secrets_for(source) for name, source in SOURCES.items()}
    options = {name: settings.options_for(source) for name, source in SOURCES.items()}

    @blueprint.post("/webhooks/<source_name>")
    @blueprint.post("/webhooks/<source_name>/<path_token>")
    def accept(source_name: str, path_token: str | None = None) -> Response:
        began = perf_counter()
        source = SOURCES.get(source_name)
        if source is None or not secrets[source_name] or (path_token and not source.takes_token_in_path):
            abort(HTTPStatus.NOT_FOUND)
        _require_allowed(source_name, settings)
        body = _read_body(source)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if path_token:
            headers[PATH_TOKEN] = path_token
        received_at = now()
        if not source.verify(headers, body, secrets[source_name], received_at):
            reason = explain_refusal(source, headers, body[:BODY_START])
            log.warning("refused", source=source_name, status=401, bytes=len(body), reason=reason)
            abort(HTTPStatus.UNAUTHORIZED)
        if request.mimetype not in source.content_types:
            log.warning("refused", source=source_name, status=415, content_type=request.mimetype)
            abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {' or '.join(sorted(source.content_types))}.")

        headers.pop(PATH_TOKEN, None)
        delivery = g.delivery = source.receive(headers, body, received_at)
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
        if response.status_code >= HTTPStatus.BAD_REQUEST:
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

    @blueprint.errorhandler(Invalid)
    def invalid(error: Invalid) -> Response:
        log.warning("invalid", status=422, reason=error.reason)
        errors = [asdict(item) for item in error.errors]
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, members={"errors": errors})

    return blueprint


def _require_allowed(source_name: str, settings: Settings) -> None:
    """Checked before anything is read from an address that webhooks do not come from."""
    if not settings.allowed_senders:
        return
    peer = client_address(
        request.remote_addr, request.headers.getlist("X-Forwarded-For"), settings.trusted_proxies
    )
    if not is_in(peer, settings.allowed_senders):
        get_logger("receiver.webhooks").warning("refused", source=source_name, status=403, address=str(peer))
        abort(HTTPStatus.FORBIDDEN, "Webhooks are not taken from this address.")


def _read_body(source: Source[Any]) -> bytes:
    """The raw body; the limit also applies to chunked bodies of unknown length."""
    # Werkzeug truncates a chunked body at its limit without an error: give it one byte more than ours.
    request.max_content_length = source.body_limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    except UNREADABLE:
        abort(HTTPStatus.BAD_REQUEST, "The body could not be read.")
    if body is not None and len(body) <= source.body_limit:
        return body
    _discard_rest(source.body_limit + MOST_DISCARDED)
    raise RequestEntityTooLarge(
        f"The body is over the {source.body_limit // MIB} MiB that {source.title} deliveries may have."
    )


def _discard_rest(most: int) -> None:
    rest = request.environ["wsgi.input"]
    discarded = 0
    with suppress(*UNREADABLE):
        while discarded < most and (chunk := rest.read(min(64 * 1024, most - discarded))):
            discarded += len(chunk)
