"""The Events page: the charts with their markers, and the table below."""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, json, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from apitraffic_events.timestamps import now
from receiver.console.charts.figures import ChartFigures
from receiver.console.known_events import Known, KnownEvents
from receiver.console.markers import Marker, matching
from receiver.console.view import RANGES, TYPES, View

ROWS: Final = 50
"""Of one page of the table."""
MOST_DRAWN: Final = 5_000
"""Markers on the chart, the newest."""
COMPRESSION: Final = 1
SMALLEST_COMPRESSED: Final = 1_000
"""Bytes."""


@dataclass(frozen=True, slots=True)
class EventList:
    """`can_send_samples` says whether an empty page offers to."""

    known_events: KnownEvents
    figures: ChartFigures
    can_send_samples: bool

    def blueprint(self) -> Blueprint:
        pages = Blueprint("events", __name__)
        pages.add_url_rule("/", "index", self.page)
        pages.add_url_rule("/events/table", "rows", self.table)
        pages.add_url_rule("/events/markers.json", "markers", self.markers)
        pages.add_url_rule("/events/figures.json", "series", self.series)
        return pages

    def page(self) -> str:
        return render_template("events.html", **self._shown())

    def table(self) -> AnyResponse:
        """The table alone. If filters were changed, the browser's address follows."""
        shown = self._shown()
        answer = Response(render_template("_events_table.html", **shown))
        if "push" in request.args:
            answer.headers["HX-Push-Url"] = f"{url_for('.index')}?{shown['view'].query()}"
        return answer

    def markers(self) -> AnyResponse:
        """The marks of the chart."""
        view, known, found = self._found()
        content = {
            "from": _milliseconds(view.started_from),
            "to": _milliseconds(view.started_to),
            "live": view.is_live,
            "problem": known.problem,
            "count": len(found),
            "markers": [_mark(marker) for marker in found[:MOST_DRAWN]],
        }
        # Not the period, which changes with each request if it ends now; the browser moves it by itself.
        return _answer_json(content, seen=(known.version, request.query_string, len(found)))

    def series(self) -> AnyResponse:
        """The lines of the chart."""
        view = self._view()
        bucket_name = self.known_events.places().buckets.get(view.bucket)
        found = self.figures.of(view, bucket_name).as_json()
        return _answer_json(found, seen=(json.dumps(found),))

    def _view(self) -> View:
        return View.of(request.args, now(), self.figures.default_range)

    def _found(self) -> tuple[View, Known, list[Marker]]:
        view = self._view()
        known = self.known_events.since(view.started_from)
        return view, known, matching(known.markers, view)

    def _shown(self) -> dict[str, Any]:
        """What the templates need."""
        view, known, found = self._found()
        first = max(0, request.args.get("skip", 0, type=int))
        rows = found[first : first + ROWS]
        return {
            "view": view,
            "known": known,
            "rows": rows,
            "count": len(found),
            "first": first,
            "next": first + ROWS if len(found) > first + ROWS else None,
            "previous": max(0, first - ROWS) if first else None,
            "types": TYPES,
            "ranges": tuple(RANGES),
            "sources": [(name, name) for name in sorted({one.source for one in known.markers if one.source})],
            "default_range": self.figures.default_range,
            "can_send_samples": self.can_send_samples,
        }


def _mark(marker: Marker) -> Sequence[Any]:
    """`[sid, type, start, end, name, environment, outcome, source]`: times in milliseconds, an end of `null`
    for what goes on, and one that is the start for a point.
    """
    started_at, until = _milliseconds(marker.started_at), marker.lasts_until
    return (
        marker.sid,
        TYPES.index(marker.type),
        started_at,
        None if until is None else max(_milliseconds(until), started_at),
        marker.name,
        marker.environment,
        "failed" if marker.is_failed else marker.outcome,
        marker.source,
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _answer_json(content: object, seen: Sequence[object]) -> AnyResponse:
    """JSON, compressed, or 304 if the browser has it: `seen` stands for what it was made of.

    Only JSON is compressed: pages hold form tokens, which their compressed lengths could give away (BREACH).
    """
    tag = hashlib.sha256(repr(seen).encode()).hexdigest()[:24]
    if request.if_none_match.contains(tag):
        answer = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        answer = Response(body, content_type="application/json")
        if len(body) > SMALLEST_COMPRESSED and request.accept_encodings["gzip"]:
            answer.set_data(gzip.compress(body, COMPRESSION, mtime=0))
            answer.headers["Content-Encoding"] = "gzip"
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Accept-Encoding, Cookie"
    return answer
