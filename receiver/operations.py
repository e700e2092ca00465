"""What watches the receiver asks: is it up, and can it take deliveries?"""

from http import HTTPStatus

from flask import Blueprint, Response

from receiver.enqueueing import StorageUnavailable
from receiver.intake import Intake
from receiver.problems import problem


def operations(intake: Intake) -> Blueprint:
    blueprint = Blueprint("operations", __name__)

    @blueprint.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers; says nothing of what it depends on."""
        return {"status": "up"}

    @blueprint.get("/readyz")
    def readyz() -> dict[str, str | int]:
        """A delivery could be stored now, and where; where it could not, 503 and why."""
        return {"status": "ready", "storage": intake.storage(), "spooled": intake.spooled()}

    @blueprint.errorhandler(StorageUnavailable)
    def not_ready(error: StorageUnavailable) -> Response:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"No delivery can be stored: {error}")

    return blueprint
