"""A program whose spans go to an OpenTelemetry backend: an orchestration with an activity, a child that has one, too, a timer
and an event. In a process of its own, since a tracer is a process's, and so that it can die between two turns.

`worker` serves; `client` starts one within a span of its own, prints the instance's id and ends.
"""

import os
import sys
import threading
from datetime import timedelta

from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

HUB = {
    "host_address": os.environ["ENDPOINT"],
    "taskhub": os.environ["TASKHUB"],
    "secure_channel": False,
    "token_credential": None,
}


def order(ctx: task.OrchestrationContext, _):
    yield ctx.call_activity(charge)
    yield ctx.call_sub_orchestrator(delivery)
    yield ctx.create_timer(timedelta(milliseconds=1))
    return (yield ctx.wait_for_external_event("signed"))


def delivery(ctx: task.OrchestrationContext, _):
    return (yield ctx.call_activity(pack))


def charge(_: task.ActivityContext, __):
    return "charged"


def pack(_: task.ActivityContext, __):
    # What user code does within an activity belongs to it.
    with trace.get_tracer("shop").start_as_current_span("packing"):
        return "packed"


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(insecure=True)))
trace.set_tracer_provider(provider)

if sys.argv[1] == "client":
    with trace.get_tracer("shop").start_as_current_span("checkout"):
        print(DurableTaskSchedulerClient(**HUB).schedule_new_orchestration("order"))
    provider.shutdown()
else:
    with DurableTaskSchedulerWorker(**HUB) as worker:
        worker.add_orchestrator(order)
        worker.add_orchestrator(delivery)
        worker.add_activity(charge)
        worker.add_activity(pack)
        worker.start()
        threading.Event().wait()
