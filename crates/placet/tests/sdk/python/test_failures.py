"""Failures: told in full, handled in code, retried as the policy says."""

from datetime import timedelta

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub


class OutOfStock(Exception):
    """A failure with something to tell."""

    def __init__(self, message: str, item: str):
        super().__init__(message)
        self.item = item


class ItemOfFailure:
    """Gives the SDK the properties of an `OutOfStock`."""

    def get_exception_properties(self, exception: Exception):
        return {"item": exception.item, "left": 0} if isinstance(exception, OutOfStock) else None


def fail(_: task.ActivityContext, message: str):
    raise ValueError(message)


def call_fail(ctx: task.OrchestrationContext, message: str):
    yield ctx.call_activity(fail, input=message)


def test_an_activity_that_raises_fails_the_orchestration(hub: TaskHub):
    hub.serve(call_fail, fail)
    state = hub.run(call_fail, input="Kah-BOOOOM!!!")
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert "Kah-BOOOOM!!!" in state.failure_details.message
    assert state.failure_details.is_caused_by("TaskFailedError")
    assert state.failure_details.stack_trace
    assert state.serialized_output is None


def test_an_exception_without_a_message_is_a_failure_too(hub: TaskHub):
    hub.serve(call_fail, fail)
    assert hub.run(call_fail, input="").runtime_status == OrchestrationStatus.FAILED


def test_a_failure_can_be_handled(hub: TaskHub):
    def compensate(_: task.ActivityContext, what: str) -> str:
        return f"undone: {what}"

    def careful(ctx: task.OrchestrationContext, _):
        try:
            yield ctx.call_activity(fail, input="no")
        except task.TaskFailedError as error:
            assert error.details.is_caused_by(ValueError)
            return (yield ctx.call_activity(compensate, input=error.details.message))

    hub.serve(careful, fail, compensate)
    state = hub.run(careful)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.COMPLETED, "undone: no")


def test_properties_and_causes_arrive_as_they_were_sent(hub: TaskHub):
    def take(_: task.ActivityContext, __):
        try:
            raise KeyError("shelf 7")
        except KeyError as cause:
            raise OutOfStock("none left", "screws") from cause

    def order(ctx: task.OrchestrationContext, _):
        try:
            yield ctx.call_activity(take)
        except task.TaskFailedError as error:
            inner = error.details.inner_failure
            return [error.details.message, error.details.properties, inner and inner.message]

    hub.serve(order, take, exception_properties_provider=ItemOfFailure())
    message, properties, cause = hub.run(order).get_output()
    assert message == "none left"
    assert properties == {"item": "screws", "left": 0}
    assert cause is None or "shelf 7" in cause


def test_an_orchestrator_that_raises_fails(hub: TaskHub):
    def broken(ctx: task.OrchestrationContext, _):
        raise RuntimeError("broken from the start")

    hub.serve(broken)
    state = hub.run(broken)
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert state.failure_details.message == "broken from the start"
    assert state.failure_details.is_caused_by(RuntimeError)
    assert hub.event_names(state.instance_id)[-1] == "ExecutionCompleted"


@pytest.mark.parametrize("missing", ["orchestrator", "activity"])
def test_what_no_worker_has_registered_fails_by_its_name(hub: TaskHub, missing: str):
    def call(ctx: task.OrchestrationContext, _):
        yield ctx.call_activity("nowhere")

    hub.serve(call)
    state = hub.run("nowhere" if missing == "orchestrator" else call)
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert "nowhere" in state.failure_details.message


def retrying(attempts: int) -> task.RetryPolicy:
    return task.RetryPolicy(first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=attempts)


def test_a_retry_uses_the_same_task_id_and_succeeds_in_the_end(hub: TaskHub):
    task_ids = []

    def flaky(activity: task.ActivityContext, _) -> str:
        task_ids.append(activity.task_id)
        if len(task_ids) < 3:
            raise ConnectionError("try again")
        return "at last"

    def persistent(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_activity(flaky, retry_policy=retrying(5)))

    hub.serve(persistent, flaky)
    state = hub.run(persistent)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.COMPLETED, "at last")
    assert task_ids == [1, 1, 1]
    names = hub.event_names(state.instance_id)
    assert (names.count("TaskScheduled"), names.count("TaskFailed"), names.count("TaskCompleted")) == (3, 2, 1)


def test_after_the_last_attempt_the_failure_stands(hub: TaskHub):
    attempts = []

    def hopeless(_: task.ActivityContext, __):
        attempts.append(1)
        raise ConnectionError("never")

    def persistent(ctx: task.OrchestrationContext, _):
        yield ctx.call_activity(hopeless, retry_policy=retrying(3))

    hub.serve(persistent, hopeless)
    state = hub.run(persistent)
    assert state.runtime_status == OrchestrationStatus.FAILED
    assert "never" in state.failure_details.message
    assert len(attempts) == 3


def test_retries_side_by_side_do_not_mix(hub: TaskHub):
    tried: dict[int, int] = {}

    def flaky(_: task.ActivityContext, number: int) -> int:
        tried[number] = tried.get(number, 0) + 1
        if tried[number] <= number % 3:
            raise ConnectionError(f"{number} again")
        return number

    def persistent(ctx: task.OrchestrationContext, _):
        calls = [ctx.call_activity(flaky, input=i, retry_policy=retrying(5)) for i in range(9)]
        return (yield task.when_all(calls))

    hub.serve(persistent, flaky)
    assert hub.run(persistent).get_output() == list(range(9))
    assert tried == {i: i % 3 + 1 for i in range(9)}


def test_the_retries_of_a_child_and_of_its_activities_multiply_and_the_first_failure_is_told(hub: TaskHub):
    runs = []

    def hopeless(_: task.ActivityContext, __):
        runs.append("activity")
        raise ConnectionError("Kah-BOOOOM!!!")

    def child(ctx: task.OrchestrationContext, _):
        if not ctx.is_replaying:
            runs.append("child")
        yield ctx.call_activity(hopeless, retry_policy=retrying(3))

    def parent(ctx: task.OrchestrationContext, _):
        yield ctx.call_sub_orchestrator(child, retry_policy=retrying(3))

    hub.serve(parent, child, hopeless)
    failure = hub.run(parent).failure_details
    assert (runs.count("child"), runs.count("activity")) == (3, 9)
    assert failure.is_caused_by("TaskFailedError") and failure.stack_trace
    assert failure.message.startswith("Sub-orchestration task #1 failed: ")
    assert failure.message.endswith("Activity task #1 failed: Kah-BOOOOM!!!")
