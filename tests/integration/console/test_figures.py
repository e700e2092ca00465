"""Figures of the charts: of Debian's Prometheus, of the API, of the receiver itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import responses

from receiver.config.console import ChartsSection
from receiver.console.charts.own_requests import OwnRequests, Sample, read
from receiver.console.charts.prometheus import PrometheusCharts
from receiver.console.view import View
from tests.support.prometheus import running_prometheus

END: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
VIEW: Final = View(END - timedelta(hours=6), END, "")


def samples() -> str:
    """Two services: 120 and 60 requests a minute, which take 50 ms each."""
    lines = []
    for name, service, each in (
        ("requests_total", "checkout", 120.0),
        ("requests_total", "search", 60.0),
        ("seconds_total", "checkout", 6.0),
    ):
        if f"# TYPE {name.removesuffix('_total')} counter" not in lines:
            lines.append(f"# TYPE {name.removesuffix('_total')} counter")
        for minute in range(7 * 60 + 1):
            at = (END - timedelta(hours=7) + timedelta(minutes=minute)).timestamp()
            lines.append(f'{name}{{service="{service}"}} {each * minute} {at:.0f}')
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), samples()) as url:
        yield url


def figures(url: str, **section: Any) -> PrometheusCharts:
    usual = {
        "throughput": "sum(rate(requests_total[5m]))",
        "response_time": "sum(rate(seconds_total[5m])) / sum(rate(requests_total{service='checkout'}[5m]))",
    }
    return PrometheusCharts(ChartsSection.model_validate({"prometheus": url, **usual, **section}))


def test_requests_a_second_and_milliseconds_come_a_point_a_minute(url: str) -> None:
    series = figures(url).of(VIEW, None)
    assert series.problem is None
    assert (series.step, len(series.throughput), len(series.response)) == (60, 360, 360)
    assert set(series.throughput) == {3.0}
    assert set(series.response) == {50.0}


def test_a_bucket_may_have_queries_of_its_own(url: str) -> None:
    own = {"Checkout API": {"throughput": "sum(rate(requests_total{service='checkout'}[5m]))"}}
    view = View(VIEW.started_from, END, "", bucket="bkt_1")
    series = figures(url, buckets=own).of(view, "Checkout API")
    assert (series.throughput[0], series.scope, list(series.response)) == (2.0, "", [])
    # Of another bucket, the figures are those of all, and say so.
    other = figures(url, buckets=own).of(view, "Search API")
    assert (other.throughput[0], other.scope) == (3.0, "all buckets")


def test_a_query_that_fails_is_named_and_the_other_is_drawn(url: str) -> None:
    series = figures(url, throughput="sum(").of(VIEW, None)
    assert series.problem is not None
    assert "`throughput` in [charts] failed" in series.problem
    assert series.response[0] == 50.0
    several = figures(url, throughput="rate(requests_total[5m])").of(VIEW, None)
    assert several.problem is not None
    assert "gives 2 series; put sum(…) around it" in several.problem


@responses.activate
def test_credentials_of_a_netrc_file_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine prometheus.test login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    asked = responses.post(
        "http://prometheus.test/api/v1/query_range", json={"status": "success", "data": {"result": []}}
    )
    assert figures("http://prometheus.test").of(VIEW, None).problem is None
    assert [call.request.headers.get("Authorization") for call in asked.calls] == [None, None]


def test_a_prometheus_that_is_away_is_said_in_words() -> None:
    """Once, and with what to check; the queries are not blamed."""
    assert figures("http://127.0.0.1:9").of(VIEW, None).problem == (
        "No figures from Prometheus: no answer: it refuses connections; is `prometheus` in [charts] right?"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"body": "[" * 100_000}, "what answers is no Prometheus"),
        ({"body": "<html>", "status": 200}, "what answers is no Prometheus"),
        ({"body": "<html>", "status": 404}, "HTTP 404"),
        ({"status": 302, "headers": {"Location": "https://login.test"}}, "HTTP 302"),
    ],
)
@responses.activate
def test_what_answers_without_being_a_prometheus_is_said_in_words(answer: dict[str, Any], said: str) -> None:
    """Also if its JSON is nested too deeply to be read."""
    responses.post("http://prometheus.test/api/v1/query_range", **answer)
    assert figures("http://prometheus.test").of(VIEW, None).problem == (
        f"No figures from Prometheus: {said}; is `prometheus` in [charts] right?"
    )


@responses.activate
def test_a_point_without_a_time_is_left_out() -> None:
    body = '{"status": "success", "data": {"resultType": "matrix", "result": [{"values": [[NaN, "1"]]}]}}'
    responses.post("http://prometheus.test/api/v1/query_range", body=body)
    series = figures("http://prometheus.test").of(VIEW, None)
    assert (series.throughput, series.problem) == ([], None)


class TestOwnRequests:
    def test_counters_become_figures_also_after_a_restart(self) -> None:
        moment = END.timestamp() - 95
        own = OwnRequests("http://127.0.0.1:9", None, lambda: moment)
        for sample in (Sample(100, 1.0, 80), Sample(120, 2.0, 100), Sample(10, 0.1, 10)):
            own.add(sample)
            moment += 10
        series = own.of(View(END - timedelta(hours=1), END, "1h"), None)
        assert series.step == 10
        assert [value for value in series.throughput if value] == [2.0, 1.0]
        assert [value for value in series.response if value] == [50.0, 10.0]

    def test_only_its_own_counters_are_read(self) -> None:
        text = (
            "# HELP x y\n"
            'apitraffic_deliveries_total{source="github",status="accepted"} 3.0\n'
            'apitraffic_deliveries_total{source="gitlab",status="ignored"} 2.0\n'
            'apitraffic_rejected_total{reason="unauthorised",source="github"} 1.0\n'
            'apitraffic_accept_seconds_sum{source="github"} 0.5\n'
            'apitraffic_accept_seconds_count{source="github"} 5.0\n'
            'apitraffic_accept_seconds_bucket{le="0.1",source="github"} 5.0\n'
        )
        assert read(text) == Sample(6, 0.5, 5)
