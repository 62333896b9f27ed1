//! Payloads as large as they may be, and larger.

use std::time::Duration;

use futures_util::future::join_all;
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType;
use placet_proto::durabletask::work_item::Request;
use placet_proto::durabletask::{
    ActivityResponse, CompleteOrchestrationAction, CompleteTaskResponse, CreateInstanceRequest, CreateInstanceResponse,
    GetWorkItemsRequest, HistoryEvent, OrchestrationStatus, OrchestratorAction, OrchestratorRequest,
    OrchestratorResponse, RaiseEventRequest, RaiseEventResponse, ScheduleTaskAction,
};
use placet_sdk::{ActivityContext, Client, Code, OrchestrationContext, Result, Worker};

use super::measure::{LONG_COMMITS, Target};
use super::{figure, raw};

const MEBIBYTE: usize = 1 << 20;

/// A text that is so long as JSON.
fn text(bytes: usize) -> String {
    "x".repeat(bytes - 2)
}

async fn all_ways(ctx: OrchestrationContext, input: String) -> Result<String> {
    let event: String = ctx.external_event("large").await?;
    let result: String = ctx.activity("grow", &(input.len() + 2)).await?;
    assert_eq!((event.len(), result.len()), (input.len(), input.len()));
    Ok(result)
}

async fn grow(_: ActivityContext, bytes: usize) -> Result<String> {
    Ok(text(bytes))
}

fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("all_ways", all_ways).activity("grow", grow).start()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_go_all_the_way_and_sixty_five_are_refused_with_what_is_too_much() {
    let target = Target::new().await;
    let client = target.server.client();
    let worker = worker(client.clone());
    let payload = text(64 * MEBIBYTE);
    let id = client.start("all_ways", &payload).await.unwrap();
    target.say("the start");
    client.raise_event(&id, "large", &payload).await.unwrap();
    target.say("the event");
    let done = client.wait_for_completion(&id).await.unwrap();
    target.say("the end");
    let output: String = done.output().unwrap().expect("it has an output");
    assert_eq!(output.len(), payload.len());
    let shown = client.get(&id).await.unwrap().unwrap();
    assert_eq!(shown.output::<String>().unwrap().unwrap().len(), payload.len());
    target.say("the look");
    drop((done, shown, output, payload));

    let payload = text(65 * MEBIBYTE);
    let started = client.start("all_ways", &payload).await.unwrap_err().to_string();
    let raised = client.raise_event(&id, "large", &payload).await.unwrap_err();
    assert_eq!(raised.code, Code::ResourceExhausted, "{raised:?}");
    for told in [started, raised.message] {
        assert!(told.contains("at most are taken (payloads of 64 MiB)"), "{told}");
    }
    worker.shutdown().await;
    target.judge_with("64 MiB all ways", LONG_COMMITS).await;
}

/// What a worker of any SDK of Microsoft's does: it is sent all of the history with each turn.
fn replayed(request: &OrchestratorRequest) -> Vec<OrchestratorAction> {
    let events = || request.past_events.iter().chain(&request.new_events);
    let came = |is: fn(&EventType) -> bool| events().filter_map(|event| event.event_type.as_ref()).any(is);
    let action = if request.past_events.is_empty() {
        OrchestratorActionType::ScheduleTask(ScheduleTaskAction { name: "grow".to_owned(), ..Default::default() })
    } else if came(|event| matches!(event, EventType::TaskCompleted(_)))
        && came(|event| matches!(event, EventType::EventRaised(_)))
    {
        OrchestratorActionType::CompleteOrchestration(CompleteOrchestrationAction {
            orchestration_status: OrchestrationStatus::Completed.into(),
            ..Default::default()
        })
    } else {
        return Vec::new();
    };
    vec![OrchestratorAction { id: 1, orchestrator_action_type: Some(action) }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_replays_is_sent_three_times_sixty_four_mebibytes() {
    let target = Target::new().await;
    let channel = raw::channel(target.server.endpoint()).await;
    let payload = text(64 * MEBIBYTE);
    let (instance_id, input) = ("replayed".to_owned(), Some(payload.clone()));
    let start = CreateInstanceRequest { instance_id, name: "replayed".to_owned(), input, ..Default::default() };
    raw::call::<_, CreateInstanceResponse>(&channel, "StartInstance", start).await.unwrap();
    target.say("the start");

    let mut items = raw::work_items(&channel, GetWorkItemsRequest::default()).await;
    let mut longest = 0;
    loop {
        let item = items.message().await.unwrap().expect("the stream goes on");
        let completion_token = item.completion_token;
        match item.request {
            Some(Request::OrchestratorRequest(request)) => {
                let length = |events: &[HistoryEvent]| events.iter().map(prost::Message::encoded_len).sum::<usize>();
                longest = longest.max(length(&request.past_events) + length(&request.new_events));
                let (instance_id, actions) = (request.instance_id.clone(), replayed(&request));
                let is_over = matches!(
                    actions[..],
                    [OrchestratorAction {
                        orchestrator_action_type: Some(OrchestratorActionType::CompleteOrchestration(_)),
                        ..
                    }]
                );
                let response =
                    OrchestratorResponse { instance_id, actions, completion_token, ..OrchestratorResponse::default() };
                let told = raw::call::<_, CompleteTaskResponse>(&channel, "CompleteOrchestratorTask", response).await;
                told.unwrap();
                target.say("a turn");
                if is_over {
                    break;
                }
            }
            Some(Request::ActivityRequest(request)) => {
                let (channel, payload) = (channel.clone(), payload.clone());
                let (task_id, result) = (request.task_id, Some(payload.clone()));
                let response = ActivityResponse { task_id, result, completion_token, ..ActivityResponse::default() };
                raw::call::<_, CompleteTaskResponse>(&channel, "CompleteActivityTask", response).await.unwrap();
                target.say("the result");
                // It is refused until the turn with the result is over.
                tokio::spawn(async move {
                    let (instance_id, name, input) = ("replayed".to_owned(), "large".to_owned(), Some(payload));
                    let event = RaiseEventRequest { instance_id, name, input };
                    insistently(|| raw::call::<_, RaiseEventResponse>(&channel, "RaiseEvent", event.clone())).await;
                });
            }
            _ => {}
        }
    }
    assert!(longest > 3 * 64 * MEBIBYTE, "{longest}");
    target.judge_with("64 MiB to a worker that replays", LONG_COMMITS).await;
}

async fn ten_at_once(ctx: OrchestrationContext, bytes: usize) -> Result<usize> {
    let results = (0..10).map(|_| ctx.activity("grow", &bytes)).collect::<Vec<_>>();
    let mut came = 0;
    for result in results {
        let result: String = result.await?;
        came += result.len() + 2;
    }
    Ok(came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_results_that_end_together_all_come_through() {
    let target = Target::new().await;
    let client = target.server.client();
    let worker =
        Worker::builder(client.clone()).orchestration("ten_at_once", ten_at_once).activity("grow", grow).start();
    let id = client.start("ten_at_once", &(8 * MEBIBYTE)).await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<usize>().unwrap(), Some(80 * MEBIBYTE));
    worker.shutdown().await;
    target.judge_with("large results at once", LONG_COMMITS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_payloads_at_once_wait_for_each_other_or_are_told_when_to_come_again() {
    let target = Target::new().await;
    let payload = text(figure(32, 64) * MEBIBYTE);
    let starts = (0..figure(6, 24)).map(|number| {
        // On connections of their own: on one they would wait for each other anyway.
        let (client, payload) = (target.server.client(), payload.clone());
        async move { client.start("nobody", &payload).id(format!("large-{number}")).await }
    });
    let answers = join_all(starts.map(tokio::spawn)).await;
    let mut accepted = 0;
    for answer in answers {
        match answer.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(error.to_string().contains("try again in"), "{error}"),
        }
    }
    assert!(accepted > 0, "one after another they fit");
    // Reading them is as large.
    let reads = (0..figure(6, 24)).map(|number| {
        let client = target.server.client();
        async move { client.get(&format!("large-{number}")).await.map(|found| found.is_some()) }
    });
    let mut found = 0;
    for read in join_all(reads.map(tokio::spawn)).await {
        match read.unwrap() {
            Ok(is_there) => found += u32::from(is_there),
            Err(error) => assert!(error.to_string().contains("try again in"), "{error}"),
        }
    }
    println!("{accepted} accepted, {found} read");
    assert!(found > 0, "one after another they fit");
    target.judge_with("many large payloads", LONG_COMMITS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_starts_without_a_worker_leave_memory_and_are_done_when_one_comes() {
    let target = Target::new().await;
    let client = target.server.client();
    let number = figure(200, 2_000);
    let payload = text(MEBIBYTE);
    let starts = (0..16).map(|lane| {
        let (client, payload) = (client.clone(), payload.clone());
        tokio::spawn(async move {
            for number in (lane..number).step_by(16) {
                insistently(|| async { client.start("size", &payload).id(format!("start-{number}")).await }).await;
            }
        })
    });
    join_all(starts).await.into_iter().for_each(|lane| lane.unwrap());
    println!("{} MiB with {number} starts of 1 MiB waiting", target.resident().0 >> 20);
    let worker = Worker::builder(client.clone()).orchestration("size", size).start();
    for number in 0..number {
        let done = client.wait_for_completion(&format!("start-{number}")).await.unwrap();
        assert_eq!(done.output::<usize>().unwrap(), Some(MEBIBYTE - 2));
    }
    worker.shutdown().await;
    target.judge_with("large starts", LONG_COMMITS).await;
}

async fn size(_: OrchestrationContext, input: String) -> Result<usize> {
    Ok(input.len())
}

/// As a good client does: again after a while if there was no room.
pub(super) async fn insistently<T, E: std::fmt::Display, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = std::result::Result<T, E>>,
{
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) if error.to_string().contains("try again in") => {
                // sleep: what the server asked for
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
