"""What a chaos run needs while the API runs: `/_faults` to order failures, `/_requests` to count requests."""

import json
from http import HTTPStatus

from flask import Blueprint, Response, request

from receiver.local.events_api.errors import ApiError
from receiver.local.events_api.faults import Faults, FaultSyntaxError, parse
from receiver.local.events_api.wire import RequestCounts


def control_blueprint(faults: Faults, counts: RequestCounts) -> Blueprint:
    """`PUT /_faults` replaces all faults by a JSON list of texts in the grammar of `faults`."""
    blueprint = Blueprint("control", __name__)

    @blueprint.get("/_faults")
    def get_faults() -> Response:
        return _json(faults.written())

    @blueprint.put("/_faults")
    def put_faults() -> Response:
        texts = request.get_json(force=True)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ApiError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                'The body must be a JSON list of faults such as ["latency=0.2", "POST:dropx1"].',
            )
        try:
            faults.replace([parse(text) for text in texts])
        except FaultSyntaxError as error:
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        return _json(faults.written())

    @blueprint.get("/_requests")
    def get_requests() -> Response:
        return _json(counts.by_method())

    return blueprint


def _json(data: object) -> Response:
    return Response(json.dumps(data), mimetype="application/json")
