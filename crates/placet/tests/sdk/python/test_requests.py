"""Requests from any workflow: `placet.approval` as a child of a Python orchestration, decided by people through `/api/v1`."""

import pytest
import requests
from durabletask import task
from durabletask.client import OrchestrationStatus

from placet_server import PlacetServer
from task_hub import TaskHub
from waiting import eventually

HUB = "default"

TWO_STAGES = {
    "requester": "deployer",
    "item": "Deploy 2.3",
    "payload": {"version": "2.3", "percent": 100},
    "plan": {
        "stages": [
            {"name": "review", "seats": [{"from": ["ann", "ben", "cem"], "need": 2}]},
            {"name": "release", "seats": [{"from": ["dot"]}]},
        ],
        "editable": ["/percent"],
    },
}


def deploys(ctx: task.OrchestrationContext, request: dict):
    outcome = yield ctx.call_sub_orchestrator("placet.approval", input=request, instance_id=f"{ctx.instance_id}:approval")
    if outcome["status"] != "Approved":
        return f"not deployed: {outcome['status']}"
    return f"deployed to {outcome.get('approved', request.get('payload'))['percent']} % as {outcome['approver']} says"


@pytest.fixture
def hub_of(own_server: PlacetServer):
    hub = TaskHub(own_server.grpc, HUB)
    hub.serve(deploys)
    yield own_server, hub
    hub.close()


def decide(server: PlacetServer, request_id: str, approver: str, decision: str, **more) -> requests.Response:
    url = f"{server.http}/api/v1/requests/{request_id}/decisions"
    return requests.post(url, json={"approver": approver, "decision": decision, **more}, timeout=30)


def asked(server: PlacetServer, request_id: str) -> dict:
    def shown():
        answer = requests.get(f"{server.http}/api/v1/requests/{request_id}", timeout=30)
        return answer.json() if answer.status_code == 200 and "stage" in answer.json() else None

    return eventually(shown, f"{request_id} asks")


def test_a_workflow_asks_two_stages_of_people_and_goes_on_with_what_they_have_made_of_it(hub_of):
    server, hub = hub_of
    instance_id = hub.start(deploys, input=TWO_STAGES)
    request_id = f"{instance_id}:approval"
    assert asked(server, request_id)["stage"]["name"] == "review"
    assert decide(server, request_id, "dot", "approve").status_code == 403
    assert decide(server, request_id, "ann", "approve").json()["message"] == "Recorded, 1 more needed"
    assert decide(server, request_id, "cem", "approve").json()["stage"] == 2
    edits = [{"op": "replace", "path": "/percent", "value": 10}]
    assert decide(server, request_id, "dot", "approve", edits=edits).json()["revision"] == 2
    for approver in ["ben", "ann", "dot"]:
        assert decide(server, request_id, approver, "approve", revision=2).status_code == 200
    assert hub.ended(instance_id).get_output() == "deployed to 10 % as dot says"


def test_a_workflow_is_told_that_nobody_approved(hub_of):
    server, hub = hub_of
    rejected = hub.start(deploys, input=TWO_STAGES)
    assert asked(server, f"{rejected}:approval")["status"] == "Pending"
    assert decide(server, f"{rejected}:approval", "ben", "reject", comments="not today").status_code == 200
    assert hub.ended(rejected).get_output() == "not deployed: Rejected"
    late = hub.start(deploys, input={**TWO_STAGES, "timeout": "1s"})
    assert hub.ended(late).get_output() == "not deployed: Timeout"


def test_an_event_of_a_program_decides_only_what_anyone_may(hub_of):
    server, hub = hub_of
    instance_id = hub.start(deploys, input=TWO_STAGES)
    request_id = f"{instance_id}:approval"
    asked(server, request_id)
    hub.client.raise_orchestration_event(request_id, "approval_response", data={"is_approved": True, "approver": "ann"})
    assert decide(server, request_id, "ann", "approve").json()["more"] == 1, "the forged vote does not count"
    withdrawn = requests.post(
        f"{server.http}/api/v1/requests/{request_id}/withdraw", json={"by": "deployer", "text": "later"}, timeout=30
    )
    assert withdrawn.status_code == 200
    assert hub.ended(instance_id).get_output() == "not deployed: Withdrawn"


def test_what_is_no_request_fails_with_the_name_of_the_field(hub_of):
    _, hub = hub_of
    for wrong, said in [
        ({"requester": "x"}, "item"),
        ({**TWO_STAGES, "timeout": "soon"}, "timeout"),
        ({**TWO_STAGES, "plan": {"stages": []}}, "stages"),
        ({**TWO_STAGES, "outcome": {"status": "Approved"}}, "outcome"),
    ]:
        state = hub.ended(hub.start(deploys, input=wrong))
        assert state.runtime_status == OrchestrationStatus.FAILED
        assert said in state.failure_details.message
