"""`[console]` and `[charts]`: who may use the console, and where the figures on its charts come from."""

import re
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from receiver.config.addresses import http_address
from receiver.config.networks import Networks

HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def _host(name: str) -> str:
    name = name.lower()
    if not HOST_NAME.fullmatch(name):
        raise ValueError("is not a host name; write it without scheme and port, as console.example.com")
    return name


def _header(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError("is not the name of a header, such as X-Forwarded-User")
    return name


def _from_list(value: object) -> object:
    """Networks in the file are a list of texts, or one text as in a variable."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value) or ()
    return value


class ConsoleSection(BaseModel):
    """`[console]`: how the console is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()
    """Names under which browsers may ask for it, besides `localhost` and IP addresses."""
    user_header: Annotated[str, AfterValidator(_header)] | None = Field(
        default=None, examples=["X-Forwarded-User"]
    )
    """The header in which a proxy names the user whom it has authenticated."""
    user_proxies: Annotated[Networks | None, BeforeValidator(_from_list)] = Field(
        default=None, examples=[["10.0.0.5"]]
    )
    """The proxies from which that header is believed."""

    @model_validator(mode="after")
    def _header_and_proxies(self) -> Self:
        if (self.user_header is None) != (not self.user_proxies):
            raise ValueError("needs user_header and user_proxies together: who names the user, and in what")
        return self


def prometheus_address(url: str, *, credentials: str) -> str:
    """The address of a Prometheus, without a slash at its end.

    Raises `ValueError` if it is none, or holds a user name or password; `credentials` says what to do about
    that.
    """
    parts = http_address(url)
    if parts is None or parts.query or parts.fragment:
        raise ValueError("is not the address of a Prometheus, such as http://prometheus:9090")
    if parts.username or parts.password:
        raise ValueError(f"holds a user name or password; {credentials}")
    return url.rstrip("/")


def _check_prometheus(url: str) -> str:
    return prometheus_address(url, credentials="put a proxy before Prometheus that adds them")


Query = Annotated[str, Field(min_length=1, max_length=2_000)]


class Queries(BaseModel):
    """Two queries in PromQL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    throughput: Query | None = Field(default=None, examples=["sum(rate(http_requests_total[5m]))"])
    """PromQL: requests per second."""
    response_time: Query | None = Field(
        default=None,
        examples=["sum(rate(http_duration_seconds_sum[5m])) / sum(rate(http_duration_seconds_count[5m]))"],
    )
    """PromQL: response time in seconds."""


class ChartsSection(Queries):
    """`[charts]`: a Prometheus to ask instead of ApiTraffic's own metrics."""

    prometheus: Annotated[str, AfterValidator(_check_prometheus)] | None = Field(
        default=None, examples=["http://prometheus:9090"]
    )
    """The address of a Prometheus whose figures are drawn instead of ApiTraffic's own."""
    buckets: dict[str, Queries] = Field(
        default_factory=dict,
        examples=[{"Checkout API": {"throughput": 'sum(rate(http_requests_total{app="checkout"}[5m]))'}}],
    )
    """A bucket's name or SID -> its own queries."""

    @model_validator(mode="after")
    def _queries_and_server(self) -> Self:
        asks: tuple[Any, ...] = (self.throughput, self.response_time, self.buckets)
        if self.prometheus is None and any(asks):
            raise ValueError("has queries and no prometheus; say which server to ask")
        if self.prometheus is not None and not (self.throughput or self.response_time):
            raise ValueError("needs throughput or response_time, or both: queries in PromQL")
        return self
