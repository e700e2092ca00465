"""Errors as `application/problem+json` (RFC 9457), for every response that is not a success."""

from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, request
from structlog import get_logger
from werkzeug.exceptions import HTTPException, InternalServerError

from receiver.observability.repeated_lines import RepeatedLines
from receiver.web.admission import headers_of
from receiver.web.answers import Answer, problem_answer
from receiver.web.paths import right_path
from receiver.web.strays import explain

DETAILS: Final = {
    HTTPStatus.UNAUTHORIZED: "The request's signature or token is missing or wrong.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address, or the source is not configured here.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Webhooks are sent with POST.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The receiver failed; its log says why. Sending again later is safe.",
}
"""For the person who reads a sender's delivery log; the same sentence whatever the cause."""


def response_of(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers, content_type=answer.content_type)


def problem(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    members: dict[str, Any] | None = None,
) -> Response:
    """As `problem_answer`."""
    return response_of(problem_answer(status, detail, headers, members))


def answer_with_problems(app: Flask, repeated_lines: RepeatedLines) -> None:
    """Give Flask's own errors and unexpected exceptions the same form."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
        detail = DETAILS.get(status) or error.description or status.description
        if status is HTTPStatus.NOT_FOUND and (right := right_path(request.path, app.extensions["sources"])):
            detail = f"{detail} Send it to {right}."
        given = headers_of(request.environ)
        if stray := explain(status, request.method, request.path, given, app.extensions["sources"]):
            facts = app.extensions["admission"].facts(given, request.remote_addr)
            repeated_lines.warn("receiver.webhooks", stray.event, stray.kind, **stray.fields, **facts)
        return problem(status, detail, headers)

    @app.errorhandler(Exception)
    def failure(error: Exception) -> Response:
        get_logger("receiver").exception("unforeseen failure", kind=type(error).__name__)
        return http_error(InternalServerError())
