"""Long histories: a worker that can read them by a call of its own is told to."""

import durabletask.internal.orchestrator_service_pb2 as pb

from task_hub import TaskHub

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
