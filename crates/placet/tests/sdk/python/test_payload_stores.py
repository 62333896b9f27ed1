"""Long payloads that the SDK keeps in a store of its own: the scheduler gets tokens and gives them back."""

import pytest
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import OrchestrationStatus
from durabletask.payload import LargePayloadStorageOptions, PayloadStore

from task_hub import TaskHub

LONG = "x" * 5000


class Shelf(PayloadStore):
    """What is longer than a kilobyte lies here."""

    def __init__(self):
        self.kept: dict[str, bytes] = {}

    @property
    def options(self) -> LargePayloadStorageOptions:
        return LargePayloadStorageOptions(threshold_bytes=1024)

    def upload(self, data: bytes, *, instance_id: str | None = None) -> str:
        token = f"shelf:{len(self.kept)}"
        self.kept[token] = data
        return token

    async def upload_async(self, data: bytes, *, instance_id: str | None = None) -> str:
        return self.upload(data)

    def download(self, token: str) -> bytes:
        return self.kept[token]

    async def download_async(self, token: str) -> bytes:
        return self.download(token)

    def is_known_token(self, value: str) -> bool:
        return value in self.kept


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def client(hub: TaskHub, shelf: Shelf) -> DurableTaskSchedulerClient:
    return DurableTaskSchedulerClient(**hub.connection(), payload_store=shelf)


def serve(hub: TaskHub, shelf: Shelf, orchestrators=(), activities=()) -> None:
    worker = DurableTaskSchedulerWorker(**hub.connection(), payload_store=shelf)
    for orchestrator in orchestrators:
        worker.add_orchestrator(orchestrator)
    for activity in activities:
        worker.add_activity(activity)
    worker.start()
    hub._workers.append(worker)


def test_every_kind_of_payload_goes_by_its_token(hub: TaskHub, shelf: Shelf, client: DurableTaskSchedulerClient):
    def repeat(_: task.ActivityContext, letter: str) -> str:
        return letter * 2000

    def child(ctx: task.OrchestrationContext, value: str):
        return value

    def gather(ctx: task.OrchestrationContext, value: str):
        ctx.set_custom_status(LONG)
        repeated = yield task.when_all([ctx.call_activity(repeat, input=letter) for letter in "abc"])
        raised = yield ctx.wait_for_external_event("long")
        returned = yield ctx.call_sub_orchestrator(child, input=value)
        return [value, *repeated, raised, returned]

    serve(hub, shelf, [gather, child], [repeat])
    instance_id = client.schedule_new_orchestration(gather, input=LONG)
    client.raise_orchestration_event(instance_id, "long", data=LONG)
    state = client.wait_for_orchestration_completion(instance_id)
    assert state.get_output() == [LONG, "a" * 2000, "b" * 2000, "c" * 2000, LONG, LONG]
    stored = hub.raw_state(instance_id)
    assert all(shelf.is_known_token(each.value) for each in (stored.input, stored.output, stored.customStatus))


def test_a_terminations_output_goes_by_its_token(hub: TaskHub, shelf: Shelf, client: DurableTaskSchedulerClient):
    def waits(ctx: task.OrchestrationContext, _):
        yield ctx.wait_for_external_event("never")

    serve(hub, shelf, [waits])
    instance_id = client.schedule_new_orchestration(waits)
    client.wait_for_orchestration_start(instance_id)
    client.terminate_orchestration(instance_id, output=LONG)
    state = client.wait_for_orchestration_completion(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, LONG)
    assert shelf.is_known_token(hub.raw_state(instance_id).output.value)
