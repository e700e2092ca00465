"""create_console(): the console as a WSGI application."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

from flask import Flask, render_template, request
from jinja2 import StrictUndefined
from redis import Redis
from structlog import get_logger
from werkzeug.exceptions import HTTPException, InternalServerError

from apitraffic_events.timestamps import format_timestamp
from receiver.config.account import events_client
from receiver.config.settings import Settings
from receiver.console.access import Access
from receiver.console.charts.api_metrics import ApiMetrics
from receiver.console.charts.figures import ChartFigures
from receiver.console.charts.own_requests import OwnRequests
from receiver.console.charts.prometheus import PrometheusCharts
from receiver.console.delivery_pages import DeliveryPages
from receiver.console.event_list import EventList
from receiver.console.event_pages import EventPages
from receiver.console.guard import Guard
from receiver.console.history import History
from receiver.console.known_events import KnownEvents
from receiver.console.problem_pages import ProblemPages
from receiver.console.recent_deliveries import RecentDeliveries
from receiver.console.samples import Samples
from receiver.console.sessions import Sessions
from receiver.console.source_pages import SourcePages
from receiver.console.static_files import serve_static_files
from receiver.console.try_pages import TryPages
from receiver.console.wording import DONE, lasted, links

LARGEST_FORM: Final = 2 * 1024 * 1024
"""Bytes; a payload that is tried out is the largest thing that is sent here."""
MOST_PARTS: Final = 500

PAGES: Final = (
    ("Events", "events.index"),
    ("Deliveries", "deliveries.page"),
    ("Problems", "problems.page"),
    ("Sources", "sources.page"),
    ("Try", "trying.page"),
)
"""Name -> endpoint of each page, in the order of the navigation."""

FigureSource = Literal["api", "receiver"]


@dataclass(frozen=True, slots=True)
class Options:
    """`receiver_url` is where samples are sent to, and whose requests are drawn with `figures="receiver"`."""

    receiver_url: str
    is_read_only: bool = False
    figures: FigureSource = "api"


def create_console(settings: Settings, options: Options, redis: Redis | None) -> Flask:
    """Needs `api_token` and `account_sid` in the settings; without `redis`, only events are shown.

    In the process that serves it, `app.extensions["start"]` has to be called: it starts what runs in threads.
    """
    app = Flask("receiver.console", static_folder=None, template_folder="templates")
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_FORM, MAX_FORM_PARTS=MOST_PARTS)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.filters.update(iso=format_timestamp, lasted=lasted, links=links)
    token = settings.console_token.get_secret_value() if settings.console_token else None
    access = Access(token, settings.console)
    known_events = KnownEvents(lambda: events_client(settings))
    figures = _figures(settings, options, known_events)
    Guard(access, Sessions(token), options.is_read_only).protect(app)
    serve_static_files(app)
    recent = RecentDeliveries(redis)
    is_local = options.figures == "receiver"
    samples = Samples(settings, options.receiver_url)
    for pages in (
        EventList(known_events, figures, can_send_samples=is_local),
        EventPages(known_events, History(redis, recent)),
        DeliveryPages(recent, known_events, samples),
        ProblemPages(settings, redis),
        SourcePages(settings, samples, recent, is_local=is_local),
        TryPages(settings),
    ):
        app.register_blueprint(pages.blueprint())
    app.extensions["start"] = figures.start if isinstance(figures, OwnRequests) else lambda: None

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "up"}

    @app.context_processor
    def names() -> dict[str, object]:
        return {"pages": PAGES, "done_words": DONE}

    _answer_errors_in_words(app)
    return app


def _figures(settings: Settings, options: Options, known_events: KnownEvents) -> ChartFigures:
    if settings.charts.prometheus is not None:
        return PrometheusCharts(settings.charts)
    if options.figures == "receiver":
        token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
        return OwnRequests(options.receiver_url, token)
    return ApiMetrics(known_events)


def _answer_errors_in_words(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[str, int] | HTTPException:
        if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
            return error
        template = "_problem.html" if "HX-Request" in request.headers else "problem.html"
        return render_template(
            template, status=error.code, title=error.name, detail=error.description
        ), error.code

    @app.errorhandler(Exception)
    def failure(error: Exception) -> tuple[str, int] | HTTPException:
        get_logger("receiver.console").exception("unforeseen failure", kind=type(error).__name__)
        return http_error(InternalServerError("The console failed; its log says why."))
