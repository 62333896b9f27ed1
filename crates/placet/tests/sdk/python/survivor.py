"""A program that lives through the crashes of its server: it serves errands and the mission's requests, starts them,
and writes down what it was told. What it wrote is compared with what the server says in the end
(`crates/placet/tests/it/crashes/`).

ENDPOINT  the scheduler; TASKHUB as in the example
LEDGER    the file that it appends to, a line of JSON for each call once it is over

On stdin: `up N` when the server is there for the Nth time, `enough` when nothing new is to be begun. It ends when what
was begun has ended.
"""

import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.grpc_options import GrpcChannelOptions, GrpcWorkerResiliencyOptions
from durabletask.worker import ConcurrencyOptions

from processes import EXAMPLE

sys.path.insert(0, str(EXAMPLE))
import worker as example  # noqa: E402  (the mission's worker, unchanged)
from scheduler import connection  # noqa: E402

ERRANDS, REQUESTS = 8, 4
SENDERS = ("a", "b")
EVENTS = 3
# Nobody knows what became of a call that ended with one of these.
UNKNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
# What the SDKs choose for a cloud is too long for a server that is back after a tenth of a second.
QUICK = GrpcChannelOptions(
    raw_options=[
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 300),
    ]
)


# The SDK tells of every call that a crash breaks, with its stack.
QUIET = logging.getLogger("quiet")
QUIET.disabled = True


class Times:
    """How often the server has come up, and whether it is enough."""

    def __init__(self):
        self._changed = threading.Condition()
        self.up, self.enough = 0, False

    def listen(self) -> None:
        for line in sys.stdin:
            with self._changed:
                if line.startswith("up "):
                    self.up = int(line.removeprefix("up "))
                self.enough = self.enough or line.strip() == "enough"
                self._changed.notify_all()
        os._exit(1)  # whoever runs us is gone

    def wait_for_the_next(self, up: int) -> None:
        """Until the server has come up again, or a moment: it may be there, and our connection not yet."""
        with self._changed:
            self._changed.wait_for(lambda: self.up > up, timeout=0.05)


class Ledger:
    """What was told, a line for each call."""

    def __init__(self, path: str, times: Times):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._times = times

    def call(self, call: str, instance_id: str, make: Callable[[], Any], **facts: Any) -> Any:
        """Makes a call and writes down what it was told. Its result; None if nobody knows what became of it."""
        up, began = self._times.up, _now()
        try:
            result, told = make(), "ok"
        except grpc.RpcError as error:
            is_unknown = error.code() in UNKNOWN
            result, told = None, "unknown" if is_unknown else f"{error.code()}: {error.details()}"
        except TimeoutError:
            result, told = None, "unknown"
        if call == "ended" and result is not None:
            facts |= {"status": result.runtime_status.name, "output": result.serialized_output}
        self.write(up, began, call, instance_id, told, **facts)
        if result is None:
            self._times.wait_for_the_next(up)
        return result

    def write(self, up: int, began: int, call: str, instance_id: str, told: str, **facts: Any) -> None:
        line = {"cycle": up, "began": began, "ended": _now(), "call": call, "id": instance_id, "told": told, **facts}
        os.write(self._file, (json.dumps(line) + "\n").encode())


class Completions(grpc.UnaryUnaryClientInterceptor):
    """Writes down what the SDK's worker is told of its activities' results."""

    def __init__(self, ledger: Ledger, times: Times):
        self._ledger, self._times = ledger, times
        self._changed = threading.Condition()
        self._open = 0

    def wait_until_told(self) -> None:
        """Of the last results, too: their orchestration may have ended before their worker hears of them."""
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0, timeout=20)

    def intercept_unary_unary(self, continuation, details, request):
        if not details.method.endswith("/CompleteActivityTask"):
            return continuation(details, request)
        self._count(+1)
        up, began = self._times.up, _now()
        call = continuation(details, request)
        code = call.code()
        told = "ok" if code == grpc.StatusCode.OK else "unknown" if code in UNKNOWN else f"{code}: {call.details()}"
        facts = {"task": request.taskId, "result": request.result.value}
        self._ledger.write(up, began, "complete", request.instanceId, told, **facts)
        self._count(-1)
        return call

    def _count(self, more: int) -> None:
        with self._changed:
            self._open += more
            self._changed.notify_all()


def _now() -> int:
    """Microseconds, by the clock that all programs share."""
    return time.time_ns() // 1000


def step(_: task.ActivityContext, __) -> str:
    """Another result each time that it runs, so that it is seen which one counted."""
    return uuid.uuid4().hex


def py_errand(ctx: task.OrchestrationContext, senders: list[str]):
    """Takes events until each sender has sent its last one, between two activities and a timer, and says what it saw."""
    receipts = [(yield ctx.call_activity(step))]
    seen, waits_for = [], set(senders)
    while waits_for:
        item = yield ctx.wait_for_external_event("item")
        seen.append(item["token"])
        if item["is_last"]:
            waits_for.discard(item["sender"])
    yield ctx.create_timer(timedelta(milliseconds=20))
    receipts.append((yield ctx.call_activity(step)))
    return {"receipts": receipts, "seen": seen}


class Survivor:
    """All that goes on in this program."""

    def __init__(self):
        self.times = Times()
        self.ledger = Ledger(os.environ["LEDGER"], self.times)
        self.completions = Completions(self.ledger, self.times)
        self.client = DurableTaskSchedulerClient(**connection(), channel_options=QUICK, logger=QUIET)

    def run(self) -> None:
        threading.Thread(target=self.times.listen, daemon=True).start()
        worker = DurableTaskSchedulerWorker(
            **connection(),
            channel_options=QUICK,
            logger=QUIET,
            interceptors=[self.completions],
            resiliency_options=GrpcWorkerResiliencyOptions(
                reconnect_backoff_base_seconds=0.1, reconnect_backoff_cap_seconds=0.5
            ),
            concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=16),
        )
        worker.add_orchestrator(py_errand)
        worker.add_orchestrator(example.human_interaction_orchestrator)
        for activity in (step, example.submit_approval_request, example.process_approval):
            worker.add_activity(activity)
        worker.use_work_item_filters()  # the same hub is served in JavaScript, too
        worker.start()
        with ThreadPoolExecutor() as senders, ThreadPoolExecutor(ERRANDS + REQUESTS) as slots:
            self._senders = senders
            running = [slots.submit(self._again, self._errand) for _ in range(ERRANDS)]
            running += [slots.submit(self._again, self._request) for _ in range(REQUESTS)]
            for slot in running:
                slot.result()
        self.completions.wait_until_told()
        # Not `worker.stop()`: it waits for what a dead server was to say.
        os._exit(0)

    def _again(self, what: Callable[[int], None]) -> None:
        number = 0
        while not self.times.enough:
            number += 1
            what(number)

    def _errand(self, _: int) -> None:
        errand_id = f"py-errand-{uuid.uuid4().hex}"
        start = partial(self.client.schedule_new_orchestration, py_errand, instance_id=errand_id, input=list(SENDERS))
        if self.ledger.call("start", errand_id, start) is None:
            return  # it may be there or not; nobody sends it anything
        for sending in [self._senders.submit(self._send, errand_id, sender) for sender in SENDERS]:
            sending.result()
        self._wait_for_end(errand_id)

    def _send(self, errand_id: str, sender: str) -> None:
        for number in range(EVENTS + 1):
            attempt, is_last = 0, number == EVENTS
            # Sent again as another one: the first may have come.
            while not self._raise(errand_id, "item", f"{sender}-{number}-{attempt}", sender=sender, is_last=is_last):
                attempt += 1

    def _request(self, number: int) -> None:
        """A request of the mission's, which people decide by HTTP; every third also by a raw event, and every fourth
        with a deadline amid all that."""
        request_id = f"py-request-{uuid.uuid4().hex}"
        hours = 0.3 / 3600 if number % 4 == 0 else 1.0
        body = {"request_id": request_id, "requester": "Alice", "item": str(number), "timeout_hours": hours}
        orchestrator = example.human_interaction_orchestrator
        start = partial(self.client.schedule_new_orchestration, orchestrator, instance_id=request_id, input=body)
        if self.ledger.call("request", request_id, start) is None:
            return
        if number % 3 == 0:
            self._raise(request_id, "approval_response", "Raw", is_approved=number % 2 == 0, approver="Raw")
        self._wait_for_end(request_id)

    def _raise(self, instance_id: str, event: str, token: str, **data: Any) -> bool:
        def make() -> bool:
            self.client.raise_orchestration_event(instance_id, event, data={"token": token, **data})
            return True

        return bool(self.ledger.call("raise", instance_id, make, token=token, is_last=data.get("is_last", False)))

    def _wait_for_end(self, instance_id: str) -> None:
        wait = partial(self.client.wait_for_orchestration_completion, instance_id, timeout=20)
        while self.ledger.call("ended", instance_id, wait) is None:
            pass


if __name__ == "__main__":
    Survivor().run()
