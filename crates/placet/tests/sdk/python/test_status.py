"""The custom status: what an orchestration says of itself while it runs."""

import json

import pytest
from durabletask import task

from task_hub import TaskHub
from waiting import eventually


def stepwise(ctx: task.OrchestrationContext, _):
    ctx.set_custom_status({"step": 1})
    yield ctx.wait_for_external_event("go")
    ctx.set_custom_status({"step": 2})
    yield ctx.wait_for_external_event("go")
    return "done"


def test_it_is_seen_while_the_orchestration_waits_and_replaced_by_each_turn(hub: TaskHub):
    hub.serve(stepwise)
    instance_id = hub.start(stepwise)
    for step in (1, 2):
        eventually(lambda: hub.state(instance_id).get_custom_status() == {"step": step}, f"step {step}")
        hub.client.raise_orchestration_event(instance_id, "go")
    assert hub.ended(instance_id).get_custom_status() == {"step": 2}


@pytest.mark.parametrize("value", ["", "Grüße 🌍", 0, [1, 2], {"a": None}])
def test_it_is_kept_as_it_was_set(hub: TaskHub, value):
    def say(ctx: task.OrchestrationContext, _):
        ctx.set_custom_status(value)

    hub.serve(say)
    assert json.loads(hub.run(say).serialized_custom_status) == value


def test_a_turn_that_sets_none_has_none(hub: TaskHub):
    """Workers replay from the start, so a status that is not set again is not there any more."""

    def fickle(ctx: task.OrchestrationContext, _):
        if not ctx.is_replaying:
            ctx.set_custom_status("only in the first turn")
        yield ctx.wait_for_external_event("go")

    hub.serve(fickle)
    instance_id = hub.start(fickle)
    eventually(lambda: hub.state(instance_id).serialized_custom_status, "the first turn's status")
    hub.client.raise_orchestration_event(instance_id, "go")
    assert hub.ended(instance_id).serialized_custom_status is None


def test_each_turn_moves_the_time_of_the_last_update(hub: TaskHub):
    hub.serve(stepwise)
    instance_id = hub.start(stepwise)
    eventually(lambda: hub.state(instance_id).get_custom_status() == {"step": 1}, "step 1")
    first = hub.state(instance_id)
    hub.client.raise_orchestration_event(instance_id, "go")
    eventually(lambda: hub.state(instance_id).get_custom_status() == {"step": 2}, "step 2")
    second = hub.state(instance_id)
    assert first.created_at == second.created_at
    assert first.created_at <= first.last_updated_at < second.last_updated_at
