"""Versions: where they come from, and what a worker does about one that is not its own."""

import pytest
from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import OrchestrationStatus
from durabletask.worker import VersioningOptions, VersionFailureStrategy, VersionMatchStrategy

from task_hub import TaskHub


def versioned(ctx: task.OrchestrationContext, _):
    return ctx.version


def calls(ctx: task.OrchestrationContext, version: str | None):
    return (yield ctx.call_sub_orchestrator(versioned, version=version))


def strict(version: str, failure: VersionFailureStrategy, default: str | None = None) -> VersioningOptions:
    return VersioningOptions(
        version=version,
        default_version=default,
        match_strategy=VersionMatchStrategy.STRICT,
        failure_strategy=failure,
    )


def serve(hub: TaskHub, versioning: VersioningOptions | None, *functions):
    worker = DurableTaskSchedulerWorker(**hub.connection())
    for function in functions:
        worker.add_orchestrator(function)
    if versioning is not None:
        worker.use_versioning(versioning)
    worker.start()
    hub._workers.append(worker)
    return worker


@pytest.mark.parametrize("version", ["1.0", "2.0.1-beta", None])
def test_the_version_of_a_start_is_what_the_code_sees(hub: TaskHub, version: str | None):
    hub.serve(versioned)
    instance_id = hub.start(versioned, version=version)
    assert hub.ended(instance_id).get_output() == version
    assert hub.raw_state(instance_id).version.value == (version or "")


def test_a_child_has_the_version_that_its_parent_says(hub: TaskHub):
    hub.serve(versioned, calls)
    assert hub.run(calls, input="3.1").get_output() == "3.1"


def test_a_worker_that_fails_what_is_not_of_its_version_says_so(hub: TaskHub):
    serve(hub, strict("1.0", VersionFailureStrategy.FAIL), versioned)
    assert hub.ended(hub.start(versioned, version="1.0")).get_output() == "1.0"
    state = hub.ended(hub.start(versioned, version="2.0"))
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert state.failure_details.error_type == "VersionMismatch"


def test_what_a_worker_rejects_waits_for_one_that_takes_it_and_does_not_spin(hub: TaskHub):
    serve(hub, strict("1.0", VersionFailureStrategy.REJECT), versioned)
    instance_id = hub.start(versioned, version="2.0")
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_completion(instance_id, timeout=3)
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.PENDING
    # It is still served at once by whoever comes.
    serve(hub, strict("2.0", VersionFailureStrategy.REJECT), versioned)
    assert hub.ended(instance_id, timeout=60).get_output() == "2.0"
