"""The SDK's client for asyncio: one instance from its start to its purge."""

import asyncio

import pytest
from durabletask import task
from durabletask.azuremanaged.client import AsyncDurableTaskSchedulerClient
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub
from waiting import PATIENCE_S


def waits(ctx: task.OrchestrationContext, _):
    return (yield ctx.wait_for_external_event("go"))


async def until(client: AsyncDurableTaskSchedulerClient, instance_id: str, status: OrchestrationStatus) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await client.get_orchestration_state(instance_id)).runtime_status != status:
            await asyncio.sleep(0.02)  # sleep: between two looks at something that cannot be waited for


async def life(client: AsyncDurableTaskSchedulerClient) -> None:
    instance_id = await client.schedule_new_orchestration(waits)
    state = await client.wait_for_orchestration_start(instance_id, timeout=PATIENCE_S)
    assert state.runtime_status == OrchestrationStatus.RUNNING
    await client.suspend_orchestration(instance_id)
    await until(client, instance_id, OrchestrationStatus.SUSPENDED)
    await client.raise_orchestration_event(instance_id, "go", data=42)
    with pytest.raises(TimeoutError):
        await client.wait_for_orchestration_completion(instance_id, timeout=0.5)
    await client.resume_orchestration(instance_id)
    state = await client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_S)
    assert state.get_output() == 42

    assert await client.restart_orchestration(instance_id) == instance_id
    await client.wait_for_orchestration_start(instance_id, timeout=PATIENCE_S)
    await client.terminate_orchestration(instance_id, output="enough")
    state = await client.wait_for_orchestration_completion(instance_id, timeout=PATIENCE_S)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.TERMINATED, "enough")

    another = await client.restart_orchestration(instance_id, restart_with_new_instance_id=True)
    assert (await client.purge_orchestration(instance_id)).deleted_instance_count == 1
    assert await client.get_orchestration_state(instance_id) is None
    assert [state.instance_id for state in await client.get_all_orchestration_states()] == [another]


def test_an_instance_is_started_suspended_restarted_terminated_and_purged(hub: TaskHub):
    async def run():
        async with AsyncDurableTaskSchedulerClient(**hub.connection()) as client:
            await life(client)

    hub.serve(waits)
    asyncio.run(run())
