"""Whether deploys can be judged: which figures there are, and whether filters of period and scope work."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr

from apitraffic_events import metrics
from apitraffic_events.client import EventsClient
from apitraffic_events.errors import NotFound, Unauthorised
from receiver.config.verdict import VerdictPrometheus, VerdictSection
from receiver.doctor.findings import Finding, ok, warning
from receiver.insight import amounts, figures
from receiver.insight.figures import ApiFigures, NoFigures, PrometheusFigures
from receiver.insight.verdict import Figures

CHECK: Final = "verdicts"
HOUR: Final = timedelta(hours=1)
MOMENT: Final = timedelta(milliseconds=2)
SETTLED: Final = timedelta(minutes=2)
"""How long ago the hour has ended: its figures do not change any more between two requests."""
SUSPICIOUS: Final = 0.5
"""The share of the hour's requests from which on the answer to an empty filter shows that it was ignored."""
FEWEST: Final = 10
"""Requests in the hour, below which a filter cannot be checked."""
NO_SUCH_BUCKET: Final = "bkt_doctor"
NO_SUCH_ENVIRONMENT: Final = "doctor"
OR_OFF: Final = "or turn verdicts off: `enabled = false` in [verdict]"


def verdicts(
    client: EventsClient, section: VerdictSection, prometheus_token: SecretStr | None, moment: datetime
) -> Finding:
    """One finding, for one to four requests of figures."""
    if not section.enabled:
        return ok(CHECK, "off, as [verdict] says")
    if section.prometheus is not None:
        token = prometheus_token.get_secret_value() if prometheus_token else None
        return of_prometheus(section.prometheus, token, moment)
    return of_api(ApiFigures(client), moment)


def of_api(source: ApiFigures, moment: datetime) -> Finding:
    """By ApiTraffic's own figures of an hour, and whether it honours the period and the scope asked for."""
    end = moment - SETTLED
    start = end - HOUR
    try:
        hour = source.figures(start, end, None, None)
        ignored = _ignored(source, start, end, hour)
    except NoFigures as error:
        return warning(CHECK, f"deploys cannot be judged: {error}", _advice(error))
    if ignored:
        return warning(
            CHECK,
            f"the API's metrics ignore the {' and the '.join(ignored)} of a request, so verdicts would be "
            "about other traffic than the deploy's",
            f"ask ApiTraffic, set up [verdict.prometheus], {OR_OFF}",
        )
    missing = [
        name
        for name, figure in (("errors", hour.errors), ("mean response", hour.mean_ms))
        if figure is None and hour.requests
    ]
    if missing:
        return warning(
            CHECK,
            f"the API's metrics lack {' and '.join(missing)}, so that many deploys are not compared",
            f"set up [verdict.prometheus], {OR_OFF}",
        )
    return ok(CHECK, f"by ApiTraffic's figures: {_traffic(hour)}")


def _ignored(source: ApiFigures, start: datetime, end: datetime, hour: Figures) -> list[str]:
    """Which filters the API ignores, by its answers to filters that match next to nothing."""
    whole = hour.requests or 0
    if whole < FEWEST:
        return []
    answers = (
        ("period", source.figures(start, start + MOMENT, None, None)),
        ("bucket", _or_nothing(source, start, end, NO_SUCH_BUCKET, None)),
        ("environment", _or_nothing(source, start, end, None, NO_SUCH_ENVIRONMENT)),
    )
    return [name for name, answer in answers if (answer.requests or 0) >= SUSPICIOUS * whole]


def _or_nothing(
    source: ApiFigures, start: datetime, end: datetime, bucket: str | None, environment: str | None
) -> Figures:
    """The figures; none if the API says that there is no such bucket or environment, as it should."""
    try:
        return source.figures(start, end, bucket, environment)
    except NoFigures as error:
        if error.is_lasting:
            return Figures(0, 0, None)
        raise


def of_prometheus(settings: VerdictPrometheus, token: str | None, moment: datetime) -> Finding:
    try:
        hour = PrometheusFigures(settings, token).figures(moment - HOUR, moment, None, None)
    except NoFigures as error:
        advice = "correct it in apitraffic.toml" if error.is_lasting else f"run this again, {OR_OFF}"
        return warning(CHECK, f"deploys cannot be judged: {error}", advice)
    found = {"requests": hour.requests, "errors": hour.errors, "mean_response": hour.mean_ms}
    empty = [name for name, figure in found.items() if figure is None]
    if empty == ["mean_response"] and not hour.requests:
        empty = []  # Without requests there is none.
    if empty:
        return warning(
            CHECK,
            f"these queries in [verdict.prometheus] gave nothing for the last hour: {', '.join(empty)}",
            "try them in Prometheus; end the one for errors in `or vector(0)`, so that no error counts as 0",
        )
    return ok(CHECK, f"by a Prometheus: {_traffic(hour)}")


def _traffic(hour: Figures) -> str:
    if not hour.requests:
        return "no requests within an hour, so there is nothing to compare yet"
    errors = ""
    if hour.error_percent is not None:
        errors = f", {amounts.percent(hour.error_percent)} errors ({_kind(hour)})"
    return f"{amounts.requests(hour.requests)} within an hour{errors}"


def _kind(hour: Figures) -> str:
    """Which requests are errors, as the API's answer is read."""
    match hour.error_kind:
        case metrics.SERVER_ERRORS:
            return "with a status of 5xx"
        case figures.PROMETHEUS:
            return "as the query counts them"
    return "as the API counts them, which may include 4xx"


def _advice(error: NoFigures) -> str:
    if isinstance(error.__cause__, Unauthorised):
        return f"give APITRAFFIC_API_TOKEN the scope {metrics.SCOPE} in ApiTraffic's settings, {OR_OFF}"
    if isinstance(error.__cause__, NotFound) or error.is_lasting:
        return f"set up [verdict.prometheus], {OR_OFF}"
    return "run this again"
