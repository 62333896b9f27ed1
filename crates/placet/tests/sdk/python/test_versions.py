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


def test_a_worker_takes_older_versions_and_what_it_calls_has_its_own_if_nothing_is_said(hub: TaskHub):
    versioning = VersioningOptions(
        version="1.0.0",
        default_version="1.0.0",
        match_strategy=VersionMatchStrategy.CURRENT_OR_OLDER,
        failure_strategy=VersionFailureStrategy.FAIL,
    )

    def calls_its_own(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_sub_orchestrator(versioned))

    serve(hub, versioning, versioned, calls, calls_its_own)
    assert hub.ended(hub.start(versioned, version="0.9")).get_output() == "0.9"
    assert hub.ended(hub.start(calls_its_own, version="0.9")).get_output() == "1.0.0"
    newer = "The orchestration version '1.1.0' is greater than the worker version '1.0.0'."
    for instance_id in (hub.start(versioned, version="1.1.0"), hub.start(calls, input="1.1.0", version="1.0.0")):
        state = hub.ended(instance_id)
        assert state.runtime_status == OrchestrationStatus.FAILED
        assert newer in state.failure_details.message


def test_filters_of_a_strict_worker_leave_other_versions_and_what_has_none(hub: TaskHub):
    def add(_: task.ActivityContext, value: int) -> int:
        return value + 1

    def adds(ctx: task.OrchestrationContext, value: int):
        return (yield ctx.call_activity(add, input=value))

    worker = DurableTaskSchedulerWorker(**hub.connection())
    worker.add_orchestrator(adds)
    worker.add_activity(add)
    worker.use_versioning(VersioningOptions(version="2.0", match_strategy=VersionMatchStrategy.STRICT))
    worker.use_work_item_filters()
    worker.start()
    hub._workers.append(worker)
    left = [hub.start(adds, input=1, version="1.0"), hub.start(adds, input=1)]
    # An activity has the version of whoever calls it, so that the filter lets it through.
    assert hub.ended(hub.start(adds, input=10, version="2.0")).get_output() == 11
    assert [hub.state(each).runtime_status for each in left] == [OrchestrationStatus.PENDING] * 2


def test_what_a_worker_rejects_waits_for_one_that_takes_it_and_does_not_spin(hub: TaskHub):
    serve(hub, strict("1.0", VersionFailureStrategy.REJECT), versioned)
    instance_id = hub.start(versioned, version="2.0")
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_completion(instance_id, timeout=3)
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.PENDING
    # It is still served at once by whoever comes.
    serve(hub, strict("2.0", VersionFailureStrategy.REJECT), versioned)
    assert hub.ended(instance_id, timeout=60).get_output() == "2.0"
