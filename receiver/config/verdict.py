"""`[verdict]`: whether and how the API's traffic before and after a deploy is compared."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from receiver.config.console import prometheus_address
from receiver.routing import LONGEST_VERDICT

WINDOW: Final = "$window"
"""What a query has in place of the window's length; Prometheus is sent `900s`, say."""


def _check_url(url: str) -> str:
    advice = "a bearer token belongs in APITRAFFIC_PROMETHEUS_TOKEN"
    return prometheus_address(url, credentials=advice)


def _check_window(query: str) -> str:
    if WINDOW not in query:
        raise ValueError(
            f"does not contain {WINDOW}, the time to look at: increase(requests_total[{WINDOW}])"
        )
    return query


Query = Annotated[
    str,
    Field(min_length=1, max_length=2_000, json_schema_extra={"pattern": r"\$window"}),
    AfterValidator(_check_window),
]
"""PromQL with `$window`, whose value at the end of a window is a figure of that window."""


class VerdictQueries(BaseModel):
    """Three queries in PromQL, each of which gives one number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Query
    """PromQL: how many requests there were within `$window`."""
    errors: Query
    """PromQL: how many of them failed. End it in `or vector(0)` if there is no series without an error."""
    mean_response: Query
    """PromQL: mean response time in seconds."""


class VerdictPrometheus(VerdictQueries):
    """`[verdict.prometheus]`: a Prometheus that has the figures in place of ApiTraffic."""

    url: Annotated[str, AfterValidator(_check_url)]
    """The address of the Prometheus."""
    buckets: dict[str, VerdictQueries] = Field(default_factory=dict)
    """A bucket's SID -> its own queries. Markers of other buckets are not compared."""
    environments: tuple[str, ...] | None = None
    """SIDs of the environments that the queries count; markers of others are not compared. Default: all."""


class VerdictSection(BaseModel):
    """`[verdict]`: compare the API's traffic before and after each deploy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    """Whether markers of deploys say what the deploy did to the API's traffic."""
    after: Annotated[int, Field(ge=1, le=LONGEST_VERDICT)] = 15
    """Minutes after the end of a deploy that are compared with as many before its start."""
    errors_up: Annotated[float, Field(gt=0, le=100)] = 1.0
    """The verdict is `worse` if the share of failed requests rose by so many percentage points."""
    slower: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    """The verdict is `worse` if the mean response time rose by so many percent."""
    fewest_requests: Annotated[int, Field(ge=1)] = 100
    """With fewer requests in one of both periods, they are not compared."""
    prometheus: VerdictPrometheus | None = None
    """A Prometheus that has the figures in place of ApiTraffic."""
