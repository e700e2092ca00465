"""Logging: one line per event. On a terminal `time level logger what key=value …`, elsewhere JSON.

`APITRAFFIC_LOG_FORMAT` (`text` or `json`) overrides this. structlog renders every line, including those that
gunicorn and RQ log through the standard library. No payload can forge a line or send control characters to
the terminal.
"""

import json
import logging
import os
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from apitraffic_events.text import INVISIBLE, one_line

PLAIN: Final = re.compile(r"[\w.,:;/@+#%?&*()\[\]-]+")
LONGEST_VALUE: Final = 1_000
LONGEST_TRACEBACK: Final = 20_000
FORMAT_VARIABLE: Final = "APITRAFFIC_LOG_FORMAT"


def configure_logging(level: int = logging.INFO) -> None:
    """Log everything to standard error in one format. Called once, by the command that runs."""
    wanted = os.environ.get(FORMAT_VARIABLE, "").strip()
    is_text = wanted == "text" or (wanted != "json" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = render_line if is_text else render_json
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=NamedLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class NamedLogger(structlog.WriteLogger):
    """Writes our own lines: the standard library's loggers would search the stack for each caller."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


class LinesTogether:
    """Lines of one logger as structlog writes them, kept until `flush` writes all of them at once.

    For what logs a line for each of many requests. Context variables are left to the caller.
    """

    def __init__(self, logger: str) -> None:
        self._logger = logger
        self._render = structlog.get_config()["processors"][-1]
        self._lines: list[str] = []

    def info(self, event: str, **fields: object) -> None:
        moment = datetime.now(UTC).isoformat(timespec="microseconds")
        named = {"timestamp": moment, "level": "info", "logger": self._logger, "event": event}
        self._lines.append(str(self._render(None, "info", named | fields)))

    def flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            # A log that nobody reads any more, or a full disk, is no reason to stop.
            with suppress(OSError):
                sys.stderr.write("\n".join(lines) + "\n")
                sys.stderr.flush()


def render_line(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    """The last processor for text: one line, and below it the traceback if there is one."""
    moment = str(fields.pop("timestamp", ""))
    level = str(fields.pop("level", "info"))
    logger = str(fields.pop("logger", ""))
    what = one_line(str(fields.pop("event", "")), LONGEST_VALUE)
    traceback = fields.pop("exception", None)
    pairs = (f"{name}={_quoted(value)}" for name, value in fields.items() if value is not None)
    line = " ".join((f"{moment[:23]}Z", f"{level:<8}", logger, what, *pairs))
    return f"{line}\n{_indented(str(traceback))}" if traceback else line


def render_json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    """The last processor for JSON: one object, bounded, in ASCII so that no reader breaks the line.

    Member names are those of the text format; what happened is `event`, a traceback is `exception`.
    """
    named = {
        "time": f"{str(fields.pop('timestamp', ''))[:23]}Z",
        "level": fields.pop("level", "info"),
        "logger": fields.pop("logger", ""),
        "event": one_line(str(fields.pop("event", "")), LONGEST_VALUE),
    }
    traceback = fields.pop("exception", None)
    rest = {name: _bounded(value) for name, value in fields.items() if value is not None}
    if traceback:
        rest["exception"] = str(traceback)[-LONGEST_TRACEBACK:]
    return json.dumps(named | rest)


def _bounded(value: object) -> object:
    return value if isinstance(value, bool | int | float) else one_line(str(value), LONGEST_VALUE)


def _indented(traceback: str) -> str:
    """A traceback may quote a payload, so its lines must not look like lines of the log."""
    return "\n".join(f"    {INVISIBLE.sub(' ', text)}" for text in traceback.splitlines())


def _quoted(value: object) -> str:
    text = one_line(str(value), LONGEST_VALUE)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
