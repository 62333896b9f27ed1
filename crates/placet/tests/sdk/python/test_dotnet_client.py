"""What Microsoft's .NET client asks and what it needs of the answers, by raw calls (`GrpcDurableTaskClient`)."""

from datetime import datetime, timedelta, timezone

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty

from dotnet import (
    CANCELED,
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    SUSPENDED,
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
    text,
    trace,
)
from task_hub import TaskHub, refused_with
from waiting import PATIENCE_S

ALL_STATUSES = [COMPLETED, FAILED, TERMINATED, CANCELED, PENDING, RUNNING, SUSPENDED]

# What a payload may be: there, or not, and empty or not.
PAYLOADS = [None, "", "null", '""', '{"a": 1}']


def status(hub: TaskHub, instance_id: str) -> int:
    return hub.raw_state(instance_id).orchestrationStatus


@pytest.mark.parametrize("payload", PAYLOADS)
def test_null_and_empty_differ_on_the_whole_way(client: DotnetClient, worker: DotnetWorker, payload):
    instance_id = client.start("echo", input=payload, version=text(payload))
    item = worker.turn()
    started = new(item)[1].executionStarted
    assert (said(started, "input"), said(started, "version")) == (payload, payload)
    worker.done(item, end(0, payload), customStatus=text(payload))
    state = client.ended(instance_id)
    fields = ("version", "input", "output", "customStatus")
    assert [said(state, field) for field in fields] == [payload] * len(fields)
    assert said(client.history(instance_id)[-1].executionCompleted, "result") == payload
    assert not state.HasField("failureDetails")


def test_a_start_is_told_in_full(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    tags = {"colour": "red", "empty": "", "": "nameless"}
    start_at = at(int(datetime.now(timezone.utc).timestamp()) + 1, 123_456_700)  # .NET counts in ticks of 100 ns
    execution_id = "0123456789abcdef" * 2
    instance_id = client.start(
        "told",
        tags=tags,
        parentTraceContext=trace(7, "vendor=1"),
        scheduledStartTimestamp=start_at,
        executionId=text(execution_id),
    )
    waiting = hub.raw_state(instance_id)
    assert waiting.orchestrationStatus == PENDING and waiting.scheduledStartTimestamp == start_at
    item = worker.turn()
    request = item.orchestratorRequest
    assert names(request.newEvents) == ["orchestratorStarted", "executionStarted"]
    assert [event.eventId for event in request.newEvents] == [-1, -1]
    assert request.newEvents[0].timestamp.ToNanoseconds() >= start_at.ToNanoseconds()
    assert request.newEvents[1].executionStarted == pb.ExecutionStartedEvent(
        name="told",
        orchestrationInstance=pb.OrchestrationInstance(instanceId=instance_id, executionId=text(execution_id)),
        scheduledStartTimestamp=start_at,
        parentTraceContext=trace(7, "vendor=1"),
        tags=tags,
    )
    worker.done(item, end(0))
    state = client.ended(instance_id)
    assert dict(state.tags) == tags and state.scheduledStartTimestamp == start_at
    assert state.executionId.value == execution_id
    assert state.createdTimestamp == waiting.createdTimestamp


@pytest.mark.parametrize("asked", [at(0), at(4_000_000_000), None])
def test_when_the_client_says_that_it_asked_is_not_when_the_instance_was_made(
    hub: TaskHub, client: DotnetClient, asked
):
    before = datetime.now(timezone.utc) - timedelta(seconds=30)
    state = hub.raw_state(client.start("n", requestTime=asked))
    assert before < state.createdTimestamp.ToDatetime(timezone.utc) < before + timedelta(minutes=5)


def reach(hub: TaskHub, client: DotnetClient, worker: DotnetWorker, wanted: int) -> str:
    """An instance that is in this state."""
    instance_id = client.start("n", input="old")
    if wanted == PENDING:
        return instance_id
    item = worker.turn()
    if wanted not in (RUNNING, SUSPENDED):
        worker.done(item, end(0, status=wanted))
        return instance_id
    worker.done(item)
    if wanted == SUSPENDED:
        hub.call("SuspendInstance", pb.SuspendRequest(instanceId=instance_id))
        worker.done(worker.turn())
    return instance_id


@pytest.mark.parametrize("existing", ALL_STATUSES, ids=pb.OrchestrationStatus.Name)
def test_dedupe_statuses_are_what_a_start_leaves_alone(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, existing: int
):
    """.NET's user names the statuses that are not to be replaced; its client sends all others."""
    instance_id = reach(hub, client, worker, existing)
    assert status(hub, instance_id) == existing

    def again(dedupe: set[int]) -> str:
        policy = pb.OrchestrationIdReusePolicy(replaceableStatus=[s for s in ALL_STATUSES if s not in dedupe])
        return client.start("n", instance_id, input="new", orchestrationIdReusePolicy=policy)

    # Whoever replaces what runs terminates it first, and so cannot leave alone what was terminated.
    code = grpc.StatusCode.INVALID_ARGUMENT if existing == TERMINATED else grpc.StatusCode.ALREADY_EXISTS
    told = refused_with(code, lambda: again({existing}))
    assert instance_id in told or existing == TERMINATED
    assert refused_with(grpc.StatusCode.ALREADY_EXISTS, lambda: again(set(ALL_STATUSES)))
    assert said(hub.raw_state(instance_id), "input") == "old"
    assert again(set()) == instance_id
    state = hub.raw_state(instance_id)
    assert (state.orchestrationStatus, said(state, "input")) == (PENDING, "new")


def test_who_waits_for_the_start_sees_what_the_first_turn_set(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
    waiting = hub.begin("WaitForInstanceStart", request)
    worker.done(worker.turn(), activity(0, "a"), customStatus=text('"Started!"'))
    state = waiting.result(PATIENCE_S).orchestrationState
    assert (state.orchestrationStatus, state.customStatus.value) == (RUNNING, '"Started!"')


def test_a_wait_goes_on_when_its_instance_is_replaced_and_ends_with_the_new_one(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    instance_id = reach(hub, client, worker, RUNNING)
    request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
    waiting = hub.begin("WaitForInstanceCompletion", request)
    policy = pb.OrchestrationIdReusePolicy(replaceableStatus=ALL_STATUSES)
    client.start("n", instance_id, input="new", orchestrationIdReusePolicy=policy)
    worker.done(worker.turn(), end(0, "of the new one"))
    assert waiting.result(PATIENCE_S).orchestrationState.output.value == "of the new one"


def test_waits_without_a_deadline_that_are_cancelled_make_room_for_others(hub: TaskHub, client: DotnetClient):
    """On one connection no more than a thousand calls are under way, and each of these would be for ever."""
    request = pb.GetInstanceRequest(instanceId=client.start("n"))
    for _ in range(2):
        waiting = [hub.begin("WaitForInstanceCompletion", request) for _ in range(600)]
        assert client.start("n") and not any(wait.done() for wait in waiting)
        for wait in waiting:
            wait.cancel()


def test_a_deadline_is_told_as_one(hub: TaskHub, client: DotnetClient):
    """.NET waits again after this code, and after no other."""
    request = pb.GetInstanceRequest(instanceId=client.start("n"))
    for wait in ("WaitForInstanceStart", "WaitForInstanceCompletion"):
        refused_with(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: hub.call(wait, request, timeout=0.1))


def pages(hub: TaskHub, size: int, token: str | None = None, **query) -> list[pb.QueryInstancesResponse]:
    """`GetAllInstancesAsync().AsPages`: to the first answer whose token is null."""
    found = []
    while not found or token is not None:
        request = pb.InstanceQuery(maxInstanceCount=size, continuationToken=text(token), **query)
        found.append(hub.call("QueryInstances", pb.QueryInstancesRequest(query=request)))
        token = said(found[-1], "continuationToken")
    return found


def ids(answers: list[pb.QueryInstancesResponse]) -> list[str]:
    return [state.instanceId for answer in answers for state in answer.orchestrationState]


def test_pages_go_on_from_a_token_with_another_size(hub: TaskHub, client: DotnetClient):
    mine = {client.start("n", f"pages-{number}") for number in range(21)}
    client.start("n", "Pages-0")
    prefix = text("pages-")
    by_five = pages(hub, 5, instanceIdPrefix=prefix)
    assert [len(page.orchestrationState) for page in by_five] == [5, 5, 5, 5, 1]
    by_four = pages(hub, 4, said(by_five[1], "continuationToken"), instanceIdPrefix=prefix)
    assert [len(page.orchestrationState) for page in by_four] == [4, 4, 3]
    assert ids(by_four) == ids(by_five[2:])
    assert set(ids(by_five)) == mine and len(ids(by_five)) == 21


@pytest.mark.parametrize("prefix", ["100%", "a_b", "a\\", "ü", "'", "[a]*"])
def test_a_prefix_is_text_and_no_pattern(hub: TaskHub, client: DotnetClient, prefix: str):
    client.start("n", f"{prefix}-mine")
    for other in ("100-", "axb-", "a-", "u-", "aa", f"x{prefix}", prefix.upper() if prefix == "ü" else "other"):
        client.start("n", other)
    assert ids(pages(hub, 3, instanceIdPrefix=text(prefix))) == [f"{prefix}-mine"]


def test_a_range_of_creation_has_its_beginning_and_not_its_end(hub: TaskHub, client: DotnetClient):
    created = [hub.raw_state(client.start("n", f"i{number}")).createdTimestamp for number in range(3)]
    assert len({time.ToNanoseconds() for time in created}) == 3
    assert ids(pages(hub, 10, createdTimeFrom=created[0], createdTimeTo=created[2])) == ["i0", "i1"]
    assert ids(pages(hub, 10, createdTimeFrom=created[1], runtimeStatus=[PENDING])) == ["i1", "i2"]
    assert ids(pages(hub, 10, createdTimeFrom=created[1], createdTimeTo=created[1])) == []
    # `DateTimeOffset.MinValue` and `MaxValue`: what a user sets who wants no bound.
    assert len(ids(pages(hub, 10, createdTimeFrom=at(-62135596800), createdTimeTo=at(253402300799, 999999900)))) == 3


def test_ids_are_listed_from_an_empty_key_and_within_the_time_of_their_end(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    ended = [reach(hub, client, worker, how) for how in (COMPLETED, FAILED, TERMINATED, CANCELED, COMPLETED)]
    reach(hub, client, worker, RUNNING)
    times = [hub.raw_state(each).completedTimestamp for each in ended]

    def listed(**more) -> tuple[list[str], str | None]:
        request = pb.ListInstanceIdsRequest(**{"pageSize": 100, "lastInstanceKey": text(""), **more})
        answer = hub.call("ListInstanceIds", request)
        return list(answer.instanceIds), said(answer, "lastInstanceKey")

    assert listed() == (ended, None)
    assert listed(pageSize=0) == (ended, None)
    page, key = listed(pageSize=3)
    assert (page, listed(pageSize=3, lastInstanceKey=text(key))) == (ended[:3], (ended[3:], None))
    assert listed(completedTimeFrom=times[1], completedTimeTo=times[3])[0] == ended[1:3]
    assert listed(runtimeStatus=[FAILED, CANCELED])[0] == [ended[1], ended[3]]
    assert listed(runtimeStatus=[RUNNING])[0] == []


def purged(hub: TaskHub, **request) -> tuple[int, bool | None]:
    answer = hub.call("PurgeInstances", pb.PurgeInstancesRequest(**request))
    return answer.deletedInstanceCount, said(answer, "isComplete")


def test_a_purge_by_filter_takes_what_was_made_in_the_range_and_children_though_they_were_made_later(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    parent = client.start("parent")
    worker.done(worker.turn(), child(0, "the-child", "child"))
    worker.done(worker.turn(), end(0))
    worker.done(worker.turn(), end(1))
    others = [reach(hub, client, worker, how) for how in (COMPLETED, FAILED, RUNNING)]
    first, second = (hub.raw_state(each).createdTimestamp for each in (parent, "the-child"))
    within = pb.PurgeInstanceFilter(createdTimeFrom=first, createdTimeTo=second, timeout=Duration(seconds=30))
    assert purged(hub, purgeInstanceFilter=within, recursive=True) == (2, True)
    assert purged(hub, purgeInstanceFilter=within, recursive=True) == (0, True)
    failed = pb.PurgeInstanceFilter(createdTimeFrom=first, runtimeStatus=[FAILED, RUNNING])
    assert purged(hub, purgeInstanceFilter=failed) == (1, True)
    assert ids(pages(hub, 10)) == [others[0], others[2]]


def test_a_purge_by_id_says_what_it_is_for(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    ended = reach(hub, client, worker, COMPLETED)
    assert purged(hub, instanceId="@counter@a", isOrchestration=False) == (0, True)
    assert purged(hub, instanceId=ended, isOrchestration=True) == (1, True)
    assert purged(hub, instanceId=ended, isOrchestration=True) == (0, True)
    # The id is as new: no policy stands in its way.
    assert client.start("n", ended, orchestrationIdReusePolicy=pb.OrchestrationIdReusePolicy()) == ended


@pytest.mark.parametrize("new_id", [True, False])
@pytest.mark.parametrize("payload", [None, "", "7"])
def test_a_restart_begins_with_what_the_first_start_said(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, payload, new_id: bool
):
    first = client.start("n", input=payload, version=text(payload or "1.0"), tags={"a": "b"})
    worker.done(worker.turn(), end(0, "done"))
    request = pb.RestartInstanceRequest(instanceId=first, restartWithNewInstanceId=new_id)
    second = hub.call("RestartInstance", request).instanceId
    assert (second == first) is not new_id
    started = new(worker.turn())[1].executionStarted
    assert (started.name, said(started, "input"), dict(started.tags)) == ("n", payload, {"a": "b"})
    assert said(started, "version") == (payload or "1.0")
    assert status(hub, second) == PENDING and not hub.raw_state(second).HasField("output")


@pytest.mark.parametrize("reason", [None, "", "lunch"])
def test_a_reason_reaches_the_worker_as_it_was_given(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, reason: str | None
):
    instance_id = reach(hub, client, worker, RUNNING)
    hub.call("SuspendInstance", pb.SuspendRequest(instanceId=instance_id, reason=text(reason)))
    item = worker.turn()
    assert names(new(item)) == ["orchestratorStarted", "executionSuspended"]
    assert said(new(item)[1].executionSuspended, "input") == reason
    assert status(hub, instance_id) == RUNNING
    worker.done(item)
    assert status(hub, instance_id) == SUSPENDED

    client.raise_event(instance_id, "first")
    client.raise_event(instance_id, "second")
    hub.call("ResumeInstance", pb.ResumeRequest(instanceId=instance_id, reason=text(reason)))
    resumed, seen = None, []
    while len(seen) < 2:
        item = worker.turn()
        for event in new(item)[1:]:
            if event.HasField("executionResumed"):
                resumed = event
            else:
                seen.append(event.eventRaised.name)
        worker.done(item)
    assert said(resumed.executionResumed, "input") == reason and resumed.eventId == -1
    assert seen == ["first", "second"]
    assert status(hub, instance_id) == RUNNING


def test_a_suspension_of_what_has_not_begun_stands_in_its_first_turn(hub: TaskHub, client: DotnetClient):
    instance_id = client.start("n")
    hub.call("SuspendInstance", pb.SuspendRequest(instanceId=instance_id, reason=text("not yet")))
    assert status(hub, instance_id) == PENDING
    worker = DotnetWorker(hub)
    item = worker.turn()
    assert names(new(item)) == ["orchestratorStarted", "executionStarted", "executionSuspended"]
    worker.done(item)
    assert status(hub, instance_id) == SUSPENDED
    hub.call("ResumeInstance", pb.ResumeRequest(instanceId=instance_id))
    item = worker.turn()
    assert names(new(item)) == ["orchestratorStarted", "executionResumed"]
    worker.done(item)
    assert status(hub, instance_id) == RUNNING
    worker.close()


@pytest.mark.parametrize("output", [None, "", '{"quote": "I\'ll be back."}'])
@pytest.mark.parametrize("recursive", [True, False])
def test_a_termination_reaches_the_worker_which_ends_with_its_output(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, output: str | None, recursive: bool
):
    instance_id = reach(hub, client, worker, RUNNING)
    request = pb.TerminateRequest(instanceId=instance_id, output=text(output), recursive=recursive)
    hub.call("TerminateInstance", request)
    item = worker.turn()
    told = new(item)[1]
    assert told.eventId == -1
    assert (said(told.executionTerminated, "input"), told.executionTerminated.recurse) == (output, recursive)
    worker.done(item, end(0, said(told.executionTerminated, "input"), status=TERMINATED))
    state = client.ended(instance_id)
    assert (state.orchestrationStatus, said(state, "output")) == (TERMINATED, output)
    assert not state.HasField("failureDetails")


@pytest.mark.parametrize("how", [COMPLETED, FAILED, TERMINATED], ids=pb.OrchestrationStatus.Name)
def test_what_has_ended_takes_whatever_it_is_told_and_stays_as_it_is(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, how: int
):
    instance_id = reach(hub, client, worker, how)
    before, events = hub.raw_state(instance_id), client.history(instance_id)
    hub.call("SuspendInstance", pb.SuspendRequest(instanceId=instance_id, reason=text("too late")))
    hub.call("ResumeInstance", pb.ResumeRequest(instanceId=instance_id))
    hub.call("TerminateInstance", pb.TerminateRequest(instanceId=instance_id, output=text("too late")))
    client.raise_event(instance_id, "TooLate")
    assert (hub.raw_state(instance_id), client.history(instance_id)) == (before, events)


@pytest.mark.parametrize("data", PAYLOADS)
def test_an_event_reaches_the_worker_as_it_was_raised(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker, data: str | None
):
    instance_id = reach(hub, client, worker, RUNNING)
    client.raise_event(instance_id, "MyEvent", data)
    event = new(worker.turn())[1]
    assert (event.eventId, event.eventRaised.name, said(event.eventRaised, "input")) == (-1, "MyEvent", data)


def test_a_history_is_that_of_the_execution_that_is_asked_for(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = reach(hub, client, worker, COMPLETED)
    events = client.history(instance_id)
    assert names(events) == ["orchestratorStarted", "executionStarted", "executionCompleted"]
    assert [event.eventId for event in events] == [-1, -1, 0]
    assert all(event.timestamp.seconds > 0 for event in events)
    execution_id = hub.raw_state(instance_id).executionId
    assert client.history(instance_id, executionId=execution_id) == events
    assert client.history(instance_id, executionId=text("")) == events
    assert client.history(instance_id, executionId=text("0" * 32)) == []


def test_what_is_ended_by_force_has_the_reason_as_its_output(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    live = [reach(hub, client, worker, how) for how in (RUNNING, SUSPENDED, PENDING)]
    batch = pb.InstanceBatch(instanceIds=[*live, "@counter@a"])
    for reason, left in ((None, ["@counter@a"]), ("again", [*live, "@counter@a"])):
        request = pb.SkipGracefulOrchestrationTerminationsRequest(instanceBatch=batch, reason=text(reason))
        assert hub.call("SkipGracefulOrchestrationTerminations", request).unterminatedInstanceIds == left
    for instance_id in live:
        state = client.ended(instance_id)
        assert (state.orchestrationStatus, said(state, "output")) == (TERMINATED, None)


def test_what_this_server_does_not_have_is_said_in_the_code_that_clients_understand(hub: TaskHub):
    """Entities, and the calls of later versions: .NET's client turns it into `NotImplementedException`."""
    entity = pb.GetEntityRequest(instanceId="@counter@a")
    assert "entities" in refused_with(grpc.StatusCode.UNIMPLEMENTED, lambda: hub.call("GetEntity", entity))
    refused_with(grpc.StatusCode.UNIMPLEMENTED, lambda: hub.call_unknown("GetLargePayloadTombstones"))


def test_hello_is_answered_to_everybody(hub: TaskHub):
    """With the headers of the Azure packages, and with none."""
    azure = [
        ("authorization", "Bearer nonsense"),
        ("x-user-agent", "durabletask-dotnet/1.0.0 (DurableTaskWorker)"),
        ("workerid", "host,1,0123456789abcdef0123456789abcdef"),
    ]
    assert hub.call("Hello", Empty(), headers=azure) == Empty()
    assert hub.call("Hello", Empty(), hub=None) == Empty()
