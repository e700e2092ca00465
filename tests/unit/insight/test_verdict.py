"""What is said of an API's traffic before and after a deploy, and when nothing is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.insight.verdict import (
    Figures,
    Thresholds,
    Verdict,
    Windows,
    Word,
    judge,
    not_compared,
    windows_of,
)
from tests.support.properties import any_text, reproducible

ENDED = datetime(2026, 1, 10, 10, 5, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
THRESHOLDS = Thresholds(errors_up=1.0, slower=50, fewest_requests=100)
CALM = Figures(requests=1_000, errors=3, mean_ms=145)


def judged(before: Figures, after: Figures, **more: str) -> Verdict:
    return judge(before, after, QUARTER, THRESHOLDS, ENDED, **more)


@pytest.mark.parametrize(
    ("before", "after", "word", "said"),
    [
        (
            CALM,
            Figures(1_234, 26, 310),
            Word.WORSE,
            "errors 0.3 % → 2.1 %, mean response 145 → 310 ms, 1.2 k requests",
        ),
        (CALM, CALM, Word.SAME, "errors 0.3 % → 0.3 %, mean response 145 → 145 ms, 1 k requests"),
        (
            Figures(1_000, 30, 400),
            Figures(1_100, 3, 150),
            Word.BETTER,
            "errors 3 % → 0.27 %, mean response 400 → 150 ms, 1.1 k requests",
        ),
        (
            Figures(200, 0, 40),
            Figures(150, 0, 41),
            Word.SAME,
            "errors 0 % → 0 %, mean response 40 → 41 ms, 150 requests",
        ),
        (
            Figures(1_200, 3, 145),
            Figures(310, 1, 150),
            Word.SAME,
            "errors 0.25 % → 0.32 %, mean response 145 → 150 ms, 1.2 k → 310 requests",
        ),
        (
            Figures(250, 0, 100),
            Figures(100_000, 40, 100),
            Word.SAME,
            "errors 0 % → 0.04 %, mean response 100 → 100 ms, 250 → 100 k requests",
        ),
        (
            Figures(100.2, 100.3, 0),
            Figures(100.2, 100.2, 0),
            Word.SAME,
            "errors 100 % → 100 %, mean response 0 → 0 ms, 100 requests",
        ),
    ],
)
def test_the_line_states_the_figures_and_the_word_goes_by_the_thresholds(
    before: Figures, after: Figures, word: Word, said: str
) -> None:
    assert judged(before, after) == Verdict(word=word, line=f"15 min after: {said}", ended_at=ENDED)


@pytest.mark.parametrize(
    ("after", "word"),
    [
        (Figures(1_000, 12, 145), Word.SAME),
        (Figures(1_000, 13, 145), Word.WORSE),
        (Figures(1_000, 3, 217), Word.SAME),
        (Figures(1_000, 3, 217.5), Word.WORSE),
        (Figures(1_000, 0, 97), Word.SAME),
        (Figures(1_000, 0, 96), Word.BETTER),
        (Figures(1_000, 13, 20), Word.WORSE),
        (Figures(1_000, 0, 300), Word.WORSE),
    ],
)
def test_a_difference_counts_from_the_threshold_on_and_one_that_is_worse_decides(
    after: Figures, word: Word
) -> None:
    assert judged(CALM, after).word is word


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (CALM, Figures(12, 6, 900), "12 requests (1 k before): too little traffic to compare"),
        (Figures(40, 0, 10), CALM, "1 k requests (40 before): too little traffic to compare"),
        (Figures(0, 0, 0), Figures(0, 0, None), "0 requests (0 before): too little traffic to compare"),
        (Figures(None, None, None), CALM, "not compared, the number of requests is missing"),
        (
            CALM,
            Figures(1_000, 3, None),
            "errors 0.3 % → 0.3 %, mean response missing, 1 k requests: not enough to compare",
        ),
        (
            Figures(1_000, None, 145),
            CALM,
            "errors missing, mean response 145 → 145 ms, 1 k requests: not enough to compare",
        ),
        (
            CALM,
            Figures(1_000, 1_200, 145),
            "errors missing, mean response 145 → 145 ms, 1 k requests: not enough to compare",
        ),
        (
            CALM,
            Figures(1_000, -1, -1),
            "errors missing, mean response missing, 1 k requests: not enough to compare",
        ),
        (
            Figures(1_000, 3, 145, "5xx"),
            Figures(1_000, 90, 145, "totalErrors"),
            "errors missing, mean response 145 → 145 ms, 1 k requests: not enough to compare",
        ),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_guessed(before: Figures, after: Figures, said: str) -> None:
    verdict = judged(before, after)
    assert (verdict.word, verdict.line) == (Word.UNKNOWN, f"15 min after: {said}")


def test_one_figure_alone_can_show_that_it_is_worse() -> None:
    verdict = judged(CALM, Figures(1_000, 90, None))
    assert verdict.word is Word.WORSE
    assert verdict.line == "15 min after: errors 0.3 % → 9 %, mean response missing, 1 k requests"


def test_no_requests_are_never_compared() -> None:
    nothing = Figures(0, 0, 0)
    without_least = Thresholds(errors_up=1, slower=50, fewest_requests=0)
    assert judge(nothing, nothing, QUARTER, without_least, ENDED).word is Word.UNKNOWN


def test_the_place_is_named_if_only_a_part_of_the_scope_was_compared() -> None:
    line = judged(CALM, CALM, place="Checkout\x1b API").line
    assert line.startswith("15 min after in Checkout API: errors ")


def test_a_deploy_that_cannot_be_compared_says_why() -> None:
    verdict = not_compared("acme/api was deployed 4 min later", timedelta(hours=1), ENDED)
    assert verdict.word is Word.UNKNOWN
    assert verdict.line == "1 h after: not compared, acme/api was deployed 4 min later"


@reproducible
@given(any_text, any_text)
def test_whatever_others_write_the_line_is_one_and_bounded(reason: str, place: str) -> None:
    for line in (not_compared(reason * 9, QUARTER, ENDED).line, judged(CALM, CALM, place=place * 9).line):
        assert len(line) <= 300
        assert "\n" not in line


amount = st.one_of(st.none(), st.floats(-1, 1e9), st.integers(0, 2_000).map(float))
windows = st.builds(Figures, amount, amount, amount)
OPPOSITE = {Word.BETTER: {Word.WORSE}, Word.SAME: {Word.SAME}, Word.UNKNOWN: {Word.UNKNOWN, Word.WORSE}}


@reproducible
@given(windows, windows)
def test_the_other_way_round_better_is_worse_and_the_same_stays_the_same(
    before: Figures, after: Figures
) -> None:
    word, back = judged(before, after).word, judged(after, before).word
    # What is worse in one figure may be better in the other, and is worse both ways; or not known in it.
    assert back in OPPOSITE.get(word, set(Word) - {Word.SAME})
    assert (word is Word.SAME) == (back is Word.SAME)


def test_the_windows_leave_out_the_deploy_itself() -> None:
    began = ENDED - timedelta(minutes=4)
    assert windows_of(began, ENDED, QUARTER) == Windows((began - QUARTER, began), (ENDED, ENDED + QUARTER))


@pytest.mark.parametrize("started_at", [None, ENDED, ENDED + timedelta(minutes=1)])
def test_a_deploy_without_a_start_before_its_end_is_a_moment(started_at: datetime | None) -> None:
    assert windows_of(started_at, ENDED, QUARTER) == Windows(
        (ENDED - QUARTER, ENDED), (ENDED, ENDED + QUARTER)
    )


def test_a_verdict_keeps_in_json() -> None:
    verdict = judged(CALM, CALM)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
