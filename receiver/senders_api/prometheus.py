"""Single numbers from a Prometheus, or from what answers its queries (Thanos, Mimir, VictoriaMetrics).

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
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


class Prometheus:
    """Keeps no connection: a few queries are asked after a deploy."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._token = token

    def value(self, query: str, at: datetime) -> float | None:
        """What the query gives at that time; `None` if it gives nothing, or no finite number.

        Raises `QueryFailed`.
        """
        try:
            answer = requests.post(
                self._url,
                data={"query": query, "time": f"{at.timestamp():.3f}"},
                auth=self._authorise,
                timeout=ANSWER_WITHIN,
                allow_redirects=False,
            )
        except requests.Timeout:
            raise QueryFailed(f"it did not answer within {ANSWER_WITHIN:g} s", is_lasting=False) from None
        except requests.RequestException as error:
            # The error's own message may hold the URL of a proxy, with its password.
            raise QueryFailed(what_happened(error), is_lasting=False) from None
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            content = None
        if not answer.ok or answer.is_redirect:
            raise _failure(answer, content)
        return _number_in(content)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As `auth`, also without a token: requests would otherwise send what a .netrc file has for this host.
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _failure(answer: requests.Response, content: Any) -> QueryFailed:
    status = answer.status_code
    if status in REFUSED:
        return QueryFailed(
            f"it refuses the request (HTTP {status}); set APITRAFFIC_PROMETHEUS_TOKEN", is_lasting=True
        )
    said = content.get("error") if isinstance(content, dict) else None
    reason = one_line(str(said or f"HTTP {status}"), LONGEST_REASON)
    is_passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in MAY_PASS
    return QueryFailed(reason, is_lasting=not is_passing)


def _number_in(content: Any) -> float | None:
    """The number of `{"data": {"result": …}}`: of a vector of one series, or of a scalar."""
    data = content.get("data") if isinstance(content, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(result, list):
        raise QueryFailed("what answers is no Prometheus", is_lasting=True)
    if data.get("resultType") == "scalar":
        return _finite(result)
    if len(result) > 1:
        raise QueryFailed(f"it gives {len(result)} series; put sum(…) around it", is_lasting=True)
    return _finite(result[0].get("value") if result and isinstance(result[0], dict) else None)


def _finite(sample: Any) -> float | None:
    """The value of `[time, "value"]`; `NaN` is what a division by nothing gives."""
    try:
        value = float(sample[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return value if math.isfinite(value) else None
