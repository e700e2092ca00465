"""The error envelope of the API: `{"success": false, "error": {"code", "message", "details"}}`."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypedDict

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

CODES: Final = {
    HTTPStatus.UNAUTHORIZED: "INVALID_TOKEN",
    HTTPStatus.NOT_FOUND: "RESOURCE_NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMIT_EXCEEDED",
}
"""The vendor documents five codes; these three belong to one status each."""


class FieldProblem(TypedDict):
    field: str
    message: str


class ApiError(Exception):
    """A request that the API refuses; `details` names the fields that were refused."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        details: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details
        self.headers = headers or {}


def invalid(details: Sequence[FieldProblem]) -> ApiError:
    """The error for a request that is JSON but does not describe an event.

    422 and not 400: the vendor does not document which it is, and 422 leaves 400 to mean "this is not JSON",
    so that a test can tell a broken client from a broken event.
    """
    problems = "; ".join(f"{problem['field']}: {problem['message']}" for problem in details)
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"The request is not valid. {problems}", details)


def code_for(status: int) -> str:
    """The vendor's error code for an HTTP status from 400."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "INTERNAL_ERROR"
    return CODES.get(HTTPStatus(status), "VALIDATION_ERROR")


def error_response(
    status: int,
    message: str,
    details: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    error = {"code": code_for(status), "message": message, "details": list(details)}
    body = json.dumps({"success": False, "error": error})
    return Response(body, status, headers, mimetype="application/json")


def http_error_response(error: HTTPException) -> Response:
    """The envelope for what Werkzeug raises: no such path, wrong method, body too large and the like."""
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    return error_response(status, error.description or "The request failed.", headers=headers)
