"""Placet's own approvals and the mission's Python worker in one hub, `default`: neither takes the other's work."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from durabletask import task

from approvals_http import ApprovalsApi, once_back
from conftest import Mission
from placet_server import PlacetServer
from task_hub import TaskHub
from waiting import eventually

HUB = "default"


class Both:
    """One server with its own approvals API, and the mission's two programs beside it."""

    def __init__(self, server: PlacetServer, mission: Mission):
        self.server, self.mission = server, mission
        self.hub = TaskHub(server.grpc, HUB)
        self.placet = ApprovalsApi(server.http)

    def start_mission(self) -> None:
        self.mission.start(self.server.grpc, HUB)

    def orchestration_of(self, request_id: str) -> str:
        return eventually(lambda: self.hub.state(request_id), f"{request_id} is an instance").name


@pytest.fixture
def both(own_server: PlacetServer, mission: Mission) -> Iterator[Both]:
    both = Both(own_server, mission)
    yield both
    both.hub.close()


@pytest.mark.parametrize("first", ["worker", "requests"])
def test_each_request_is_decided_where_it_was_made(both: Both, first: str):
    """Whether Placet's requests are there before the Python worker comes, or after."""
    if first == "worker":
        both.start_mission()
    ours = [both.placet.ask(f"ours {i}") for i in range(5)]
    if first == "requests":
        both.start_mission()
    theirs = [both.mission.api.ask(f"theirs {i}") for i in range(5)]

    for i, request_id in enumerate(ours):
        both.placet.decide(request_id, is_approved=i % 2 == 0)
    for i, request_id in enumerate(theirs):
        both.mission.api.decide(request_id, is_approved=i % 2 == 1)

    for i, request_id in enumerate(ours):
        assert both.placet.outcome(request_id)["status"] == ("Approved" if i % 2 == 0 else "Rejected")
        assert both.orchestration_of(request_id) == "placet.approval"
        assert request_id not in both.mission.worker.log
    for i, request_id in enumerate(theirs):
        assert both.mission.api.outcome(request_id)["status"] == ("Approved" if i % 2 == 1 else "Rejected")
        assert both.orchestration_of(request_id) == "human_interaction_orchestrator"
        assert request_id in both.mission.worker.log


def test_placets_api_answers_a_request_of_the_missions_worker(both: Both):
    both.start_mission()
    request_id = both.mission.api.ask("theirs")
    both.mission.api.wait_until_asked(request_id)
    both.placet.decide(request_id, True, approver="Manager", comments="by Placet")
    outcome = both.mission.api.outcome(request_id)
    assert (outcome["status"], outcome["approver"], outcome["comments"]) == ("Approved", "Manager", "by Placet")


def test_a_raw_event_cannot_change_what_placet_decided(both: Both):
    both.start_mission()
    request_id = both.placet.ask("ours")
    both.placet.decide(request_id, True)
    outcome = both.placet.outcome(request_id)
    state = both.hub.state(request_id)
    both.hub.client.raise_orchestration_event(request_id, "approval_response", data={"is_approved": False})
    assert both.hub.state(request_id) == state
    assert both.placet.show(request_id)["output"] == outcome


def test_a_request_of_ours_times_out_beside_the_worker(both: Both):
    both.start_mission()
    request_id = both.placet.ask("ours", timeout_hours=0.0005)
    outcome = both.placet.outcome(request_id)
    assert outcome["status"] == "Timeout"
    assert request_id not in both.mission.worker.log


@pytest.mark.parametrize("returns_first", ["server", "worker"])
def test_waiting_requests_of_both_survive_server_and_worker(both: Both, returns_first: str):
    both.start_mission()
    ours, theirs = both.placet.ask("ours"), both.mission.api.ask("theirs")
    both.mission.api.wait_until_asked(theirs)

    both.server.kill()
    both.mission.worker.kill()
    if returns_first == "worker":
        both.mission.start_worker(both.server.grpc, HUB)
    both.server.start()
    if returns_first == "server":
        both.mission.start_worker(both.server.grpc, HUB)

    both.placet.decide(ours, True)
    once_back(lambda: both.mission.api.decide(theirs, False))
    assert both.placet.outcome(ours)["status"] == "Approved"
    assert both.mission.api.outcome(theirs)["status"] == "Rejected"
    assert ours not in both.mission.worker.log


def test_a_decision_that_comes_while_a_timed_out_orchestration_cleans_up_has_lost(both: Both):
    cleaning, cleaned = threading.Event(), both.hub.gate()

    def clean_up(_: task.ActivityContext, __):
        cleaning.set()
        cleaned.wait(20)

    def timed(ctx: task.OrchestrationContext, _):
        answered = ctx.wait_for_external_event("approval_response")
        too_late = ctx.create_timer(timedelta(milliseconds=10))
        first = yield task.when_any([answered, too_late])
        if first is too_late:
            yield ctx.call_activity(clean_up)
        return {"status": "Timeout" if first is too_late else "Approved"}

    both.hub.serve(timed, clean_up)
    request_id = both.hub.start(timed)
    assert cleaning.wait(20)
    threading.Timer(1.0, cleaned.set).start()
    with pytest.raises(requests.HTTPError) as refused:
        both.placet.decide(request_id, True)
    assert refused.value.response.status_code == 409
    assert refused.value.response.json()["outcome"] == {"status": "Timeout"}


def test_an_orchestration_that_waits_for_something_else_has_not_decided(both: Both):
    def deaf(ctx: task.OrchestrationContext, _):
        yield ctx.wait_for_external_event("go")
        return "gone"

    both.hub.serve(deaf)
    request_id = both.hub.start(deaf)
    body = {"is_approved": True, "approver": "Manager"}
    answer = requests.post(f"{both.placet.url}/api/approvals/{request_id}?wait=1", json=body, timeout=30)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    ("first", "detail"),
    [
        ({"status": "Rejected", "approver": "First", "comments": "No."}, "Request rejected by First"),
        ({"status": "Approved"}, "Request is Approved"),
    ],
)
def test_a_loser_is_told_who_won_though_the_orchestration_still_acts_on_it(both: Both, first: dict, detail: str):
    acted = both.hub.gate()

    def act(_: task.ActivityContext, __):
        acted.wait(20)

    def busy(ctx: task.OrchestrationContext, _):
        yield ctx.wait_for_external_event("get_on")
        yield ctx.wait_for_external_event("approval_response")
        yield ctx.call_activity(act)

    both.hub.serve(busy, act)
    request_id = both.hub.start(busy)
    decision = {"is_approved": first["status"] == "Approved", **{k: first[k] for k in first if k != "status"}}
    both.hub.client.raise_orchestration_event(request_id, "approval_response", data=decision)
    told: list[requests.Response] = []

    def decide_second() -> None:
        body = {"is_approved": True, "approver": "Second"}
        told.append(requests.post(f"{both.placet.url}/api/approvals/{request_id}", json=body, timeout=30))

    second = threading.Thread(target=decide_second)
    second.start()
    eventually(lambda: both.hub.event_names(request_id).count("EventRaised") == 2, "both have decided")
    both.hub.client.raise_orchestration_event(request_id, "get_on")
    second.join()
    assert told[0].status_code == 409, told[0].text
    lost = told[0].json()
    assert (lost["outcome"], lost["detail"]) == ({"request_id": request_id, **first}, detail)
    acted.set()
