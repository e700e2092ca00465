"""Health, readiness and metrics, for monitoring."""

from hmac import compare_digest
from http import HTTPStatus

from flask import Blueprint, Response, abort, request

from receiver.config.settings import Settings
from receiver.errors import StorageUnavailable
from receiver.monitoring.backlog import Backlog
from receiver.observability.metrics import ReceptionMetrics
from receiver.reception.delivery_store import DeliveryStore
from receiver.web.answers import HEALTH, HEALTH_PATH
from receiver.web.problems import problem, response_of


def operations(
    settings: Settings, store: DeliveryStore, counted: ReceptionMetrics, backlog: Backlog
) -> Blueprint:
    blueprint = Blueprint("operations", __name__)
    token = settings.metrics_token and f"Bearer {settings.metrics_token.get_secret_value()}".encode()

    @blueprint.get(HEALTH_PATH)
    def healthz() -> Response:
        return response_of(HEALTH)

    @blueprint.get("/readyz")
    def readyz() -> dict[str, str | int | None]:
        """Where a delivery would be stored now; 503 and the reason if it could not be.

        A spool that cannot be drained does not make the receiver unready: Redis takes what arrives.
        """
        ready: dict[str, str | int | None] = {"status": "ready", "storage": store.storage()}
        try:
            spooled, problem = store.spooled(), store.spool_problem()
        except StorageUnavailable as failure:
            spooled, problem = None, str(failure)
        return ready | {"spooled": spooled} | ({} if problem is None else {"spool_problem": problem})

    @blueprint.get("/metrics")
    def metrics() -> Response:
        """Of all processes of this receiver, and what Redis knows about all receivers and workers."""
        from prometheus_client import (  # noqa: PLC0415 - see receiver.observability.metrics
            CONTENT_TYPE_LATEST,
            CollectorRegistry,
            generate_latest,
        )

        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if token and not compare_digest(given, token):
            abort(HTTPStatus.UNAUTHORIZED)
        waiting = CollectorRegistry()
        waiting.register(backlog)
        return Response(
            generate_latest(counted.registry()) + generate_latest(waiting), content_type=CONTENT_TYPE_LATEST
        )

    @blueprint.errorhandler(StorageUnavailable)
    def not_ready(error: StorageUnavailable) -> Response:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"No delivery can be stored: {error}")

    return blueprint
