"""Long histories: a worker that can read them by a call of its own is told to."""

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.grpc_options import GrpcChannelOptions

from task_hub import TaskHub
from waiting import PATIENCE_S, eventually

LONG = "x" * (700 << 10)


def complete(hub: TaskHub, item: pb.WorkItem, *actions: pb.OrchestratorAction) -> None:
    response = pb.OrchestratorResponse(
        instanceId=item.orchestratorRequest.instanceId, actions=actions, completionToken=item.completionToken
    )
    hub.call("CompleteOrchestratorTask", response)


def stream(hub: TaskHub, *capabilities: int):
    return hub.call("GetWorkItems", pb.GetWorkItemsRequest(capabilities=capabilities), timeout=120)


def worn(hub: TaskHub, items) -> tuple[str, pb.WorkItem]:
    """An instance whose history is long, and the item of its next turn."""
    instance_id = hub.start("long", input=LONG)
    complete(hub, next(items))
    for number in range(3):
        hub.client.raise_orchestration_event(instance_id, f"event{number}", data=LONG)
        item = next(items)
        if number < 2:
            complete(hub, item)
    return instance_id, item


def names(events) -> list[str]:
    return [event.WhichOneof("eventType") for event in events]


def test_a_worker_that_reads_histories_itself_finds_in_its_own_what_others_are_sent(hub: TaskHub):
    items = stream(hub, pb.WORKER_CAPABILITY_HISTORY_STREAMING)
    instance_id, item = worn(hub, items)
    request = item.orchestratorRequest
    assert request.requiresHistoryStreaming and not request.pastEvents
    assert names(request.newEvents) == ["orchestratorStarted", "eventRaised"]
    read = pb.StreamInstanceHistoryRequest(instanceId=instance_id, forWorkItemProcessing=True)
    read.executionId.CopyFrom(request.executionId)
    chunks = list(hub.call("StreamInstanceHistory", read))
    streamed = [event for chunk in chunks for event in chunk.events]
    assert names(streamed) == [
        "orchestratorStarted",
        "executionStarted",
        "orchestratorStarted",
        "eventRaised",
        "orchestratorStarted",
        "eventRaised",
    ]
    assert all(chunk.ByteSize() < 4 << 20 for chunk in chunks)
    items.cancel()

    # The same turn, with all of it, to one that cannot.
    item = next(stream(hub))
    assert not item.orchestratorRequest.requiresHistoryStreaming
    assert list(item.orchestratorRequest.pastEvents) == streamed


def test_a_short_history_comes_with_its_turn(hub: TaskHub):
    items = stream(hub, pb.WORKER_CAPABILITY_HISTORY_STREAMING)
    instance_id = hub.start("short")
    complete(hub, next(items))
    hub.client.raise_orchestration_event(instance_id, "event")
    request = next(items).orchestratorRequest
    assert not request.requiresHistoryStreaming and len(request.pastEvents) == 2


MORE_THAN_A_CLIENT_TAKES = "x" * (3 << 20)


def test_a_turn_that_its_workers_cannot_take_fails_with_the_remedy_and_goes_on_once_that_is_done(hub: TaskHub):
    def gathers(ctx: task.OrchestrationContext, _: str):
        said = yield ctx.wait_for_external_event("said")
        return len(said)

    def neighbour(ctx: task.OrchestrationContext, value: int):
        return value

    worker = hub.serve(gathers, neighbour)
    instance_id = hub.start(gathers, input=MORE_THAN_A_CLIENT_TAKES)
    eventually(lambda: hub.raw_state(instance_id).orchestrationStatus == pb.ORCHESTRATION_STATUS_RUNNING, "it waits")
    hub.client.raise_orchestration_event(instance_id, "said", data=MORE_THAN_A_CLIENT_TAKES)
    state = hub.client.wait_for_orchestration_completion(instance_id, fetch_payloads=False, timeout=PATIENCE_S)
    assert state.runtime_status == OrchestrationStatus.FAILED
    failure = hub.raw_state(instance_id).failureDetails
    assert failure.errorType == "WorkItemTooLong"
    assert "max_receive_message_length" in failure.errorMessage and "4194304" in failure.errorMessage
    # The worker lives, and serves the others.
    assert hub.run(neighbour, input=7).get_output() == 7
    worker.stop()

    hub.client.rewind_orchestration(instance_id, reason="the workers take more now")
    hub.serve(gathers, channel_options=GrpcChannelOptions(max_receive_message_length=64 << 20))
    state = hub.client.wait_for_orchestration_completion(instance_id, fetch_payloads=False, timeout=PATIENCE_S)
    assert state.runtime_status == OrchestrationStatus.COMPLETED


def test_an_activity_that_its_workers_cannot_take_fails_in_its_orchestration(hub: TaskHub):
    def takes(_: task.ActivityContext, value: str):
        return len(value)

    def asks_for_much(ctx: task.OrchestrationContext, _):
        try:
            return (yield ctx.call_activity(takes, input=2 * MORE_THAN_A_CLIENT_TAKES))
        except task.TaskFailedError as error:
            return error.details.error_type

    takes_more = GrpcChannelOptions(max_receive_message_length=64 << 20)
    hub.serve(asks_for_much, only_these=True, channel_options=takes_more)
    hub.serve(takes, only_these=True)
    assert hub.run(asks_for_much).get_output() == "WorkItemTooLong"
