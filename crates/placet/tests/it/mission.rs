//! The three calls of the mission, letter for letter, and the page that tells of them.

use http::Method;
use placet_testkit::Http;
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// The names in an object, sorted.
fn names(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("{value}"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn ask(http: &Http) -> Value {
    let body = r#"{"requester": "Alice", "item": "Vacation Request", "timeout_hours": 1}"#;
    let answer = http.call(Method::POST, "/api/requests", &JSON, body).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn decide(http: &Http, id: &str, body: &str) -> placet_testkit::Answer {
    http.call(Method::POST, &format!("/api/approvals/{id}"), &JSON, body).await.unwrap()
}

async fn look(http: &Http, id: &str) -> Value {
    let answer = http.get(&format!("/api/requests/{id}")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn somebody_asks_somebody_looks_somebody_approves() {
    let server = crate::server().await;
    let http = server.http();

    let created = ask(&http).await;
    assert_eq!(names(&created), ["approval_url", "due", "request_id", "status", "status_url"]);
    let id = created["request_id"].as_str().unwrap();
    assert_eq!(created["status"], "Pending");
    assert_eq!(created["approval_url"], format!("{}/api/approvals/{id}", http.base()));
    assert_eq!(created["status_url"], format!("{}/api/requests/{id}", http.base()));

    let pending = placet_testkit::eventually("the request is shown", async || {
        Some(look(&http, id).await)
            .filter(|shown| shown["runtime_status"] == "RUNNING" && shown.get("details").is_some())
    })
    .await;
    assert_eq!(names(&pending), ["details", "request_id", "runtime_status", "status", "status_detail"]);
    assert_eq!(pending["request_id"], id);
    assert_eq!(pending["status"], "Pending");
    assert_eq!(names(&pending["details"]), ["approval_url", "due", "request_id", "status", "submitted_at"]);
    assert_eq!(pending["details"]["request_id"], id);
    assert_eq!(pending["details"]["status"], "Pending");
    assert_eq!(pending["details"]["approval_url"], created["approval_url"]);
    assert_eq!(pending["details"]["due"], created["due"]);

    let won = decide(&http, id, r#"{"is_approved": true, "approver": "Manager", "comments": "Approved!"}"#).await;
    assert_eq!(won.status, 200, "{won:?}");
    let won = won.json();
    assert_eq!(names(&won), ["message", "request_id", "status_url"]);
    assert_eq!(won["message"], "Request approved by Manager");
    assert_eq!(won["status_url"], created["status_url"]);

    // No waiting: what the decider was told is so.
    let done = look(&http, id).await;
    assert_eq!(names(&done), ["details", "output", "request_id", "runtime_status", "status", "status_detail"]);
    assert_eq!((&done["runtime_status"], &done["status"]), (&json!("COMPLETED"), &json!("Approved")));
    assert_eq!(done["details"]["status"], "Approved");
    let output = &done["output"];
    assert_eq!(names(output), ["approver", "comments", "processed_at", "request_id", "status"]);
    assert_eq!(output["request_id"], id);
    assert_eq!(output["status"], "Approved");
    assert_eq!((&output["approver"], &output["comments"]), (&json!("Manager"), &json!("Approved!")));
}

#[tokio::test]
async fn a_rejection_needs_no_comment_and_says_who_rejected() {
    let server = crate::server().await;
    let http = server.http();
    let created = ask(&http).await;
    let id = created["request_id"].as_str().unwrap();
    let won = decide(&http, id, r#"{"is_approved": false, "approver": "Manager"}"#).await;
    assert_eq!((won.status, &won.json()["message"]), (200, &json!("Request rejected by Manager")));
    let done = look(&http, id).await;
    assert_eq!(done["status"], "Rejected");
    assert_eq!((&done["output"]["status"], &done["output"]["comments"]), (&json!("Rejected"), &json!("")));
}

#[tokio::test]
async fn the_second_decider_is_told_who_won() {
    let server = crate::server().await;
    let http = server.http();
    let created = ask(&http).await;
    let id = created["request_id"].as_str().unwrap();
    decide(&http, id, r#"{"is_approved": true, "approver": "First"}"#).await;
    let outcome = look(&http, id).await["output"].clone();
    for body in [r#"{"is_approved": false, "approver": "Second"}"#, r#"{"is_approved": true, "approver": "Second"}"#] {
        let lost = decide(&http, id, body).await;
        assert_eq!((lost.status, lost.content_type()), (409, "application/problem+json"));
        let lost = lost.json();
        assert_eq!(names(&lost), ["detail", "outcome", "request_id", "status", "status_url", "title", "type"]);
        assert_eq!(lost["type"], "urn:placet:problem:already-decided");
        assert_eq!(lost["detail"], "Request approved by First");
        assert_eq!(lost["outcome"], outcome);
    }
    assert_eq!(look(&http, id).await["output"], outcome);
}

#[tokio::test]
async fn an_unknown_request_is_not_found_whatever_is_done_to_it() {
    let server = crate::server().await;
    let http = server.http();
    let looked = http.get("/api/requests/no-such-id").await.unwrap();
    let decided = decide(&http, "no-such-id", r#"{"is_approved": true, "approver": "M"}"#).await;
    for answer in [looked, decided] {
        assert_eq!((answer.status, answer.content_type()), (404, "application/problem+json"));
        assert_eq!(answer.json()["type"], "urn:placet:problem:no-such-request");
        assert_eq!(answer.json()["request_id"], "no-such-id");
    }
}

#[tokio::test]
async fn a_person_is_shown_a_page_and_a_program_is_told_the_same_as_json() {
    let server = crate::server().await;
    let http = server.http();
    let browser = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = http.call(Method::GET, "/", &browser, "").await.unwrap();
    assert_eq!((page.status, page.content_type()), (200, "text/html"));
    for expected in ["<!doctype html>", "/api/requests", "/api/approvals/", http.base()] {
        assert!(page.text().contains(expected), "{expected} is not in\n{}", page.text());
    }
    assert!(page.headers.contains_key("content-security-policy"));
    let index = http.get("/").await.unwrap();
    assert_eq!((index.status, index.content_type()), (200, "application/json"));
    assert_eq!(index.json()["ask"]["call"], format!("POST {}/api/requests", http.base()));
}

#[tokio::test]
async fn the_approval_link_opened_in_a_browser_decides_nothing() {
    let server = crate::server().await;
    let http = server.http();
    let created = ask(&http).await;
    let link = created["approval_url"].as_str().unwrap();
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(http.call(method, link, &[], "").await.unwrap().status, 200);
    }
    assert_eq!(look(&http, created["request_id"].as_str().unwrap()).await["status"], "Pending");
}

#[tokio::test]
async fn the_links_lead_to_where_the_caller_found_the_server() {
    let server = crate::server().await;
    let http = server.http();
    let port = http.base().rsplit(':').next().unwrap().to_owned();
    let headers = [("Content-Type", "application/json"), ("Host", "localhost:8000")];
    let body = r#"{"requester": "Alice", "item": "Vacation Request"}"#;
    let created = http.call(Method::POST, "/api/requests", &headers, body).await.unwrap().json();
    assert!(
        created["status_url"].as_str().unwrap().starts_with("http://localhost:8000/api/requests/"),
        "{created} {port}"
    );
}
