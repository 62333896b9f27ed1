"""Days that pass in milliseconds: Microsoft's SDK, unchanged, against a server of `placet.testing`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.history import TimerFiredEvent

from approvals_http import ApprovalsApi
from conftest import Mission
from placet.testing import NotStarted, Refused, Server, server
from processes import HERE
from task_hub import TaskHub
from waiting import eventually

DAY = timedelta(days=1)


@pytest.fixture
def standing_mission(mission: Mission, placet_server: Server) -> Mission:
    """The example's two programs, as they are, against a server whose clock stands. Both are there: what is measured is not
    how long Python takes to start."""
    mission.start(placet_server.endpoint, placet_server.taskhub)
    first = mission.api.ask("to see whether they are there")
    mission.api.wait_until_asked(first)
    mission.api.decide(first, True)
    mission.api.outcome(first)
    return mission


@pytest.fixture
def auto_mission(mission: Mission, auto_after: float) -> Iterator[Mission]:
    """… against one whose clock goes by itself."""
    with server(virtual_time="auto", auto_after=auto_after) as placet:
        mission.start(placet.endpoint, placet.taskhub)
        mission.api.outcome(mission.api.ask("to see whether they are there"))
        yield mission


def seconds_since(begun: float) -> float:
    return time.monotonic() - begun


def test_a_request_of_a_day_times_out_in_less_than_two_seconds(standing_mission: Mission, placet_server: Server):
    begun = time.monotonic()
    request_id = standing_mission.api.ask("Vacation Request", timeout_hours=24)
    before = placet_server.now()
    arrived = placet_server.advance("24h")
    outcome = standing_mission.api.show(request_id)["output"]
    took = seconds_since(begun)
    # No waiting: all that could happen by then has happened.
    assert (arrived.timers_fired, arrived.items_out, arrived.items_ready) == (1, 0, 0)
    assert (outcome["request_id"], outcome["status"]) == (request_id, "Timeout")
    assert datetime.fromisoformat(outcome["timed_out_at"]) == before + DAY
    assert took < 2, f"{took:.3f} s"


@pytest.mark.parametrize("auto_after", [0.1])
def test_a_request_of_a_day_times_out_by_itself_in_less_than_two_seconds(auto_mission: Mission):
    begun = time.monotonic()
    request_id = auto_mission.api.ask("Vacation Request", timeout_hours=24)
    outcome = auto_mission.api.outcome(request_id)
    took = seconds_since(begun)
    assert outcome["status"] == "Timeout"
    assert took < 2, f"{took:.3f} s"


@pytest.mark.parametrize("auto_after", [0.5])
@pytest.mark.parametrize(("is_approved", "status"), [(True, "Approved"), (False, "Rejected")])
def test_a_request_of_a_day_is_decided_in_time_though_the_clock_goes_by_itself(
    auto_mission: Mission, is_approved: bool, status: str
):
    request_id = auto_mission.api.ask("Vacation Request", timeout_hours=24)
    auto_mission.api.decide(request_id, is_approved)
    assert auto_mission.api.outcome(request_id)["status"] == status


def test_the_clock_does_not_go_by_itself_while_the_worker_of_what_waits_is_away(mission: Mission):
    with server(virtual_time="auto", auto_after=1) as placet:
        mission.start(placet.endpoint, placet.taskhub)
        before = placet.now()
        request_id = mission.api.ask("Vacation Request", timeout_hours=24)
        mission.api.wait_until_asked(request_id)
        mission.worker.kill()
        time.sleep(1.5)  # sleep: for as long as nothing is to happen
        mission.api.decide(request_id, True)
        mission.start_worker(placet.endpoint, placet.taskhub)
        assert mission.api.outcome(request_id)["status"] == "Approved"
        assert placet.now() == before


def test_an_answer_a_second_before_the_deadline_counts_and_one_a_second_after_does_not(
    standing_mission: Mission, placet_server: Server
):
    early, late = (standing_mission.api.ask(item, timeout_hours=24) for item in ("early", "late"))
    placet_server.advance(DAY - timedelta(seconds=1))
    standing_mission.api.decide(early, True)
    placet_server.advance(2)
    assert standing_mission.api.outcome(early)["status"] == "Approved"
    assert standing_mission.api.outcome(late)["status"] == "Timeout"


def test_requests_of_our_own_api_time_out_too(placet_server: Server):
    api = ApprovalsApi(placet_server.http)
    request_id = api.ask("Vacation Request", timeout_hours=24)
    placet_server.advance("1d")
    assert api.show(request_id)["status"] == "Timeout"


def test_timers_fire_at_their_own_times_however_far_the_clock_goes_at_once(standing_hub: TaskHub, placet_server: Server):
    """As real time would have it: what a timer makes is made at its time."""

    def reminders(ctx: task.OrchestrationContext, hours: list[int]):
        begun, reminded = ctx.current_utc_datetime, []
        for wait in hours:
            yield ctx.create_timer(timedelta(hours=wait))
            reminded.append((ctx.current_utc_datetime - begun) / timedelta(hours=1))
        return reminded

    standing_hub.serve(reminders)
    ids = [standing_hub.start(reminders, input=hours) for hours in ([1, 3, 5], [2, 3, 20])]
    arrived = placet_server.advance("24h")
    assert (arrived.timers_fired, arrived.items_out, arrived.items_ready) == (5, 0, 0)
    first, second = (standing_hub.state(instance_id) for instance_id in ids)
    assert first.get_output() == [1, 4, 9]
    assert second.runtime_status == OrchestrationStatus.RUNNING
    fired = [event for event in standing_hub.history(ids[1]) if isinstance(event, TimerFiredEvent)]
    assert [event.timestamp - event.fire_at for event in fired] == [timedelta(0), timedelta(0)]
    placet_server.advance("1h")
    assert standing_hub.state(ids[1]).get_output() == [2, 5, 25]


def test_a_timer_decades_away_fires(standing_hub: TaskHub, placet_server: Server):
    end = datetime(2099, 12, 31, tzinfo=timezone.utc)

    def patient(ctx: task.OrchestrationContext, _):
        yield ctx.create_timer(end)
        return ctx.current_utc_datetime.isoformat()

    standing_hub.serve(patient)
    instance_id = standing_hub.start(patient)
    placet_server.settle()
    placet_server.advance(end - placet_server.now())
    assert standing_hub.state(instance_id).get_output() == end.replace(tzinfo=None).isoformat()


def test_a_delayed_start_begins_when_the_clock_comes_to_it(standing_hub: TaskHub, placet_server: Server):
    def clock(ctx: task.OrchestrationContext, _):
        return ctx.current_utc_datetime.isoformat()

    standing_hub.serve(clock)
    at = placet_server.now() + 7 * DAY
    instance_id = standing_hub.start(clock, start_at=at)
    placet_server.advance("6d")
    assert standing_hub.state(instance_id).runtime_status == OrchestrationStatus.PENDING
    placet_server.advance("2d")
    assert standing_hub.state(instance_id).get_output() == at.replace(tzinfo=None).isoformat()


def test_retries_with_long_pauses_are_over_in_no_time(standing_hub: TaskHub, placet_server: Server):
    tries = []

    def flaky(_: task.ActivityContext, __) -> int:
        tries.append(placet_server.now())
        if len(tries) < 4:
            raise ValueError("not yet")
        return len(tries)

    def stubborn(ctx: task.OrchestrationContext, _):
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(hours=1), max_number_of_attempts=5, backoff_coefficient=2
        )
        return (yield ctx.call_activity(flaky, retry_policy=policy))

    standing_hub.serve(stubborn, flaky)
    instance_id = standing_hub.start(stubborn)
    placet_server.advance("1d")
    assert standing_hub.state(instance_id).get_output() == 4
    assert [(at - tries[0]) / timedelta(hours=1) for at in tries] == [0, 1, 3, 7]


def test_a_deadline_beats_an_activity_that_does_not_end(standing_hub: TaskHub, placet_server: Server):
    gate = standing_hub.gate()

    def stuck(_: task.ActivityContext, __):
        gate.wait(60)

    def hurried(ctx: task.OrchestrationContext, _):
        work, late = ctx.call_activity(stuck), ctx.create_timer(timedelta(hours=1))
        return "late" if (yield task.when_any([work, late])) is late else "done"

    standing_hub.serve(hurried, stuck)
    instance_id = standing_hub.start(hurried)
    arrived = placet_server.advance("1h", patience=0.5)
    assert standing_hub.state(instance_id).get_output() == "late"
    assert (arrived.items_out, arrived.items_ready) == (1, 0)


def test_a_fresh_server_is_up_in_a_moment(tmp_path: Path):
    """The best of five: what it takes, and not what else the machine has to do. `cargo xtask test --release` has a bound of
    its own for the server as it ships."""
    is_release = "release" in Path(os.environ["PLACET_BIN"]).parts
    took = []
    for _ in range(5):
        begun = time.monotonic()
        with server():
            took.append(seconds_since(begun))
    assert min(took) < (0.15 if is_release else 0.5), took


def test_ten_servers_stand_side_by_side_each_with_a_clock_and_instances_of_its_own():
    with ThreadPoolExecutor(10) as pool:
        servers = list(pool.map(lambda _: Server(), range(10)))
        try:
            assert len({placet.endpoint for placet in servers} | {placet.http for placet in servers}) == 20

            def time_out(hours: int) -> tuple[float, str]:
                placet, api = servers[hours - 1], ApprovalsApi(servers[hours - 1].http)
                before, request_id = placet.now(), api.ask("Vacation Request", timeout_hours=hours)
                placet.advance(timedelta(hours=hours))
                return (placet.now() - before) / timedelta(hours=1), api.show(request_id)["status"]

            assert list(pool.map(time_out, range(1, 11))) == [(hours, "Timeout") for hours in range(1, 11)]
        finally:
            list(pool.map(Server.close, servers))


def test_what_the_server_refuses_is_said():
    with server(virtual_time=None) as placet:
        with pytest.raises(Refused, match="start one with --ephemeral --virtual-time"):
            placet.advance("1d")
    with server() as placet:
        with pytest.raises(Refused, match="must not be negative"):
            placet.advance(-1)
        with pytest.raises(Refused, match="soon"):
            placet.advance("soon")
    with pytest.raises(NotStarted, match="no-such-flag"):
        Server(args=["--no-such-flag"])
    with pytest.raises(NotStarted, match="no-such-placet"):
        Server(binary="/no-such-placet")


def test_a_server_ends_with_the_program_that_started_it_however_that_one_ends(tmp_path: Path):
    program = "\n".join([
        "import sys",
        f"sys.path[:0] = {sys.path!r}",
        "from placet.testing import Server",
        "placet = Server(args=['--ready-file', sys.argv[1]])",
        "input()",
    ])
    ready = tmp_path / "ready.json"
    started = subprocess.Popen([sys.executable, "-c", program, str(ready)], stdin=subprocess.PIPE, cwd=HERE)
    eventually(ready.exists, "the server is ready")
    announced = json.loads(ready.read_text())
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    eventually(lambda: not _is_alive(announced["pid"]), "it has ended")
    assert not Path(announced["data_dir"]).exists(), "and cleared away what it kept"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended, and that nobody has asked about yet.
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
