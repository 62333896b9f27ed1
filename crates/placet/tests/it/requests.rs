//! Approval requests as the other modules use them: made, looked at and decided over HTTP.

use placet_testkit::{Answer, Http};
use serde_json::{Value, json};

/// Asks for something, with an hour to decide, or as much as is given.
pub(crate) async fn ask(http: &Http, timeout_hours: f64) -> Value {
    let body = json!({"requester": "Alice", "item": "Vacation Request", "timeout_hours": timeout_hours});
    let answer = http.post("/api/requests", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The same; only the id is wanted.
pub(crate) async fn ask_for_id(http: &Http) -> String {
    id(&ask(http, 1.0).await)
}

/// The id of a request that was made.
pub(crate) fn id(created: &Value) -> String {
    created["request_id"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
}

/// The request as it stands.
pub(crate) async fn look(http: &Http, id: &str) -> Value {
    let answer = http.get(&format!("/api/requests/{id}")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Decides it.
pub(crate) async fn decide(http: &Http, id: &str, is_approved: bool, approver: &str) -> Answer {
    decide_within(http, id, is_approved, approver, 10).await
}

/// Decides it, and waits for so many seconds.
pub(crate) async fn decide_within(http: &Http, id: &str, is_approved: bool, approver: &str, wait: u32) -> Answer {
    let body = json!({"is_approved": is_approved, "approver": approver});
    http.post(&format!("/api/approvals/{id}?wait={wait}"), &body).await.unwrap()
}

/// Decides it, and must win.
pub(crate) async fn approve(http: &Http, id: &str) {
    let answer = decide(http, id, true, "Manager").await;
    assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("Request approved by Manager")), "{answer:?}");
}
