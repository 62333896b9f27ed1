//! Bad bodies and calls from where none may come: a problem document each, which names the field.

use http::Method;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A problem document is what RFC 9457 says, and complete.
fn assert_problem(answer: &placet_testkit::Answer, status: u16, kind: &str) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.content_type(), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:placet:problem:{kind}"), "{problem}");
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    problem
}

#[tokio::test]
async fn a_bad_request_is_refused_with_the_name_of_its_field() {
    let server = crate::server().await;
    let http = server.http();
    let long = "x".repeat(10_001);
    let table = [
        ("nothing", String::new(), "body"),
        ("no JSON", "requester=Alice".to_owned(), "body"),
        ("a list", r#"["A", "B", 1]"#.to_owned(), "body"),
        ("cut off", r#"{"requester": "A", "item": "B""#.to_owned(), "body"),
        ("something after it", r#"{"requester": "A", "item": "B"} and more"#.to_owned(), "body"),
        ("no requester", json!({"item": "B"}).to_string(), "requester"),
        ("no item", json!({"requester": "A"}).to_string(), "item"),
        ("a requester without a name", json!({"requester": " ", "item": "B"}).to_string(), "requester"),
        ("a requester who is a number", json!({"requester": 1, "item": "B"}).to_string(), "requester"),
        ("an item that is null", json!({"requester": "A", "item": null}).to_string(), "item"),
        ("an item that is a book", json!({"requester": "A", "item": long}).to_string(), "item"),
        ("no time at all", json!({"requester": "A", "item": "B", "timeout_hours": 0}).to_string(), "timeout_hours"),
        ("time that is over", json!({"requester": "A", "item": "B", "timeout_hours": -1}).to_string(), "timeout_hours"),
        ("time as a text", json!({"requester": "A", "item": "B", "timeout_hours": "1"}).to_string(), "timeout_hours"),
        (
            "time beyond measure",
            json!({"requester": "A", "item": "B", "timeout_hours": 1e9}).to_string(),
            "timeout_hours",
        ),
        (
            "time beyond numbers",
            r#"{"requester": "A", "item": "B", "timeout_hours": 1e999}"#.to_owned(),
            "timeout_hours",
        ),
        ("a field that is misspelled", json!({"requester": "A", "item": "B", "timeout": 1}).to_string(), "timeout"),
        (
            "a due that is over",
            json!({"requester": "A", "item": "B", "due": "2001-01-01T00:00:00Z"}).to_string(),
            "due",
        ),
    ];
    for (name, body, field) in table {
        let answer = http.call(Method::POST, "/api/requests", &[JSON], &body).await.unwrap();
        assert_eq!(answer.status, 422, "{name}: {answer:?}");
        let problem = assert_problem(&answer, 422, "bad-body");
        assert_eq!(problem["field"], field, "{name}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{name}: {problem}");
    }
}

#[tokio::test]
async fn a_bad_decision_is_refused_with_the_name_of_its_field_and_decides_nothing() {
    let server = crate::server().await;
    let http = server.http();
    let created = http.post("/api/requests", &json!({"requester": "A", "item": "B"})).await.unwrap().json();
    let id = created["request_id"].as_str().unwrap();
    let table = [
        ("nothing", String::new(), "body"),
        ("no decision", json!({"approver": "M"}).to_string(), "is_approved"),
        ("a decision in words", json!({"is_approved": "true", "approver": "M"}).to_string(), "is_approved"),
        ("a decision in figures", json!({"is_approved": 1, "approver": "M"}).to_string(), "is_approved"),
        ("nobody", json!({"is_approved": true}).to_string(), "approver"),
        ("nobody, in a text", json!({"is_approved": true, "approver": ""}).to_string(), "approver"),
        ("comments in a list", json!({"is_approved": true, "approver": "M", "comments": []}).to_string(), "comments"),
    ];
    for (name, body, field) in table {
        let answer = http.call(Method::POST, &format!("/api/approvals/{id}"), &[JSON], &body).await.unwrap();
        let problem = assert_problem(&answer, 422, "bad-body");
        assert_eq!(problem["field"], field, "{name}: {problem}");
    }
    assert_eq!(http.get(&format!("/api/requests/{id}")).await.unwrap().json()["status"], "Pending");
}

#[tokio::test]
async fn a_bad_wait_is_refused_as_every_error_is() {
    let server = crate::server().await;
    let http = server.http();
    let created = http.post("/api/requests", &json!({"requester": "A", "item": "B"})).await.unwrap().json();
    let path = format!("/api/approvals/{}?wait=soon", created["request_id"].as_str().unwrap());
    let answer = http.post(&path, &json!({"is_approved": true, "approver": "M"})).await.unwrap();
    let problem = assert_problem(&answer, 422, "bad-body");
    assert_eq!(problem["field"], "wait");
}

#[tokio::test]
async fn what_is_no_json_by_its_header_is_refused() {
    let server = crate::server().await;
    let http = server.http();
    let body = r#"{"requester": "A", "item": "B"}"#;
    let headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &[("Content-Type", "multipart/form-data; boundary=application/json")],
    ];
    for headers in headers {
        for path in ["/api/requests", "/api/approvals/some-id"] {
            let answer = http.call(Method::POST, path, headers, body).await.unwrap();
            assert_problem(&answer, 415, "not-json");
        }
    }
    let headers = [("Content-Type", "Application/JSON; charset=utf-8")];
    assert_eq!(http.call(Method::POST, "/api/requests", &headers, body).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_page_elsewhere_reaches_nothing_neither_by_its_own_name_nor_as_itself() {
    let server = crate::server().await;
    let http = server.http();
    let own = http.base().trim_start_matches("http://").to_owned();
    let body = r#"{"requester": "A", "item": "B"}"#;
    let forbidden = [
        ("Host", "evil.example", 421, "forbidden-host"),
        ("Host", "127.0.0.1.nip.io", 421, "forbidden-host"),
        ("Origin", "http://evil.example", 403, "forbidden-origin"),
        ("Origin", "null", 403, "forbidden-origin"),
        ("Origin", "http://localhost:1", 403, "forbidden-origin"),
    ];
    for (name, value, status, kind) in forbidden {
        let post = http.call(Method::POST, "/api/requests", &[JSON, (name, value)], body).await.unwrap();
        assert_problem(&post, status, kind);
        for path in ["/", "/api/requests/x", "/readyz", "/msi/token"] {
            let get = http.call(Method::GET, path, &[(name, value)], "").await.unwrap();
            assert_problem(&get, status, kind);
        }
    }
    let own_origin = format!("http://{own}");
    let allowed = http.call(Method::POST, "/api/requests", &[JSON, ("Origin", &own_origin)], body).await.unwrap();
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert!(!allowed.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn what_is_not_there_or_not_done_or_too_large_is_a_problem_document_too() {
    let server = crate::server().await;
    let http = server.http();
    assert_problem(&http.get("/no/such/path").await.unwrap(), 404, "no-such-path");
    let deleted = http.call(Method::DELETE, "/api/requests", &[], "").await.unwrap();
    assert_problem(&deleted, 405, "method-not-allowed");
    let large = json!({"requester": "A", "item": "x".repeat(2 << 20)});
    // On a connection of its own, which the server closes instead of reading all of it.
    assert_problem(&server.http().post("/api/requests", &large).await.unwrap(), 413, "body-too-large");
    let id = format!("/api/requests/{}", "x".repeat(3_000));
    let unknown = http.get(&id).await.unwrap();
    assert_problem(&unknown, 404, "no-such-request");
    let identity = [("x-identity-header", "any")];
    let twice = http.call(Method::GET, "/msi/token?resource=a&resource=b", &identity, "").await.unwrap();
    assert_problem(&twice, 422, "bad-body");
    let not_text = http.get("/api/requests/%ff").await.unwrap();
    assert_problem(&not_text, 404, "no-such-request");
}
