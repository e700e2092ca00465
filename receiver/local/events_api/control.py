"""What tests need at run time: `/_faults` injects failures, `/_requests` counts, `/_traffic` sets metrics."""

import json
from http import HTTPStatus

from werkzeug.exceptions import BadRequest
from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from receiver.local.events_api.errors import ApiError
from receiver.local.events_api.fault_injection import RequestCounts
from receiver.local.events_api.faults import Faults, FaultSyntaxError, parse
from receiver.local.events_api.traffic import Traffic


def control_rules(faults: Faults, counts: RequestCounts, traffic: Traffic) -> list[Rule]:
    """`PUT /_faults` replaces all faults with a JSON list of strings in the grammar of `faults`.

    `PUT /_traffic` replaces all traffic with a JSON list of `traffic.Point`.
    """

    def get_faults(_request: Request) -> Response:
        return _json(faults.as_text())

    def put_faults(request: Request) -> Response:
        try:
            texts = json.loads(request.get_data())
        except ValueError as error:
            raise BadRequest from error
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ApiError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                'The body must be a JSON list of faults such as ["latency=0.2", "POST:dropx1"].',
            )
        try:
            faults.replace([parse(text) for text in texts])
        except FaultSyntaxError as error:
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        return _json(faults.as_text())

    def get_requests(_request: Request) -> Response:
        return _json(counts.by_method())

    def put_traffic(request: Request) -> Response:
        return _json(traffic.replace(request.get_data()))

    return [
        Rule("/_traffic", endpoint=put_traffic, methods=["PUT"]),
        Rule("/_faults", endpoint=get_faults, methods=["GET"]),
        Rule("/_faults", endpoint=put_faults, methods=["PUT"]),
        Rule("/_requests", endpoint=get_requests, methods=["GET"]),
    ]


def _json(data: object) -> Response:
    return Response(json.dumps(data), mimetype="application/json")
