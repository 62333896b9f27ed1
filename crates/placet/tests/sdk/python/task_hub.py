"""One task hub, seen through Microsoft's SDK: start orchestrations, serve them, look at what became of them."""

import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
import durabletask.internal.orchestrator_service_pb2_grpc as stubs
import grpc
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import OrchestrationState
from durabletask.grpc_options import GrpcWorkerResiliencyOptions

from waiting import PATIENCE_S

Headers = Iterable[tuple[str, str]]


class TaskHub:
    """A hub of its own for each test. `close` stops all that the test started in it."""

    def __init__(self, grpc_url: str, name: str):
        self.grpc_url, self.name = grpc_url, name
        self._workers: list[DurableTaskSchedulerWorker] = []
        self._gates: list[threading.Event] = []
        self._channel: grpc.Channel | None = None
        self.client = DurableTaskSchedulerClient(**self.connection())

    def connection(self) -> dict:
        return {
            "host_address": self.grpc_url,
            "taskhub": self.name,
            "secure_channel": False,
            "token_credential": None,
        }

    def serve(self, *functions: Callable, only_these: bool = False, **options: Any) -> DurableTaskSchedulerWorker:
        """A running worker in this process. A function whose first parameter is `ctx` is an orchestrator; any other
        is an activity. `only_these`: it tells the scheduler which they are, and gets no others."""
        worker = DurableTaskSchedulerWorker(
            **self.connection(),
            # The tests that restart servers should not wait for a back-off made for a cloud.
            resiliency_options=GrpcWorkerResiliencyOptions(
                reconnect_backoff_base_seconds=0.1, reconnect_backoff_cap_seconds=1.0
            ),
            **options,
        )
        for function in functions:
            is_orchestrator = next(iter(inspect.signature(function).parameters)) == "ctx"
            (worker.add_orchestrator if is_orchestrator else worker.add_activity)(function)
        if only_these:
            worker.use_work_item_filters()
        worker.start()
        self._workers.append(worker)
        return worker

    def start(self, orchestrator: Callable | str, **options: Any) -> str:
        """Starts an orchestration; its instance id."""
        return self.client.schedule_new_orchestration(orchestrator, **options)

    def ended(self, instance_id: str, timeout: float = PATIENCE_S) -> OrchestrationState:
        """The state of an instance once it has ended."""
        state = self.client.wait_for_orchestration_completion(instance_id, timeout=timeout)
        assert state is not None, f"{instance_id} is unknown"
        return state

    def run(self, orchestrator: Callable, **options: Any) -> OrchestrationState:
        """Starts an orchestration that a running worker serves; its state in the end."""
        return self.ended(self.start(orchestrator, **options))

    def state(self, instance_id: str) -> OrchestrationState | None:
        return self.client.get_orchestration_state(instance_id)

    def raw_state(self, instance_id: str) -> pb.OrchestrationState:
        """The state as it came over the wire: with what the SDK leaves out."""
        answer = self.call("GetInstance", pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True))
        assert answer.exists, f"{instance_id} is unknown"
        return answer.orchestrationState

    def history(self, instance_id: str) -> list:
        return self.client.get_orchestration_history(instance_id)

    def event_names(self, instance_id: str) -> list[str]:
        """The history as a list of names, such as `TaskCompleted`."""
        return [type(event).__name__.removesuffix("Event") for event in self.history(instance_id)]

    def call(
        self, method: str, request: Any, timeout: float = PATIENCE_S, hub: str | None = "", headers: Headers = ()
    ) -> Any:
        """A call of the service without the SDK in between. `hub`: another name, or None for no header."""
        name = self.name if hub == "" else hub
        metadata = [*([("taskhub", name)] if name is not None else []), *headers]
        return getattr(self._stub(), method)(request, timeout=timeout, metadata=metadata)

    def begin(self, method: str, request: Any) -> grpc.Future:
        """The same, without a deadline; it goes on until its result is there, or it is cancelled."""
        return getattr(self._stub(), method).future(request, metadata=[("taskhub", self.name)])

    def call_unknown(self, method: str) -> bytes:
        """A method that the SDK's version of the service does not have."""
        self._stub()
        call = self._channel.unary_unary(
            f"/TaskHubSidecarService/{method}", request_serializer=bytes, response_deserializer=bytes
        )
        return call(b"", timeout=PATIENCE_S, metadata=[("taskhub", self.name)])

    def work_items(self, orchestrations: int = 10, activities: int = 10) -> Any:
        """The stream of a worker that the test plays itself."""
        limits = pb.GetWorkItemsRequest(
            maxConcurrentOrchestrationWorkItems=orchestrations, maxConcurrentActivityWorkItems=activities
        )
        return self.call("GetWorkItems", limits, timeout=120)

    def gate(self) -> threading.Event:
        """Something for an activity to wait for. It opens at the latest when the test ends."""
        gate = threading.Event()
        self._gates.append(gate)
        return gate

    def close(self) -> None:
        for gate in self._gates:
            gate.set()
        stopping = [threading.Thread(target=worker.stop) for worker in self._workers]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        self.client.close()
        if self._channel is not None:
            self._channel.close()

    def _stub(self) -> stubs.TaskHubSidecarServiceStub:
        if self._channel is None:
            self._channel = grpc.insecure_channel(self.grpc_url.split("://", 1)[1])
        return stubs.TaskHubSidecarServiceStub(self._channel)


def refused_with(code: grpc.StatusCode, call: Callable[[], Any]) -> str:
    """Asserts that a call is refused with this code; the message."""
    try:
        answer = call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        return error.details()
    raise AssertionError(f"was not refused, but answered {answer!r}")
