"""Purging, restarting, and ending by force."""

import re

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub, refused_with
from waiting import eventually


def echo(ctx: task.OrchestrationContext, value):
    return value


def waits(ctx: task.OrchestrationContext, _):
    return (yield ctx.wait_for_external_event("go"))


def family(ctx: task.OrchestrationContext, depth: int):
    if depth:
        yield task.when_all([
            ctx.call_sub_orchestrator(family, input=depth - 1, instance_id=f"{ctx.instance_id}-{number}")
            for number in range(2)
        ])


def test_what_has_ended_is_purged_and_what_runs_is_not(hub: TaskHub):
    hub.serve(echo, waits)
    ended, running = hub.start(echo, input=1), hub.start(waits)
    hub.ended(ended)
    hub.client.wait_for_orchestration_start(running)
    for instance_id, count in [(running, 0), ("nobody", 0), (ended, 1), (ended, 0)]:
        result = hub.client.purge_orchestration(instance_id)
        assert (result.deleted_instance_count, result.is_complete) == (count, True)
    assert hub.state(ended) is None
    assert hub.history(ended) == []
    assert hub.state(running).runtime_status == OrchestrationStatus.RUNNING


def test_a_family_is_purged_together_if_that_is_asked_for(hub: TaskHub):
    hub.serve(family)
    for root in ("one", "two"):
        hub.ended(hub.start(family, input=2, instance_id=root))
    assert hub.client.purge_orchestration("one", recursive=False).deleted_instance_count == 1
    assert hub.state("one") is None and hub.state("one-0-1") is not None
    assert hub.client.purge_orchestration("two", recursive=True).deleted_instance_count == 7
    assert hub.state("two-1-1") is None


def test_a_batch_names_what_is_purged_and_how_much_that_may_be(hub: TaskHub):
    hub.serve(echo)
    ids = [hub.start(echo) for _ in range(5)]
    for instance_id in ids:
        hub.ended(instance_id)
    batch = pb.InstanceBatch(instanceIds=[*ids, "nobody"])
    answer = hub.call("PurgeInstances", pb.PurgeInstancesRequest(instanceBatch=batch))
    assert (answer.deletedInstanceCount, answer.isComplete.value) == (5, True)
    batch = pb.InstanceBatch(instanceIds=["x"] * 501)
    told = refused_with(
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda: hub.call("PurgeInstances", pb.PurgeInstancesRequest(instanceBatch=batch)),
    )
    assert "500 at most" in told


@pytest.mark.parametrize("new_id", [True, False])
def test_an_instance_begins_again_as_it_began(hub: TaskHub, new_id: bool):
    hub.serve(echo)
    first = hub.start(echo, input={"a": 1}, tags={"colour": "red"})
    before = hub.raw_state(first) if hub.ended(first) else None
    request = pb.RestartInstanceRequest(instanceId=first, restartWithNewInstanceId=new_id)
    second = hub.call("RestartInstance", request).instanceId
    assert re.fullmatch("[0-9a-f]{32}", second) and (second != first) == new_id
    assert hub.ended(second).get_output() == {"a": 1}
    after = hub.raw_state(second)
    assert (after.name, dict(after.tags)) == ("echo", {"colour": "red"})
    assert after.executionId.value != before.executionId.value
    if new_id:
        assert hub.raw_state(first) == before


def test_what_has_not_ended_begins_again_only_under_another_id(hub: TaskHub):
    hub.serve(waits)
    first = hub.start(waits)
    hub.client.wait_for_orchestration_start(first)

    def restart(instance_id: str, new_id: bool) -> str:
        request = pb.RestartInstanceRequest(instanceId=instance_id, restartWithNewInstanceId=new_id)
        return hub.call("RestartInstance", request).instanceId

    assert "has not ended" in refused_with(grpc.StatusCode.FAILED_PRECONDITION, lambda: restart(first, False))
    assert "there is no instance" in refused_with(grpc.StatusCode.NOT_FOUND, lambda: restart("nobody", True))
    second = restart(first, True)
    hub.client.raise_orchestration_event(second, "go", data=2)
    assert hub.ended(second).get_output() == 2
    assert hub.state(first).runtime_status == OrchestrationStatus.RUNNING


def test_instances_are_ended_by_force_without_their_worker(hub: TaskHub):
    worker = hub.serve(echo)
    ended = hub.start(echo)
    hub.ended(ended)
    worker.stop()
    pending = [hub.start("nobody-serves-this") for _ in range(3)]
    request = pb.SkipGracefulOrchestrationTerminationsRequest(
        instanceBatch=pb.InstanceBatch(instanceIds=[*pending, ended, "nobody"])
    )
    request.reason.value = '"enough"'
    left = hub.call("SkipGracefulOrchestrationTerminations", request).unterminatedInstanceIds
    assert list(left) == [ended, "nobody"]
    for instance_id in pending:
        state = hub.ended(instance_id)
        assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, "enough")


def test_a_turn_whose_instance_was_ended_meanwhile_changes_nothing(hub: TaskHub):
    stream = hub.work_items()
    instance_id = hub.start("hand-made")
    item = next(stream)
    request = pb.SkipGracefulOrchestrationTerminationsRequest(instanceBatch=pb.InstanceBatch(instanceIds=[instance_id]))
    assert not hub.call("SkipGracefulOrchestrationTerminations", request).unterminatedInstanceIds
    complete = pb.CompleteOrchestrationAction(orchestrationStatus=pb.ORCHESTRATION_STATUS_COMPLETED)
    response = pb.OrchestratorResponse(
        instanceId=instance_id,
        actions=[pb.OrchestratorAction(id=1, completeOrchestration=complete)],
        completionToken=item.completionToken,
    )
    hub.call("CompleteOrchestratorTask", response)
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.TERMINATED
    eventually(lambda: hub.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId=instance_id)), "it is purged")
    assert hub.state(instance_id) is None
