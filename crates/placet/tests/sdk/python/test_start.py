"""Starting: ids, ids that exist already, later starts, and which hub a call means."""

import re
from datetime import datetime, timedelta, timezone

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub, refused_with
from waiting import eventually

RUNNING, COMPLETED, FAILED, TERMINATED, PENDING = (
    pb.ORCHESTRATION_STATUS_RUNNING,
    pb.ORCHESTRATION_STATUS_COMPLETED,
    pb.ORCHESTRATION_STATUS_FAILED,
    pb.ORCHESTRATION_STATUS_TERMINATED,
    pb.ORCHESTRATION_STATUS_PENDING,
)


def behave(ctx: task.OrchestrationContext, how: str):
    """Ends in the state that its input names."""
    if how == "fail":
        raise ValueError("as told")
    if how == "wait":
        yield ctx.wait_for_external_event("go")
    return how


def reach(hub: TaskHub, instance_id: str, state: int) -> None:
    """Makes an instance that is in this state."""
    if state == PENDING:
        hub.start(
            behave, instance_id=instance_id, input="old", start_at=datetime.now(timezone.utc) + timedelta(hours=1)
        )
        return
    how = {RUNNING: "wait", TERMINATED: "wait", COMPLETED: "old", FAILED: "fail"}[state]
    hub.start(behave, instance_id=instance_id, input=how)
    if state in (RUNNING, TERMINATED):
        hub.client.wait_for_orchestration_start(instance_id, timeout=30)
    if state == TERMINATED:
        hub.client.terminate_orchestration(instance_id)
    if state != RUNNING:
        hub.ended(instance_id)


# What exists already, which states may be replaced (None: the call says nothing), and what then happens.
REUSE = [
    (COMPLETED, None, "replaced"),
    (FAILED, None, "replaced"),
    (TERMINATED, None, "replaced"),
    (RUNNING, None, "refused"),
    (PENDING, None, "refused"),
    (COMPLETED, [], "refused"),
    (FAILED, [], "refused"),
    (RUNNING, [], "refused"),
    (COMPLETED, [COMPLETED], "replaced"),
    (COMPLETED, [FAILED, TERMINATED], "refused"),
    (FAILED, [FAILED], "replaced"),
    (TERMINATED, [TERMINATED], "replaced"),
    (RUNNING, [COMPLETED], "refused"),
    (RUNNING, [RUNNING, TERMINATED], "replaced"),
    (PENDING, [PENDING, TERMINATED], "replaced"),
    (COMPLETED, [RUNNING], "invalid"),
    (RUNNING, [RUNNING, COMPLETED], "invalid"),
]


def describe(case) -> str:
    existing, replaceable, outcome = case
    name = lambda status: pb.OrchestrationStatus.Name(status).removeprefix("ORCHESTRATION_STATUS_").lower()
    policy = "no-policy" if replaceable is None else "+".join(map(name, replaceable)) or "empty-policy"
    return f"{name(existing)}-{policy}-{outcome}"


@pytest.mark.parametrize("case", REUSE, ids=describe)
def test_an_id_that_exists_is_replaced_or_refused_as_the_policy_says(hub: TaskHub, case):
    existing, replaceable, outcome = case
    hub.serve(behave)
    reach(hub, "again", existing)
    before = hub.raw_state("again")
    policy = None if replaceable is None else pb.OrchestrationIdReusePolicy(replaceableStatus=replaceable)

    def start():
        return hub.start(behave, instance_id="again", input="new", reuse_id_policy=policy)

    if outcome == "replaced":
        assert start() == "again"
        # At once, and not only when the worker has seen it.
        assert hub.state("again").get_input() == "new"
        assert hub.ended("again").get_output() == "new"
        assert hub.raw_state("again").executionId.value != before.executionId.value
    elif outcome == "refused":
        refused_with(grpc.StatusCode.ALREADY_EXISTS, start)
        assert hub.raw_state("again") == before
    else:
        message = refused_with(grpc.StatusCode.INVALID_ARGUMENT, start)
        assert "cannot exclude 'Terminated' while also allowing reuse of running instances" in message
        assert hub.raw_state("again") == before


def test_a_replaced_instance_hears_nothing_of_what_the_old_one_waited_for(hub: TaskHub):
    gate = hub.gate()

    def slow(_: task.ActivityContext, __) -> str:
        gate.wait(20)
        return "of the old one"

    def call(ctx: task.OrchestrationContext, how: str):
        if how == "old":
            return (yield ctx.call_activity(slow))
        return (yield ctx.wait_for_external_event("go"))

    hub.serve(call, slow)
    hub.start(call, instance_id="again", input="old")
    eventually(lambda: "TaskScheduled" in hub.event_names("again"), "the activity is out")

    policy = pb.OrchestrationIdReusePolicy(replaceableStatus=[RUNNING, TERMINATED])
    hub.start(call, instance_id="again", input="new", reuse_id_policy=policy)
    hub.client.wait_for_orchestration_start("again")
    gate.set()
    hub.client.raise_orchestration_event("again", "go", data="to the new one")

    assert hub.ended("again").get_output() == "to the new one"
    assert "TaskCompleted" not in hub.event_names("again")


def test_an_id_may_have_100_characters_and_no_more(hub: TaskHub):
    hub.serve(behave)
    assert hub.run(behave, instance_id="i" * 100, input="x").instance_id == "i" * 100
    refused_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: hub.start(behave, instance_id="i" * 101))


@pytest.mark.parametrize(
    "instance_id",
    [
        "Größe-世界-🌍",
        "世" * 100,
        "with space",
        "a/b?c=d&e#f%20",
        "2030-01-01T00:00:00+00:00",
        "'; drop table--",
        "a:0001",
    ],
)
def test_an_id_may_be_any_text(hub: TaskHub, instance_id: str):
    hub.serve(behave)
    hub.start(behave, instance_id=instance_id, input="wait")
    hub.client.raise_orchestration_event(instance_id, "go")
    assert hub.ended(instance_id).get_output() == "wait"
    assert hub.raw_state(instance_id).instanceId == instance_id


def test_ids_differ_in_case(hub: TaskHub):
    hub.serve(behave)
    hub.start(behave, instance_id="case", input="small")
    hub.start(behave, instance_id="CASE", input="large")
    assert (hub.ended("case").get_output(), hub.ended("CASE").get_output()) == ("small", "large")


def test_an_id_of_an_entity_is_refused(hub: TaskHub):
    refused_with(grpc.StatusCode.INVALID_ARGUMENT, lambda: hub.start(behave, instance_id="@counter@a"))


def test_a_start_without_an_id_gets_one(hub: TaskHub):
    answer = hub.call("StartInstance", pb.CreateInstanceRequest(name="behave"))
    assert re.fullmatch("[0-9a-f]{32}", answer.instanceId)
    assert hub.state(answer.instanceId).runtime_status == OrchestrationStatus.PENDING


def test_an_unknown_id_is_no_error_where_it_is_only_asked_for(hub: TaskHub):
    assert hub.state("nobody") is None
    assert hub.client.wait_for_orchestration_completion("nobody", timeout=10) is None
    assert hub.client.wait_for_orchestration_start("nobody", timeout=10) is None
    assert hub.history("nobody") == []


def test_a_wait_ends_when_its_time_is_over(hub: TaskHub):
    hub.start(behave, instance_id="parked")
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_start("parked", timeout=0.2)
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_completion("parked", timeout=0.2)


def test_a_later_start_begins_at_its_time_and_not_before(hub: TaskHub):
    hub.serve(behave)
    start_at = datetime.now(timezone.utc) + timedelta(seconds=2)
    hub.start(behave, instance_id="later", input="x", start_at=start_at)
    assert hub.state("later").runtime_status == OrchestrationStatus.PENDING
    hub.ended("later")

    began = hub.history("later")[0].timestamp.replace(tzinfo=timezone.utc)
    assert timedelta(0) <= began - start_at < timedelta(seconds=1)
    assert hub.raw_state("later").scheduledStartTimestamp.ToDatetime(timezone.utc) == start_at


@pytest.mark.parametrize(
    "start_at", [datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2020, 5, 17, tzinfo=timezone.utc)]
)
def test_a_start_in_the_past_is_a_start_now(hub: TaskHub, start_at: datetime):
    def napping(ctx: task.OrchestrationContext, _):
        began = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(seconds=1))
        return (ctx.current_utc_datetime - began).total_seconds()

    hub.serve(napping)
    state = hub.run(napping, start_at=start_at)
    assert 1.0 <= state.get_output() < 10.0
    assert abs(state.created_at - datetime.now(timezone.utc).replace(tzinfo=None)) < timedelta(minutes=1)


def test_an_event_for_a_later_start_is_kept(hub: TaskHub):
    hub.serve(behave)
    start_at = datetime.now(timezone.utc) + timedelta(seconds=1)
    hub.start(behave, instance_id="later", input="wait", start_at=start_at)
    hub.client.raise_orchestration_event("later", "go")
    assert hub.state("later").runtime_status == OrchestrationStatus.PENDING
    assert hub.ended("later").get_output() == "wait"


def test_status_is_pending_until_the_first_turn_is_committed(hub: TaskHub):
    gate, entered = hub.gate(), hub.gate()

    def hesitant(ctx: task.OrchestrationContext, _):
        entered.set()
        gate.wait(20)

    hub.serve(hesitant)
    hub.start(hesitant, instance_id="hesitant")
    assert entered.wait(20)
    assert hub.state("hesitant").runtime_status == OrchestrationStatus.PENDING
    gate.set()
    assert hub.ended("hesitant").runtime_status == OrchestrationStatus.COMPLETED


def test_a_call_without_a_hub_means_the_hub_default(hub: TaskHub):
    instance_id = hub.call("StartInstance", pb.CreateInstanceRequest(name="nobody-serves-this"), hub=None).instanceId
    request = pb.GetInstanceRequest(instanceId=instance_id)
    assert hub.call("GetInstance", request, hub="default").exists
    assert not hub.call("GetInstance", request).exists
    hub.call("TerminateInstance", pb.TerminateRequest(instanceId=instance_id), hub="default")


def test_hub_names_are_the_same_in_any_case(hub: TaskHub):
    hub.start(behave, instance_id="here")
    assert hub.call("GetInstance", pb.GetInstanceRequest(instanceId="here"), hub=hub.name.upper()).exists
