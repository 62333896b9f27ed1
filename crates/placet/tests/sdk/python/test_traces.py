"""Traces: what client, orchestrations and activities say of themselves joins up in an OpenTelemetry backend."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from placet_server import PlacetServer
from processes import HERE, Process
from task_hub import TaskHub
from trace_backend import TraceBackend, trace_backend
from waiting import eventually


@pytest.fixture
def backend() -> Iterator[TraceBackend]:
    with trace_backend() as backend:
        yield backend


class Shop:
    """`traced.py`, whose spans go to the backend."""

    def __init__(self, backend: TraceBackend, hub: TaskHub, folder: Path):
        self._env = {
            "ENDPOINT": hub.grpc_url,
            "TASKHUB": hub.name,
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint,
            "OTEL_SERVICE_NAME": "shop",
        }
        self._folder = folder

    def worker(self) -> Process:
        return self._run("worker")

    def order(self) -> str:
        client = self._run("client")
        eventually(lambda: not client.is_running, "the client has ended")
        return client.log.split()[-1]

    def _run(self, role: str) -> Process:
        command = [sys.executable, str(HERE / "traced.py"), role]
        return Process(command, self._folder / f"{role}.log", self._env)


def test_spans_of_client_parent_child_and_activities_are_one_trace(
    backend: TraceBackend, own_server: PlacetServer, own_hub: TaskHub, tmp_path: Path
):
    shop = Shop(backend, own_hub, tmp_path)
    worker = shop.worker()
    order = shop.order()
    eventually(lambda: "TimerFired" in own_hub.event_names(order), "all but the signature is done")
    # Between two turns everybody dies: what the trace hangs on is in the store.
    worker.kill()
    own_server.kill()
    own_server.start()
    worker = shop.worker()
    own_hub.client.raise_orchestration_event(order, "signed", data="yes")
    own_hub.ended(order)
    eventually(lambda: backend.named("orchestration:order"), "the order's span has ended")
    worker.stop()

    order_span = ["checkout", "create_orchestration:order", "orchestration:order"]
    # The SDK tells of each call twice: as its caller sees it, and as who serves it.
    delivery = [*order_span, "orchestration:delivery", "orchestration:delivery"]
    paths = sorted(backend.path(span) for span in backend.spans)
    assert paths == sorted(
        [
            *(order_span[:length] for length in (1, 2, 3)),
            *([*order_span, *["activity:charge"] * times] for times in (1, 2)),
            *(delivery[:length] for length in (4, 5)),
            *([*delivery, *["activity:pack"] * times] for times in (1, 2)),
            [*delivery, "activity:pack", "activity:pack", "packing"],
            [*order_span, "orchestration:order:timer"],
        ]
    )
    assert len({span.trace for span in backend.spans}) == 1
    ordered = backend.named("orchestration:order")
    within = [span for span in backend.spans if len(backend.path(span)) > len(order_span)]
    # Its span began with its first turn, before everybody died.
    assert all(ordered.began <= span.began <= span.ended <= ordered.ended for span in within)
