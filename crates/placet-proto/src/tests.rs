//! Field numbers are a promise to SDKs that we do not build: these are pinned to bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use crate::durabletask::history_event::EventType;
use crate::durabletask::orchestrator_action::OrchestratorActionType;
use crate::durabletask::work_item::Request;
use crate::durabletask::*;
use crate::placet::v1::Stamp;

/// The key of a field on the wire that carries a length and bytes.
fn bytes_field(number: u8) -> u8 {
    number << 3 | 2
}

fn event(event_type: EventType) -> Vec<u8> {
    HistoryEvent { event_type: Some(event_type), ..HistoryEvent::default() }.encode_to_vec()
}

fn action(action_type: OrchestratorActionType) -> Vec<u8> {
    OrchestratorAction { id: 0, orchestrator_action_type: Some(action_type) }.encode_to_vec()
}

#[test]
fn work_item_keeps_its_token_in_field_10() {
    let item = WorkItem { completion_token: "x".to_owned(), request: None };
    assert_eq!(item.encode_to_vec(), [0x52, 1, b'x']);

    let ping = WorkItem { completion_token: String::new(), request: Some(Request::HealthPing(HealthPing {})) };
    assert_eq!(ping.encode_to_vec(), [bytes_field(4), 0]);
}

#[test]
fn history_events_keep_their_numbers() {
    assert_eq!(event(EventType::OrchestratorStarted(OrchestratorStartedEvent {})), [bytes_field(14), 0]);
    assert_eq!(event(EventType::OrchestratorCompleted(OrchestratorCompletedEvent {})), [bytes_field(15), 0]);
    assert_eq!(event(EventType::ExecutionStarted(ExecutionStartedEvent::default())), [bytes_field(3), 0]);
    // From 16 on a key takes two bytes: 30 << 3 | 2 = 0xf2 = 0x72 + 1 * 0x80.
    assert_eq!(event(EventType::ExecutionRewound(ExecutionRewoundEvent::default())), [0xf2, 0x01, 0]);
    // The event id -1 takes ten bytes, as every negative int32.
    let minus_one = HistoryEvent { event_id: -1, ..HistoryEvent::default() };
    assert_eq!(minus_one.encoded_len(), 11);
}

#[test]
fn actions_keep_their_numbers() {
    assert_eq!(action(OrchestratorActionType::ScheduleTask(ScheduleTaskAction::default())), [bytes_field(2), 0]);
    let complete = CompleteOrchestrationAction::default();
    assert_eq!(action(OrchestratorActionType::CompleteOrchestration(complete)), [bytes_field(6), 0]);
    let rewind = RewindOrchestrationAction::default();
    assert_eq!(action(OrchestratorActionType::RewindOrchestration(rewind)), [bytes_field(9), 0]);
}

#[test]
fn capabilities_are_packed_in_field_10() {
    let request = GetWorkItemsRequest {
        capabilities: vec![WorkerCapability::HistoryStreaming.into(), WorkerCapability::LargePayloads.into()],
        ..GetWorkItemsRequest::default()
    };
    assert_eq!(request.encode_to_vec(), [bytes_field(10), 2, 1, 3]);
}

#[test]
fn a_purge_by_batch_is_field_4_between_two_flags() {
    let request = PurgeInstancesRequest {
        recursive: true,
        is_orchestration: true,
        request: Some(purge_instances_request::Request::InstanceBatch(InstanceBatch {
            instance_ids: vec!["a".to_owned()],
        })),
    };
    let decoded = PurgeInstancesRequest::decode(&[0x18, 1, 0x28, 1, bytes_field(4), 3, 0x0a, 1, b'a'][..]);
    assert_eq!(decoded.expect("well formed"), request);
}

#[test]
fn absent_and_empty_payloads_differ() {
    let absent = TaskCompletedEvent { task_scheduled_id: 0, result: None };
    let empty = TaskCompletedEvent { task_scheduled_id: 0, result: Some(String::new()) };
    assert_eq!(absent.encode_to_vec(), []);
    assert_eq!(empty.encode_to_vec(), [bytes_field(2), 0]);
    assert_eq!(TaskCompletedEvent::decode(&[bytes_field(2), 0][..]).expect("well formed"), empty);
}

#[test]
fn a_stamp_is_skipped_by_who_does_not_know_it() {
    let stamp = Bytes::from(Stamp { ask_id: "q".to_owned(), ..Stamp::default() }.encode_to_vec());
    let raised = EventRaisedEvent { name: "n".to_owned(), input: None, stamp };
    // 100 << 3 | 2 = 0x322, in two bytes 0xa2 0x06.
    assert_eq!(raised.encode_to_vec(), [0x0a, 1, b'n', 0xa2, 0x06, 3, 0x0a, 1, b'q']);
    // A message without field 100 stands for another SDK.
    let other = RestartInstanceResponse::decode(&raised.encode_to_vec()[..]).expect("unknown fields are skipped");
    assert_eq!(other.instance_id, "n");
}

#[test]
fn statuses_are_named_as_protobuf_json_names_them() {
    assert_eq!(OrchestrationStatus::default(), OrchestrationStatus::Running);
    assert_eq!(OrchestrationStatus::ContinuedAsNew.as_str_name(), "ORCHESTRATION_STATUS_CONTINUED_AS_NEW");
    assert_eq!(OrchestrationStatus::Suspended as i32, 7);
}

#[test]
fn maps_have_one_encoding() {
    let tags = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
    let event = TaskScheduledEvent { tags, ..TaskScheduledEvent::default() };
    assert_eq!(event.encode_to_vec(), [0x2a, 6, 0x0a, 1, b'a', 0x12, 1, b'1', 0x2a, 6, 0x0a, 1, b'b', 0x12, 1, b'2']);
}

#[test]
fn the_descriptor_set_names_every_service() {
    let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTOR_SET).expect("an encoded set");
    let services: Vec<&str> = set.file.iter().flat_map(|file| &file.service).map(|service| service.name()).collect();
    assert_eq!(services, ["TaskHubSidecarService", "Client", "Worker", "Admin"]);
}
