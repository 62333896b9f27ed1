//! Asked to stop, a server ends in good order and soon, whatever is going on.

use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use placet_proto::placet::v1::Open;
use placet_sdk::Answer;
use placet_testkit::Launch;
use serde_json::json;

use crate::PLACET;

/// "Within seconds": what is promised, less what a busy machine needs.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn with_nothing_to_do_it_stops_at_once() {
    let server = crate::server().await;
    let since = Instant::now();
    let ended = server.stop().await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_worker_that_is_connected_and_callers_who_wait_do_not_keep_it() {
    let server = Launch::scheduler(PLACET).start().await.unwrap();
    let client = server.client();
    let open = Open { worker_id: "idle".into(), orchestrations_max: 10, keeps_state: true, ..Open::default() };
    let mut stream = client.transport().work("default", open).await.unwrap();
    let id = client.start("placet.approval", &json!({"requester": "A", "item": "B"})).await.unwrap();
    let question = |wait| client.ask(&id, "approval_response", &json!({})).ask_id("q").wait(wait);
    let asking = tokio::spawn(question(Duration::from_secs(60)).into_future());
    let waiting = tokio::spawn({
        let (client, id) = (client.clone(), id.clone());
        async move { client.wait_for_completion(&id).await }
    });
    // Whoever asks the same hears that the question is there.
    assert_eq!(question(Duration::from_millis(100)).await.unwrap(), Answer::Recorded);
    let since = Instant::now();
    let ended = server.stop().await.unwrap();
    let took = since.elapsed();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < SOON, "it took {took:?}");
    assert_eq!(asking.await.unwrap(), Ok(Answer::Recorded), "it is recorded, and nothing else is true of it");
    assert!(waiting.await.unwrap().is_err());
    // The worker hears of it by the end of its stream.
    while let Some(Ok(frame)) = stream.frames.next().await {
        assert!(frame.work.is_empty(), "{frame:?}");
    }
}

#[tokio::test]
async fn a_decider_who_waits_is_answered_or_cut_off_and_the_server_stops_with_0() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let http = api.http();
    let created = http.post("/api/requests", &json!({"requester": "A", "item": "B"})).await.unwrap().json();
    let path = format!("/api/approvals/{}?wait=60", created["request_id"].as_str().unwrap());
    let call = tokio::spawn({
        let http = http.clone();
        async move { http.post(&path, &json!({"is_approved": true, "approver": "M"})).await }
    });
    let since = Instant::now();
    let ended = api.stop().await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(since.elapsed() < SOON, "it took {:?}", since.elapsed());
    drop(call.await.unwrap());
    assert_eq!(scheduler.stop().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn what_was_acknowledged_before_is_there_after_a_stop() {
    let server = crate::server().await;
    let created = server.http().post("/api/requests", &json!({"requester": "A", "item": "B"})).await.unwrap();
    let path = format!("/api/requests/{}", created.json()["request_id"].as_str().unwrap());
    let (ended, launch) = server.stop_to_restart().await.unwrap();
    assert_eq!(ended.code, Some(0));
    let server = launch.start().await.unwrap();
    assert_eq!(server.http().get(&path).await.unwrap().json()["status"], "Pending");
}
