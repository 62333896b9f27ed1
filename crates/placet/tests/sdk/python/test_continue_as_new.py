"""Continue-as-new: the same instance with a new input, a new history and nothing of the old one."""

from datetime import timedelta

from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.history import ExecutionStartedEvent

from task_hub import TaskHub
from waiting import eventually


def execution_id(hub: TaskHub, instance_id: str) -> str:
    return hub.raw_state(instance_id).executionId.value


def test_a_generation_sees_its_own_input_and_so_does_everybody(hub: TaskHub):
    def countdown(ctx: task.OrchestrationContext, left: int):
        yield ctx.wait_for_external_event("go")
        if left > 0:
            ctx.continue_as_new(left - 1)
        else:
            return "lift-off"

    hub.serve(countdown)
    instance_id = hub.start(countdown, input=2)
    created = hub.state(instance_id).created_at
    executions = set()
    for left in (2, 1, 0):
        eventually(lambda: hub.state(instance_id).get_input() == left, f"{left} left")
        executions.add(execution_id(hub, instance_id))
        hub.client.raise_orchestration_event(instance_id, "go")
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_input(), state.get_output()) == (
        OrchestrationStatus.COMPLETED,
        0,
        "lift-off",
    )
    assert state.created_at == created
    assert len(executions) == 3


def test_a_hundred_generations_end_as_one_instance_with_the_last_ones_history(hub: TaskHub):
    def plus_one(_: task.ActivityContext, value: int) -> int:
        return value + 1

    def loop(ctx: task.OrchestrationContext, value: int):
        value = yield ctx.call_activity(plus_one, input=value)
        if value < 100:
            ctx.continue_as_new(value)
        else:
            return value

    hub.serve(loop, plus_one)
    instance_id = hub.start(loop, input=0)
    state = hub.ended(instance_id, timeout=60)
    assert (state.get_input(), state.get_output()) == (99, 100)
    assert hub.event_names(instance_id) == [
        "OrchestratorStarted",
        "ExecutionStarted",
        "TaskScheduled",
        "OrchestratorStarted",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    started = next(event for event in hub.history(instance_id) if isinstance(event, ExecutionStartedEvent))
    assert started.input == "99"
    assert started.orchestration_instance.execution_id == execution_id(hub, instance_id)


def accumulate(ctx: task.OrchestrationContext, seen: list[int]):
    """Takes one event a generation, and hands the others on."""
    seen.append((yield ctx.wait_for_external_event("item")))
    if len(seen) < 10:
        ctx.continue_as_new(seen, save_events=True)
    else:
        return seen


def test_saved_events_are_carried_over_in_their_order(hub: TaskHub):
    instance_id = hub.start(accumulate, input=[])
    for i in range(10):
        hub.client.raise_orchestration_event(instance_id, "item", data=i)
    hub.serve(accumulate)
    assert hub.ended(instance_id).get_output() == list(range(10))


def test_events_raised_between_the_generations_are_not_lost(hub: TaskHub):
    hub.serve(accumulate)
    instance_id = hub.start(accumulate, input=[])
    for i in range(10):
        hub.client.raise_orchestration_event(instance_id, "item", data=i)
    assert hub.ended(instance_id).get_output() == list(range(10))


def test_events_that_are_not_saved_are_gone(hub: TaskHub):
    def forgetful(ctx: task.OrchestrationContext, generation: int):
        if generation == 0:
            yield ctx.wait_for_external_event("go")
            ctx.continue_as_new(1, save_events=False)
            return None
        return (yield ctx.wait_for_external_event("item"))

    # Both events are delivered in the first turn; the generation ends in that turn, with `item` unread.
    instance_id = hub.start(forgetful, input=0)
    hub.client.raise_orchestration_event(instance_id, "item", data="of the first generation")
    hub.client.raise_orchestration_event(instance_id, "go")
    hub.serve(forgetful)
    eventually(lambda: hub.state(instance_id).get_input() == 1, "the second generation")
    hub.client.raise_orchestration_event(instance_id, "item", data="of the second generation")
    assert hub.ended(instance_id).get_output() == "of the second generation"


def test_timers_and_activities_of_the_old_generation_are_not_heard_of(hub: TaskHub):
    gate = hub.gate()

    def slow(_: task.ActivityContext, __) -> str:
        gate.wait(20)
        return "of the first generation"

    def leave(ctx: task.OrchestrationContext, generation: int):
        if generation == 0:
            ctx.create_timer(timedelta(milliseconds=300))
            ctx.call_activity(slow)
            yield ctx.wait_for_external_event("go")
            ctx.continue_as_new(1)
            return None
        # The same ids again: 1 is a timer, 2 an activity.
        yield ctx.create_timer(timedelta(seconds=1))
        gate.set()
        return (yield ctx.call_activity(slow))

    hub.serve(leave, slow)
    instance_id = hub.start(leave, input=0)
    eventually(lambda: "TaskScheduled" in hub.event_names(instance_id), "both are out")
    hub.client.raise_orchestration_event(instance_id, "go")
    hub.ended(instance_id)
    names = hub.event_names(instance_id)
    assert (names.count("TimerFired"), names.count("TaskCompleted")) == (1, 1)
    assert names.index("TaskScheduled") < names.index("TaskCompleted")


def test_a_new_version_and_the_old_tags_go_on(hub: TaskHub):
    def upgrade(ctx: task.OrchestrationContext, generation: int):
        if generation == 0:
            ctx.continue_as_new(1, new_version="2.0.0")
            return None
        return ctx.version

    hub.serve(upgrade)
    state = hub.run(upgrade, input=0, version="1.0.0", tags={"team": "blue"})
    assert state.get_output() == "2.0.0"
    raw = hub.raw_state(state.instance_id)
    assert (raw.version.value, dict(raw.tags)) == ("2.0.0", {"team": "blue"})


def test_a_waiter_is_not_told_of_an_end_that_is_none(hub: TaskHub):
    def twice(ctx: task.OrchestrationContext, generation: int):
        yield ctx.create_timer(timedelta(milliseconds=200))
        if generation == 0:
            ctx.continue_as_new(1)
        else:
            return "the end"

    hub.serve(twice)
    assert hub.run(twice, input=0).get_output() == "the end"
