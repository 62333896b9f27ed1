"""Lists of instances: every filter, pages of every size, and purging by a filter."""

from datetime import datetime, timedelta, timezone

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationQuery, OrchestrationStatus

from task_hub import TaskHub, refused_with


def echo(ctx: task.OrchestrationContext, value):
    ctx.set_custom_status("echoing")
    return value


def fails(ctx: task.OrchestrationContext, _):
    raise ValueError("broken")


def waits(ctx: task.OrchestrationContext, _):
    return (yield ctx.wait_for_external_event("go"))


def populate(hub: TaskHub) -> dict[str, list[str]]:
    """Instances of every kind, by their status."""
    hub.serve(echo, fails, waits)
    ids = {
        "COMPLETED": [hub.start(echo, input=number, instance_id=f"echo-{number}") for number in range(5)],
        "FAILED": [hub.start(fails, instance_id=f"fails-{number}") for number in range(3)],
        "RUNNING": [hub.start(waits, instance_id=f"waits-{number}") for number in range(4)],
        "PENDING": [hub.start(waits, instance_id="later", start_at=datetime(2100, 1, 1))],
    }
    for instance_id in ids["COMPLETED"] + ids["FAILED"]:
        hub.ended(instance_id)
    for instance_id in ids["RUNNING"]:
        hub.client.wait_for_orchestration_start(instance_id)
    return ids


def query(hub: TaskHub, **filters) -> list[str]:
    return [state.instance_id for state in hub.client.get_all_orchestration_states(OrchestrationQuery(**filters))]


def test_instances_are_found_by_status_time_and_the_beginning_of_their_ids(hub: TaskHub):
    before = datetime.now(timezone.utc) - timedelta(seconds=30)
    ids = populate(hub)
    all_ids = [instance_id for some in ids.values() for instance_id in some]
    assert query(hub) == all_ids
    for status, some in ids.items():
        assert query(hub, runtime_status=[OrchestrationStatus[status]]) == some
    assert query(hub, runtime_status=[OrchestrationStatus.FAILED, OrchestrationStatus.PENDING]) == ids["FAILED"] + ids["PENDING"]
    assert query(hub, created_time_from=before) == all_ids
    assert query(hub, created_time_to=before) == []
    assert query(hub, created_time_from=before + timedelta(days=1)) == []


def test_a_page_has_as_many_as_were_asked_for_and_every_instance_is_on_one(hub: TaskHub):
    all_ids = [instance_id for some in populate(hub).values() for instance_id in some]
    for size in range(1, 15):
        found, token = [], None
        while True:
            request = pb.InstanceQuery(maxInstanceCount=size)
            if token is not None:
                request.continuationToken.value = token
            answer = hub.call("QueryInstances", pb.QueryInstancesRequest(query=request))
            page = [state.instanceId for state in answer.orchestrationState]
            found += page
            if not answer.HasField("continuationToken"):
                break
            assert len(page) == size and answer.continuationToken.value != token
            token = answer.continuationToken.value
        assert found == all_ids, size


def test_a_prefix_names_those_whose_ids_begin_so(hub: TaskHub):
    ids = populate(hub)
    request = pb.InstanceQuery(maxInstanceCount=2)
    request.instanceIdPrefix.value = "echo-"
    found = []
    while True:
        answer = hub.call("QueryInstances", pb.QueryInstancesRequest(query=request))
        found += [state.instanceId for state in answer.orchestrationState]
        if not answer.HasField("continuationToken"):
            break
        request.continuationToken.value = answer.continuationToken.value
    assert found == ids["COMPLETED"]


@pytest.mark.parametrize("fetch", [True, False])
def test_payloads_come_if_they_are_asked_for(hub: TaskHub, fetch: bool):
    populate(hub)
    request = pb.InstanceQuery(fetchInputsAndOutputs=fetch)
    answer = hub.call("QueryInstances", pb.QueryInstancesRequest(query=request))
    states = {state.instanceId: state for state in answer.orchestrationState}
    echoed = states["echo-3"]
    assert (echoed.input.value, echoed.output.value) == (("3", "3") if fetch else ("", ""))
    assert (echoed.customStatus.value, echoed.name) == ('"echoing"', "echo")
    assert echoed.HasField("createdTimestamp") and echoed.HasField("lastUpdatedTimestamp")
    assert states["fails-0"].failureDetails.errorType.endswith("ValueError") or not fetch


def test_nothing_is_shown_of_another_hub(hub: TaskHub):
    populate(hub)
    assert not hub.call("QueryInstances", pb.QueryInstancesRequest(), hub=f"{hub.name}-x").orchestrationState
    request = pb.InstanceQuery()
    request.taskHubNames.add().value = f"{hub.name}-x"
    assert not hub.call("QueryInstances", pb.QueryInstancesRequest(query=request)).orchestrationState
    request.taskHubNames.add().value = hub.name.upper()
    assert len(hub.call("QueryInstances", pb.QueryInstancesRequest(query=request)).orchestrationState) == 13


def test_a_token_that_is_none_is_refused(hub: TaskHub):
    request = pb.InstanceQuery()
    request.continuationToken.value = "nonsense"
    told = refused_with(
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda: hub.call("QueryInstances", pb.QueryInstancesRequest(query=request)),
    )
    assert "query.continuationToken" in told


def test_ids_of_what_has_ended_come_in_the_order_in_which_it_did(hub: TaskHub):
    ids = populate(hub)
    found, key = [], ""
    while True:
        request = pb.ListInstanceIdsRequest(pageSize=3)
        request.lastInstanceKey.value = key
        answer = hub.call("ListInstanceIds", request)
        found += answer.instanceIds
        if not answer.HasField("lastInstanceKey"):
            break
        key = answer.lastInstanceKey.value
    times = {instance_id: hub.raw_state(instance_id).completedTimestamp.ToNanoseconds() for instance_id in found}
    assert sorted(found) == sorted(ids["COMPLETED"] + ids["FAILED"])
    assert [times[each] for each in found] == sorted(times.values())
    failed = pb.ListInstanceIdsRequest(runtimeStatus=[pb.ORCHESTRATION_STATUS_FAILED])
    assert sorted(hub.call("ListInstanceIds", failed).instanceIds) == ids["FAILED"]
    late = pb.ListInstanceIdsRequest()
    late.completedTimeFrom.FromDatetime(datetime.now(timezone.utc) + timedelta(days=1))
    assert not hub.call("ListInstanceIds", late).instanceIds


def test_what_has_ended_is_purged_by_a_filter(hub: TaskHub):
    before = datetime.now(timezone.utc) - timedelta(seconds=30)
    ids = populate(hub)

    def purge(**filters) -> tuple[int, bool]:
        result = hub.client.purge_orchestrations_by(**filters)
        return result.deleted_instance_count, result.is_complete

    assert purge(created_time_to=before) == (0, True)
    assert purge(runtime_status=[OrchestrationStatus.RUNNING]) == (0, True)
    assert purge(created_time_from=before, runtime_status=[OrchestrationStatus.FAILED]) == (3, True)
    assert purge(created_time_from=before) == (5, True)
    assert query(hub) == ids["RUNNING"] + ids["PENDING"]


def test_a_purge_that_has_no_time_says_that_it_is_not_complete(hub: TaskHub):
    populate(hub)
    purge_filter = pb.PurgeInstanceFilter()
    purge_filter.timeout.FromNanoseconds(1)
    answer = hub.call("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter=purge_filter))
    assert answer.deletedInstanceCount >= 1 and answer.isComplete.value is False
    # What is left is for the next call; and the SDK's own limit is one.
    rest = hub.client.purge_orchestrations_by(timeout=timedelta(minutes=1))
    assert rest.is_complete and answer.deletedInstanceCount + rest.deleted_instance_count == 8
    assert hub.client.purge_orchestrations_by(timeout=timedelta(minutes=1)).deleted_instance_count == 0
