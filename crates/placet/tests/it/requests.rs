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

#[tokio::test]
async fn what_is_asked_for_again_under_its_dedupe_key_while_it_is_open_is_asked_for_once() {
    let server = crate::server().await;
    let http = server.http();
    let ask = async |requester: &str, item: &str| {
        let body = json!({"requester": requester, "item": item, "approvers": ["bob"], "dedupe_key": "deploy 2.3"});
        let answer = http.post("/api/v1/requests", &body).await.unwrap();
        let (status, told) = (answer.status, answer.json());
        assert_eq!(told["existing"].as_bool().unwrap_or_default(), status == 200, "{answer:?}");
        (status, told["request_id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned())
    };
    let mut before = Vec::new();
    for round in 0..4 {
        let at_once = (0..8).map(|number| ask("ann", if number == 0 { "This" } else { "That" }));
        let told = futures_util::future::join_all(at_once).await;
        let ids: std::collections::BTreeSet<&String> = told.iter().map(|(_, id)| id).collect();
        let started = told.iter().filter(|(status, _)| *status == 201).count();
        assert_eq!((started, ids.len()), (1, 1), "round {round}: {told:?}");
        let id = told[0].1.clone();
        assert!(!before.contains(&id), "one that has ended is not asked for again");
        assert_ne!(ask("eve", "Hers").await.1, id, "another's key is another");
        let decision = json!({"approver": "bob", "decision": if round % 2 == 0 { "approve" } else { "reject" }});
        let decided = http.post(&format!("/api/v1/requests/{id}/decisions"), &decision).await.unwrap();
        assert_eq!(decided.status, 200, "{decided:?}");
        if round == 2 {
            assert!(server.client().purge(&id).await.unwrap());
        }
        before.push(id);
    }
}
