"""Figures from a Prometheus, or from what answers its queries (Thanos, Mimir, VictoriaMetrics).

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import math
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import requests

from apitraffic_events.text import one_line
from receiver.senders_api.unanswered import what_happened

ANSWER_WITHIN: Final = 8.0
"""Seconds."""
LONGEST_REASON: Final = 200
MAY_PASS: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class QueryFailed(Exception):
    """The message says why; `is_lasting` that it would fail again."""

    def __init__(self, message: str, *, is_lasting: bool) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting


class ServerFailed(QueryFailed):
    """The query need not be wrong: nothing answers at the URL, or the answer says nothing about the query."""


class Prometheus:
    """Keeps no connection: a few queries are asked after a deploy, or while somebody looks at a chart.

    `if_refused` says what to do if it wants credentials.
    """

    def __init__(
        self, url: str, token: str | None = None, if_refused: str = "set APITRAFFIC_PROMETHEUS_TOKEN"
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1"
        self._token = token
        self._if_refused = if_refused

    def value(self, query: str, at: datetime) -> float | None:
        """What the query gives at that time; `None` if it gives nothing, or no finite number.

        Raises `QueryFailed`.
        """
        kind, result = self._ask("query", {"query": query, "time": f"{at.timestamp():.3f}"})
        if kind == "scalar":
            found = _sample(result)
        else:
            series = _only(result)
            found = _sample(series.get("value")) if series is not None else None
        return None if found is None else found[1]

    def values(self, query: str, first: int, last: int, step: int) -> dict[float, float]:
        """Unix time -> what the query gives then, every `step` seconds; without what is no finite number.

        Raises `QueryFailed`.
        """
        form = {"query": query, "start": str(first), "end": str(last), "step": str(step)}
        _, result = self._ask("query_range", form)
        values = (_only(result) or {}).get("values")
        samples = map(_sample, values if isinstance(values, list) else ())
        return dict(sample for sample in samples if sample is not None)

    def _ask(self, path: str, form: dict[str, str]) -> tuple[str | None, list[Any]]:
        """The type of what the query gives, and what it gives."""
        try:
            answer = requests.post(
                f"{self._url}/{path}",
                data=form,
                auth=self._authorise,
                timeout=ANSWER_WITHIN,
                allow_redirects=False,
            )
        except requests.Timeout:
            raise QueryFailed(f"it did not answer within {ANSWER_WITHIN:g} s", is_lasting=False) from None
        except requests.RequestException as error:
            # The error's own message may hold the URL of a proxy, with its password.
            raise ServerFailed(what_happened(error), is_lasting=False) from None
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            content = None
        if not answer.ok or answer.is_redirect:
            raise self._failure(answer, content)
        data = content.get("data") if isinstance(content, dict) else None
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(result, list):
            raise ServerFailed("what answers is no Prometheus", is_lasting=True)
        return data.get("resultType"), result

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As `auth`, also without a token: requests would otherwise send what a .netrc file has for this host.
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _failure(self, answer: requests.Response, content: Any) -> QueryFailed:
        status = answer.status_code
        if status in REFUSED:
            return QueryFailed(f"it refuses the request (HTTP {status}); {self._if_refused}", is_lasting=True)
        said = content.get("error") if isinstance(content, dict) else None
        reason = one_line(str(said or f"HTTP {status}"), LONGEST_REASON)
        is_passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in MAY_PASS
        kind = QueryFailed if said and not answer.is_redirect else ServerFailed
        return kind(reason, is_lasting=not is_passing)


def _only(result: list[Any]) -> dict[str, Any] | None:
    """The one series of a vector or a matrix; `None` if there is none."""
    if len(result) > 1:
        raise QueryFailed(f"it gives {len(result)} series; put sum(…) around it", is_lasting=True)
    return result[0] if result and isinstance(result[0], dict) else None


def _sample(sample: Any) -> tuple[float, float] | None:
    """`[time, "value"]`; `None` if these are no finite numbers, as the `NaN` of a division by nothing."""
    try:
        at, value = float(sample[0]), float(sample[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return (at, value) if math.isfinite(at) and math.isfinite(value) else None
