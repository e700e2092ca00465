"""OpenTelemetry traces: on if OpenTelemetry's own variables say so, and only then imported.

Only modules named `spans` import OpenTelemetry, and modules named `tracing` import those when they are
needed. If traces are off, starting takes no longer and a request passes none of this code.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from structlog import get_logger

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTER: Final = "OTEL_TRACES_EXPORTER"
DISABLED: Final = "OTEL_SDK_DISABLED"
SPOKEN: Final = "http/protobuf"
NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def are_on(environ: Mapping[str, str] = os.environ) -> bool:
    return _are_wanted(environ) and obstacle(environ) is None


def obstacle(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why there are no traces although they are configured, and what to do; `None` if nothing is wrong."""
    if not _are_wanted(environ):
        return None
    exporters = _words(environ.get(EXPORTER, "otlp"))
    if "otlp" not in exporters:
        return f"{EXPORTER} names none that is known here; set it to otlp, or to none for no traces"
    protocol = next((environ[name].strip() for name in PROTOCOLS if environ.get(name, "").strip()), SPOKEN)
    if protocol != SPOKEN:
        return (
            f"the OTLP protocol asked for is not spoken here; set {PROTOCOLS[1]} to {SPOKEN} and the "
            "endpoint to the collector's port for it, which usually is 4318"
        )
    if not _is_installed():
        return "OpenTelemetry is not installed; pip install 'apitraffic-events[otel]'"
    return None


def warn_of_obstacle() -> None:
    """Log the obstacle, if there is one; called once, at start."""
    if (reason := obstacle()) is not None:
        get_logger("receiver.tracing").warning("there are no traces", reason=reason)


def start_in_this_process() -> None:
    """Start to export spans, in a thread. Call it after forking: threads do not survive a fork."""
    if are_on():
        from receiver.observability.spans import start_exporting  # noqa: PLC0415 - see above

        start_exporting()


def stop_in_this_process() -> None:
    """Export what is left, within a bounded time."""
    if are_on():
        from receiver.observability.spans import stop_exporting  # noqa: PLC0415 - see above

        stop_exporting()


def _are_wanted(environ: Mapping[str, str]) -> bool:
    if environ.get(DISABLED, "").strip().lower() == "true":
        return False
    exporters = _words(environ.get(EXPORTER, ""))
    if exporters:
        return "none" not in exporters
    return any(environ.get(name, "").strip() for name in ENDPOINTS)


def _is_installed() -> bool:
    try:
        return all(find_spec(module) is not None for module in NEEDED)
    except ModuleNotFoundError:  # of a package around it
        return False


def _words(value: str) -> list[str]:
    return [word for word in value.lower().replace(",", " ").split() if word]
