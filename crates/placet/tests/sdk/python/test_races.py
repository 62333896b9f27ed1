"""An event against a timer: what the mission's orchestration is made of."""

from datetime import timedelta

from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub
from waiting import eventually


def race(ctx: task.OrchestrationContext, seconds: float):
    answered = ctx.wait_for_external_event("approval_response")
    too_late = ctx.create_timer(timedelta(seconds=seconds))
    first = yield task.when_any([answered, too_late])
    if first is too_late:
        return "timer"
    too_late.cancel()
    return answered.get_result()


def test_the_event_wins_when_it_comes_first(hub: TaskHub):
    hub.serve(race)
    instance_id = hub.start(race, input=3600)
    eventually(lambda: "TimerCreated" in hub.event_names(instance_id), "it waits")
    hub.client.raise_orchestration_event(instance_id, "approval_response", data="event")
    assert hub.ended(instance_id).get_output() == "event"
    assert "TimerFired" not in hub.event_names(instance_id)


def test_the_timer_wins_when_it_comes_first(hub: TaskHub):
    hub.serve(race)
    instance_id = hub.start(race, input=0.3)
    state = hub.ended(instance_id)
    assert state.get_output() == "timer"
    hub.client.raise_orchestration_event(instance_id, "approval_response", data="too late")
    assert hub.state(instance_id) == state


def test_an_event_raised_before_the_first_turn_beats_a_timer_of_no_time(hub: TaskHub):
    instance_id = hub.start(race, input=0)
    hub.client.raise_orchestration_event(instance_id, "approval_response", data="event")
    hub.serve(race)
    assert hub.ended(instance_id).get_output() == "event"


def test_whoever_wins_there_is_one_outcome(hub: TaskHub):
    """The event is raised just about when the timer fires: either may win, in the history as in the output."""
    hub.serve(race)
    ids = [hub.start(race, input=0.4) for _ in range(20)]
    for instance_id in ids:
        eventually(lambda: "TimerCreated" in hub.event_names(instance_id), "it waits")
    for instance_id in ids:
        hub.client.raise_orchestration_event(instance_id, "approval_response", data="event")
    for instance_id in ids:
        state = hub.ended(instance_id)
        assert state.runtime_status == OrchestrationStatus.COMPLETED
        names = hub.event_names(instance_id)
        came = [name for name in names if name in ("TimerFired", "EventRaised")]
        winner = {"TimerFired": "timer", "EventRaised": "event"}[came[0]]
        assert state.get_output() == winner
        assert names[-1] == "ExecutionCompleted" and names.count("ExecutionCompleted") == 1


def test_the_first_of_several_activities_is_enough(hub: TaskHub):
    gate = hub.gate()

    def work(_: task.ActivityContext, name: str) -> str:
        if name == "slow":
            gate.wait(20)
        return name

    def first_of(ctx: task.OrchestrationContext, _):
        tasks = [ctx.call_activity(work, input=name) for name in ("slow", "quick")]
        first = yield task.when_any(tasks)
        return first.get_result()

    hub.serve(first_of, work)
    instance_id = hub.start(first_of)
    assert hub.ended(instance_id).get_output() == "quick"
    gate.set()
    assert hub.state(instance_id).get_output() == "quick"
