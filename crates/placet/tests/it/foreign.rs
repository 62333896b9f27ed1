//! The HTTP API answers any orchestration that waits for `approval_response`, though it knows nothing of questions.

use std::time::Duration;

use placet_sdk::{Client, Either, OrchestrationContext, Result, Worker};
use placet_testkit::Launch;
use serde_json::{Value, json};

use crate::PLACET;
use crate::requests::{decide, decide_within, look};

/// The mission's orchestration, in Rust.
async fn human_interaction(ctx: OrchestrationContext, input: Value) -> Result<Value> {
    let id = ctx.instance_id();
    ctx.set_custom_status(&json!({"request_id": id, "status": "Pending", "item": input["item"]}))?;
    let timeout = Duration::from_millis(input["timeout_ms"].as_u64().unwrap_or(3_600_000));
    let answer = ctx.external_event::<Value>("approval_response");
    let outcome = match ctx.first(answer, ctx.timer(timeout)).await {
        Either::Left(answer) => {
            let answer = answer?;
            let status = if answer["is_approved"] == true { "Approved" } else { "Rejected" };
            json!({"request_id": id, "status": status, "approver": answer["approver"]})
        }
        Either::Right(()) => json!({"request_id": id, "status": "Timeout"}),
    };
    ctx.set_custom_status(&outcome)?;
    Ok(outcome)
}

/// It waits for something else.
async fn deaf(ctx: OrchestrationContext, (): ()) -> Result<()> {
    ctx.external_event::<Value>("something_else").await?;
    Ok(())
}

/// It is asked twice: once in each of two stages.
async fn busy_first(ctx: OrchestrationContext, (): ()) -> Result<Value> {
    ctx.external_event::<Value>("get_on").await?;
    let answer: Value = ctx.external_event("approval_response").await?;
    Ok(json!({"status": if answer["is_approved"] == true { "Approved" } else { "Rejected" }}))
}

fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("human_interaction_orchestrator", human_interaction)
        .orchestration("deaf", deaf)
        .orchestration("busy_first", busy_first)
        .start()
}

#[tokio::test]
async fn an_orchestration_of_somebodys_own_is_approved_and_the_next_decider_is_told() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = worker(client.clone());
    for (approves, word) in [(true, "approved"), (false, "rejected")] {
        let id = client.start("human_interaction_orchestrator", &json!({"item": "Laptop"})).await.unwrap();
        let won = decide(&http, &id, approves, "Manager").await;
        assert_eq!(
            (won.status, &won.json()["message"]),
            (200, &json!(format!("Request {word} by Manager"))),
            "{won:?}"
        );
        let done = look(&http, &id).await;
        assert_eq!(done["runtime_status"], "COMPLETED");
        assert_eq!(done["status"].as_str().unwrap().to_lowercase(), word);
        assert_eq!(done["details"], done["output"]);
        for again in [true, false] {
            let lost = decide(&http, &id, again, "Another").await;
            assert_eq!((lost.status, &lost.json()["outcome"]), (409, &done["output"]), "{lost:?}");
        }
    }
    worker.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_comes_before_the_orchestration_runs_is_kept() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = client.start("human_interaction_orchestrator", &json!({"item": "Laptop"})).await.unwrap();
    let deciding = tokio::spawn({
        let (http, id) = (http.clone(), id.clone());
        async move { decide_within(&http, &id, true, "Manager", 30).await }
    });
    let worker = worker(client.clone());
    assert_eq!(deciding.await.unwrap().status, 200);
    assert_eq!(look(&http, &id).await["output"]["approver"], "Manager");
    worker.shutdown().await;
}

#[tokio::test]
async fn an_orchestration_that_has_timed_out_takes_no_answer() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = worker(client.clone());
    let id = client.start("human_interaction_orchestrator", &json!({"item": "Laptop", "timeout_ms": 1})).await.unwrap();
    client.wait_for_completion(&id).await.unwrap();
    let lost = decide(&http, &id, true, "Manager").await;
    assert_eq!((lost.status, &lost.json()["outcome"]["status"]), (409, &json!("Timeout")), "{lost:?}");
    worker.shutdown().await;
}

#[tokio::test]
async fn an_orchestration_that_waits_for_something_else_has_decided_nothing() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = worker(client.clone());
    let id = client.start("deaf", &()).await.unwrap();
    client.wait_for_start(&id).await.unwrap();
    let answer = decide_within(&http, &id, true, "Manager", 1).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    client.raise_event(&id, "something_else", &()).await.unwrap();
    client.wait_for_completion(&id).await.unwrap();
    let answer = decide(&http, &id, true, "Manager").await;
    assert_eq!(answer.status, 409, "{answer:?}");
    worker.shutdown().await;
}

#[tokio::test]
async fn two_who_decide_before_it_looks_are_both_told_that_the_first_one_won() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = worker(client.clone());
    let id = client.start("busy_first", &()).await.unwrap();
    client.wait_for_start(&id).await.unwrap();
    let deciding = |approves: bool, name: &'static str| {
        let (http, id) = (http.clone(), id.clone());
        tokio::spawn(async move { decide_within(&http, &id, approves, name, 30).await })
    };
    let (first, second) = (deciding(true, "First"), deciding(false, "Second"));
    placet_testkit::eventually("both have decided", async || {
        let history = client.history(&id).await.unwrap();
        let raised = history.iter().filter(|event| {
            use placet_proto::durabletask::history_event::EventType;
            matches!(&event.event_type, Some(EventType::EventRaised(raised)) if raised.name == "approval_response")
        });
        (raised.count() == 2).then_some(())
    })
    .await;
    client.raise_event(&id, "get_on", &()).await.unwrap();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let status = look(&http, &id).await["status"].clone();
    let (won, lost) = if status == "Approved" { (first, second) } else { (second, first) };
    assert_eq!((won.status, lost.status), (200, 409), "{won:?} {lost:?}");
    assert_eq!(lost.json()["outcome"]["status"], status);
    worker.shutdown().await;
}

#[tokio::test]
async fn it_does_not_matter_whether_the_roles_run_apart() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let worker = worker(scheduler.client());
    let id = scheduler.client().start("human_interaction_orchestrator", &json!({"item": "Laptop"})).await.unwrap();
    assert_eq!(decide(&api.http(), &id, true, "Manager").await.status, 200);
    assert_eq!(decide(&api.http(), &id, false, "Another").await.status, 409);
    worker.shutdown().await;
}
