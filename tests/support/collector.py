"""A collector of traces: takes OTLP over HTTP and keeps what was sent, as bytes and decoded."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.serving import serving
from tests.support.waiting import wait_until

Value = str | int | bool | tuple[str, ...]


class Collector:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self.bodies))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]

    def spans(self, kind: "Span.SpanKind.ValueType", **wanted: Value) -> list[Span]:
        """Of this kind and with these attributes, whose dots are written as `__`, in order of their start."""
        names = {name.replace("__", "."): value for name, value in wanted.items()}
        found = [
            span
            for request in self.requests()
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
            if span.kind == kind and names.items() <= attributes(span.attributes).items()
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def wait_for(self, kind: "Span.SpanKind.ValueType", count: int = 1, **wanted: Value) -> list[Span]:
        wait_until(lambda: len(self.spans(kind, **wanted)) >= count, f"{count} spans with {wanted}")
        return self.spans(kind, **wanted)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Value:
    kind = pair.value.WhichOneof("value")
    if kind == "array_value":
        return tuple(item.string_value for item in pair.value.array_value.values)
    value: Value = getattr(pair.value, str(kind))
    return value


def _handler_for(bodies: list[bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own word
            """Say nothing."""

    return Handler


@contextmanager
def running_collector() -> Iterator[Collector]:
    collector = Collector()
    with serving(collector.server):
        yield collector
