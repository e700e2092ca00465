"""The answers, for any server: status, headers and body. Pure."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from apitraffic_events import __version__
from receiver.reception.ingestion import Outcome

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: none is meant for a browser, and none may be interpreted by one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` are those besides the content's type and length, and those that all answers have."""

    status: HTTPStatus
    content_type: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)


HEALTH_PATH: Final = "/healthz"
HEALTH: Final = Answer(
    HTTPStatus.OK,
    "application/json",
    json.dumps({"status": "up", "version": __version__}, separators=(",", ":")) + "\n",
)
"""The process is up; its dependencies are not checked."""


def answer_to(outcome: Outcome) -> Answer:
    """The answer to an authentic delivery."""
    return Answer(outcome.status, "application/json", json.dumps(outcome.body, sort_keys=True))


def problem_answer(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    members: dict[str, Any] | None = None,
) -> Answer:
    """An RFC 9457 answer. It has no `type`, which means `about:blank`: the status says what is wrong.

    `members` are further members of the problem, such as a list of errors.
    """
    problem = {"title": status.phrase, "status": status.value, "detail": detail, **(members or {})}
    body = json.dumps(problem, sort_keys=True)
    return Answer(status, "application/problem+json", body, headers or {})
