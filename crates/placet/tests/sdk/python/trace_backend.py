"""What an OpenTelemetry backend is to programs: the trace service of OTLP over gRPC. It keeps what it is sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as stubs


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int


class TraceBackend(stubs.TraceServiceServicer):
    """`spans` are those that have ended; `endpoint` is for `OTEL_EXPORTER_OTLP_ENDPOINT`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""

    def Export(self, request, context):  # noqa: N802  (the service's name)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(
                    Span(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )
                    for span in scope.spans
                )
        return pb.ExportTraceServiceResponse()

    def named(self, name: str) -> Span | None:
        """A span of this name, if one has ended."""
        return next((span for span in self.spans if span.name == name), None)

    def path(self, span: Span) -> list[str]:
        """The names from the root of its trace down to this span."""
        by_id = {(each.trace, each.id): each for each in self.spans}
        path = [span.name]
        while span.parent:
            span = by_id[span.trace, span.parent]
            path.insert(0, span.name)
        return path


@contextmanager
def trace_backend() -> Iterator[TraceBackend]:
    """One that listens as long as it is needed."""
    backend = TraceBackend()
    server = grpc.server(ThreadPoolExecutor(4))
    stubs.add_TraceServiceServicer_to_server(backend, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    backend.endpoint = f"http://127.0.0.1:{port}"
    try:
        yield backend
    finally:
        server.stop(None)
