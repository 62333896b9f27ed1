"""Rewinding as Microsoft's .NET worker does it (`RewindOrchestrationHandler`), by raw calls."""

import uuid

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest

from dotnet import COMPLETED, FAILED, RUNNING, DotnetClient, DotnetWorker, activity, child, end, names, new, said, text
from task_hub import TaskHub

BROKEN = pb.TaskFailureDetails(errorType="System.InvalidOperationException", errorMessage="Simulated failure.")


def rewind(hub: TaskHub, instance_id: str, reason: str | None = "mended") -> None:
    hub.call("RewindInstance", pb.RewindInstanceRequest(instanceId=instance_id, reason=text(reason)))


def written_anew(worker: DotnetWorker, item: pb.WorkItem) -> tuple[str, pb.OrchestratorAction]:
    """The new execution id, and the action with the history that the handler makes: without what failed."""
    events = [*worker.past(item), *new(item)]
    failed = {event.taskFailed.taskScheduledId for event in events if event.HasField("taskFailed")}
    kept, execution_id = [], uuid.uuid4().hex
    for event in events:
        kind = event.WhichOneof("eventType")
        if kind in ("taskFailed", "subOrchestrationInstanceFailed", "executionCompleted"):
            continue
        if kind == "taskScheduled" and event.eventId in failed:
            continue
        if kind == "executionStarted":
            event.executionStarted.orchestrationInstance.executionId.value = execution_id
            parent = said(events[-1].executionRewound, "parentExecutionId")
            if parent:
                event.executionStarted.parentInstance.orchestrationInstance.executionId.value = parent
        kept.append(event)
    return execution_id, pb.OrchestratorAction(id=-1, rewindOrchestration=pb.RewindOrchestrationAction(newHistory=kept))


def fail(worker: DotnetWorker) -> None:
    """Plays the turns of an instance that ends because its activity fails."""
    worker.done(worker.turn(), activity(0, "a"))
    worker.result(worker.activity(), failure=BROKEN)
    worker.done(worker.turn(), end(1, status=FAILED, failureDetails=BROKEN))


@pytest.mark.parametrize("reason", [None, "", "mended"])
def test_a_rewind_is_the_two_events_that_the_handler_asks_for_behind_the_whole_history(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, reason: str | None
):
    instance_id = client.start("n", input="1")
    fail(worker)
    failed = client.history(instance_id)
    rewind(hub, instance_id, reason)
    state = hub.raw_state(instance_id)
    assert state.orchestrationStatus == RUNNING
    assert not state.HasField("failureDetails") and not state.HasField("completedTimestamp")
    client.raise_event(instance_id, "Meanwhile")

    item = worker.turn()
    assert worker.past(item) == failed and names(failed)[-1] == "executionCompleted"
    assert names(new(item)) == ["orchestratorStarted", "executionRewound"]
    told = new(item)[1]
    assert said(told.executionRewound, "reason") == reason and told.timestamp.seconds > 0
    execution_id, action = written_anew(worker, item)
    worker.done(item, action)
    assert client.history(instance_id) == list(action.rewindOrchestration.newHistory)

    item = worker.turn()
    assert item.orchestratorRequest.executionId.value == execution_id
    assert names(new(item))[0] == "orchestratorStarted"
    assert names(worker.past(item))[-1] == "executionRewound"
    worker.done(item, activity(0, "a"))
    again = worker.activity()
    assert again.activityRequest.orchestrationInstance.executionId.value == execution_id
    worker.result(again, "ok")
    worker.done(worker.turn(), end(1, "ok"))
    state = client.ended(instance_id)
    assert (state.orchestrationStatus, state.output.value) == (COMPLETED, "ok")
    assert not state.HasField("failureDetails")
    assert [e.eventRaised.name for e in client.history(instance_id) if e.HasField("eventRaised")] == ["Meanwhile"]


def test_a_long_history_is_rewound_by_a_worker_that_reads_it_itself(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    instance_id = client.start("n", input="x" * (3 << 19))
    fail(worker)
    failed = client.history(instance_id)
    rewind(hub, instance_id)
    item = worker.turn()
    assert item.orchestratorRequest.requiresHistoryStreaming
    assert worker.past(item) == failed
    worker.done(item, written_anew(worker, item)[1])
    item = worker.turn()
    kept = ["orchestratorStarted", "executionStarted", "orchestratorStarted", "orchestratorStarted", "executionRewound"]
    assert names(worker.past(item)) == kept
    worker.done(item, end(0))
    assert client.ended(instance_id).orchestrationStatus == COMPLETED


def test_children_that_failed_are_rewound_under_the_new_execution_of_their_parent(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    """Of three, two failed: these two are tried again, as they are, and the third is left in peace."""
    parent = client.start("parent")
    children = [child(number, f"child-{number}", "child") for number in range(3)]
    worker.done(worker.turn(), *children)
    for _ in range(3):
        item = worker.turn()
        well = item.orchestratorRequest.instanceId == "child-2"
        worker.done(item, end(0) if well else end(0, status=FAILED, failureDetails=BROKEN))
    came = 0
    while came < 3:
        item = worker.turn()
        came += len(new(item)) - 1
        if came < 3:
            worker.done(item)
    worker.done(item, end(3, status=FAILED, failureDetails=BROKEN))
    third = hub.raw_state("child-2")

    rewind(hub, parent, "retry failed children")
    item = worker.turn()
    execution_id, action = written_anew(worker, item)
    worker.done(item, action)
    rewound = set()
    results = 0
    while results < 2:
        item = worker.turn()
        request = item.orchestratorRequest
        if request.instanceId == parent:
            results += sum(event.HasField("subOrchestrationInstanceCompleted") for event in request.newEvents)
            worker.done(item, *([end(3, "all")] if results == 2 else []))
        elif names(request.newEvents)[-1] == "executionRewound":
            told = request.newEvents[-1].executionRewound
            assert (said(told, "reason"), said(told, "instanceId")) == ("retry failed children", request.instanceId)
            assert said(told, "parentExecutionId") == execution_id
            rewound.add(request.instanceId)
            worker.done(item, written_anew(worker, item)[1])
        else:
            worker.done(item, end(0, "mended"))
    assert client.ended(parent).output.value == "all"
    assert rewound == {"child-0", "child-1"} and hub.raw_state("child-2") == third


def test_a_child_that_was_purged_begins_again_with_its_version_and_tags(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    parent = client.start("parent")
    more = dict(version=text("1.0"), tags={"scenario": "purged", "level": "child"})
    worker.done(worker.turn(), child(0, "purged", "child", '"data"', **more))
    worker.done(worker.turn(), end(0, status=FAILED, failureDetails=BROKEN))
    worker.done(worker.turn(), end(1, status=FAILED, failureDetails=BROKEN))
    assert hub.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId="purged")).deletedInstanceCount == 1

    rewind(hub, parent)
    item = worker.turn()
    execution_id, action = written_anew(worker, item)
    worker.done(item, action)
    item = worker.turn()
    while item.orchestratorRequest.instanceId == parent:
        worker.done(item)
        item = worker.turn()
    started = new(item)[1].executionStarted
    assert (started.name, said(started, "input"), said(started, "version")) == ("child", '"data"', "1.0")
    assert dict(started.tags) == more["tags"]
    assert started.parentInstance.orchestrationInstance.executionId.value == execution_id
    worker.done(item, end(0, "again"))
    item = worker.turn()
    assert said(new(item)[-1].subOrchestrationInstanceCompleted, "result") == "again"
    assert dict(hub.raw_state("purged").tags) == more["tags"]
