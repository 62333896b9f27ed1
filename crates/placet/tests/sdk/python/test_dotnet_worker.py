"""What Microsoft's .NET worker is sent, and that it is what clients and its own actions said, by raw calls
(`GrpcDurableTaskWorker`)."""

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from dotnet import (
    CANCELED,
    FAILED,
    RUNNING,
    TERMINATED,
    DotnetClient,
    DotnetWorker,
    activity,
    at,
    child,
    end,
    names,
    new,
    said,
    send,
    text,
    timer,
    trace,
)
from task_hub import TaskHub


def failure(message: str, **more) -> pb.TaskFailureDetails:
    return pb.TaskFailureDetails(errorType="System.InvalidOperationException", errorMessage=message, **more)


def test_a_worker_with_an_empty_filter_and_room_for_entities_gets_everything(hub: TaskHub, client: DotnetClient):
    limits = dict(
        maxConcurrentOrchestrationWorkItems=2**31 - 1,
        maxConcurrentActivityWorkItems=2**31 - 1,
        maxConcurrentEntityWorkItems=2**31 - 1,
    )
    request = pb.GetWorkItemsRequest(**limits, capabilities=[0, 1, 2, 3, 99], workItemFilters=pb.WorkItemFilters())
    stream = hub.call("GetWorkItems", request, timeout=60)
    client.start("n")
    item = next(stream)
    assert new(item)[1].executionStarted.name == "n"
    done = pb.OrchestratorResponse(completionToken=item.completionToken, actions=[activity(0, "a")])
    hub.call("CompleteOrchestratorTask", done)
    assert next(stream).activityRequest.name == "a"
    stream.cancel()


def test_a_turn_says_all_that_the_worker_reads_without_a_check(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    instance_id = client.start("n")
    for turn in range(3):
        item = worker.turn()
        request = item.orchestratorRequest
        assert item.completionToken and request.executionId.value
        assert request.entityParameters.HasField("entityMessageReorderWindow")
        assert names(request.newEvents)[0] == "orchestratorStarted"
        assert all(event.timestamp.seconds > 0 for event in [*worker.past(item), *request.newEvents])
        worker.done(item)
        client.raise_event(instance_id, f"event{turn}")
    assert hub.raw_state(instance_id).orchestrationStatus == RUNNING


@pytest.mark.parametrize("payload", [None, "", "7"])
def test_an_activity_is_told_what_its_action_says(client: DotnetClient, worker: DotnetWorker, payload: str | None):
    instance_id = client.start("n", version=text("9"), tags={"of": "the orchestration"})
    turn = worker.turn()
    more = dict(version=text(payload), tags={"of": "the task", "": ""}, parentTraceContext=trace(3))
    worker.done(turn, activity(0, "charge", payload, **more))
    request = worker.activity().activityRequest
    assert request == pb.ActivityRequest(
        name="charge",
        input=text(payload),
        orchestrationInstance=pb.OrchestrationInstance(
            instanceId=instance_id, executionId=turn.orchestratorRequest.executionId
        ),
        taskId=0,
        **more,
    )
    scheduled = client.history(instance_id)[2]
    assert scheduled.eventId == 0
    assert scheduled.taskScheduled == pb.TaskScheduledEvent(name="charge", input=text(payload), **more)


@pytest.mark.parametrize("result", [None, "", "null"])
def test_a_result_comes_back_as_the_activity_gave_it(client: DotnetClient, worker: DotnetWorker, result: str | None):
    client.start("n")
    worker.done(worker.turn(), activity(0, "a"))
    worker.result(worker.activity(), result)
    event = new(worker.turn())[1]
    assert event.eventId == -1
    assert event.taskCompleted == pb.TaskCompletedEvent(taskScheduledId=0, result=text(result))


# As `TaskFailureDetails` of an exception is sent that has everything, and of one that has nothing.
FAILURES = {
    "full": failure(
        "out of stock",
        stackTrace=text("   at Shop.Charge()"),
        isNonRetriable=True,
        innerFailure=failure("inner", stackTrace=text(""), innerFailure=failure("innermost")),
        properties={
            "null": Value(null_value=0),
            "number": Value(number_value=1.5),
            "yes": Value(bool_value=True),
            "text": Value(string_value=""),
            "list": Value(list_value={"values": [Value(number_value=1), Value(null_value=0)]}),
            "object": Value(struct_value={"fields": {"a": Value(string_value="b")}}),
        },
    ),
    "empty": pb.TaskFailureDetails(),
}


@pytest.mark.parametrize("details", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_the_same_for_activity_orchestration_and_parent(
    client: DotnetClient, worker: DotnetWorker, details: pb.TaskFailureDetails
):
    parent = client.start("parent")
    worker.done(worker.turn(), child(0, "failing-child", "child"))
    worker.done(worker.turn(), activity(0, "a"))
    worker.result(worker.activity(), failure=details)
    item = worker.turn()
    assert new(item)[1].taskFailed == pb.TaskFailedEvent(taskScheduledId=0, failureDetails=details)
    worker.done(item, end(1, status=FAILED, failureDetails=details))
    item = worker.turn()
    failed = pb.SubOrchestrationInstanceFailedEvent(taskScheduledId=0, failureDetails=details)
    assert item.orchestratorRequest.instanceId == parent and new(item)[1].subOrchestrationInstanceFailed == failed
    state = client.ended("failing-child")
    assert (state.orchestrationStatus, state.failureDetails) == (FAILED, details)
    completed = pb.ExecutionCompletedEvent(orchestrationStatus=FAILED, failureDetails=details)
    assert client.history("failing-child")[-1].executionCompleted == completed


@pytest.mark.parametrize("status", [TERMINATED, CANCELED, FAILED], ids=pb.OrchestrationStatus.Name)
def test_a_parent_can_read_how_a_child_ended_that_says_nothing_of_it(
    client: DotnetClient, worker: DotnetWorker, status: int
):
    """.NET shows a failure's message, and has none to show if the failure is null."""
    client.start("parent")
    worker.done(worker.turn(), child(0, f"ends-{status}", "child"))
    worker.done(worker.turn(), end(0, status=status))
    told = new(worker.turn())[1].subOrchestrationInstanceFailed.failureDetails
    assert told.errorType and f"ends-{status}" in told.errorMessage


@pytest.mark.parametrize("payload", [None, "", "7"])
def test_a_child_begins_as_its_action_says_and_knows_its_parent(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, payload: str | None
):
    parent = client.start("parent", version=text(payload), tags={"of": "the parent"}, parentTraceContext=trace(1))
    turn = worker.turn()
    more = dict(version=text(payload), tags={"of": "the child"}, parentTraceContext=trace(2))
    worker.done(turn, child(0, "a-child", "child", payload, **more))
    created = client.history(parent)[2]
    assert created.eventId == 0
    assert created.subOrchestrationInstanceCreated == pb.SubOrchestrationInstanceCreatedEvent(
        instanceId="a-child", name="child", input=text(payload), **more
    )
    item = worker.turn()
    started = new(item)[1].executionStarted
    assert started == pb.ExecutionStartedEvent(
        name="child",
        input=text(payload),
        orchestrationInstance=pb.OrchestrationInstance(
            instanceId="a-child", executionId=item.orchestratorRequest.executionId
        ),
        parentInstance=pb.ParentInstanceInfo(
            taskScheduledId=0,
            name=text("parent"),
            version=text(payload),
            orchestrationInstance=pb.OrchestrationInstance(
                instanceId=parent, executionId=turn.orchestratorRequest.executionId
            ),
        ),
        **more,
    )
    worker.done(item, end(0, payload))
    state = hub.raw_state("a-child")
    assert (state.parentInstanceId.value, dict(state.tags)) == (parent, {"of": "the child"})
    assert said(state, "version") == payload
    completed = new(worker.turn())[1]
    assert completed.eventId == -1
    expected = pb.SubOrchestrationInstanceCompletedEvent(taskScheduledId=0, result=text(payload))
    assert completed.subOrchestrationInstanceCompleted == expected


def test_a_parent_hears_why_a_child_could_not_be(client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("parent")
    impossible = [child(0, "@counter@a", "c"), child(1, "x" * 101, "c"), child(2, "c", ""), child(3, instance_id, "c")]
    worker.done(worker.turn(), *impossible)
    told = []
    while len(told) < len(impossible):
        item = worker.turn()
        told += [event.subOrchestrationInstanceFailed for event in new(item)[1:]]
        worker.done(item)
    told.sort(key=lambda failed: failed.taskScheduledId)
    assert [failed.taskScheduledId for failed in told] == [0, 1, 2, 3]
    reasons = ["entities", "100 characters", "name: must not be empty", "already exists"]
    assert all(reason in failed.failureDetails.errorMessage for reason, failed in zip(reasons, told, strict=True))
    # Only one that may have gone the next time is worth a retry.
    assert [failed.failureDetails.isNonRetriable for failed in told] == [True, True, True, False]


def test_a_child_without_an_id_has_one_that_follows_from_its_parents(client: DotnetClient, worker: DotnetWorker):
    parent = client.start("parent")
    worker.done(worker.turn(), child(255, "", "child"))
    assert worker.turn().orchestratorRequest.instanceId == f"{parent}:00ff"
    assert client.history(parent)[2].subOrchestrationInstanceCreated.instanceId == f"{parent}:00ff"


def test_nobody_waits_for_a_child_that_is_fired_and_forgotten(client: DotnetClient, worker: DotnetWorker):
    """`OrchestrationTags.FireAndForget`."""
    parent = client.start("parent")
    worker.done(worker.turn(), child(0, "forgotten", "child", tags={"FireAndForget": ""}))
    item = worker.turn()
    assert new(item)[1].executionStarted.parentInstance.orchestrationInstance.instanceId == parent
    worker.done(item, end(0, status=FAILED, failureDetails=failure("who cares")))
    client.ended("forgotten")
    client.raise_event(parent, "go")
    assert names(new(worker.turn())) == ["orchestratorStarted", "eventRaised"]


def test_activities_that_share_an_id_are_activities_of_their_own(client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    worker.done(worker.turn(), activity(0, "a", "1"), activity(0, "a", "2"))
    items = [worker.activity() for _ in range(2)]
    assert [item.activityRequest.input.value for item in items] == ["1", "2"]
    results = []
    for item in items:
        worker.result(item, item.activityRequest.input.value)
        turn = worker.turn()
        results += [event.taskCompleted for event in new(turn)[1:]]
        worker.done(turn)
    assert results == [pb.TaskCompletedEvent(taskScheduledId=0, result=text(each)) for each in ("1", "2")]
    assert names(client.history(instance_id))[2:4] == ["taskScheduled", "taskScheduled"]


@pytest.mark.parametrize(
    "fire_at", [at(-62135596800), at(0), at(1_000_000_000, 123_456_700)], ids=["MinValue", "epoch", "ticks"]
)
def test_a_timer_in_the_past_fires_at_once_with_the_time_that_it_was_given(
    client: DotnetClient, worker: DotnetWorker, fire_at: Timestamp
):
    instance_id = client.start("n")
    worker.done(worker.turn(), timer(0, fire_at))
    event = new(worker.turn())[1]
    assert (event.eventId, event.timerFired) == (-1, pb.TimerFiredEvent(timerId=0, fireAt=fire_at))
    created = client.history(instance_id)[2]
    assert (created.eventId, created.timerCreated.fireAt) == (0, fire_at)


def test_a_timer_at_the_end_of_time_is_kept_and_fires_never(client: DotnetClient, worker: DotnetWorker):
    """`DateTime.MaxValue`, by which .NET's users say that there is no end."""
    for_ever = at(253402300799, 999_999_900)
    instance_id = client.start("n")
    worker.done(worker.turn(), timer(0, for_ever))
    client.raise_event(instance_id, "go")
    item = worker.turn()
    assert names(new(item)) == ["orchestratorStarted", "eventRaised"]
    assert worker.past(item)[2].timerCreated.fireAt == for_ever


def test_timers_of_one_time_fire_in_the_order_of_their_making(client: DotnetClient, worker: DotnetWorker):
    together = Timestamp()
    together.GetCurrentTime()
    together.nanos = 0
    client.start("n")
    worker.done(worker.turn(), *(timer(number, together) for number in (3, 1, 2, 0)))
    fired = []
    while len(fired) < 4:
        item = worker.turn()
        fired += [event.timerFired.timerId for event in new(item)[1:]]
        worker.done(item)
    assert fired == [3, 1, 2, 0]


def test_events_are_sent_to_who_lives_and_nobody_else_is_told(client: DotnetClient, worker: DotnetWorker):
    ended = client.start("ended")
    worker.done(worker.turn(), end(0))
    instance_id = client.start("n")
    payloads = [None, "", "7"]
    sent = [send(number, instance_id, "Ping", data) for number, data in enumerate(payloads)]
    worker.done(worker.turn(), *sent, send(3, "nobody", "Ping", None), send(4, ended, "Ping", None))
    raised = []
    while len(raised) < 3:
        item = worker.turn()
        raised += new(item)[1:]
        worker.done(item)
    assert [(event.eventId, event.eventRaised.name) for event in raised] == [(-1, "Ping")] * 3
    assert [said(event.eventRaised, "input") for event in raised] == payloads
    told = [event for event in client.history(instance_id) if event.HasField("eventSent")]
    assert [event.eventId for event in told] == [0, 1, 2, 3, 4]
    targets = [instance_id] * 3 + ["nobody", ended]
    assert [(event.eventSent.instanceId, event.eventSent.name) for event in told] == [(to, "Ping") for to in targets]
    assert [said(event.eventSent, "input") for event in told] == [*payloads, None, None]
    assert names(client.history(ended))[-1] == "executionCompleted"
