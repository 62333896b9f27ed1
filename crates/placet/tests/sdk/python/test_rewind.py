"""Rewind: what failed is tried again, and what succeeded stays."""

from datetime import datetime

import grpc
from durabletask import task
from durabletask.client import OrchestrationStatus

from task_hub import TaskHub, refused_with


class Moody:
    """An activity and an orchestrator that fail until they are told not to."""

    def __init__(self):
        self.runs: list[str] = []
        self.broken = {"activity"}

    def serve(self, hub: TaskHub):
        def steady(_, value: str):
            self.runs.append(f"steady {value}")
            return value

        def moody(_, value: str):
            self.runs.append(f"moody {value}")
            if "activity" in self.broken:
                raise ValueError("not today")
            return value.upper()

        def parent(ctx: task.OrchestrationContext, child_id: str):
            first = yield ctx.call_activity(steady, input="a")
            second = yield ctx.call_sub_orchestrator(child, instance_id=child_id)
            return first + second

        def child(ctx: task.OrchestrationContext, _):
            first = yield ctx.call_activity(steady, input="b")
            second = yield ctx.call_activity(moody, input="c")
            return first + second

        def alone(ctx: task.OrchestrationContext, _):
            first = yield ctx.call_activity(steady, input="a")
            second = yield ctx.call_activity(moody, input="b")
            if "code" in self.broken:
                raise ValueError("not yet")
            return first + second

        hub.serve(steady, moody, parent, child, alone)


def rewind(hub: TaskHub, instance_id: str) -> None:
    hub.client.rewind_orchestration(instance_id, reason="mended")


def test_an_activity_that_failed_runs_again_and_the_others_do_not(hub: TaskHub):
    moody = Moody()
    moody.serve(hub)
    instance_id = hub.start("alone")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    before = hub.raw_state(instance_id)
    moody.broken.clear()
    rewind(hub, instance_id)
    state = hub.ended(instance_id)
    assert (state.runtime_status, state.get_output()) == (OrchestrationStatus.COMPLETED, "aB")
    assert moody.runs == ["steady a", "moody b", "moody b"]
    assert state.failure_details is None
    assert hub.raw_state(instance_id).executionId.value != before.executionId.value
    assert hub.event_names(instance_id).count("ExecutionRewound") == 1


def test_twice_is_possible(hub: TaskHub):
    moody = Moody()
    moody.broken.add("code")
    moody.serve(hub)
    instance_id = hub.start("alone")
    for broken in ({"activity", "code"}, {"code"}, set()):
        assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
        moody.broken = broken
        rewind(hub, instance_id)
    assert hub.ended(instance_id).get_output() == "aB"
    assert moody.runs == ["steady a", "moody b", "moody b", "moody b"]


def test_a_child_that_failed_is_rewound_with_its_parent(hub: TaskHub):
    moody = Moody()
    moody.serve(hub)
    instance_id = hub.start("parent", input="rewound-child")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    moody.broken.clear()
    rewind(hub, instance_id)
    assert hub.ended(instance_id).get_output() == "abC"
    assert moody.runs == ["steady a", "steady b", "moody c", "moody c"]
    assert hub.state("rewound-child").runtime_status == OrchestrationStatus.COMPLETED


def test_a_child_that_was_purged_begins_anew(hub: TaskHub):
    moody = Moody()
    moody.serve(hub)
    instance_id = hub.start("parent", input="purged-child")
    assert hub.ended(instance_id).runtime_status == OrchestrationStatus.FAILED
    assert hub.client.purge_orchestration("purged-child").deleted_instance_count == 1
    moody.broken.clear()
    rewind(hub, instance_id)
    assert hub.ended(instance_id).get_output() == "abC"
    assert moody.runs == ["steady a", "steady b", "moody c", "steady b", "moody c"]


def test_only_what_has_failed_is_rewound(hub: TaskHub):
    moody = Moody()
    moody.broken.clear()
    moody.serve(hub)
    assert "there is no instance" in refused_with(grpc.StatusCode.NOT_FOUND, lambda: rewind(hub, "nobody"))
    completed, waiting = hub.start("alone"), hub.start("alone", start_at=datetime(2100, 1, 1))
    hub.ended(completed)
    for instance_id, status in [(completed, "COMPLETED"), (waiting, "PENDING")]:
        told = refused_with(grpc.StatusCode.FAILED_PRECONDITION, lambda: rewind(hub, instance_id))
        assert f"is {status}" in told
