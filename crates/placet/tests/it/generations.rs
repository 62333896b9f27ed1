//! What continues as new: a loop without end costs no more than its last generation; of a request, deadline, custom status and
//! open questions go over.

use placet_proto::durabletask::HistoryEvent;
use placet_proto::durabletask::history_event::EventType;
use placet_sdk::{Answer, Client, OrchestrationContext, Result, Worker};
use placet_testkit::{Http, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::PLACET;
use crate::requests::{ask, decide, decide_within, id, look};

/// More than a generation takes (`EVENTS_PER_GENERATION` in the built-in orchestration).
const REFUSED: usize = 60;

/// What is no decision, and is refused.
fn nonsense() -> Value {
    json!({"is_approved": "perhaps", "approver": "Nobody"})
}

/// The input with which the current generation began.
fn input(history: &[HistoryEvent]) -> Value {
    let started = history.iter().find_map(|event| match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => Some(started),
        _ => None,
    });
    serde_json::from_str(started.unwrap().input.as_deref().unwrap()).unwrap()
}

/// Waits until the request is in its second generation or a later one.
async fn continued(client: &Client, id: &str) {
    eventually("the request has continued as new", async || {
        let history = client.history(id).await.unwrap();
        (!history.is_empty() && input(&history).get("rules").is_some()).then_some(())
    })
    .await;
}

/// A request that has been sent so much nonsense that it goes on in another generation.
async fn worn_out(server: &Server, timeout_hours: f64) -> (Http, Client, Value, Value) {
    let (http, client) = (server.http(), server.client());
    let created = ask(&http, timeout_hours).await;
    let before = eventually("the request is shown", async || {
        Some(look(&http, &id(&created)).await).filter(|shown| shown.get("details").is_some())
    })
    .await;
    for _ in 0..REFUSED {
        client.raise_event(&id(&created), "approval_response", &nonsense()).await.unwrap();
    }
    continued(&client, &id(&created)).await;
    (http, client, created, before)
}

#[tokio::test]
async fn a_request_in_its_next_generation_is_shown_as_before_and_approved() {
    let server = crate::server().await;
    let (http, client, created, before) = worn_out(&server, 1.0).await;
    let id = id(&created);
    assert_eq!(look(&http, &id).await, before);
    let continued = input(&client.history(&id).await.unwrap());
    assert_eq!((&continued["due"], &continued["rules"]), (&created["due"], &json!(2)));
    let won = decide(&http, &id, true, "Manager").await;
    assert_eq!(won.status, 200, "{won:?}");
    let done = look(&http, &id).await;
    assert_eq!((&done["status"], &done["output"]["approver"]), (&json!("Approved"), &json!("Manager")));
    for field in ["due", "submitted_at", "approval_url", "request_id"] {
        assert_eq!(done["details"][field], before["details"][field], "{field}");
    }
    assert_eq!(decide(&http, &id, false, "Another").await.status, 409);
}

#[tokio::test]
async fn a_request_in_its_next_generation_is_rejected() {
    let server = crate::server().await;
    let (http, _, created, _) = worn_out(&server, 1.0).await;
    assert_eq!(decide(&http, &id(&created), false, "Manager").await.status, 200);
    assert_eq!(look(&http, &id(&created)).await["status"], "Rejected");
}

#[tokio::test]
async fn a_request_in_its_next_generation_is_due_when_it_was() {
    let server = crate::server().await;
    let (http, client, created, _) = worn_out(&server, 3.0 / 3_600.0).await;
    client.wait_for_completion(&id(&created)).await.unwrap();
    let done = look(&http, &id(&created)).await;
    assert_eq!((&done["status"], &done["output"]["timed_out_at"]), (&json!("Timeout"), &created["due"]));
    let late = std::time::SystemTime::now().duration_since(crate::time_of(&created["due"])).expect("not before");
    assert!(late < std::time::Duration::from_secs(1), "{late:?} late");
}

#[tokio::test]
async fn a_request_in_its_next_generation_survives_a_crash() {
    let server = crate::server().await;
    let (_, _, created, before) = worn_out(&server, 1.0).await;
    let server = server.kill().await.unwrap().start().await.unwrap();
    let http = server.http();
    assert_eq!(look(&http, &id(&created)).await, before);
    assert_eq!(decide(&http, &id(&created), true, "Manager").await.status, 200);
}

#[tokio::test]
async fn whoever_asks_nonsense_is_refused_each_time_across_the_generations() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = id(&ask(&http, 1.0).await);
    for number in 0..2 * REFUSED {
        let answer = client.ask(&id, "approval_response", &nonsense()).await.unwrap();
        let Answer::Reply(reply) = answer else { panic!("question {number}: {answer:?}") };
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["reply"], "refused", "question {number}: {reply}");
    }
    assert!(input(&client.history(&id).await.unwrap()).get("rules").is_some());
    assert_eq!(decide(&http, &id, true, "Manager").await.status, 200);
}

/// Everything is there before a worker is: the first generation takes fifty events and hands the rest over, the
/// decision among them.
#[tokio::test]
async fn a_question_that_is_open_across_the_change_is_answered() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let (http, client) = (api.http(), scheduler.client());
    let created = ask(&http, 1.0).await;
    let id = id(&created);
    for _ in 0..REFUSED {
        client.raise_event(&id, "approval_response", &nonsense()).await.unwrap();
    }
    let recorded = decide_within(&http, &id, true, "First", 1).await;
    assert_eq!(recorded.status, 202, "{recorded:?}");
    let deciding = tokio::spawn({
        let (http, id) = (http.clone(), id.clone());
        async move { decide_within(&http, &id, false, "Second", 30).await }
    });
    let asking = tokio::spawn({
        let (client, id) = (client.clone(), id.clone());
        async move { client.ask(&id, "approval_response", &nonsense()).ask_id("mine").await }
    });
    let worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    client.wait_for_completion(&id).await.unwrap();
    let done = look(&http, &id).await;
    assert_eq!((&done["status"], &done["output"]["approver"]), (&json!("Approved"), &json!("First")));
    assert_eq!(done["details"]["due"], created["due"]);
    let lost = deciding.await.unwrap();
    assert_eq!((lost.status, &lost.json()["outcome"]), (409, &done["output"]), "{lost:?}");
    let asked = asking.await.unwrap().unwrap();
    assert!(!matches!(asked, Answer::Recorded), "{asked:?}");
    drop(worker);
}

/// So many generations follow each other; the last one waits.
const LOOP: u32 = 10_000;

async fn counts(ctx: OrchestrationContext, count: u32) -> Result<u32> {
    if count < LOOP {
        ctx.continue_as_new(&(count + 1))?;
    } else {
        ctx.external_event::<()>("enough").await?;
    }
    Ok(count)
}

#[tokio::test]
async fn ten_thousand_generations_leave_behind_what_one_does() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone()).orchestration("counts", counts).start();
    let id = client.start("counts", &0_u32).await.unwrap();
    // However slow the machine is beside other tests: they go by.
    let mut gone_by = 0;
    while gone_by < LOOP.into() {
        gone_by = eventually("another generation has gone by", async || {
            // One that is followed by another while it is read is read again.
            let history = client.history(&id).await.unwrap();
            let number = if history.is_empty() { None } else { input(&history).as_u64() };
            number.filter(|number| *number > gone_by)
        })
        .await;
    }
    let history = client.history(&id).await.unwrap();
    assert!(history.len() <= 3, "{history:?}");
    client.raise_event(&id, "enough", &()).await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<u32>().unwrap(), Some(LOOP));
    worker.shutdown().await;
    // A generation is some 500 bytes: all of them would be five megabytes.
    let file = server.announced().data_dir.clone().unwrap().join("placet.db");
    let bytes = std::fs::metadata(&file).unwrap().len();
    assert!(bytes < 1 << 20, "{bytes} bytes");
}
