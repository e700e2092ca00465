"""What expressions give, what is wrong with a bad one, and what a hostile one or payload costs."""

import time
from typing import Any

import pytest

from receiver.sources.declared.expressions import BadExpression, EvaluationFailed, Expression, Run
from receiver.sources.declared.functions import Context
from receiver.sources.declared.templates import Template, Words

BODY: dict[str, Any] = {
    "status": "Firing",
    "count": 3,
    "ok": True,
    "empty": "",
    "nothing": None,
    "tags": ["a", "b", 3, None, {"x": 1}],
    "user": {"name": "Ada"},
    "items": [{"n": "one", "v": 1}, {"n": "two", "v": 2}],
    "ref": "refs/heads/main",
    "sha": "0123456789abcdef0123456789abcdef01234567",
}
HEADERS = {"x-event": "push"}
BOUND = 2.0
"""Seconds that something hostile may take here, on a busy machine."""


def evaluate(text: str, body: Any = BODY) -> Any:
    return Expression(text).evaluate(body, Run(Context(body, HEADERS, "an-event")))


def fill(text: str, body: Any = BODY) -> str:
    return Template(text).filled(body, Run(Context(body, HEADERS)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("user.name", "Ada"),
        ("user.name.first", None),
        ("missing.at.all", None),
        ("items[?n=='two'] | [0].v", 2),
        ("lower(status)", "firing"),
        ("lower(missing)", None),
        ("replace(ref, 'refs/heads/', '')", "main"),
        ("replace(ref, '', 'x')", "refs/heads/main"),
        ("split(ref, '/')[2]", "main"),
        ("split(ref, '')", ["refs/heads/main"]),
        ("regex(ref, '^refs/(heads|tags)/')", "heads"),
        ("regex(ref, 'main$')", "main"),
        ("regex(ref, 'nowhere')", None),
        ("default(empty, 'none')", "none"),
        ("default(missing, 'none')", "none"),
        ("default(count, 'none')", 3),
        ("time('2026-01-10T10:05:00+02:00')", "2026-01-10T08:05:00.000Z"),
        ("time('1795860000')", "2026-11-28T10:00:00.000Z"),
        ("time(`1795860000`)", "2026-11-28T10:00:00.000Z"),
        ("time(`1795860000123`)", "2026-11-28T10:00:00.123Z"),
        ("time(`1795860000123456`)", "2026-11-28T10:00:00.123Z"),
        ("time(`1795860000123456789`)", "2026-11-28T10:00:00.123Z"),
        ("time('0001-01-01T00:00:00Z')", None),
        ("time('soon')", None),
        ("time('²')", None),
        ("duration('2026-01-10T10:00:00Z', '2026-01-10T10:05:03Z')", "5 min 3 s"),
        ("duration('2026-01-10T10:05:03Z', '2026-01-10T10:00:00Z')", None),
        ("duration(missing, '2026-01-10T10:00:00Z')", None),
        ("version(ref, sha)", "main@0123456"),
        ("version('refs/tags/v2.3.1', sha)", "v2.3.1"),
        ("version(missing, missing)", None),
        ("version(count, tags)", None),
        ("phrase('by', user.name)", "by Ada"),
        ("phrase('(', user.name, ')')", "(Ada)"),
        ("phrase('by', missing)", None),
        ("phrase('by', empty, '.')", None),
        ("header('X-Event')", "push"),
        ("header('x-other')", None),
        ("event()", "an-event"),
        ("body().count", 3),
        ("join(', ', tags)", "a, b, 3"),
        ("contains(status, 'Fir')", True),
        ("contains(tags, 'b')", True),
        ("contains(missing, 'b')", None),
        ("to_string(user)", None),
        ("empty == ''", True),
        ("`[]` == `[]`", True),
        ("items == items", True),
        ("user == items", False),
        ("sort_by(items, &n)[-1].v", 2),
    ],
)
def test_an_expression_gives(text: str, value: object) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Deploy {user.name} to {missing}", "Deploy Ada to"),
        ("Deploy{phrase(' to', missing)} now", "Deploy now"),
        ("{count} of {ok}", "3 of true"),
        ("a {missing} b", "a b"),
        ("first\n{missing}\nlast", "first\nlast"),
        ("{items[0].{a: n}.a}", "one"),
        ('{\'{\'}{"user".name}{`"}"`}', "{Ada}"),
        ("{user}", ""),
        ("{tags}", "a, b, 3"),
        ("{`1.0`} {`1.5`}", "1 1.5"),
        ("plain", "plain"),
    ],
)
def test_a_template_is_filled(text: str, filled: str) -> None:
    assert fill(text) == filled


def test_a_key_is_never_made_of_missing_parts() -> None:
    run = Run(Context(BODY, {}))
    assert Template("{user.name}:{count}").whole(BODY, run) == "Ada:3"
    with pytest.raises(EvaluationFailed, match=r"'missing' is missing from the payload"):
        Template("{user.name}:{missing}").whole(BODY, run)


def test_words_are_looked_up_in_upper_and_lower_case_alike() -> None:
    run = Run(Context(BODY, {}))
    words = Words.model_validate({"of": "{status}", "words": {"firing": "open"}})
    assert words.value(BODY, run) == "open"
    assert words.value({"status": "other"}, run) is None
    with_default = Words.model_validate({"of": "{x}", "words": {"firing": "open"}, "default": "ignore"})
    assert with_default.value({}, run) == "ignore"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "without its other half"),
        ("a } b", "without its other half"),
        ("{a", "without its other half"),
        ("{'}", "without its other half"),
        ("{}", "without an expression"),
        ("{a..b}", "'a..b', which is not JMESPath"),
        ("{nosuch(a)}", r"there is no function nosuch\(\)"),
        ("{lower(a, b)}", r"lower\(\) takes 1 arguments, not 2"),
        ("{regex(a, b)}", "is not a text in quotes"),
        ("{regex(a, '(')}", "is no regular expression"),
        ("{regex(a, '" + "a" * 201 + "')}", "over 200 characters"),
        ("{" + "a." * 500 + "a}", "has an expression of 1001 characters"),
        ("{" + "!" * 100 + "a}", "nested too deeply"),
        ("{[" + "a," * 400 + "a]}", "401 parts|402 parts|parts; at most 300"),
        ("x" * 4_001, "has 4001 characters"),
    ],
)
def test_a_bad_template_is_refused_with_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(BadExpression, match=complaint):
        Template(text)


MEGABYTE = "a" * 1_000_000


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (" | ".join(["[@,@,@,@]"] * 30) + " | to_string(@)", BODY),
        (" | ".join(["[@,@,@,@][]"] * 20), [BODY]),
        (" | ".join(["[@,@,@,@]"] * 20) + " | [0] == [1]", BODY),
        ("sort(" + " | ".join(["[@,@,@,@][]"] * 6) + ")", [MEGABYTE]),
        ("join(s, l)", {"s": MEGABYTE, "l": ["x"] * 100_000}),
        ("replace(s, 'a', s)", {"s": MEGABYTE}),
        (r"regex(s, '(a+)+$')", {"s": "a" * 5_000 + "b"}),
        (r"regex(s, '^(([a-z])+.)+[A-Z]([a-z])+$')", {"s": MEGABYTE}),
        ("l[*].[l[*].a]", {"l": [{"l": [{"a": 1}] * 1_000}] * 1_000}),
        ("split(s, 'a')", {"s": MEGABYTE}),
        ("lower(s)", {"s": MEGABYTE}),
        ("contains(l, s)", {"s": MEGABYTE, "l": [MEGABYTE + "b"] * 1_000}),
        ("s == t", {"s": MEGABYTE, "t": MEGABYTE + ""}),
        ("to_number(s)", {"s": "1" * 1_000_000}),
        ("n", {"n": 10**4_000}),
        ("abs(s)", {"s": "text"}),
        ("sum(l)", {"l": [1, "a"]}),
        ("length(n)", {"n": 3}),
        ("keys(l)", {"l": []}),
        ("max_by(l, &a)", {"l": [{"a": {}}, {"a": 1}]}),
    ],
)
def test_something_hostile_is_bounded_in_time_and_gives_a_value_or_a_reason(text: str, body: object) -> None:
    began = time.process_time()
    given = attempt(text, body)
    assert time.process_time() - began < BOUND
    assert len(given) <= 1_000_001


def attempt(text: str, body: object) -> str:
    """What it gives, or why nothing."""
    try:
        return fill("{" + text + "}", body)
    except EvaluationFailed as failed:
        assert text[:30] in str(failed)  # noqa: PT017 - either is right
        return str(failed)


def test_json_that_is_nested_deeply_is_no_failure() -> None:
    deep: Any = {}
    for _ in range(5_000):
        deep = {"a": deep}
    assert evaluate("a.a.a.b", deep) is None
    assert evaluate("a[*].b || a.a == a", deep) is False
