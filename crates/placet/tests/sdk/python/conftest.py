"""The server under test and a fresh task hub for each test.

PLACET_BIN                the binary, for tests that start (and kill) servers of their own
PLACET_GRPC, PLACET_HTTP  addresses of a running server; without them one is started for as long as the tests run

What must outlive its server needs one with a folder (`own_server`); what waits for a clock one of `placet.testing`, as users
have it (`placet_server`, from its plugin).
"""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from approvals_http import ApprovalsApi
from dotnet import DotnetClient, DotnetWorker
from placet.testing import Server
from placet_server import PlacetServer
from processes import EXAMPLE, Process, free_port, python
from task_hub import TaskHub
from waiting import eventually

pytest_plugins = ["placet.testing.plugin"]


@pytest.fixture(scope="session")
def addresses() -> Iterator[tuple[str, str]]:
    """Where the server under test answers over gRPC and HTTP."""
    if "PLACET_GRPC" in os.environ:
        yield os.environ["PLACET_GRPC"], os.environ["PLACET_HTTP"]
    else:
        with Server(virtual_time=None) as server:
            yield server.endpoint, server.http


@pytest.fixture(scope="session")
def grpc_url(addresses: tuple[str, str]) -> str:
    return addresses[0]


@pytest.fixture(scope="session")
def http_url(addresses: tuple[str, str]) -> str:
    return addresses[1]


@pytest.fixture
def hub(grpc_url: str) -> Iterator[TaskHub]:
    hub = TaskHub(grpc_url, _fresh_hub_name())
    yield hub
    hub.close()


@pytest.fixture
def other_hub(grpc_url: str) -> Iterator[TaskHub]:
    hub = TaskHub(grpc_url, _fresh_hub_name())
    yield hub
    hub.close()


@pytest.fixture
def client(hub: TaskHub) -> DotnetClient:
    """The calls of .NET's client."""
    return DotnetClient(hub)


@pytest.fixture
def worker(hub: TaskHub) -> Iterator[DotnetWorker]:
    """A worker that the test plays itself, as .NET's is. It has all of the hub's work."""
    worker = DotnetWorker(hub)
    yield worker
    worker.close()


def _fresh_hub_name() -> str:
    return f"t-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PlacetServer]:
    """A server that the test may kill. It has started."""
    server = PlacetServer(tmp_path).start()
    yield server
    server.close()


@pytest.fixture
def own_hub(own_server: PlacetServer) -> Iterator[TaskHub]:
    """A hub of the server that the test may kill."""
    hub = TaskHub(own_server.grpc, _fresh_hub_name())
    yield hub
    hub.close()


@pytest.fixture
def standing_hub(placet_server: Server) -> Iterator[TaskHub]:
    """A hub of a server whose clock stands until it is told to go on."""
    hub = TaskHub(placet_server.endpoint, _fresh_hub_name())
    yield hub
    hub.close()


class Mission:
    """The example's two programs, as the README starts them."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._port = free_port()
        self._processes: list[Process] = []
        self.api = ApprovalsApi(f"http://127.0.0.1:{self._port}")

    def start(self, endpoint: str, taskhub: str, **env: str) -> "Mission":
        self.start_worker(endpoint, taskhub, **env)
        self.start_client(endpoint, taskhub, **env)
        return self

    def start_worker(self, endpoint: str, taskhub: str, **env: str) -> Process:
        env = {"ENDPOINT": endpoint, "TASKHUB": taskhub, "API_URL": self.api.url, **env}
        self.worker = self._start("worker.py", env)
        return self.worker

    def start_client(self, endpoint: str, taskhub: str, **env: str) -> Process:
        env = {"ENDPOINT": endpoint, "TASKHUB": taskhub, "PORT": str(self._port), **env}
        self.client = self._start("client.py", env)
        eventually(lambda: "running on http://" in self.client.log or not self.client.is_running, "client.py listens")
        assert self.client.is_running, self.client.log
        return self.client

    def _start(self, script: str, env: dict[str, str]) -> Process:
        process = python(EXAMPLE / script, self._folder / f"{script}.log", env)
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            if process.is_running:
                process.kill()


@pytest.fixture
def mission(tmp_path: Path) -> Iterator[Mission]:
    mission = Mission(tmp_path)
    yield mission
    mission.close()


@pytest.fixture
def worker_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts `doomed_worker.py` for a hub: a worker that can be killed in the middle of its work."""
    started: list[Process] = []

    def start(hub: TaskHub) -> Process:
        env = {"ENDPOINT": hub.grpc_url, "TASKHUB": hub.name, "MARKS": str(tmp_path)}
        script = Path(__file__).with_name("doomed_worker.py")
        process = python(script, tmp_path / f"worker-{len(started)}.log", env)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_running:
            process.kill()
