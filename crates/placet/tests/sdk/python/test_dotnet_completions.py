"""What Microsoft's .NET worker answers to its turns and what comes of it, by raw calls: chunks, turns that are given
back, sessions that are lost, generations."""

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc

from dotnet import (
    COMPLETED,
    CONTINUED_AS_NEW,
    PENDING,
    RUNNING,
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
from task_hub import TaskHub, refused_with

# Three of them fill a chunk.
LONG = "x" * 1_280_000


def test_a_completion_of_many_megabytes_comes_in_chunks_and_counts_once(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    """.NET cuts at 3.9 MB. Two are sent twice, as after a lost answer."""
    instance_id = client.start("n")
    item = worker.turn()
    for name in ("taken", "left"):
        client.raise_event(instance_id, name)
    worker.done(item)
    first = worker.turn()
    assert names(new(first)) == ["orchestratorStarted", "eventRaised", "eventRaised"]
    actions = [activity(number, "echo", LONG, tags={"n": str(number)}) for number in range(8)]
    context = pb.OrchestrationTraceContext(spanID=text("00000000000000ff"), spanStartTime=at(1_700_000_000, 100))
    more = dict(customStatus=text('"busy"'), orchestrationTraceContext=context)
    chunks = worker.chunks(first, actions[:3], actions[3:6], actions[6:], events=2, **more)
    assert [chunk.ByteSize() // 100_000 for chunk in chunks] == [38, 38, 25]
    for chunk in (chunks[0], chunks[1], chunks[1], chunks[2], chunks[2]):
        before = len(client.history(instance_id))
        assert before == 2 or chunk is chunks[2]
        hub.call("CompleteOrchestratorTask", chunk)
    scheduled = [event for event in client.history(instance_id) if event.HasField("taskScheduled")]
    assert [event.eventId for event in scheduled] == list(range(8))
    assert all(event.taskScheduled.input.value == LONG for event in scheduled)
    assert hub.raw_state(instance_id).customStatus.value == '"busy"'
    # What the first chunk said counts for the whole: one event was left, and the span goes on.
    item = worker.turn()
    assert [event.eventRaised.name for event in new(item)[1:]] == ["left"]
    assert item.orchestratorRequest.orchestrationTraceContext == context
    assert sorted(worker.activity().activityRequest.tags["n"] for _ in range(8)) == [str(n) for n in range(8)]


def test_chunks_count_by_their_number_and_none_may_be_missing(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    actions = [activity(0, "a")], [activity(1, "b")], [end(2, "3", status=CONTINUED_AS_NEW)]
    chunks = worker.chunks(worker.turn(), *actions, events=2)
    hub.call("CompleteOrchestratorTask", chunks[0])
    told = refused_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: hub.call("CompleteOrchestratorTask", chunks[2]))
    assert "chunkIndex" in told
    chunks = worker.chunks(worker.turn(), *actions, events=2)
    for number in (1, 0, 2):
        hub.call("CompleteOrchestratorTask", chunks[number])
    item = worker.turn()
    assert new(item)[1].executionStarted.input.value == "3" and not worker.past(item)
    worker.done(item, end(0))
    assert client.ended(instance_id).orchestrationStatus == COMPLETED


def test_chunks_of_an_attempt_that_was_given_up_do_not_count(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    first = worker.turn()
    hub.call("CompleteOrchestratorTask", worker.chunks(first, [activity(0, "of the first")], [], events=2)[0])
    worker.give_back(first)
    second = worker.turn()
    for chunk in worker.chunks(second, [activity(0, "of the second")], [end(1, "done")], events=2):
        hub.call("CompleteOrchestratorTask", chunk)
    assert client.ended(instance_id).output.value == "done"
    scheduled = [event.taskScheduled.name for event in client.history(instance_id) if event.HasField("taskScheduled")]
    assert scheduled == ["of the second"]


def test_a_turn_that_is_given_back_comes_again_with_what_came_meanwhile_behind(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    """As after a filter, or a version that is not the worker's."""
    instance_id = client.start("n")
    first = worker.turn()
    client.raise_event(instance_id, "meanwhile")
    worker.give_back(first)
    second = worker.turn()
    assert names(new(second)) == ["orchestratorStarted", "executionStarted", "eventRaised"]
    assert second.completionToken != first.completionToken
    assert new(second)[0].timestamp.ToNanoseconds() > new(first)[0].timestamp.ToNanoseconds()
    worker.done(first, end(0, "of the first"))
    assert hub.raw_state(instance_id).orchestrationStatus == PENDING
    worker.done(second, end(0, "of the second"))
    assert client.ended(instance_id).output.value == "of the second"


def test_an_activity_that_is_given_back_comes_again_as_it_was(client: DotnetClient, worker: DotnetWorker):
    client.start("n")
    worker.done(worker.turn(), activity(4, "a", "7", version=text("1"), tags={"a": "b"}))
    first = worker.activity()
    worker.give_back(first)
    second = worker.activity()
    assert second.activityRequest == first.activityRequest
    worker.result(second, "done")
    assert new(worker.turn())[1].taskCompleted == pb.TaskCompletedEvent(taskScheduledId=4, result=text("done"))


def test_a_result_that_names_another_instance_is_refused(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    client.start("n")
    worker.done(worker.turn(), activity(4, "a"))
    item = worker.activity()
    foreign = pb.ActivityResponse(
        instanceId="another", taskId=4, result=text("wrong"), completionToken=item.completionToken
    )
    told = refused_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: hub.call("CompleteActivityTask", foreign))
    assert "another" in told
    worker.result(item, "done")
    assert new(worker.turn())[1].taskCompleted == pb.TaskCompletedEvent(taskScheduledId=4, result=text("done"))


def test_while_a_worker_comes_back_both_of_its_streams_are_served(hub: TaskHub, client: DotnetClient):
    """It has the same name on both, and the old one may take some time to be gone."""
    old, again = (DotnetWorker(hub, limit=1, name="host,1,again") for _ in range(2))
    for instance_id in ("one", "two"):
        client.start("n", instance_id)
    left, done = old.turn(), again.turn()
    assert {item.orchestratorRequest.instanceId for item in (left, done)} == {"one", "two"}
    again.done(done, end(0))
    old.close()
    item = again.turn()
    assert item.orchestratorRequest.instanceId == left.orchestratorRequest.instanceId
    again.done(item, end(0))
    assert [client.ended(each).orchestrationStatus for each in ("one", "two")] == [COMPLETED] * 2
    again.close()


def test_a_worker_that_lost_its_session_gets_the_turn_with_its_history(client: DotnetClient, worker: DotnetWorker):
    """Extended sessions: `requiresHistory` and no action."""
    instance_id = client.start("n")
    worker.done(worker.turn(), activity(0, "a"))
    worker.result(worker.activity())
    worker.done(worker.turn(), requiresHistory=True)
    again = worker.turn()
    assert names(worker.past(again)) == ["orchestratorStarted", "executionStarted", "taskScheduled"]
    assert names(new(again)) == ["orchestratorStarted", "taskCompleted"]
    worker.done(again, end(1))
    assert client.ended(instance_id).orchestrationStatus == COMPLETED


def test_what_comes_while_a_turn_is_out_waits_in_its_order(client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    worker.done(worker.turn(), activity(0, "a"), timer(1, at(0)))
    out = worker.turn()
    assert names(new(out)) == ["orchestratorStarted", "timerFired"]
    client.raise_event(instance_id, "first")
    worker.result(worker.activity())
    client.raise_event(instance_id, "second")
    worker.done(out)
    item = worker.turn()
    assert names(new(item)) == ["orchestratorStarted", "eventRaised", "taskCompleted", "eventRaised"]
    assert names(worker.past(item))[-2:] == ["orchestratorStarted", "timerFired"]
    times = [event.timestamp.ToNanoseconds() for event in new(item)[1:]]
    assert times == sorted(times)


def test_what_stands_behind_the_completion_is_done_too(client: DotnetClient, worker: DotnetWorker):
    """.NET lists signals and events behind it."""
    other = client.start("other")
    worker.done(worker.turn())
    instance_id = client.start("n")
    worker.done(worker.turn(), end(1, "done"), send(0, other, "Bye", '"so long"'), activity(2, "late"))
    assert client.ended(instance_id).output.value == "done"
    assert new(worker.turn())[1].eventRaised == pb.EventRaisedEvent(name="Bye", input=text('"so long"'))
    late = worker.activity()
    worker.result(late, "nobody waits for it")
    assert names(client.history(instance_id))[2:] == ["eventSent", "taskScheduled", "executionCompleted"]


def test_one_orchestration_ends_another(client: DotnetClient, worker: DotnetWorker):
    other = client.start("other")
    worker.done(worker.turn())
    ending = [
        pb.TerminateOrchestrationAction(instanceId=other, reason=text("enough"), recurse=True),
        pb.TerminateOrchestrationAction(instanceId="nobody"),
    ]
    actions = [pb.OrchestratorAction(id=number, terminateOrchestration=each) for number, each in enumerate(ending)]
    instance_id = client.start("n")
    worker.done(worker.turn(), *actions, end(2))
    assert client.ended(instance_id).orchestrationStatus == COMPLETED
    item = worker.turn()
    assert item.orchestratorRequest.instanceId == other
    assert new(item)[1].executionTerminated == pb.ExecutionTerminatedEvent(input=text("enough"), recurse=True)


def test_what_an_orchestration_sends_itself_reaches_its_next_generation(client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    again = end(1, "2", status=CONTINUED_AS_NEW)
    worker.done(worker.turn(), send(0, instance_id, "Self", "1"), again, send(2, instance_id, "Self", "2"))
    seen = []
    while len(seen) < 3:
        item = worker.turn()
        seen += new(item)[1:]
        worker.done(item)
    assert seen[0].executionStarted.input.value == "2"
    assert [event.eventRaised.input.value for event in seen[1:]] == ["1", "2"]


def test_a_generation_begins_with_what_the_last_one_left(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    parent = client.start("parent")
    more = dict(version=text("v1"), tags={"a": "b"}, parentTraceContext=trace(2))
    worker.done(worker.turn(), child(0, "goes-on", "n", "1", **more))
    item = worker.turn()
    before = new(item)[1].executionStarted
    context = pb.OrchestrationTraceContext(spanID=text("00000000000000ff"), spanStartTime=at(1_700_000_000))
    client.raise_event("goes-on", "Came", "1")
    worker.done(item, timer(0, at(0)), customStatus=text('"kept"'), orchestrationTraceContext=context)
    created = hub.raw_state("goes-on").createdTimestamp
    item = worker.turn()
    assert item.orchestratorRequest.orchestrationTraceContext == context
    client.raise_event("goes-on", "Meanwhile", "2")
    saved = [pb.EventRaisedEvent(name=name, input=text(data)) for name, data in [("SavedB", None), ("savedA", "")]]
    carried = [pb.HistoryEvent(eventId=-1, timestamp=at(1_700_000_000), eventRaised=event) for event in saved]
    again = end(2, "2", status=CONTINUED_AS_NEW, newVersion=text("v2"), carryoverEvents=carried)
    worker.done(item, activity(3, "dropped"), again, customStatus=text('"kept"'), orchestrationTraceContext=context)

    state = hub.raw_state("goes-on")
    assert state.orchestrationStatus in (RUNNING, PENDING) and not state.HasField("output")
    assert (state.input.value, state.version.value, state.customStatus.value) == ("2", "v2", '"kept"')
    assert (state.createdTimestamp, state.parentInstanceId.value, dict(state.tags)) == (created, parent, {"a": "b"})
    item = worker.turn()
    request = item.orchestratorRequest
    assert not request.pastEvents and not request.HasField("orchestrationTraceContext")
    assert names(request.newEvents)[:2] == ["orchestratorStarted", "executionStarted"]
    after = new(item)[1].executionStarted
    assert after.orchestrationInstance.executionId == request.executionId
    assert after.orchestrationInstance.executionId != before.orchestrationInstance.executionId
    expected = pb.ExecutionStartedEvent()
    expected.CopyFrom(before)
    expected.input.value, expected.version.value = "2", "v2"
    expected.orchestrationInstance.executionId.CopyFrom(request.executionId)
    assert after == expected
    raised = [(event.eventId, event.eventRaised.name, said(event.eventRaised, "input")) for event in new(item)[2:]]
    assert raised == [(-1, "SavedB", None), (-1, "savedA", ""), (-1, "Meanwhile", "2")]
    worker.done(item, end(0, "the end"))
    told = new(worker.turn())[1].subOrchestrationInstanceCompleted
    assert told == pb.SubOrchestrationInstanceCompletedEvent(taskScheduledId=0, result=text("the end"))
