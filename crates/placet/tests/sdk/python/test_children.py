"""Sub-orchestrations: how children begin, what their parents hear of them, who ends with whom."""

import re
from datetime import timedelta

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub
from waiting import eventually


def child(ctx: task.OrchestrationContext, number: int):
    ctx.set_custom_status("counting")
    return number + 1


def parent(ctx: task.OrchestrationContext, number: int):
    result = yield ctx.call_sub_orchestrator(child, input=number)
    return result * 10


def test_a_parent_gets_what_its_child_returned(hub: TaskHub):
    hub.serve(parent, child)
    instance_id = hub.start(parent, input=4)
    assert hub.ended(instance_id).get_output() == 50
    assert hub.event_names(instance_id) == [
        "OrchestratorStarted",
        "ExecutionStarted",
        "SubOrchestrationInstanceCreated",
        "OrchestratorStarted",
        "SubOrchestrationInstanceCompleted",
        "ExecutionCompleted",
    ]
    child_id = hub.history(instance_id)[2].instance_id
    state = hub.raw_state(child_id)
    assert (state.name, state.input.value, state.output.value) == ("child", "4", "5")
    assert state.parentInstanceId.value == instance_id
    assert re.fullmatch("[0-9a-f]{32}", state.executionId.value)
    started = hub.history(child_id)[1]
    assert started.parent_instance.task_scheduled_id == 1
    assert started.parent_instance.name == "parent"
    assert hub.raw_state(instance_id).parentInstanceId.value == ""


def test_a_child_that_does_nothing_at_all_ends_too(hub: TaskHub):
    def empty(ctx: task.OrchestrationContext, _):
        pass

    def caller(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_sub_orchestrator(empty))

    hub.serve(empty, caller)
    state = hub.run(caller)
    assert (state.runtime_status, state.serialized_output) == (OrchestrationStatus.COMPLETED, None)


def test_a_thousand_children_come_back_to_their_parent_in_its_own_order(hub: TaskHub):
    def fan_out(ctx: task.OrchestrationContext, width: int):
        return (yield task.when_all([ctx.call_sub_orchestrator(child, input=number) for number in range(width)]))

    hub.serve(fan_out, child)
    state = hub.ended(hub.start(fan_out, input=1_000), timeout=120)
    assert state.get_output() == [number + 1 for number in range(1_000)]


def fails(ctx: task.OrchestrationContext, message: str):
    yield ctx.call_activity(broken, input=message)


def broken(_, message: str):
    raise ValueError(message)


def test_a_childs_failure_reaches_its_parent_as_it_was(hub: TaskHub):
    def catches(ctx: task.OrchestrationContext, _):
        try:
            yield ctx.call_sub_orchestrator(fails, input="Kah-BOOOOM!!!")
        except task.TaskFailedError as error:
            return [error.details.error_type, error.details.message]

    hub.serve(catches, fails, broken)
    kind, message = hub.run(catches).get_output()
    assert kind.endswith("TaskFailedError")
    assert "Kah-BOOOOM!!!" in message


def test_a_failed_child_is_retried_under_its_own_id_as_often_as_its_policy_says(hub: TaskHub):
    seen = []

    def moody(ctx: task.OrchestrationContext, _):
        if not ctx.is_replaying:
            seen.append(ctx.instance_id)
        raise ValueError("not today")

    def insists(ctx: task.OrchestrationContext, _):
        policy = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=100), max_number_of_attempts=3)
        yield ctx.call_sub_orchestrator(moody, retry_policy=policy)

    hub.serve(insists, moody)
    state = hub.run(insists)
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert "not today" in state.failure_details.message
    assert len(seen) == 3
    assert len(set(seen)) == 1


def waits(ctx: task.OrchestrationContext, _):
    return (yield ctx.wait_for_external_event("go"))


def test_a_child_whose_id_is_in_use_fails_and_leaves_the_other_alone(hub: TaskHub):
    def clashes(ctx: task.OrchestrationContext, child_id: str):
        try:
            yield ctx.call_sub_orchestrator(waits, instance_id=child_id)
        except task.TaskFailedError as error:
            return error.details.error_type

    hub.serve(clashes, waits)
    taken = hub.start(waits)
    hub.client.wait_for_orchestration_start(taken)
    assert hub.run(clashes, input=taken).get_output() == "OrchestrationAlreadyExists"
    hub.client.raise_orchestration_event(taken, "go", data="on")
    assert hub.ended(taken).get_output() == "on"


def runs(hub: TaskHub, instance_id: str) -> None:
    def is_running() -> bool:
        state = hub.state(instance_id)
        return state is not None and state.runtime_status == OrchestrationStatus.RUNNING

    eventually(is_running, f"{instance_id} runs")


def nest(ctx: task.OrchestrationContext, child_id: str):
    if child_id.count("-") < 2:
        yield ctx.call_sub_orchestrator(nest, input=f"{child_id}-x", instance_id=f"{child_id}-x")
    yield ctx.wait_for_external_event("never")


@pytest.mark.parametrize("recursive", [True, False])
def test_a_termination_ends_the_children_only_if_it_says_so(hub: TaskHub, recursive: bool):
    hub.serve(nest)
    root = f"root{recursive}"
    hub.start(nest, input=root, instance_id=root)
    family = [root, f"{root}-x", f"{root}-x-x"]
    runs(hub, family[-1])
    hub.client.terminate_orchestration(root, output="stop", recursive=recursive)
    for instance_id in family if recursive else [root]:
        state = hub.ended(instance_id)
        assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, "stop")
    if not recursive:
        assert [hub.state(each).runtime_status.name for each in family[1:]] == ["RUNNING"] * 2


def test_a_parent_hears_that_its_child_was_terminated(hub: TaskHub):
    def guards(ctx: task.OrchestrationContext, child_id: str):
        try:
            yield ctx.call_sub_orchestrator(waits, instance_id=child_id)
        except task.TaskFailedError as error:
            return [error.details.error_type, error.details.message]

    hub.serve(guards, waits)
    parent_id = hub.start(guards, input="guarded")
    runs(hub, "guarded")
    hub.client.terminate_orchestration("guarded")
    kind, message = hub.ended(parent_id).get_output()
    assert kind == "OrchestrationTerminated"
    assert "was terminated" in message


def test_a_parent_hears_of_its_child_only_when_the_last_generation_ends(hub: TaskHub):
    def counts(ctx: task.OrchestrationContext, number: int):
        if number < 5:
            ctx.continue_as_new(number + 1)
            return
        return number

    def caller(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_sub_orchestrator(counts, input=0))

    hub.serve(caller, counts)
    assert hub.run(caller).get_output() == 5


def test_each_generation_may_call_a_child_of_the_same_id(hub: TaskHub):
    def loops(ctx: task.OrchestrationContext, number: int):
        result = yield ctx.call_sub_orchestrator(child, input=number)
        if result < 5:
            ctx.continue_as_new(result)
            return
        return result

    hub.serve(loops, child)
    assert hub.run(loops, input=0).get_output() == 5


def test_version_and_tags_of_the_action_go_to_the_child(hub: TaskHub):
    stream = hub.work_items()
    parent_id = hub.start("hand-made")
    item = next(stream)
    create = pb.CreateSubOrchestrationAction(instanceId="tagged", name="child")
    create.version.value, create.tags["colour"] = "2.1", "red"
    action = pb.OrchestratorAction(id=7, createSubOrchestration=create)
    hub.call(
        "CompleteOrchestratorTask",
        pb.OrchestratorResponse(instanceId=parent_id, actions=[action], completionToken=item.completionToken),
    )
    request = next(stream).orchestratorRequest
    started = request.newEvents[1].executionStarted
    assert (request.instanceId, started.version.value, dict(started.tags)) == ("tagged", "2.1", {"colour": "red"})
    assert started.parentInstance.taskScheduledId == 7
    assert started.parentInstance.orchestrationInstance.instanceId == parent_id
    # A turn goes out before the message that caused it is on disk, and only what is there is told.
    eventually(lambda: hub.state("tagged"), "the child is recorded")
    assert dict(hub.raw_state("tagged").tags) == {"colour": "red"}


def test_orchestrations_send_events_to_each_other(hub: TaskHub):
    def asks(ctx: task.OrchestrationContext, other: str):
        ctx.send_event(other, event_name="Question", data=ctx.instance_id)
        return (yield ctx.wait_for_external_event("answer"))

    def answers(ctx: task.OrchestrationContext, _):
        other = yield ctx.wait_for_external_event("question")
        ctx.send_event(other, event_name="answer", data=42)

    if not hasattr(task.OrchestrationContext, "send_event"):
        pytest.skip("this version of the SDK sends no events")
    hub.serve(asks, answers)
    assert hub.run(asks, input=hub.start(answers)).get_output() == 42
