"""The API's error envelope: `{"success": false, "error": {"code", "message", "details"}}`, for everything."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, TypedDict

import flask
from werkzeug.exceptions import HTTPException

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
    """An answer of the API that is not a success; `details` names the fields that were refused."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        details: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details
        self.headers = headers or {}


def invalid(details: Sequence[FieldProblem]) -> ApiError:
    """A request that is well-formed JSON but does not describe an event.

    422 and not 400: the vendor does not document which it is, and 422 leaves 400 to mean "this is not JSON",
    so that a test can tell a broken client from a broken event.
    """
    problems = "; ".join(f"{problem['field']}: {problem['message']}" for problem in details)
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"The request is not valid. {problems}", details)


def code_for(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "INTERNAL_ERROR"
    return CODES.get(HTTPStatus(status), "VALIDATION_ERROR")


def error_response(
    status: int, message: str, details: Sequence[FieldProblem] = (), headers: dict[str, str] | None = None
) -> flask.Response:
    error = {"code": code_for(status), "message": message, "details": list(details)}
    body = json.dumps({"success": False, "error": error})
    return flask.Response(body, status, headers, mimetype="application/json")


def handle_errors(app: flask.Flask) -> None:
    """Make every failure of `app`, including the ones Flask raises itself, answer with the envelope."""

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> flask.Response:
        return error_response(error.status, error.message, error.details, error.headers)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> flask.Response:
        headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        return error_response(status, error.description or "The request failed.", headers=headers)

    @app.errorhandler(Exception)
    def bug(error: Exception) -> flask.Response:
        app.logger.error("The local Events API failed on %s", flask.request.url, exc_info=error)
        return error_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "The local Events API has a bug; its log has the traceback."
        )
