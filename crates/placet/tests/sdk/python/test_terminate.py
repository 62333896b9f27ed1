"""Termination: at any moment, whether or not a worker is there."""

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub, refused_with
from waiting import eventually


def wait(ctx: task.OrchestrationContext, _):
    yield ctx.wait_for_external_event("never")
    return "ended by itself"


def ends(ctx: task.OrchestrationContext, _):
    return "by itself"


@pytest.mark.parametrize("output", [None, "enough", {"by": "Manager"}, ""])
def test_a_running_instance_ends_with_the_output_that_was_given(hub: TaskHub, output):
    hub.serve(wait)
    instance_id = hub.start(wait)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.terminate_orchestration(instance_id, output=output)
    state = hub.ended(instance_id)
    assert state.runtime_status == OrchestrationStatus.TERMINATED
    assert state.get_output() == output
    assert state.failure_details is None
    assert hub.event_names(instance_id)[-1] == "ExecutionCompleted"


def test_a_pending_instance_that_no_worker_ever_took_ends_too(hub: TaskHub):
    instance_id = hub.start(wait)
    hub.client.terminate_orchestration(instance_id, output="not needed")
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, "not needed")

    # A worker that comes later gets nothing of it.
    ran = []

    def spy(ctx: task.OrchestrationContext, _):
        ran.append(ctx.instance_id)

    hub.serve(spy)
    assert hub.run(spy).runtime_status == OrchestrationStatus.COMPLETED
    assert instance_id not in ran
    assert hub.state(instance_id) == state


def test_an_instance_whose_worker_left_ends_too(hub: TaskHub):
    worker = hub.serve(wait)
    instance_id = hub.start(wait)
    hub.client.wait_for_orchestration_start(instance_id)
    worker.stop()
    hub.client.terminate_orchestration(instance_id, output="nobody is there")
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, "nobody is there")


def test_an_ended_instance_stays_as_it_is(hub: TaskHub):
    def quick(ctx: task.OrchestrationContext, _):
        return "ended by itself"

    hub.serve(quick)
    state = hub.run(quick)
    hub.client.terminate_orchestration(state.instance_id, output="too late")
    assert hub.state(state.instance_id) == state


def test_an_unknown_instance_is_not_found_and_one_that_ended_stays_as_it_is(hub: TaskHub):
    refused_with(grpc.StatusCode.NOT_FOUND, lambda: hub.client.terminate_orchestration("nobody"))
    assert hub.state("nobody") is None
    hub.serve(ends)
    instance_id = hub.start(ends)
    hub.ended(instance_id)
    hub.client.terminate_orchestration(instance_id, output="late")
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.COMPLETED


def test_terminating_twice_counts_once(hub: TaskHub):
    hub.serve(wait)
    instance_id = hub.start(wait)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.terminate_orchestration(instance_id, output="first")
    hub.client.terminate_orchestration(instance_id, output="second")
    assert hub.ended(instance_id).get_output() == "first"
    assert hub.event_names(instance_id).count("ExecutionTerminated") == 1


def test_the_result_of_an_activity_that_was_out_changes_nothing(hub: TaskHub):
    gate, done = hub.gate(), hub.gate()

    def slow(_: task.ActivityContext, __) -> str:
        gate.wait(20)
        done.set()
        return "late"

    def call(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_activity(slow))

    hub.serve(call, slow)
    instance_id = hub.start(call)
    eventually(lambda: "TaskScheduled" in hub.event_names(instance_id), "the activity is out")
    hub.client.terminate_orchestration(instance_id, output="enough")
    state = hub.ended(instance_id)
    gate.set()
    assert done.wait(20)
    assert hub.state(instance_id) == state
    assert "TaskCompleted" not in hub.event_names(instance_id)


def test_events_that_came_before_do_not_outrun_it(hub: TaskHub):
    """What was committed first is seen first: an event that ends the orchestration wins over a later termination."""
    instance_id = hub.start(wait)
    hub.serve(wait)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.raise_orchestration_event(instance_id, "never")
    hub.client.terminate_orchestration(instance_id, output="terminated")
    state = hub.ended(instance_id)
    names = hub.event_names(instance_id)
    assert names.count("ExecutionCompleted") == 1
    if state.runtime_status == OrchestrationStatus.TERMINATED:
        assert names.index("EventRaised") < names.index("ExecutionTerminated")
    else:
        assert state.get_output() == "ended by itself"
