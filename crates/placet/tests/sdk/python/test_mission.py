"""The example in examples/python-human-interaction, unchanged, against this scheduler: as its README starts it."""

import re
import shlex

import pytest
import requests

from approvals_http import ApprovalsApi
from conftest import Mission
from processes import EXAMPLE, HERE
from task_hub import TaskHub


@pytest.fixture
def started(mission: Mission, hub: TaskHub) -> Mission:
    return mission.start(hub.grpc_url, hub.name)


def test_a_request_waits_with_its_details(started: Mission):
    request_id = started.api.ask("Vacation Request")
    details = started.api.wait_until_asked(request_id)
    assert details.pop("submitted_at")
    assert details == {
        "request_id": request_id,
        "status": "Pending",
        "approval_url": f"{started.api.url}/api/approvals/{request_id}",
    }
    assert started.api.show(request_id)["runtime_status"] == "RUNNING"


@pytest.mark.parametrize(("is_approved", "status"), [(True, "Approved"), (False, "Rejected")])
def test_a_request_is_decided(started: Mission, is_approved: bool, status: str):
    request_id = started.api.ask("Vacation Request")
    started.api.wait_until_asked(request_id)
    started.api.decide(request_id, is_approved, approver="Manager", comments="Seen.")
    outcome = started.api.outcome(request_id)
    assert outcome.pop("processed_at")
    assert outcome == {"request_id": request_id, "status": status, "approver": "Manager", "comments": "Seen."}
    assert started.api.show(request_id)["runtime_status"] == "COMPLETED"


def test_a_request_that_nobody_answers_times_out(started: Mission):
    request_id = started.api.ask("Vacation Request", timeout_hours=0.0005)
    outcome = started.api.outcome(request_id)
    assert outcome.pop("timed_out_at")
    assert outcome == {"request_id": request_id, "status": "Timeout"}


def test_an_answer_that_comes_before_the_wait_counts(mission: Mission, hub: TaskHub):
    mission.start_client(hub.grpc_url, hub.name)
    request_id = mission.api.ask("Vacation Request")
    mission.api.decide(request_id, True)
    mission.start_worker(hub.grpc_url, hub.name)
    assert mission.api.outcome(request_id)["status"] == "Approved"


def test_a_decided_request_is_not_decided_again(started: Mission):
    request_id = started.api.ask("Vacation Request")
    started.api.decide(request_id, True)
    outcome = started.api.outcome(request_id)
    with pytest.raises(requests.HTTPError) as refused:
        started.api.decide(request_id, False)
    assert refused.value.response.status_code == 409
    assert started.api.show(request_id)["output"] == outcome


def test_an_unknown_request_is_not_found(started: Mission):
    for call in (lambda: started.api.show("nobody"), lambda: started.api.decide("nobody", True)):
        with pytest.raises(requests.HTTPError) as refused:
            call()
        assert refused.value.response.status_code == 404


def test_a_waiting_request_survives_its_worker(started: Mission, hub: TaskHub):
    request_id = started.api.ask("Vacation Request")
    started.api.wait_until_asked(request_id)
    started.worker.kill()
    started.api.decide(request_id, False)
    started.start_worker(hub.grpc_url, hub.name)
    assert started.api.outcome(request_id)["status"] == "Rejected"


# The three calls of the human interaction pattern, word for word.
CALLS = [
    """curl -X POST http://localhost:8000/api/requests \\
          -H "Content-Type: application/json" \\
          -d '{"requester": "Alice", "item": "Vacation Request", "timeout_hours": 1}'""",
    "curl http://localhost:8000/api/requests/{request_id}",
    """curl -X POST http://localhost:8000/api/approvals/{request_id} \\
          -H "Content-Type: application/json" \\
          -d '{"is_approved": true, "approver": "Manager", "comments": "Approved!"}'""",
]


def call_as_printed(call: str, api_url: str, request_id: str) -> dict:
    """What curl would do, with our port and the id that the first call answered filled in."""
    words = shlex.split(call)
    url = next(word for word in words if word.startswith("http://localhost:8000/"))
    url = url.replace("http://localhost:8000", api_url).replace("{request_id}", request_id)
    data = words[words.index("-d") + 1] if "-d" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    headers = dict([words[words.index("-H") + 1].split(": ")]) if "-H" in words else {}
    answer = requests.request(method, url, data=data, headers=headers, timeout=30)
    assert answer.status_code == 200, f"{call}: {answer.status_code} {answer.text}"
    return answer.json()


@pytest.mark.parametrize("whose", ["the example's", "Placet's own"])
def test_the_three_calls_work_as_they_are_printed(started: Mission, http_url: str, whose: str):
    api = started.api if whose == "the example's" else ApprovalsApi(http_url)
    ask, show, decide = CALLS

    asked = call_as_printed(ask, api.url, "")
    request_id = asked["request_id"]
    assert asked["status"] == "Pending"
    assert asked["approval_url"].endswith(f"/api/approvals/{request_id}")
    assert asked["status_url"].endswith(f"/api/requests/{request_id}")

    api.wait_until_asked(request_id)
    shown = call_as_printed(show, api.url, request_id)
    assert (shown["request_id"], shown["runtime_status"]) == (request_id, "RUNNING")
    assert shown["details"]["status"] == "Pending"

    decided = call_as_printed(decide, api.url, request_id)
    assert decided["message"] == "Request approved by Manager"
    assert decided["status_url"] == asked["status_url"]
    outcome = api.outcome(request_id)
    assert outcome.pop("processed_at")
    expected = {"request_id": request_id, "status": "Approved", "approver": "Manager", "comments": "Approved!"}
    assert {name: outcome[name] for name in expected} == expected


def test_the_readme_prints_these_calls():
    blocks = re.findall(r"```bash\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    printed = [shlex.split(block) for block in blocks if block.lstrip().startswith("curl")]
    assert printed == [shlex.split(call) for call in CALLS]


def test_both_programs_stop_when_they_are_asked_to(started: Mission):
    assert started.worker.stop() == 0
    # uvicorn ends by the signal that it was sent, once it is done.
    assert started.client.stop() in (0, -15)


def test_the_example_is_tested_with_the_packages_that_it_asks_for():
    def pins(path) -> set[str]:
        lines = path.read_text().splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    assert pins(EXAMPLE / "requirements.txt") <= pins(HERE / "requirements.txt")
