//! `dedupe_key`: what is open already is not asked for twice.

use placet_testkit::Launch;
use serde_json::json;

use crate::PLACET;

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
    // With an Idempotency-Key, too: the same call is answered with what it has asked for, though that has ended.
    let call = async |item: &str| {
        let body = json!({"requester": "ann", "item": item, "approvers": ["bob"], "dedupe_key": "k"});
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "call-1")];
        http.call(http::Method::POST, "/api/v1/requests", &headers, &body.to_string()).await.unwrap()
    };
    let first = call("Once").await;
    let id = first.json()["request_id"].as_str().unwrap().to_owned();
    let decision = json!({"approver": "bob", "decision": "approve"});
    assert_eq!(http.post(&format!("/api/v1/requests/{id}/decisions"), &decision).await.unwrap().status, 200);
    let again = call("Once").await;
    assert_eq!((first.status, again.status, &again.json()["request_id"]), (201, 200, &json!(id)), "{again:?}");
    assert_eq!(call("Another").await.status, 422);
}

/// Of one that was terminated before any worker began with it, no list tells: it holds up nobody.
#[tokio::test]
async fn a_request_that_failed_or_never_began_does_not_keep_its_dedupe_key() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let http = api.http();
    let ask = async || {
        let body = json!({"requester": "ann", "item": "x", "approvers": ["bob"], "dedupe_key": "k"});
        let answer = http.post("/api/v1/requests", &body).await.unwrap();
        (answer.status, answer.json()["request_id"].as_str().unwrap().to_owned())
    };
    let (status, first) = ask().await;
    assert_eq!((status, ask().await), (201, (200, first.clone())));
    scheduler.client().terminate(&first, "too early").await.unwrap();
    let (status, second) = ask().await;
    assert!(status == 201 && second != first);
    assert_eq!(ask().await, (200, second));
}
