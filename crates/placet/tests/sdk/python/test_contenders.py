"""The mission's orchestration in Python, decided by many at once: over Placet's HTTP API, by raw events, and by its
deadline. One wins, and everybody is told the same one."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from conftest import Mission
from placet_server import PlacetServer
from task_hub import TaskHub
from waiting import eventually

# The hub of Placet's own API.
HUB = "default"
REQUESTS = 40
# How long each can be answered, and how long before and after that its contenders come at first.
TIMEOUT_S, SPREAD_S = 1.5, 0.06
# How often the races are run anew, each time further apart, if they were none: the machine is busy with something else.
ROUNDS = 5


@pytest.fixture
def hub(own_server: PlacetServer, mission: Mission) -> Iterator[TaskHub]:
    """Served by the mission's worker, as its README starts it."""
    mission.start_worker(own_server.grpc, HUB)
    hub = TaskHub(own_server.grpc, HUB)
    yield hub
    hub.close()


@dataclass
class Contender:
    name: str
    is_raw: bool
    is_approved: bool
    off_by_s: float


def contenders(number: int, spread_s: float) -> list[Contender]:
    """Two to seven besides the deadline, each time others in another order; at least one of them over HTTP. In every
    third race all of them come no earlier than the deadline, so that it can win however fast the machine is."""
    count = 2 + number % 6
    late_s = spread_s if number % 3 == 0 else 0.0
    raw = 1 + number % min(count - 1, 3)
    return [
        Contender(
            name=f"{'Raw' if i < raw else 'Person'} {i}",
            is_raw=i < raw,
            is_approved=(number + i) % 2 == 0,
            off_by_s=((number * 7 + i * 11) % 25 - 12) / 12 * spread_s + late_s,
        )
        for i in range(count)
    ]


@dataclass
class Race:
    """A request, and all that was told of it."""

    hub: TaskHub
    url: str
    request_id: str

    def told(self, contender: Contender, due: float) -> tuple[Contender, int, dict]:
        """Decides near the deadline; the status (0 for a raw event) and the outcome that the contender was told."""
        time.sleep(max(0.0, due + contender.off_by_s - time.time()))  # sleep: the race is one against the clock
        decision = {"is_approved": contender.is_approved, "approver": contender.name}
        if contender.is_raw:
            self.hub.client.raise_orchestration_event(self.request_id, "approval_response", data=decision)
            return contender, 0, self.hub.ended(self.request_id).get_output()
        answer = requests.post(f"{self.url}/api/approvals/{self.request_id}", json=decision, timeout=30)
        return contender, answer.status_code, answer.json()

    def winner(self, told: list[tuple[Contender, int, dict]]) -> str:
        """Who won, by the state, the history and all that was told alike."""
        outcome = self.hub.ended(self.request_id).get_output()
        won = outcome.get("approver", "nobody")
        for contender, status, answer in told:
            if contender.is_raw:
                assert answer == outcome
            elif contender.name == won:
                assert (status, answer["message"].split(" by ")[1]) == (200, won), answer
            else:
                assert status == 409, (contender, answer, outcome)
                named = {field: answer["outcome"].get(field) for field in ("status", "approver")}
                assert named == {field: outcome.get(field) for field in named}, (contender, answer)
        shown = requests.get(f"{self.url}/api/requests/{self.request_id}", timeout=30).json()
        assert (shown["status"], shown["output"]) == (outcome["status"], outcome)
        self._assert_recorded_once(outcome)
        return won.split(" ")[0]

    def _assert_recorded_once(self, outcome: dict) -> None:
        history = self.hub.history(self.request_id)
        names = [type(event).__name__.removesuffix("Event") for event in history]
        assert names.count("ExecutionCompleted") == 1
        first = next(event for event, name in zip(history, names) if name in ("EventRaised", "TimerFired"))
        if outcome["status"] == "Timeout":
            assert type(first).__name__ == "TimerFiredEvent"
        else:
            assert json.loads(first.input)["approver"] == outcome["approver"]
            assert names.count("TaskCompleted") == 2


def test_of_many_deciders_and_the_deadline_one_wins_and_all_are_told_the_same(own_server: PlacetServer, hub: TaskHub):
    won: Counter[str] = Counter()
    with ThreadPoolExecutor(REQUESTS * 7) as threads:
        for round_ in range(ROUNDS):
            races = [_asked(hub, own_server.http) for _ in range(REQUESTS)]
            running = []
            for number, (race, due) in enumerate(races):
                running.append([threads.submit(race.told, each, due) for each in contenders(number, SPREAD_S * 2**round_)])
            for (race, _), each in zip(races, running):
                won[race.winner([told.result() for told in each])] += 1
            if len(won) == 3:
                return
    raise AssertionError(f"the races were none: {won}")


def _asked(hub: TaskHub, url: str) -> tuple[Race, float]:
    """A request that waits for its answer, and when it is due."""
    body = {"requester": "Alice", "item": "Vacation", "timeout_hours": TIMEOUT_S / 3600}
    request_id = hub.start("human_interaction_orchestrator", input={"request_id": "mine", **body})
    created = eventually(
        lambda: [event for event in hub.history(request_id) if type(event).__name__ == "TimerCreatedEvent"],
        f"{request_id} waits",
    )
    return Race(hub, url, request_id), created[0].fire_at.timestamp()
