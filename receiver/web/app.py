"""The Flask application factory."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from redis import Redis
from structlog import get_logger

from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.datastore.address import connect
from receiver.monitoring.backlog import Backlog
from receiver.observability.metrics import ReceptionMetrics
from receiver.observability.repeated_lines import RepeatedLines
from receiver.queue.delivery_log import DeliveryNotes
from receiver.queue.enqueueing import Enqueuer
from receiver.reception.delivery_store import SpoolDrain
from receiver.reception.ingestion import Ingestor
from receiver.reception.quarantine import Quarantine
from receiver.reception.spool import spool_of
from receiver.reception.tracing import delivery_store_type
from receiver.web.acceptance import Acceptance
from receiver.web.admission import Admission
from receiver.web.answers import SECURITY_HEADERS
from receiver.web.operations import operations
from receiver.web.problems import answer_with_problems
from receiver.web.refusal_notes import RefusalNotes
from receiver.web.request_ids import identify_requests
from receiver.web.tracing import trace_requests_if_on
from receiver.web.webhooks import webhooks


class Receiver(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view is a coroutine; Flask would check each function of each request."""
        return func


def create_app(settings: Settings | None = None, redis: Redis | None = None) -> Flask:
    """The receiver as a WSGI application, with settings from the environment unless given.

    Raises `ConfigurationError` if they are invalid. Connects to Redis with the first request. In each
    process, the server has to start the threads `app.extensions["spool_drain"]` and `["delivery_notes"]`, and
    call `receiver.observability.tracing.start_in_this_process`.
    """
    settings = settings or load_settings()
    redis = redis or connect(settings.redis_url)
    app = Receiver("receiver", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # A redirect to the path without the second slash would lose deliveries: GitLab takes a 308 for success.
    app.url_map.merge_slashes = False
    # Nor one from `/webhooks/<source>` to a source's own path.
    app.url_map.redirect_defaults = False
    app.extensions["sources"] = settings.senders
    spool = spool_of(settings)
    identify_requests(app)
    trace_requests_if_on(app)
    store = delivery_store_type()(Enqueuer(redis), Quarantine(redis), spool)
    app.extensions["delivery_store"], app.extensions["redis"] = store, redis
    app.extensions["spool_drain"] = SpoolDrain(store)
    metrics = app.extensions["metrics"] = ReceptionMetrics(settings.active_sources)
    repeated_lines = app.extensions["repeated_lines"] = RepeatedLines()
    admission = app.extensions["admission"] = Admission(settings)
    notes = app.extensions["delivery_notes"] = DeliveryNotes(redis, settings.keep_payloads)
    refusals = RefusalNotes(notes, admission)
    acceptance = app.extensions["acceptance"] = Acceptance(settings, metrics, notes)
    app.register_blueprint(
        webhooks(admission, acceptance, Ingestor(store), metrics, repeated_lines, refusals)
    )
    app.register_blueprint(operations(settings, store, metrics, Backlog(redis, store)))
    answer_with_problems(app, repeated_lines)
    app.after_request(_secured)
    return app


def _secured(response: Response) -> Response:
    response.headers.extend(SECURITY_HEADERS)
    return response


def announce_sources(settings: Settings) -> None:
    """Log at start which sources are on, and what would turn on the others."""
    log = get_logger("receiver")
    off = []
    for name, source in settings.active_sources.items():
        if settings.secrets_for(source):
            log.info("source is on", source=name, path=f"/webhooks/{name}")
        else:
            off.append(f"{name} ({' or '.join(source.secret_variables)})")
    if len(off) == len(settings.active_sources):
        log.warning("all sources are off", advice=f"set the secret of one: {', '.join(off)}")
    elif off:
        log.info("other sources are off, as their secrets are not set", sources=", ".join(off))
    for warning in settings.warnings():
        log.warning(warning)
