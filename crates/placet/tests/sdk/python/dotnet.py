"""Microsoft's .NET SDK, played by hand: there is no .NET in the tests, but what its client and its worker send, and
what they need of the answers, is known from their sources."""

from collections import deque
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from task_hub import TaskHub
from waiting import PATIENCE_S

RUNNING, COMPLETED, CONTINUED_AS_NEW, FAILED, CANCELED, TERMINATED, PENDING, SUSPENDED = range(8)


def text(value: str | None) -> StringValue | None:
    """The wrapper in which null and "" differ."""
    return None if value is None else StringValue(value=value)


def said(message: Any, field: str) -> str | None:
    """What such a wrapper holds; None if it is not there."""
    return getattr(message, field).value if message.HasField(field) else None


def names(events: Any) -> list[str]:
    return [event.WhichOneof("eventType") for event in events]


def new(item: pb.WorkItem) -> list[pb.HistoryEvent]:
    """What a turn brings."""
    return list(item.orchestratorRequest.newEvents)


def at(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


def trace(number: int, state: str | None = None) -> pb.TraceContext:
    """A trace context as .NET's `ActivityContext` writes it: an absent state is null."""
    return pb.TraceContext(traceParent=f"00-{number:032x}-{number:016x}-01", traceState=text(state))


def activity(number: int, name: str, input: str | None = None, **more: Any) -> pb.OrchestratorAction:
    task = pb.ScheduleTaskAction(name=name, input=text(input), **more)
    return pb.OrchestratorAction(id=number, scheduleTask=task)


def timer(number: int, fire_at: Timestamp) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=number, createTimer=pb.CreateTimerAction(fireAt=fire_at))


def child(number: int, instance_id: str, name: str, input: str | None = None, **more: Any) -> pb.OrchestratorAction:
    create = pb.CreateSubOrchestrationAction(instanceId=instance_id, name=name, input=text(input), **more)
    return pb.OrchestratorAction(id=number, createSubOrchestration=create)


def send(number: int, to: str, name: str, data: str | None) -> pb.OrchestratorAction:
    event = pb.SendEventAction(instance=pb.OrchestrationInstance(instanceId=to), name=name, data=text(data))
    return pb.OrchestratorAction(id=number, sendEvent=event)


def end(number: int, result: str | None = None, status: int = COMPLETED, **more: Any) -> pb.OrchestratorAction:
    complete = pb.CompleteOrchestrationAction(orchestrationStatus=status, result=text(result), **more)
    return pb.OrchestratorAction(id=number, completeOrchestration=complete)


class DotnetClient:
    """The calls of `GrpcDurableTaskClient`."""

    def __init__(self, hub: TaskHub):
        self.hub = hub

    def start(self, name: str, instance_id: str = "", input: str | None = None, **more: Any) -> str:
        """`ScheduleNewOrchestrationInstanceAsync`: it always says when it asks."""
        now = Timestamp()
        now.GetCurrentTime()
        request = pb.CreateInstanceRequest(
            instanceId=instance_id, name=name, input=text(input), **{"requestTime": now, **more}
        )
        return self.hub.call("StartInstance", request).instanceId

    def raise_event(self, instance_id: str, name: str, data: str | None = None) -> None:
        self.hub.call("RaiseEvent", pb.RaiseEventRequest(instanceId=instance_id, name=name, input=text(data)))

    def ended(self, instance_id: str) -> pb.OrchestrationState:
        """`WaitForInstanceCompletionAsync`."""
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        return self.hub.call("WaitForInstanceCompletion", request).orchestrationState

    def history(self, instance_id: str, **more: Any) -> list[pb.HistoryEvent]:
        """`GetOrchestrationHistoryAsync`."""
        request = pb.StreamInstanceHistoryRequest(instanceId=instance_id, **more)
        return [event for chunk in self.hub.call("StreamInstanceHistory", request) for event in chunk.events]


class DotnetWorker:
    """A worker as `GrpcDurableTaskWorker` is one: it says Hello, states all three limits, reads long histories by
    itself, and always sends filters, empty ones if it wants everything."""

    def __init__(
        self, hub: TaskHub, filters: pb.WorkItemFilters | None = None, limit: int = 800, name: str = "host,1,0"
    ):
        """`name`: what it calls itself, as long as it lives."""
        self.hub = hub
        headers = [("workerid", name), ("x-user-agent", "durabletask-dotnet/1.0.0 (DurableTaskWorker)")]
        hub.call("Hello", Empty(), headers=headers)
        request = pb.GetWorkItemsRequest(
            maxConcurrentOrchestrationWorkItems=limit,
            maxConcurrentActivityWorkItems=limit,
            maxConcurrentEntityWorkItems=limit,
            capabilities=[pb.WORKER_CAPABILITY_HISTORY_STREAMING, pb.WORKER_CAPABILITY_LARGE_PAYLOADS],
            workItemFilters=filters or pb.WorkItemFilters(),
        )
        self._stream = hub.call("GetWorkItems", request, timeout=2 * PATIENCE_S, headers=headers)
        self._items: dict[str, deque] = {"orchestratorRequest": deque(), "activityRequest": deque()}

    def turn(self) -> pb.WorkItem:
        """The next turn, of whichever instance."""
        return self._next("orchestratorRequest")

    def activity(self) -> pb.WorkItem:
        return self._next("activityRequest")

    def _next(self, kind: str) -> pb.WorkItem:
        while not self._items[kind]:
            item = next(self._stream)
            if item.WhichOneof("request") != "healthPing":
                self._items[item.WhichOneof("request")].append(item)
        return self._items[kind].popleft()

    def past(self, item: pb.WorkItem) -> list[pb.HistoryEvent]:
        """The history of a turn, wherever it is to be had."""
        request = item.orchestratorRequest
        if not request.requiresHistoryStreaming:
            return list(request.pastEvents)
        ask = pb.StreamInstanceHistoryRequest(
            instanceId=request.instanceId, executionId=request.executionId, forWorkItemProcessing=True
        )
        return [event for chunk in self.hub.call("StreamInstanceHistory", ask) for event in chunk.events]

    def done(self, item: pb.WorkItem, *actions: pb.OrchestratorAction, **more: Any) -> None:
        """Completes a turn."""
        self.hub.call("CompleteOrchestratorTask", self.answer(item, *actions, **more))

    def answer(self, item: pb.WorkItem, *actions: pb.OrchestratorAction, **more: Any) -> pb.OrchestratorResponse:
        return pb.OrchestratorResponse(
            instanceId=item.orchestratorRequest.instanceId,
            actions=actions,
            completionToken=item.completionToken,
            **more,
        )

    def chunks(self, item: pb.WorkItem, *chunks: list[pb.OrchestratorAction], events: int, **more: Any) -> list[Any]:
        """A completion that is too long for one message, as it is cut: what counts once stands in the first chunk, the
        rest of `more` in each. `events`: how many were processed."""
        first = {"numEventsProcessed": Int32Value(value=events)}
        later = {"numEventsProcessed": Int32Value(value=0)}
        return [
            self.answer(
                item,
                *actions,
                isPartial=index < len(chunks) - 1,
                chunkIndex=Int32Value(value=index),
                **(later if index else first),
                **more,
            )
            for index, actions in enumerate(chunks)
        ]

    def give_back(self, item: pb.WorkItem) -> None:
        """Abandons a turn or an activity."""
        if item.HasField("activityRequest"):
            request = pb.AbandonActivityTaskRequest(completionToken=item.completionToken)
            self.hub.call("AbandonTaskActivityWorkItem", request)
        else:
            request = pb.AbandonOrchestrationTaskRequest(completionToken=item.completionToken)
            self.hub.call("AbandonTaskOrchestratorWorkItem", request)

    def result(
        self, item: pb.WorkItem, result: str | None = None, failure: pb.TaskFailureDetails | None = None
    ) -> None:
        """Completes an activity."""
        request = item.activityRequest
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            result=text(result),
            failureDetails=failure,
            completionToken=item.completionToken,
        )
        self.hub.call("CompleteActivityTask", response)

    def close(self) -> None:
        self._stream.cancel()
