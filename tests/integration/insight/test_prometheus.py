"""The figures of one window, as a real Prometheus has them, and what is said if it has none."""

import http.server
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from receiver.config.verdict import VerdictPrometheus
from receiver.insight.figures import NoFigures, PrometheusFigures
from receiver.insight.verdict import Figures
from tests.support.prometheus import running_prometheus
from tests.support.serving import serving

DEPLOYED: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
QUARTER: Final = timedelta(minutes=15)


def samples() -> str:
    """120 requests a minute, of which 2 fail, take 50 ms each; from the deploy on, 6 fail and take 100 ms."""
    lines = []
    totals = {"requests": 0.0, "failures": 0.0, "seconds": 0.0}
    at = DEPLOYED - timedelta(minutes=30)
    rows: dict[str, list[str]] = {name: [] for name in totals}
    while at <= DEPLOYED + timedelta(minutes=30):
        for name, total in totals.items():
            rows[name].append(f'{name}_total{{app="checkout"}} {total} {at.timestamp():.0f}')
        is_new = at >= DEPLOYED
        totals["requests"] += 120
        totals["failures"] += 6 if is_new else 2
        totals["seconds"] += 12 if is_new else 6
        at += timedelta(minutes=1)
    for name, each in rows.items():
        lines += [f"# TYPE {name} counter", *each]
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), samples()) as url:
        yield url


QUERIES: Final = {
    "requests": "sum(increase(requests_total[$window]))",
    "errors": "sum(increase(failures_total[$window]))",
    "mean_response": "sum(increase(seconds_total[$window])) / sum(increase(requests_total[$window]))",
}


def source(url: str, **changed: Any) -> PrometheusFigures:
    return PrometheusFigures(VerdictPrometheus.model_validate({"url": url, **QUERIES, **changed}))


def before(source: PrometheusFigures, bucket: str | None = None, environment: str | None = None) -> Figures:
    return source.figures(DEPLOYED - QUARTER, DEPLOYED, bucket, environment)


def test_each_window_has_its_own_figures(url: str) -> None:
    asked = source(url)
    after = asked.figures(DEPLOYED, DEPLOYED + QUARTER, None, None)
    assert before(asked).requests == pytest.approx(1_800, rel=0.01)
    assert before(asked).error_percent == pytest.approx(100 / 60)
    assert before(asked).mean_ms == pytest.approx(50)
    assert after.error_percent == pytest.approx(5)
    assert after.mean_ms == pytest.approx(100)


def test_what_is_not_a_number_is_missing(url: str) -> None:
    found = before(source(url, errors="sum(increase(nothing_total[$window]))", mean_response="0/0 # $window"))
    assert (found.errors, found.mean_ms) == (None, None)
    assert before(source(url, errors="scalar(vector(7)) # $window")).errors == 7


def test_a_bucket_and_an_environment_have_figures_only_if_they_are_counted(url: str) -> None:
    own = {"bkt_1": {**QUERIES, "errors": "vector(9) # $window"}}
    asked = source(url, buckets=own, environments=["env123"])
    assert before(asked, "bkt_1", "env123").errors == 9
    for bucket, environment, said in (
        ("bkt_2", None, "bucket bkt_2"),
        (None, "env456", "environment env456"),
    ):
        with pytest.raises(NoFigures, match=said) as failure:
            before(asked, bucket, environment)
        assert failure.value.is_lasting


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sum(x[$window]", "the query `errors` in .verdict.prometheus. failed: .*parse error"),
        ("vector(1) or {app='checkout'} # $window", r"put sum\(…\) around it"),
    ],
)
def test_a_query_that_cannot_work_is_named(url: str, query: str, said: str) -> None:
    with pytest.raises(NoFigures, match=said) as failure:
        before(source(url, errors=query))
    assert failure.value.is_lasting


def test_a_prometheus_that_is_away_may_come_back() -> None:
    with pytest.raises(NoFigures, match="no answer") as failure:
        before(source("http://127.0.0.1:9"))
    assert not failure.value.is_lasting


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers each POST with the status in its path, and with the credentials that it was sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps({"error": f"sent {self.headers['Authorization']}"}).encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "is_lasting", "said"),
    [
        (401, True, "set APITRAFFIC_PROMETHEUS_TOKEN"),
        (404, True, "sent Bearer tok_1"),
        (429, False, "sent Bearer tok_1"),
        (503, False, "sent Bearer tok_1"),
        (302, True, "sent Bearer tok_1"),
        (200, True, "what answers is no Prometheus"),
    ],
)
def test_a_token_is_sent_and_a_refusal_is_told_from_a_failure(
    status: int, is_lasting: bool, said: str
) -> None:
    with serving(http.server.HTTPServer(("127.0.0.1", 0), Answering)) as url:
        settings = VerdictPrometheus.model_validate({"url": f"{url}/{status}", **QUERIES})
        with pytest.raises(NoFigures, match=said) as failure:
            before(PrometheusFigures(settings, "tok_1"))
    assert failure.value.is_lasting is is_lasting
