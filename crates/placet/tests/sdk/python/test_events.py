"""External events: kept whenever they come, given in their order, to whoever waits by that name."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.history import EventRaisedEvent

from task_hub import TaskHub, refused_with
from waiting import eventually


def wait_once(ctx: task.OrchestrationContext, name: str):
    return (yield ctx.wait_for_external_event(name))


def collect(ctx: task.OrchestrationContext, names: list[str]):
    """Waits for these names, one after another."""
    values = []
    for name in names:
        values.append((yield ctx.wait_for_external_event(name)))
    return values


def test_an_event_that_comes_before_any_worker_is_kept(hub: TaskHub):
    instance_id = hub.start(wait_once, input="answer")
    hub.client.raise_orchestration_event(instance_id, "answer", data={"yes": True})
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.PENDING
    hub.serve(wait_once)
    assert hub.ended(instance_id).get_output() == {"yes": True}


def test_an_event_that_comes_before_the_wait_is_kept(hub: TaskHub):
    gate = hub.gate()

    def prepare(_: task.ActivityContext, __):
        gate.wait(20)

    def wait_late(ctx: task.OrchestrationContext, _):
        yield ctx.call_activity(prepare)
        return (yield ctx.wait_for_external_event("answer"))

    hub.serve(wait_late, prepare)
    instance_id = hub.start(wait_late)
    eventually(lambda: "TaskScheduled" in hub.event_names(instance_id), "the activity is out")
    hub.client.raise_orchestration_event(instance_id, "answer", data="early")
    gate.set()
    assert hub.ended(instance_id).get_output() == "early"


def test_an_event_that_comes_while_somebody_waits_ends_the_wait(hub: TaskHub):
    hub.serve(wait_once)
    instance_id = hub.start(wait_once, input="answer")
    hub.client.wait_for_orchestration_start(instance_id)
    hub.client.raise_orchestration_event(instance_id, "answer", data=42)
    assert hub.ended(instance_id).get_output() == 42


def test_events_of_one_name_are_given_in_the_order_in_which_they_came(hub: TaskHub):
    hub.serve(collect)
    instance_id = hub.start(collect, input=["item"] * 20)
    for i in range(20):
        hub.client.raise_orchestration_event(instance_id, "item", data=i)
    assert hub.ended(instance_id).get_output() == list(range(20))


def test_events_of_several_names_find_their_waits(hub: TaskHub):
    hub.serve(collect)
    instance_id = hub.start(collect, input=["b", "a", "b"])
    for name, data in (("a", "a1"), ("b", "b1"), ("b", "b2")):
        hub.client.raise_orchestration_event(instance_id, name, data=data)
    assert hub.ended(instance_id).get_output() == ["b1", "a1", "b2"]


@pytest.mark.parametrize(("waited", "raised"), [("approval_response", "Approval_Response"), ("STRASSE", "Straße")])
def test_names_match_in_any_case_and_are_kept_as_they_were_given(hub: TaskHub, waited: str, raised: str):
    hub.serve(wait_once)
    instance_id = hub.start(wait_once, input=waited)
    hub.client.raise_orchestration_event(instance_id, raised, data=1)
    assert hub.ended(instance_id).get_output() == 1
    kept = [event for event in hub.history(instance_id) if isinstance(event, EventRaisedEvent)]
    assert [event.name for event in kept] == [raised]


def test_an_event_without_data_is_an_event(hub: TaskHub):
    hub.serve(wait_once)
    instance_id = hub.start(wait_once, input="bare")
    hub.client.raise_orchestration_event(instance_id, "bare")
    assert hub.ended(instance_id).serialized_output is None


def test_an_event_that_nobody_waits_for_disturbs_nobody(hub: TaskHub):
    hub.serve(wait_once)
    instance_id = hub.start(wait_once, input="answer")
    hub.client.raise_orchestration_event(instance_id, "something_else", data=1)
    hub.client.raise_orchestration_event(instance_id, "answer", data=2)
    assert hub.ended(instance_id).get_output() == 2


def test_an_event_to_an_unknown_instance_is_refused(hub: TaskHub):
    refused_with(grpc.StatusCode.NOT_FOUND, lambda: hub.client.raise_orchestration_event("nobody", "answer"))


def test_an_event_to_an_ended_instance_is_dropped(hub: TaskHub):
    hub.serve(wait_once)
    instance_id = hub.start(wait_once, input="answer")
    hub.client.raise_orchestration_event(instance_id, "answer", data="first")
    hub.ended(instance_id)
    before = hub.raw_state(instance_id)
    hub.client.raise_orchestration_event(instance_id, "answer", data="second")
    assert hub.raw_state(instance_id) == before


def test_an_event_reaches_its_own_hub_only(hub: TaskHub, other_hub: TaskHub):
    for each in (hub, other_hub):
        each.serve(wait_once)
        each.start(wait_once, instance_id="twin", input="answer")
    hub.client.raise_orchestration_event("twin", "answer", data="ours")
    assert hub.ended("twin").get_output() == "ours"
    assert other_hub.state("twin").runtime_status != OrchestrationStatus.COMPLETED


def test_a_hundred_events_raised_at_once_are_all_given(hub: TaskHub):
    hub.serve(collect)
    instance_id = hub.start(collect, input=["item"] * 100)
    with ThreadPoolExecutor(8) as pool:
        raising = [pool.submit(hub.client.raise_orchestration_event, instance_id, "item", data=i) for i in range(100)]
        for raised in raising:
            raised.result()
    assert sorted(hub.ended(instance_id).get_output()) == list(range(100))
