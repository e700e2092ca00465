"""When there are traces, and what it costs where there are none."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from receiver.observability import tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "are_on"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(environ: dict[str, str], are_on: bool) -> None:
    assert tracing.are_on(environ) is are_on
    assert tracing.obstacle(environ) is None


@pytest.mark.parametrize(
    ("environ", "what_to_do"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "set it to otlp, or to none"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "to http/protobuf"),
    ],
)
def test_what_is_not_spoken_here_is_said_with_what_to_set(environ: dict[str, str], what_to_do: str) -> None:
    assert tracing.are_on(environ) is False
    assert what_to_do in str(tracing.obstacle(environ))


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def api_alone(name: str) -> ModuleSpec | None:
        return None if name == "opentelemetry.sdk" else ModuleSpec(name, None)

    monkeypatch.setattr(tracing, "find_spec", api_alone)
    assert tracing.are_on(ENDPOINT) is False
    assert "pip install 'apitraffic-events[otel]'" in str(tracing.obstacle(ENDPOINT))
    assert tracing.obstacle({}) is None


def test_where_traces_are_off_nothing_of_them_is_imported() -> None:
    # redis-py itself imports OpenTelemetry's metrics where they are installed.
    program = (
        "import sys, receiver.serving.server, receiver.cli.worker, receiver.worker.worker\n"
        "from receiver.web.app import create_app\n"
        "from receiver.config.settings import Settings\n"
        "from receiver.observability import tracing\n"
        "create_app(Settings.model_validate({'redis_url': 'redis://127.0.0.1:1'}))\n"
        "tracing.start_in_this_process(); tracing.stop_in_this_process()\n"
        "made_of_spans = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', "
        "'receiver.observability.spans')\n"
        "sys.exit(any(name.startswith(made_of_spans) for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], env={}, check=False).returncode == 0
