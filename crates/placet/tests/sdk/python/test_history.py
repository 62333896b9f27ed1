"""The stored history: which events, in which order, with which ids. Other tools read it, so it is a promise."""

import re
from datetime import datetime, timedelta, timezone

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask import task
from durabletask.history import ExecutionCompletedEvent, ExecutionStartedEvent

from task_hub import TaskHub


def double(_: task.ActivityContext, value: int) -> int:
    return value * 2


def one_of_each(ctx: task.OrchestrationContext, value: int):
    value = yield ctx.call_activity(double, input=value)
    yield ctx.create_timer(timedelta(milliseconds=100))
    return value


def test_an_activity_and_a_timer_make_nine_events(hub: TaskHub):
    hub.serve(one_of_each, double)
    state = hub.run(one_of_each, input=21)
    history = hub.history(state.instance_id)

    assert hub.event_names(state.instance_id) == [
        "OrchestratorStarted",
        "ExecutionStarted",
        "TaskScheduled",
        "OrchestratorStarted",
        "TaskCompleted",
        "TimerCreated",
        "OrchestratorStarted",
        "TimerFired",
        "ExecutionCompleted",
    ]
    started, scheduled, completed, created, fired, ended = (history[i] for i in (1, 2, 4, 5, 7, 8))
    assert (started.name, started.input) == ("one_of_each", "21")
    assert (scheduled.event_id, scheduled.name, scheduled.input) == (1, "double", "21")
    assert (completed.task_scheduled_id, completed.result) == (1, "42")
    assert (created.event_id, fired.timer_id) == (2, 2)
    assert (ended.orchestration_status, ended.result) == (pb.ORCHESTRATION_STATUS_COMPLETED, "42")


def test_ids_are_those_of_the_actions_and_all_others_are_minus_one(hub: TaskHub):
    hub.serve(one_of_each, double)
    history = hub.history(hub.run(one_of_each, input=1).instance_id)
    by_action = [event.event_id for event in history if event.event_id != -1]
    assert by_action[:2] == [1, 2]
    assert by_action == sorted(set(by_action))
    assert {event.event_id for event in history if not by_action_has(event)} == {-1}


def by_action_has(event) -> bool:
    return type(event).__name__ in ("TaskScheduledEvent", "TimerCreatedEvent", "ExecutionCompletedEvent")


def test_times_are_real_and_the_clock_never_runs_backwards(hub: TaskHub):
    """A message has the time at which it came, which may be earlier than the turn that took it."""
    hub.serve(one_of_each, double)
    before = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(milliseconds=5)
    history = hub.history(hub.run(one_of_each, input=1).instance_id)
    times = [event.timestamp.replace(tzinfo=None) for event in history]
    assert all(before <= each <= before + timedelta(seconds=30) for each in times)
    clock = [each for each, event in zip(times, history) if type(event).__name__ == "OrchestratorStartedEvent"]
    assert len(clock) == 3
    assert clock == sorted(clock)


def test_the_execution_id_is_32_hexadecimal_digits_and_new_for_each_instance(hub: TaskHub):
    hub.serve(one_of_each, double)
    ids = set()
    for _ in range(3):
        instance_id = hub.run(one_of_each, input=1).instance_id
        started = next(event for event in hub.history(instance_id) if isinstance(event, ExecutionStartedEvent))
        execution = started.orchestration_instance
        assert execution.instance_id == instance_id
        assert re.fullmatch("[0-9a-f]{32}", execution.execution_id)
        assert execution.execution_id == hub.raw_state(instance_id).executionId.value
        assert started.parent_instance is None
        ids.add(execution.execution_id)
    assert len(ids) == 3


def test_what_one_turn_scheduled_stands_together_in_the_order_of_the_calls(hub: TaskHub):
    def fan_out(ctx: task.OrchestrationContext, count: int):
        yield task.when_all([ctx.call_activity(double, input=i) for i in range(count)])

    hub.serve(fan_out, double)
    # More events than one chunk of the stream holds.
    history = hub.history(hub.run(fan_out, input=150).instance_id)
    scheduled = [event for event in history if type(event).__name__ == "TaskScheduledEvent"]
    assert [event.event_id for event in scheduled] == list(range(1, 151))
    assert history[2 : 2 + 150] == scheduled
    done = [event.task_scheduled_id for event in history if type(event).__name__ == "TaskCompletedEvent"]
    assert sorted(done) == list(range(1, 151))


def test_the_history_of_a_running_instance_holds_what_is_committed(hub: TaskHub):
    def wait(ctx: task.OrchestrationContext, _):
        yield ctx.wait_for_external_event("go")

    hub.serve(wait)
    instance_id = hub.start(wait)
    hub.client.wait_for_orchestration_start(instance_id)
    assert hub.event_names(instance_id) == ["OrchestratorStarted", "ExecutionStarted"]
    hub.client.raise_orchestration_event(instance_id, "go", data=1)
    hub.ended(instance_id)
    assert hub.event_names(instance_id)[2:] == ["OrchestratorStarted", "EventRaised", "ExecutionCompleted"]


def test_a_failure_is_told_by_its_last_event(hub: TaskHub):
    def broken(ctx: task.OrchestrationContext, _):
        raise ValueError("no")

    hub.serve(broken)
    last = hub.history(hub.run(broken).instance_id)[-1]
    assert isinstance(last, ExecutionCompletedEvent)
    assert last.orchestration_status == pb.ORCHESTRATION_STATUS_FAILED
    assert last.failure_details.message == "no"
