//! A worker that answers what makes no sense.

use super::figure;
use super::measure::Target;
use super::raw;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    ActivityResponse, CompleteOrchestrationAction, CompleteTaskResponse, CreateTimerAction, GetWorkItemsRequest,
    OrchestratorAction, OrchestratorResponse, ScheduleTaskAction, work_item::Request,
};

/// Answers to one turn that no SDK would give.
fn nonsense(number: usize, token: &str) -> OrchestratorResponse {
    let action = |kind| OrchestratorAction { id: i32::MIN, orchestrator_action_type: kind };
    let actions = match number % 8 {
        0 => vec![action(None)],
        1 => vec![action(Some(Action::CreateTimer(CreateTimerAction::default())))],
        2 => {
            let fire_at = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: i32::MIN });
            vec![action(Some(Action::CreateTimer(CreateTimerAction { fire_at })))]
        }
        3 => vec![action(Some(Action::ScheduleTask(ScheduleTaskAction::default()))); 50],
        4 => {
            let complete = CompleteOrchestrationAction { orchestration_status: 77, ..Default::default() };
            vec![action(Some(Action::CompleteOrchestration(complete)))]
        }
        5 => {
            let again = CompleteOrchestrationAction { orchestration_status: 2, ..Default::default() };
            vec![action(Some(Action::CompleteOrchestration(again))); 2]
        }
        _ => Vec::new(),
    };
    OrchestratorResponse {
        instance_id: "another".into(),
        completion_token: token.to_owned(),
        actions,
        num_events_processed: Some(if number.is_multiple_of(2) { i32::MAX } else { i32::MIN }),
        is_partial: number % 8 == 6,
        chunk_index: (number % 8 >= 6).then_some(i32::MIN),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_from_a_worker_is_answered_and_breaks_nothing() {
    let target = Target::new().await;
    let client = target.server.client();
    let channel = raw::channel(target.server.endpoint()).await;
    let mut items = raw::work_items(&channel, GetWorkItemsRequest::default()).await;
    for number in 0..16 {
        client.start("anything", &number).id(format!("victim-{number}")).await.unwrap();
    }
    for number in 0..figure(200, 5_000) {
        let Some(item) = items.message().await.unwrap() else { panic!("the stream ended") };
        let token = item.completion_token;
        let unknown = format!("{token}x{}", "y".repeat(number));
        for token in [&unknown, &token] {
            let answer = match &item.request {
                Some(Request::OrchestratorRequest(_)) => {
                    raw::call(&channel, "CompleteOrchestratorTask", nonsense(number, token)).await
                }
                _ => {
                    let response = ActivityResponse { completion_token: token.clone(), ..Default::default() };
                    raw::call::<_, CompleteTaskResponse>(&channel, "CompleteActivityTask", response).await
                }
            };
            if let Err(status) = answer {
                assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
            }
        }
        // There is always something to be answered.
        client.start("anything", &number).await.unwrap();
    }
    assert_eq!(target.server.http().get("/readyz").await.unwrap().status, 200);
    assert!(!target.server.stderr().contains("invariant"), "{}", target.server.stderr());
    target.judge("garbage").await;
}

/// Chance that is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.roll(most + 1)).map(|_| u8::try_from(self.roll(256)).unwrap()).collect()
    }

    /// The same text with some of it changed, left out or doubled.
    fn mutated(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len());
            match self.roll(3) {
                0 => bytes[at] = u8::try_from(self.roll(128)).unwrap(),
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_and_bodies_that_are_nearly_one_are_refused_and_break_nothing() {
    let target = Target::new().await;
    let (http, mut dice) = (target.server.http(), Dice(7));
    let channel = raw::channel(target.server.endpoint()).await;
    let methods = [
        "TaskHubSidecarService/StartInstance",
        "TaskHubSidecarService/GetInstance",
        "TaskHubSidecarService/RaiseEvent",
        "TaskHubSidecarService/TerminateInstance",
        "TaskHubSidecarService/CompleteActivityTask",
        "TaskHubSidecarService/CompleteOrchestratorTask",
        "TaskHubSidecarService/AbandonTaskActivityWorkItem",
        "TaskHubSidecarService/StreamInstanceHistory",
        "TaskHubSidecarService/QueryInstances",
        "placet.v1.Client/Ask",
        "placet.v1.Client/GetPublished",
    ];
    for number in 0..figure(400, 20_000) {
        let method = methods[number % methods.len()];
        let bytes = dice.bytes(80);
        let mut message = vec![0];
        message.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        message.extend(bytes);
        let body = futures_util::stream::iter([message.into()]);
        let status = raw::pieces(&channel, &format!("/{method}"), body).await;
        // What is no protobuf at all is refused by the library, with the code that all of them use.
        let undecodable = status.message().contains("decode");
        assert!(undecodable || !matches!(status.code(), tonic::Code::Internal | tonic::Code::Unknown), "{status:?}");
    }
    let new = r#"{"requester": "Alice", "item": "Vacation", "timeout_hours": 0.5}"#;
    let decision = r#"{"is_approved": true, "approver": "Manager", "comments": "x"}"#;
    for number in 0..figure(300, 20_000) {
        let (path, body) = if number % 2 == 0 { ("/api/requests", new) } else { ("/api/approvals/x", decision) };
        let body = dice.mutated(body);
        let answer = http.call(http::Method::POST, path, &[("content-type", "application/json")], &body).await.unwrap();
        assert!(answer.status < 500, "{body}: {answer:?}");
    }
    assert!(!target.server.stderr().contains("invariant"), "{}", target.server.stderr());
    target.judge("noise").await;
}
