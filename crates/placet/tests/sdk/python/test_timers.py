"""Durable timers: never early, never late by a second, and gone with their instance."""

from datetime import datetime, timedelta, timezone

from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.history import TimerCreatedEvent, TimerFiredEvent

from task_hub import TaskHub
from waiting import eventually

ON_TIME = timedelta(seconds=1)


def test_a_timer_fires_within_a_second_after_its_time_and_never_before(hub: TaskHub):
    def wait(ctx: task.OrchestrationContext, seconds: float):
        yield ctx.create_timer(timedelta(seconds=seconds))

    hub.serve(wait)
    ids = [hub.start(wait, input=seconds) for seconds in (0.0, 0.05, 0.5, 1.0, 1.5, 2.0)]
    for instance_id in ids:
        hub.ended(instance_id)
        fired = [event for event in hub.history(instance_id) if isinstance(event, TimerFiredEvent)]
        assert len(fired) == 1
        assert timedelta(0) <= fired[0].timestamp - fired[0].fire_at < ON_TIME


def test_a_timer_fires_with_the_time_that_it_was_made_with(hub: TaskHub):
    def wait(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(ctx.current_utc_datetime + timedelta(microseconds=300_001))

    hub.serve(wait)
    history = hub.history(hub.run(wait).instance_id)
    created = next(event for event in history if isinstance(event, TimerCreatedEvent))
    fired = next(event for event in history if isinstance(event, TimerFiredEvent))
    assert fired.fire_at == created.fire_at
    assert fired.timer_id == created.event_id


def test_a_timer_in_the_past_fires_at_once(hub: TaskHub):
    def wait(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(datetime(2001, 1, 1))
        return "passed"

    hub.serve(wait)
    assert hub.run(wait).get_output() == "passed"


def test_timers_of_one_instance_fire_in_the_order_of_their_times(hub: TaskHub):
    def race(ctx: task.OrchestrationContext, _):
        timers = {ms: ctx.create_timer(timedelta(milliseconds=ms)) for ms in (900, 300, 1200, 600)}
        order = []
        while timers:
            first = yield task.when_any(list(timers.values()))
            due = next(ms for ms, timer in timers.items() if timer is first)
            order.append(due)
            del timers[due]
        return order

    hub.serve(race)
    assert hub.run(race).get_output() == [300, 600, 900, 1200]


def test_a_timer_decades_away_is_kept_and_wakes_nobody(hub: TaskHub):
    def patient(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(datetime(2099, 12, 31, tzinfo=timezone.utc))

    hub.serve(patient)
    instance_id = hub.start(patient)
    eventually(lambda: "TimerCreated" in hub.event_names(instance_id), "the timer is set")
    created = next(event for event in hub.history(instance_id) if isinstance(event, TimerCreatedEvent))
    assert created.fire_at.replace(tzinfo=timezone.utc) == datetime(2099, 12, 31, tzinfo=timezone.utc)
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.RUNNING


def test_the_timer_of_an_ended_instance_changes_nothing(hub: TaskHub):
    def leave_it(ctx: task.OrchestrationContext, _):
        ctx.create_timer(timedelta(milliseconds=300))
        yield ctx.wait_for_external_event("go")

    def wait(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(timedelta(milliseconds=600))

    hub.serve(leave_it, wait)
    instance_id = hub.start(leave_it)
    hub.client.raise_orchestration_event(instance_id, "go")
    hub.ended(instance_id)
    before, history = hub.raw_state(instance_id), hub.event_names(instance_id)
    # Another instance's later timer tells that the first one's time is over.
    hub.run(wait)
    assert hub.raw_state(instance_id) == before
    assert hub.event_names(instance_id) == history
