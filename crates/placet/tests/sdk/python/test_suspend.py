"""Suspension: what comes meanwhile waits, and nothing of it is lost."""

from datetime import timedelta

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub, refused_with
from waiting import eventually


def collects(ctx: task.OrchestrationContext, number: int):
    came = []
    for _ in range(number):
        came.append((yield ctx.wait_for_external_event("number")))
    return came


def until(hub: TaskHub, instance_id: str, status: str) -> None:
    eventually(lambda: hub.state(instance_id).runtime_status.name == status, f"{instance_id} is {status}")


def test_events_that_come_meanwhile_are_kept_in_order(hub: TaskHub):
    hub.serve(collects)
    instance_id = hub.start(collects, input=10)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.raise_orchestration_event(instance_id, "number", data=0)
    hub.client.suspend_orchestration(instance_id)
    until(hub, instance_id, "SUSPENDED")
    for number in range(1, 10):
        hub.client.raise_orchestration_event(instance_id, "number", data=number)
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_completion(instance_id, timeout=1)
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.SUSPENDED
    hub.client.resume_orchestration(instance_id)
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.COMPLETED, list(range(10)))
    names = hub.event_names(instance_id)
    assert (names.count("ExecutionSuspended"), names.count("ExecutionResumed")) == (1, 1)


def test_a_timer_that_is_due_meanwhile_fires_at_the_end(hub: TaskHub):
    def sleeps(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(timedelta(seconds=1))
        return "awake"

    hub.serve(sleeps)
    instance_id = hub.start(sleeps)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.suspend_orchestration(instance_id)
    until(hub, instance_id, "SUSPENDED")
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_completion(instance_id, timeout=2)
    hub.client.resume_orchestration(instance_id)
    assert hub.ended(instance_id).get_output() == "awake"


def test_a_termination_ends_what_is_suspended(hub: TaskHub):
    hub.serve(collects)
    instance_id = hub.start(collects, input=1)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.suspend_orchestration(instance_id)
    until(hub, instance_id, "SUSPENDED")
    hub.client.terminate_orchestration(instance_id, output="enough")
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, "enough")


def test_twice_is_once(hub: TaskHub):
    hub.serve(collects)
    instance_id = hub.start(collects, input=1)
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.resume_orchestration(instance_id)
    for _ in range(3):
        hub.client.suspend_orchestration(instance_id)
    until(hub, instance_id, "SUSPENDED")
    hub.client.resume_orchestration(instance_id)
    until(hub, instance_id, "RUNNING")
    hub.client.raise_orchestration_event(instance_id, "number", data=1)
    assert hub.ended(instance_id).get_output() == [1]
    hub.client.suspend_orchestration(instance_id)
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.COMPLETED


def test_what_does_not_exist_is_not_found(hub: TaskHub):
    for call in (hub.client.suspend_orchestration, hub.client.resume_orchestration):
        assert "there is no instance" in refused_with(grpc.StatusCode.NOT_FOUND, lambda: call("nobody"))
