"""The server is killed, as by a power cut, and started again on the same data: what it acknowledged is there."""

from datetime import datetime, timedelta, timezone

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from approvals_http import ApprovalsApi, once_back
from conftest import Mission
from placet_server import PlacetServer
from task_hub import TaskHub
from waiting import eventually


def wait_for_go(ctx: task.OrchestrationContext, _):
    ctx.set_custom_status("waiting")
    return (yield ctx.wait_for_external_event("go"))


def restart(server: PlacetServer, hub: TaskHub) -> None:
    """Kills it, starts it again, and waits until our own connection has noticed."""
    server.kill()
    server.start()
    eventually(lambda: _answers(hub), "the client has found the server again")


def _answers(hub: TaskHub) -> bool:
    try:
        hub.state("nobody")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return False
    return True


def test_every_start_that_was_acknowledged_is_run(own_server: PlacetServer, own_hub: TaskHub):
    def echo(ctx: task.OrchestrationContext, value):
        return value

    ids = [own_hub.start(echo, input=i) for i in range(50)]
    restart(own_server, own_hub)
    own_hub.serve(echo)
    assert [own_hub.ended(instance_id).get_output() for instance_id in ids] == list(range(50))


def test_every_event_that_was_acknowledged_is_delivered_in_order(own_server: PlacetServer, own_hub: TaskHub):
    def collect(ctx: task.OrchestrationContext, count: int):
        values = []
        for _ in range(count):
            values.append((yield ctx.wait_for_external_event("item")))
        return values

    instance_id = own_hub.start(collect, input=30)
    for i in range(30):
        own_hub.client.raise_orchestration_event(instance_id, "item", data=i)
    restart(own_server, own_hub)
    own_hub.serve(collect)
    assert own_hub.ended(instance_id).get_output() == list(range(30))


def test_a_waiting_instance_is_the_same_afterwards(own_server: PlacetServer, own_hub: TaskHub):
    own_hub.serve(wait_for_go)
    instance_id = own_hub.start(wait_for_go, tags={"team": "blue"}, version="1.2.3")
    eventually(lambda: own_hub.state(instance_id).get_custom_status() == "waiting", "it waits")
    state, history = own_hub.raw_state(instance_id), own_hub.history(instance_id)
    restart(own_server, own_hub)
    assert own_hub.raw_state(instance_id) == state
    assert own_hub.history(instance_id) == history
    # The worker has come back by itself.
    own_hub.client.raise_orchestration_event(instance_id, "go", data="on")
    assert own_hub.ended(instance_id).get_output() == "on"


def test_an_ended_instance_is_the_same_afterwards(own_server: PlacetServer, own_hub: TaskHub):
    def fail(ctx: task.OrchestrationContext, _):
        ctx.set_custom_status({"at": "the end"})
        raise ValueError("no")

    own_hub.serve(fail)
    instance_id = own_hub.start(fail, input=[1, 2])
    own_hub.ended(instance_id)
    state, history = own_hub.raw_state(instance_id), own_hub.history(instance_id)
    restart(own_server, own_hub)
    assert own_hub.raw_state(instance_id) == state
    assert own_hub.history(instance_id) == history


@pytest.mark.parametrize("seconds", [1, 4], ids=["due-while-down", "due-after"])
def test_a_timer_fires_after_the_restart(own_server: PlacetServer, own_hub: TaskHub, seconds: int):
    def nap(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(timedelta(seconds=seconds))
        return "rested"

    own_hub.serve(nap)
    instance_id = own_hub.start(nap)
    eventually(lambda: "TimerCreated" in own_hub.event_names(instance_id), "the timer is set")
    due = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    own_server.kill()
    if seconds == 1:
        eventually(lambda: datetime.now(timezone.utc) > due, "it is due")
    own_server.start()
    assert _ended_after_restart(own_hub, instance_id).get_output() == "rested"
    assert own_hub.event_names(instance_id).count("TimerFired") == 1


def test_a_later_start_is_kept(own_server: PlacetServer, own_hub: TaskHub):
    start_at = datetime.now(timezone.utc) + timedelta(seconds=3)
    instance_id = own_hub.start(wait_for_go, start_at=start_at)
    own_hub.serve(wait_for_go)
    restart(own_server, own_hub)
    own_hub.client.raise_orchestration_event(instance_id, "go", data="now")
    assert own_hub.ended(instance_id).get_output() == "now"
    assert own_hub.history(instance_id)[0].timestamp.replace(tzinfo=timezone.utc) >= start_at


def test_an_activity_that_was_out_is_done_and_recorded_once(own_server: PlacetServer, own_hub: TaskHub):
    gate, entered = own_hub.gate(), own_hub.gate()

    def slow(_: task.ActivityContext, __) -> str:
        entered.set()
        gate.wait(20)
        return "done"

    def call(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_activity(slow))

    own_hub.serve(call, slow)
    instance_id = own_hub.start(call)
    assert entered.wait(20)
    own_server.kill()
    own_server.start()
    gate.set()
    assert _ended_after_restart(own_hub, instance_id).get_output() == "done"
    names = own_hub.event_names(instance_id)
    assert (names.count("TaskScheduled"), names.count("TaskCompleted")) == (1, 1)


def test_work_goes_on_through_kill_after_kill(own_server: PlacetServer, own_hub: TaskHub):
    def plus_one(_: task.ActivityContext, value: int) -> int:
        return value + 1

    def sequence(ctx: task.OrchestrationContext, steps: int):
        value = 0
        for _ in range(steps):
            value = yield ctx.call_activity(plus_one, input=value)
        return value

    own_hub.serve(sequence, plus_one)
    ids = [own_hub.start(sequence, input=30) for _ in range(5)]
    for _ in range(5):
        restart(own_server, own_hub)
    for instance_id in ids:
        state = _ended_after_restart(own_hub, instance_id, timeout=90)
        assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.COMPLETED, 30)
        assert own_hub.event_names(instance_id).count("TaskCompleted") == 30


def test_a_server_that_is_asked_to_stop_does_so_with_workers_connected(own_server: PlacetServer, own_hub: TaskHub):
    own_hub.serve(wait_for_go)
    instance_id = own_hub.start(wait_for_go)
    own_hub.client.wait_for_orchestration_start(instance_id)
    own_server.stop()
    own_server.start()
    eventually(lambda: _answers(own_hub), "the client has found the server again")
    own_hub.client.raise_orchestration_event(instance_id, "go", data=1)
    assert own_hub.ended(instance_id).get_output() == 1


@pytest.mark.parametrize("killed_first", ["server", "worker"])
def test_the_mission_survives_in_either_order(own_server: PlacetServer, mission: Mission, killed_first: str):
    mission.start(own_server.grpc, "mission")
    request_id = mission.api.ask("Vacation Request")
    details = mission.api.wait_until_asked(request_id)

    if killed_first == "server":
        own_server.kill()
        mission.worker.kill()
        own_server.start()
        mission.start_worker(own_server.grpc, "mission")
    else:
        mission.worker.kill()
        own_server.kill()
        mission.start_worker(own_server.grpc, "mission")
        own_server.start()

    assert once_back(lambda: mission.api.show(request_id))["details"] == details
    mission.api.decide(request_id, True)
    assert mission.api.outcome(request_id)["status"] == "Approved"


def test_placets_own_request_survives(own_server: PlacetServer):
    api = ApprovalsApi(own_server.http)
    waiting, decided = api.ask("waits"), api.ask("decided")
    api.decide(decided, True, approver="Manager")
    outcome = api.outcome(decided)
    own_server.kill()
    own_server.start()
    assert api.show(decided)["output"] == outcome
    api.decide(waiting, False)
    assert api.outcome(waiting)["status"] == "Rejected"


def _ended_after_restart(hub: TaskHub, instance_id: str, timeout: float = 60):
    eventually(lambda: _answers(hub), "the client has found the server again")
    return hub.ended(instance_id, timeout=timeout)
