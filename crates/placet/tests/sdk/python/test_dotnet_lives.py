"""What clients rely on while others are at work: of one life, of all of a family, of exactly what was named (.NET's tests
look for it, or its users would be surprised)."""

import threading

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc

from dotnet import (
    COMPLETED,
    FAILED,
    PENDING,
    TERMINATED,
    DotnetClient,
    DotnetWorker,
    at,
    child,
    end,
    names,
    new,
    said,
    text,
    timer,
)
from task_hub import TaskHub, refused_with


def test_families_that_match_a_filter_are_purged_together(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    for number in range(10):
        client.start("parent", f"parent-{number}")
        worker.done(worker.turn(), *(child(each, f"child-{number}-{each}", "child") for each in range(3)))
        came = 0
        while came < 3:
            item = worker.turn()
            if item.orchestratorRequest.instanceId.startswith("child"):
                worker.done(item, end(0))
                continue
            came += sum(event.HasField("subOrchestrationInstanceCompleted") for event in new(item))
            worker.done(item, *([end(3)] if came == 3 else []))
    request = pb.PurgeInstancesRequest(purgeInstanceFilter=pb.PurgeInstanceFilter(), recursive=True)
    assert hub.call("PurgeInstances", request).deletedInstanceCount == 40
    assert not hub.call("QueryInstances", pb.QueryInstancesRequest()).orchestrationState


def test_a_status_that_is_not_known_matches_nothing(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    worker.done(worker.turn(), end(0))
    later = [99]
    query = pb.QueryInstancesRequest(query=pb.InstanceQuery(runtimeStatus=later))
    assert not hub.call("QueryInstances", query).orchestrationState
    assert not hub.call("ListInstanceIds", pb.ListInstanceIdsRequest(runtimeStatus=later)).instanceIds
    purge = pb.PurgeInstancesRequest(purgeInstanceFilter=pb.PurgeInstanceFilter(runtimeStatus=later))
    assert hub.call("PurgeInstances", purge).deletedInstanceCount == 0
    assert hub.raw_state(instance_id).orchestrationStatus == COMPLETED


def test_what_is_told_of_an_instance_is_of_one_life(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    over = threading.Event()

    def start_over() -> None:
        for life in range(200):
            policy = pb.OrchestrationIdReusePolicy(replaceableStatus=[COMPLETED, TERMINATED])
            client.start("n", "again", input=f"life {life}", orchestrationIdReusePolicy=policy)
            item = worker.turn()
            worker.done(item, end(0, new(item)[1].executionStarted.input.value))
        over.set()

    threading.Thread(target=start_over, daemon=True).start()
    request = pb.GetInstanceRequest(instanceId="again", getInputsAndOutputs=True)
    while not over.is_set():
        state = hub.call("GetInstance", request).orchestrationState
        if state.orchestrationStatus == COMPLETED:
            assert said(state, "output") == said(state, "input") is not None


def test_a_failure_comes_only_with_the_payloads(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    """.NET: GetInstanceMetadata_EndToEnd(shouldThrow: true) asserts `FailureDetails.Should().BeNull()`."""
    instance_id = client.start("n")
    failure = pb.TaskFailureDetails(errorType="E", errorMessage="m")
    worker.done(worker.turn(), end(0, status=FAILED, failureDetails=failure))
    for method in ("GetInstance", "WaitForInstanceCompletion"):
        state = hub.call(method, pb.GetInstanceRequest(instanceId=instance_id)).orchestrationState
        assert state.orchestrationStatus == FAILED and not state.HasField("failureDetails")


def test_a_child_whose_turn_is_out_exists(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    for number in range(20):
        client.start("parent")
        worker.done(worker.turn(), child(0, f"child-{number}", "child"))
        item = worker.turn()
        assert item.orchestratorRequest.instanceId == f"child-{number}"
        assert hub.call("GetInstance", pb.GetInstanceRequest(instanceId=f"child-{number}")).exists
        worker.done(item, end(0))
        worker.done(worker.turn(), end(1))


def test_a_recursive_termination_takes_fire_and_forget_children_too(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    parent = client.start("parent")
    worker.done(worker.turn(), child(0, "forgotten", "child", tags={"FireAndForget": ""}))
    worker.done(worker.turn())
    hub.call("TerminateInstance", pb.TerminateRequest(instanceId=parent, output=text("x"), recursive=True))
    worker.done(worker.turn(), end(1, "x", status=TERMINATED))
    client.raise_event("forgotten", "Sentinel")
    assert "executionTerminated" in names(new(worker.turn()))


def test_a_purge_takes_what_was_made_at_the_end_of_its_range(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    """.NET: PurgeAllInstancesAsync_CreatedTimeBounds_RespectsBounds(useCreatedFrom: false, tickOffset: 0) wants 1."""
    instance_id = client.start("n")
    worker.done(worker.turn(), end(0))
    until = pb.PurgeInstanceFilter(createdTimeTo=hub.raw_state(instance_id).createdTimestamp)
    assert hub.call("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter=until)).deletedInstanceCount == 1


def test_a_restart_keeps_an_empty_version(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n", version=text(""))
    worker.done(worker.turn(), end(0))
    hub.call("RestartInstance", pb.RestartInstanceRequest(instanceId=instance_id))
    assert said(new(worker.turn())[1].executionStarted, "version") == ""


def test_a_completion_for_another_instance_changes_nothing(hub: TaskHub, client: DotnetClient, worker: DotnetWorker):
    instance_id = client.start("n")
    item = worker.turn()
    foreign = pb.OrchestratorResponse(instanceId="other", completionToken=item.completionToken, actions=[end(0)])
    refused_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: hub.call("CompleteOrchestratorTask", foreign))
    assert hub.raw_state(instance_id).orchestrationStatus == PENDING


def test_the_last_page_has_no_token_though_it_is_full_and_a_list_of_ids_goes_on_from_one_of_them(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    ids = [client.start("n", f"listed-{number}") for number in range(4)]
    for _ in ids:
        worker.done(worker.turn(), end(0))
    query = pb.QueryInstancesRequest(query=pb.InstanceQuery(maxInstanceCount=4))
    answer = hub.call("QueryInstances", query)
    assert len(answer.orchestrationState) == 4 and not answer.HasField("continuationToken")
    first = hub.call("ListInstanceIds", pb.ListInstanceIdsRequest(pageSize=2))
    assert first.instanceIds[-1] in first.lastInstanceKey.value
    second = hub.call("ListInstanceIds", pb.ListInstanceIdsRequest(pageSize=2, lastInstanceKey=first.lastInstanceKey))
    assert sorted([*first.instanceIds, *second.instanceIds]) == sorted(ids)
    assert not second.HasField("lastInstanceKey")


def test_a_turn_that_takes_a_timer_is_later_than_the_timer_in_whole_milliseconds(
    hub: TaskHub, client: DotnetClient, worker: DotnetWorker
):
    """Java knows no smaller time, and sleeps again if a turn is of its timer's own millisecond."""
    for _ in range(20):
        client.start("n")
        item = worker.turn()
        began = new(item)[0].timestamp
        fire_at = at(began.seconds, began.nanos)
        fire_at.FromNanoseconds(began.ToNanoseconds() + 5_000_000)
        worker.done(item, timer(0, fire_at))
        item = worker.turn()
        turn, fired = new(item)
        assert fired.HasField("timerFired") and turn.timestamp.ToMilliseconds() > fire_at.ToMilliseconds()
        worker.done(item, end(1))
