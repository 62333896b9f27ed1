"""Rewind: what failed is tried again, and what succeeded stays."""

from datetime import datetime

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub, refused_with


class Moody:
    """An activity and an orchestrator that fail until they are told not to."""

    def __init__(self):
        self.runs: list[str] = []
        self.broken = {"activity"}

    def serve(self, hub: TaskHub):
        def steady(_, value: str):
            self.runs.append(f"steady {value}")
            return value

        def moody(_, value: str):
            self.runs.append(f"moody {value}")
            if "activity" in self.broken:
                raise ValueError("not today")
            return value.upper()

        def parent(ctx: task.OrchestrationContext, child_id: str):
            first = yield ctx.call_activity(steady, input="a")
            second = yield ctx.call_sub_orchestrator(child, instance_id=child_id)
            return first + second

        def child(ctx: task.OrchestrationContext, _):
            first = yield ctx.call_activity(steady, input="b")
            second = yield ctx.call_activity(moody, input="c")
            return first + second

        def alone(ctx: task.OrchestrationContext, _):
            first = yield ctx.call_activity(steady, input="a")
            second = yield ctx.call_activity(moody, input="b")
            if "code" in self.broken:
                raise ValueError("not yet")
            return first + second

        hub.serve(steady, moody, parent, child, alone)


def rewind(hub: TaskHub, instance_id: str) -> None:
    hub.client.rewind_orchestration(instance_id, reason="mended")


def test_an_activity_that_failed_runs_again_and_the_others_do_not(hub: TaskHub):
    moody = Moody()
    moody.serve(hub)
    instance_id = hub.start("alone")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    before = hub.raw_state(instance_id)
    moody.broken.clear()
    rewind(hub, instance_id)
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.COMPLETED, "aB")
    assert moody.runs == ["steady a", "moody b", "moody b"]
    assert state.failure_details is None
    assert hub.raw_state(instance_id).executionId.value != before.executionId.value
    assert hub.event_names(instance_id).count("ExecutionRewound") == 1


def test_twice_is_possible(hub: TaskHub):
    moody = Moody()
    moody.broken.add("code")
    moody.serve(hub)
    instance_id = hub.start("alone")
    for broken in ({"activity", "code"}, {"code"}, set()):
        assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
        moody.broken = broken
        rewind(hub, instance_id)
    assert hub.ended(instance_id).get_output() == "aB"
    assert moody.runs == ["steady a", "moody b", "moody b", "moody b"]


def test_a_child_that_failed_is_rewound_with_its_parent(hub: TaskHub):
    moody = Moody()
    moody.serve(hub)
    instance_id = hub.start("parent", input="rewound-child")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    moody.broken.clear()
    rewind(hub, instance_id)
    assert hub.ended(instance_id).get_output() == "abC"
    assert moody.runs == ["steady a", "steady b", "moody c", "moody c"]
    assert hub.state("rewound-child").runtime_status == OrchestrationStatus.COMPLETED


def test_a_child_that_was_purged_begins_anew(hub: TaskHub):
    moody = Moody()
    moody.serve(hub)
    instance_id = hub.start("parent", input="purged-child")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    assert hub.client.purge_orchestration("purged-child").deleted_instance_count == 1
    moody.broken.clear()
    rewind(hub, instance_id)
    assert hub.ended(instance_id).get_output() == "abC"
    assert moody.runs == ["steady a", "steady b", "moody c", "steady b", "moody c"]


@pytest.mark.parametrize("purged", [False, True])
def test_a_grandchild_is_rewound_or_begins_anew_with_its_input_and_version(hub: TaskHub, purged: bool):
    runs = []

    def moody(_, value: str):
        runs.append(value)
        if len(runs) == 1:
            raise ValueError("not today")
        return value

    def leaf(ctx: task.OrchestrationContext, value: str):
        return f"{ctx.version} leaf of {(yield ctx.call_activity(moody, input=value))}"

    def branch(ctx: task.OrchestrationContext, value: str):
        made = yield ctx.call_sub_orchestrator(leaf, input=value, instance_id="leaf", version="2.0")
        return f"{ctx.version} branch with {made}"

    def tree(ctx: task.OrchestrationContext, value: str):
        return (yield ctx.call_sub_orchestrator(branch, input=value, instance_id="branch", version="1.0"))

    hub.serve(moody, leaf, branch, tree)
    instance_id = hub.start(tree, input="oak")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    before = {each: hub.raw_state(each) for each in ("branch", "leaf")}
    if purged:
        for each in ("leaf", "branch"):
            assert hub.client.purge_orchestration(each).deleted_instance_count == 1
    hub.client.rewind_orchestration(instance_id)
    assert hub.ended(instance_id).get_output() == "1.0 branch with 2.0 leaf of oak"
    assert runs == ["oak", "oak"]
    for each, was in before.items():
        state = hub.raw_state(each)
        assert hub.state(each).runtime_status == OrchestrationStatus.COMPLETED
        assert (state.name, state.input, state.version) == (was.name, was.input, was.version)


def test_of_several_children_those_that_failed_run_again(hub: TaskHub):
    runs: dict[int, int] = {}

    def moody(_, number: int):
        runs[number] = runs.get(number, 0) + 1
        if number < 2 and runs[number] == 1:
            raise ValueError("not today")
        return number

    def child(ctx: task.OrchestrationContext, number: int):
        return (yield ctx.call_activity(moody, input=number))

    def parent(ctx: task.OrchestrationContext, _):
        ids = [f"{ctx.instance_id}-{number}" for number in range(3)]
        children = [ctx.call_sub_orchestrator(child, input=number, instance_id=ids[number]) for number in range(3)]
        return (yield task.when_all(children))

    hub.serve(moody, child, parent)
    instance_id = hub.start(parent)
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    for number in range(3):
        hub.ended(f"{instance_id}-{number}")
    hub.client.rewind_orchestration(instance_id, reason="")
    assert hub.ended(instance_id).get_output() == [0, 1, 2]
    assert runs == {0: 2, 1: 2, 2: 1}


def test_only_what_has_failed_is_rewound(hub: TaskHub):
    moody = Moody()
    moody.broken.clear()
    moody.serve(hub)
    assert "there is no instance" in refused_with(grpc.StatusCode.NOT_FOUND, lambda: rewind(hub, "nobody"))
    completed, waiting = hub.start("alone"), hub.start("alone", start_at=datetime(2100, 1, 1))
    hub.ended(completed)
    for instance_id, status in [(completed, "COMPLETED"), (waiting, "PENDING")]:
        told = refused_with(grpc.StatusCode.FAILED_PRECONDITION, lambda: rewind(hub, instance_id))
        assert f"is {status}" in told


def test_what_runs_or_was_terminated_is_not_rewound(hub: TaskHub):
    def waits(ctx: task.OrchestrationContext, _):
        yield ctx.wait_for_external_event("never")

    hub.serve(waits)
    instance_id = hub.start(waits)
    hub.client.wait_for_orchestration_start(instance_id)
    told = refused_with(grpc.StatusCode.FAILED_PRECONDITION, lambda: rewind(hub, instance_id))
    assert "is RUNNING" in told
    hub.client.terminate_orchestration(instance_id)
    hub.ended(instance_id)
    told = refused_with(grpc.StatusCode.FAILED_PRECONDITION, lambda: rewind(hub, instance_id))
    assert "is TERMINATED" in told
