"""Workers come, go, die, and share: the work is done, and recorded once."""

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from durabletask import task
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.client import OrchestrationStatus
from durabletask.worker import (
    ActivityWorkItemFilter,
    ConcurrencyOptions,
    OrchestrationWorkItemFilter,
    WorkItemFilters,
)
from google.protobuf.wrappers_pb2 import StringValue

from processes import Process
from task_hub import TaskHub
from waiting import ACTIVITY_GRACE_S, PATIENCE_S, eventually

ONE_AT_A_TIME = ConcurrencyOptions(
    maximum_concurrent_activity_work_items=1,
    maximum_concurrent_orchestration_work_items=1,
    maximum_thread_pool_workers=2,
)


def test_two_workers_share_the_work(hub: TaskHub):
    together = threading.Barrier(2)

    def meet(_: task.ActivityContext, __) -> bool:
        """Done only if two workers have one each: neither takes two."""
        together.wait(timeout=20)
        return True

    def fan_out(ctx: task.OrchestrationContext, count: int):
        return (yield task.when_all([ctx.call_activity(meet) for _ in range(count)]))

    for _ in range(2):
        hub.serve(fan_out, meet, concurrency_options=ONE_AT_A_TIME)
    assert hub.run(fan_out, input=10).get_output() == [True] * 10


def test_a_worker_is_never_given_more_than_it_asked_for(hub: TaskHub):
    now, most, lock = 0, 0, threading.Lock()

    def work(_: task.ActivityContext, __):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        hub.state("nobody")
        with lock:
            now -= 1

    def fan_out(ctx: task.OrchestrationContext, count: int):
        yield task.when_all([ctx.call_activity(work) for _ in range(count)])

    hub.serve(fan_out, work, concurrency_options=ConcurrencyOptions(maximum_concurrent_activity_work_items=2))
    hub.run(fan_out, input=30)
    assert 1 <= most <= 2


def test_an_orchestration_goes_on_under_another_worker(hub: TaskHub):
    def add(_: task.ActivityContext, value: int) -> int:
        return value + 1

    def stepwise(ctx: task.OrchestrationContext, value: int):
        for _ in range(3):
            value = yield ctx.call_activity(add, input=value)
            yield ctx.wait_for_external_event("go")
        return value

    instance_id = hub.start(stepwise, input=0)
    for step in range(3):
        worker = hub.serve(stepwise, add)
        eventually(lambda: hub.event_names(instance_id).count("TaskCompleted") == step + 1, f"step {step}")
        worker.stop()
        hub.client.raise_orchestration_event(instance_id, "go")
    hub.serve(stepwise, add)
    assert hub.ended(instance_id).get_output() == 3
    assert hub.event_names(instance_id).count("TaskCompleted") == 3


def test_an_activity_whose_worker_is_killed_is_done_by_another(
    hub: TaskHub, worker_process: Callable[[TaskHub], Process], tmp_path: Path
):
    def hang(_: task.ActivityContext, __) -> str:
        return "done by the second"

    def call_hang(ctx: task.OrchestrationContext, _):
        return (yield ctx.call_activity(hang))

    doomed = worker_process(hub)
    instance_id = hub.start(call_hang)
    eventually((tmp_path / "activity").exists, "the activity is out")
    doomed.kill()
    hub.serve(call_hang, hang)
    # The dead one could have come back with its result in the meantime.
    state = hub.ended(instance_id, timeout=ACTIVITY_GRACE_S + PATIENCE_S)
    assert state.get_output() == "done by the second"
    assert hub.event_names(instance_id).count("TaskScheduled") == 1


def test_a_turn_whose_worker_is_killed_is_done_by_another_at_once(
    hub: TaskHub, worker_process: Callable[[TaskHub], Process], tmp_path: Path
):
    def stuck(ctx: task.OrchestrationContext, _):
        return "done by the second"

    doomed = worker_process(hub)
    instance_id = hub.start(stuck)
    eventually((tmp_path / "turn").exists, "the turn is out")
    doomed.kill()
    hub.serve(stuck)
    assert hub.ended(instance_id, timeout=10).get_output() == "done by the second"


def next_item(stream, kind: str):
    """The next item of this kind; others are passed over."""
    for item in stream:
        if item.WhichOneof("request") == kind:
            return item
    raise AssertionError(f"the stream ended without an {kind}")


def schedule_one_activity(hub: TaskHub, stream) -> None:
    """Plays the first turn of an instance: it calls the activity `a` as task 7."""
    item = next_item(stream, "orchestratorRequest")
    action = pb.OrchestratorAction(id=7, scheduleTask=pb.ScheduleTaskAction(name="a"))
    hub.call(
        "CompleteOrchestratorTask",
        pb.OrchestratorResponse(
            instanceId=item.orchestratorRequest.instanceId, actions=[action], completionToken=item.completionToken
        ),
    )


def activity_result(item, result: str) -> pb.ActivityResponse:
    request = item.activityRequest
    return pb.ActivityResponse(
        instanceId=request.orchestrationInstance.instanceId,
        taskId=request.taskId,
        result=StringValue(value=result),
        completionToken=item.completionToken,
    )


def test_the_stream_of_an_idle_worker_opens_at_once(hub: TaskHub):
    stream = hub.work_items()
    opened = threading.Event()
    threading.Thread(target=lambda: (stream.initial_metadata(), opened.set()), daemon=True).start()
    assert opened.wait(5)
    stream.cancel()


def test_an_idle_stream_is_pinged(hub: TaskHub):
    """Workers take a stream that is silent for 120 s for dead; 60 s leaves room for one lost ping."""
    stream = hub.work_items()
    pinged = threading.Event()

    def read():
        with contextlib.suppress(grpc.RpcError):  # it is cancelled in the end
            next_item(stream, "healthPing")
            pinged.set()

    threading.Thread(target=read, daemon=True).start()
    assert pinged.wait(60)
    stream.cancel()


def test_a_first_turn_has_what_every_sdk_expects(hub: TaskHub):
    instance_id = hub.start("mine", input={"a": 1})
    stream = hub.work_items()
    item = next_item(stream, "orchestratorRequest")
    request = item.orchestratorRequest
    assert item.completionToken
    assert request.instanceId == instance_id
    assert not request.pastEvents
    started, execution = request.newEvents[0], request.newEvents[1].executionStarted
    assert started.WhichOneof("eventType") == "orchestratorStarted" and started.timestamp.seconds > 0
    assert (execution.name, execution.input.value) == ("mine", '{"a": 1}')
    assert execution.orchestrationInstance.executionId.value == request.executionId.value
    assert not execution.HasField("parentInstance")
    assert request.HasField("entityParameters")
    stream.cancel()


def test_a_completion_that_is_sent_twice_counts_once(hub: TaskHub):
    instance_id = hub.start("mine")
    stream = hub.work_items()
    schedule_one_activity(hub, stream)
    item = next_item(stream, "activityRequest")
    hub.call("CompleteActivityTask", activity_result(item, '"first"'))
    hub.call("CompleteActivityTask", activity_result(item, '"second"'))

    turn = next_item(stream, "orchestratorRequest").orchestratorRequest
    completed = [event.taskCompleted for event in turn.newEvents if event.HasField("taskCompleted")]
    assert [(event.taskScheduledId, event.result.value) for event in completed] == [(7, '"first"')]
    stream.cancel()
    hub.client.terminate_orchestration(instance_id)


def test_a_result_that_comes_after_the_stream_broke_is_taken(hub: TaskHub):
    """The worker lost its connection, not its work."""
    instance_id = hub.start("mine")
    first = hub.work_items()
    schedule_one_activity(hub, first)
    item = next_item(first, "activityRequest")
    first.cancel()
    hub.call("CompleteActivityTask", activity_result(item, '"rescued"'))

    second = hub.work_items()
    turn = next_item(second, "orchestratorRequest").orchestratorRequest
    completed = [event.taskCompleted for event in turn.newEvents if event.HasField("taskCompleted")]
    assert [event.result.value for event in completed] == ['"rescued"']
    second.cancel()
    hub.client.terminate_orchestration(instance_id)


def test_a_turn_that_was_given_away_is_not_taken_from_its_first_worker_any_more(hub: TaskHub):
    def complete(item, result: str) -> None:
        action = pb.OrchestratorAction(
            id=1,
            completeOrchestration=pb.CompleteOrchestrationAction(
                orchestrationStatus=pb.ORCHESTRATION_STATUS_COMPLETED, result=StringValue(value=result)
            ),
        )
        hub.call(
            "CompleteOrchestratorTask",
            pb.OrchestratorResponse(instanceId=instance_id, actions=[action], completionToken=item.completionToken),
        )

    instance_id = hub.start("mine")
    first = hub.work_items()
    zombies = next_item(first, "orchestratorRequest")
    first.cancel()
    second = hub.work_items()
    ours = next_item(second, "orchestratorRequest")
    assert ours.completionToken != zombies.completionToken

    complete(zombies, '"of the zombie"')
    assert hub.state(instance_id).runtime_status == OrchestrationStatus.PENDING
    complete(ours, '"ours"')
    assert hub.ended(instance_id).get_output() == "ours"
    second.cancel()


def test_an_item_that_is_given_back_comes_again(hub: TaskHub):
    instance_id = hub.start("mine")
    stream = hub.work_items()
    item = next_item(stream, "orchestratorRequest")
    hub.call(
        "AbandonTaskOrchestratorWorkItem", pb.AbandonOrchestrationTaskRequest(completionToken=item.completionToken)
    )
    again = next_item(stream, "orchestratorRequest")
    assert again.orchestratorRequest.instanceId == instance_id
    assert again.completionToken != item.completionToken
    stream.cancel()
    hub.client.terminate_orchestration(instance_id)


@pytest.mark.parametrize("token", ["", "nonsense", "00" * 32, "🌍"])
def test_an_unknown_token_is_acknowledged_and_changes_nothing(hub: TaskHub, token: str):
    hub.call("CompleteActivityTask", pb.ActivityResponse(instanceId="x", taskId=1, completionToken=token))
    hub.call("CompleteOrchestratorTask", pb.OrchestratorResponse(instanceId="x", completionToken=token))
    hub.call("AbandonTaskActivityWorkItem", pb.AbandonActivityTaskRequest(completionToken=token))
    hub.call("AbandonTaskOrchestratorWorkItem", pb.AbandonOrchestrationTaskRequest(completionToken=token))
    assert hub.state("x") is None


def test_chunks_of_one_completion_are_applied_together(hub: TaskHub):
    """As the .NET and Java SDKs send what is too large for one message."""
    instance_id = hub.start("mine")
    stream = hub.work_items()
    item = next_item(stream, "orchestratorRequest")
    for index, name in enumerate(("a", "b", "c")):
        action = pb.OrchestratorAction(id=index, scheduleTask=pb.ScheduleTaskAction(name=name))
        response = pb.OrchestratorResponse(
            instanceId=instance_id, actions=[action], completionToken=item.completionToken, isPartial=index < 2
        )
        response.chunkIndex.value = index
        if index < 2:
            assert hub.history(instance_id) == []
        hub.call("CompleteOrchestratorTask", response)
    scheduled = [event for event in hub.history(instance_id) if type(event).__name__ == "TaskScheduledEvent"]
    assert [(event.event_id, event.name) for event in scheduled] == [(0, "a"), (1, "b"), (2, "c")]
    stream.cancel()
    hub.client.terminate_orchestration(instance_id)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_worker_that_was_idle_for_minutes_still_works(hub: TaskHub):
    """Longer than the silence after which the SDK gives a stream up."""

    def echo(ctx: task.OrchestrationContext, value):
        return value

    hub.serve(echo)
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    parked = hub.start(echo, start_at=tomorrow)
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_start(parked, timeout=200)
    assert hub.ended(hub.start(echo, input=1), timeout=5).get_output() == 1


def test_workers_with_filters_get_what_they_name_and_what_nobody_names_waits(hub: TaskHub):
    def serve(answer: str, *versions: str) -> None:
        def versioned(ctx: task.OrchestrationContext, _):
            return (yield ctx.call_activity(f"say{answer}"))

        worker = DurableTaskSchedulerWorker(**hub.connection())
        worker.add_orchestrator(versioned)
        worker._registry.add_named_activity(f"say{answer}", lambda _, __: answer)
        worker.use_work_item_filters(
            WorkItemFilters(
                orchestrations=[OrchestrationWorkItemFilter("versioned", list(versions))],
                activities=[ActivityWorkItemFilter(f"say{answer}", [])],
            )
        )
        worker.start()
        hub._workers.append(worker)

    serve("old", "1.0", "1.1")
    serve("new", "2.0")
    waiting = hub.start("versioned", version="3.0")
    unnamed = hub.start("another")
    started = [hub.start("versioned", version=version) for version in ("1.0", "2.0", "1.1", "2.0")]
    assert [hub.ended(each).get_output() for each in started] == ["old", "new", "old", "new"]
    serve("newest")
    assert hub.ended(waiting).get_output() == "newest"
    assert hub.state(unnamed).runtime_status == OrchestrationStatus.PENDING
