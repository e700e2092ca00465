"""Answers keep the bytes that they have always had, which the documentation shows."""

from http import HTTPStatus

from apitraffic_events import __version__
from receiver.reception.ingestion import Outcome
from receiver.web.answers import HEALTH, answer_to, problem_answer


def test_the_members_of_an_answer_are_sorted() -> None:
    outcome = Outcome(HTTPStatus.ACCEPTED, {"status": "accepted", "delivery": "d", "changes": 1})
    assert answer_to(outcome).body == '{"changes": 1, "delivery": "d", "status": "accepted"}'


def test_the_members_of_a_problem_are_sorted() -> None:
    problem = problem_answer(HTTPStatus.UNPROCESSABLE_ENTITY, "Wrong.", members={"errors": []})
    assert problem.body == (
        f'{{"detail": "Wrong.", "errors": [], "status": 422, "title": "{HTTPStatus(422).phrase}"}}'
    )


def test_the_answer_to_a_health_check_has_no_spaces() -> None:
    assert HEALTH.body == f'{{"status":"up","version":"{__version__}"}}\n'
