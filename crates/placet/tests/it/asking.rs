//! `Ask`: the one way in which a decision reaches a request and its answer comes back, as an SDK uses it.

use placet_sdk::{Answer, Client, Code};
use placet_testkit::Launch;
use serde_json::{Value, json};

use crate::PLACET;
use crate::requests::{approve, ask_for_id, decide, look};

async fn ask(client: &Client, id: &str, ask_id: &str, is_approved: bool, approver: &str) -> Value {
    let decision = json!({"is_approved": is_approved, "approver": approver});
    let answer = client.ask(id, "approval_response", &decision).ask_id(ask_id).await.unwrap();
    let Answer::Reply(reply) = answer else { panic!("{answer:?}") };
    serde_json::from_str(&reply).unwrap()
}

#[tokio::test]
async fn the_same_question_again_gets_the_same_answer_whatever_it_says_now() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = ask_for_id(&http).await;
    let won = ask(&client, &id, "first", true, "Manager").await;
    assert_eq!((&won["reply"], &won["outcome"]["approver"]), (&json!("accepted"), &json!("Manager")));
    assert_eq!(ask(&client, &id, "first", false, "Manager").await, won);
    // After a crash too: the answer is as durable as the decision.
    let server = server.kill().await.unwrap().start().await.unwrap();
    let client = server.client();
    assert_eq!(ask(&client, &id, "first", true, "Manager").await, won);
    let another = client.ask(&id, "approval_response", &json!({})).ask_id("second").await.unwrap();
    let Answer::Ended(state) = another else { panic!("{another:?}") };
    assert_eq!(state.output::<Value>().unwrap().unwrap(), won["outcome"]);
}

#[tokio::test]
async fn one_question_asked_twice_at_once_is_one_question() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    for number in 0..20 {
        let id = ask_for_id(&http).await;
        let ask_id = format!("question-{number}");
        let (one, other) =
            tokio::join!(ask(&client, &id, &ask_id, true, "Manager"), ask(&client, &id, &ask_id, true, "Manager"));
        assert_eq!(one, other);
        assert_eq!(one["reply"], "accepted");
    }
}

#[tokio::test]
async fn a_question_to_nobody_is_not_found() {
    let server = crate::server().await;
    let error = server.client().ask("no-such-id", "approval_response", &json!({})).await.unwrap_err();
    assert_eq!(error.code, Code::NotFound, "{error:?}");
}

#[tokio::test]
async fn the_row_of_a_request_is_written_with_what_it_tells_of() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let row = async |id: &str| -> Option<Value> {
        let row = client.published("request", id).await.unwrap()?;
        Some(serde_json::from_slice(&row).unwrap())
    };
    let id = ask_for_id(&http).await;
    client.wait_for_start(&id).await.unwrap();
    let pending = row(&id).await.unwrap();
    assert_eq!((&pending["request_id"], &pending["status"]), (&json!(id), &json!("Pending")));
    assert_eq!((&pending["requester"], &pending["item"]), (&json!("Alice"), &json!("Vacation Request")));
    approve(&http, &id).await;
    let approved = row(&id).await.unwrap();
    assert_eq!(approved["outcome"], look(&http, &id).await["output"]);
    assert_eq!(row("no-such-id").await, None);
}

#[tokio::test]
async fn a_terminated_request_is_withdrawn_and_cannot_be_decided() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = ask_for_id(&http).await;
    client.terminate(&id, &"no longer needed").await.unwrap();
    client.wait_for_completion(&id).await.unwrap();
    let shown = look(&http, &id).await;
    assert_eq!((&shown["runtime_status"], &shown["status"]), (&json!("TERMINATED"), &json!("Rejected")));
    assert_eq!(shown["status_detail"], "withdrawn");
    let lost = decide(&http, &id, true, "Manager").await;
    assert_eq!((lost.status, &lost.json()["detail"]), (409, &json!("Request is Withdrawn")), "{lost:?}");
}

#[tokio::test]
async fn any_program_may_ask_by_starting_the_orchestration_and_a_bad_input_fails_it() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = client.start("placet.approval", &json!({"requester": "Bot", "item": "Deploy"})).await.unwrap();
    approve(&http, &id).await;
    assert_eq!(look(&http, &id).await["output"]["approver"], "Manager");

    let bad = client.start("placet.approval", &json!({"requester": "Bot", "timeout_hours": 1})).await.unwrap();
    client.wait_for_completion(&bad).await.unwrap();
    let failed = look(&http, &bad).await;
    assert_eq!((&failed["runtime_status"], &failed["status"]), (&json!("FAILED"), &json!("Failed")));
    assert!(failed["error"].as_str().unwrap().contains("item"), "{failed}");
    assert_eq!(decide(&http, &bad, true, "Manager").await.status, 409);
}

/// The time runs from the acknowledged start, not from the first turn.
#[tokio::test]
async fn a_request_is_due_from_its_acceptance_however_late_a_worker_comes() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let client = scheduler.client();
    let input = json!({"requester": "Bot", "item": "Deploy", "timeout_hours": 0.1 / 3_600.0});
    let id = client.start("placet.approval", &input).await.unwrap();
    let accepted_at = client.get(&id).await.unwrap().unwrap().created_at();
    // sleep: the deadline is to pass without a worker
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    let output: Value = client.wait_for_completion(&id).await.unwrap().output().unwrap().unwrap();
    assert_eq!(output["status"], "Timeout");
    let due = crate::time_of(&output["timed_out_at"]).duration_since(accepted_at).unwrap();
    assert_eq!(due, std::time::Duration::from_millis(100));
    drop(worker);
}
