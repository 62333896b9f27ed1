"""What every orchestration does: run, call activities, keep what it was given."""

import threading
from datetime import datetime, timedelta, timezone

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub


def echo(ctx: task.OrchestrationContext, value):
    return value


def test_an_empty_orchestration_has_neither_input_nor_output_nor_custom_status(hub: TaskHub):
    def nothing(ctx: task.OrchestrationContext, _):
        pass

    hub.serve(nothing)
    state = hub.run(nothing)

    assert state.runtime_status == OrchestrationStatus.COMPLETED
    assert state.name == "nothing"
    assert (state.serialized_input, state.serialized_output, state.serialized_custom_status) == (None, None, None)
    assert state.failure_details is None
    assert state.created_at <= state.last_updated_at


@pytest.mark.parametrize("value", ["", "Grüße, 世界 🌍", 0, False, [], {"a": [1, None, 2.5]}, "x" * 1_000_000])
def test_a_payload_comes_back_as_it_was_sent(hub: TaskHub, value):
    hub.serve(echo)
    state = hub.run(echo, input=value)
    assert (state.get_input(), state.get_output()) == (value, value)


def test_payloads_are_left_out_when_they_are_not_asked_for(hub: TaskHub):
    hub.serve(echo)
    instance_id = hub.run(echo, input="large").instance_id
    state = hub.client.get_orchestration_state(instance_id, fetch_payloads=False)
    assert state.runtime_status == OrchestrationStatus.COMPLETED
    assert (state.serialized_input, state.serialized_output) == (None, None)


def test_a_sequence_of_activities_runs_in_order(hub: TaskHub):
    def plus_one(_: task.ActivityContext, value: int) -> int:
        return value + 1

    def sequence(ctx: task.OrchestrationContext, start: int):
        values = [start]
        for _ in range(10):
            values.append((yield ctx.call_activity(plus_one, input=values[-1])))
        return values

    hub.serve(sequence, plus_one)
    assert hub.run(sequence, input=1).get_output() == list(range(1, 12))


def test_an_activity_knows_whom_it_works_for(hub: TaskHub):
    def who(activity: task.ActivityContext, _):
        return [activity.orchestration_id, activity.task_id]

    def ask(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_activity(who))

    hub.serve(ask, who)
    state = hub.run(ask)
    assert state.get_output() == [state.instance_id, 1]


def test_a_fan_out_answers_in_the_order_of_the_calls(hub: TaskHub):
    def double(_: task.ActivityContext, value: int) -> int:
        return value * 2

    def fan_out(ctx: task.OrchestrationContext, count: int):
        return (yield task.when_all([ctx.call_activity(double, input=i) for i in range(count)]))

    hub.serve(fan_out, double)
    assert hub.run(fan_out, input=200).get_output() == [i * 2 for i in range(200)]


def test_activities_of_a_fan_out_run_at_the_same_time(hub: TaskHub):
    together = threading.Barrier(3)

    def meet(_: task.ActivityContext, __) -> bool:
        together.wait(timeout=20)
        return True

    def fan_out(ctx: task.OrchestrationContext, _):
        return (yield task.when_all([ctx.call_activity(meet) for _ in range(3)]))

    hub.serve(fan_out, meet)
    assert hub.run(fan_out).get_output() == [True, True, True]


def test_many_instances_run_side_by_side(hub: TaskHub):
    hub.serve(echo)
    ids = [hub.start(echo, input=i) for i in range(50)]
    assert [hub.ended(instance_id).get_output() for instance_id in ids] == list(range(50))


def test_the_clock_is_now_at_first_and_the_same_in_every_replay(hub: TaskHub):
    seen: list[datetime] = []

    def nap(_: task.ActivityContext, __):
        pass

    def clock(ctx: task.OrchestrationContext, _):
        seen.append(ctx.current_utc_datetime)
        yield ctx.call_activity(nap)
        yield ctx.call_activity(nap)

    hub.serve(clock, nap)
    before = datetime.now(timezone.utc).replace(tzinfo=None)
    hub.run(clock)

    assert len(seen) == 3 and len(set(seen)) == 1
    assert timedelta(0) <= seen[0] - before + timedelta(milliseconds=5) < timedelta(seconds=10)


def test_tags_and_version_reach_the_state_and_the_orchestration(hub: TaskHub):
    def version(ctx: task.OrchestrationContext, _):
        return ctx.version

    hub.serve(version)
    state = hub.run(version, version="2.1.0", tags={"team": "blue"})
    assert state.get_output() == "2.1.0"
    raw = hub.raw_state(state.instance_id)
    assert (raw.version.value, dict(raw.tags)) == ("2.1.0", {"team": "blue"})


def test_nobody_sees_another_hubs_instances(hub: TaskHub, other_hub: TaskHub):
    for each, value in ((hub, "ours"), (other_hub, "theirs")):
        each.serve(echo)
        each.start(echo, instance_id="twin", input=value)
    assert hub.ended("twin").get_output() == "ours"
    assert other_hub.ended("twin").get_output() == "theirs"

    hub.start(echo, instance_id="only-here", input=1)
    hub.ended("only-here")
    assert other_hub.state("only-here") is None


def test_a_worker_gets_no_work_of_another_hub(hub: TaskHub, other_hub: TaskHub):
    other_hub.serve(echo)
    instance_id = hub.start(echo, input="for us")
    other_hub.run(echo, input="for them")
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.PENDING
