//! Commands over HTTP: what they do, and how each refusal is told.

use http::Method;
use placet_testkit::{Answer, Http};
use serde_json::{Value, json};

use super::{ORCHESTRATIONS, Tool, emulator, worker};

fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.content_type(), "application/problem+json", "{answer:?}");
    let document = answer.json();
    assert_eq!(document["status"], answer.status);
    let kind = document["type"].as_str().unwrap().strip_prefix("urn:placet:problem:").unwrap().to_owned();
    (answer.status, kind)
}

fn is(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test]
async fn an_orchestration_is_started_told_suspended_resumed_and_purged() {
    let server = emulator().await;
    let worker = worker(server.client());
    let tool = Tool::of(&server);
    let start = json!({
        "name": "waits", "instanceId": "test-1", "input": "{\"testKey\":\"testValue\"}", "version": "2", "tags": {"a": "b"},
    });
    let started = tool.post(ORCHESTRATIONS, &start).await;
    assert_eq!((started.status, started.json()), (201, json!({"instanceId": "test-1"})));
    assert_eq!(started.headers["location"], "orchestrations/test-1");
    assert_eq!(problem(&tool.post(ORCHESTRATIONS, &start).await), is(409, "conflict"));
    tool.comes_to("test-1", "RUNNING").await;
    assert_eq!(tool.event("test-1", &json!({"executionSuspended": {"reason": "lunch"}})).await.status, 202);
    tool.comes_to("test-1", "SUSPENDED").await;
    assert_eq!(tool.event("test-1", &json!({"executionResumed": {"reason": "coffee"}})).await.status, 202);
    tool.comes_to("test-1", "RUNNING").await;
    assert_eq!(problem(&tool.delete(&format!("{ORCHESTRATIONS}/test-1"), None).await), is(409, "conflict"));
    assert_eq!(tool.event("test-1", &json!({"eventRaised": {"name": "go", "input": "\"now\""}})).await.status, 202);
    tool.comes_to("test-1", "COMPLETED").await;
    let payloads = tool.get(&format!("{ORCHESTRATIONS}/test-1/payloads")).await.json();
    assert_eq!((&payloads["input"], &payloads["output"]), (&json!("{\"testKey\":\"testValue\"}"), &json!("\"now\"")));
    assert_eq!(tool.delete(&format!("{ORCHESTRATIONS}/test-1"), None).await.status, 204);
    for path in ["/test-1", "/test-1/payloads", "/test-1/executions/x/history"] {
        let gone = tool.get(&format!("{ORCHESTRATIONS}{path}")).await;
        assert_eq!(problem(&gone), is(404, "no-such-orchestration"), "{path}");
    }
    assert_eq!(
        problem(&tool.delete(&format!("{ORCHESTRATIONS}/test-1"), None).await),
        is(404, "no-such-orchestration")
    );
    worker.shutdown().await;
}

#[tokio::test]
async fn an_orchestration_is_started_again_and_one_that_failed_is_rewound() {
    let server = emulator().await;
    let worker = worker(server.client());
    let tool = Tool::of(&server);
    tool.start("one", "waits").await;
    tool.comes_to("one", "RUNNING").await;
    let restart = |id: &str| format!("{ORCHESTRATIONS}/{id}/restart");
    let same = json!({"restartWithNewInstanceId": false});
    assert_eq!(problem(&tool.post(&restart("one"), &same).await), is(409, "conflict"));
    let new = tool.post(&restart("one"), &json!({"restartWithNewInstanceId": true})).await;
    let new_id = new.text();
    assert_eq!((new.status, new_id.len()), (200, 32), "the id is the body: {new_id}");
    tool.comes_to(&new_id, "RUNNING").await;
    tool.event("one", &json!({"executionTerminated": {"reason": "enough"}})).await;
    tool.comes_to("one", "TERMINATED").await;
    let again = tool.post(&restart("one"), &same).await;
    assert_eq!((again.status, again.text()), (200, "one".to_owned()));
    tool.comes_to("one", "RUNNING").await;
    assert_eq!(problem(&tool.post(&restart("none"), &same).await), is(404, "no-such-orchestration"));

    let rewound = json!({"executionRewound": {"reason": "the truck is here"}});
    assert_eq!(problem(&tool.event("one", &rewound).await), is(409, "conflict"));
    tool.start("bad", "fails").await;
    tool.comes_to("bad", "FAILED").await;
    assert_eq!(tool.event("bad", &rewound).await.status, 202);
    worker.shutdown().await;
}

#[tokio::test]
async fn many_are_told_ended_and_purged_in_one_call_and_those_left_out_are_named() {
    let server = emulator().await;
    let worker = worker(server.client());
    let tool = Tool::of(&server);
    for id in ["a", "b", "c"] {
        tool.start(id, "waits").await;
        tool.comes_to(id, "RUNNING").await;
    }
    let suspend = json!({"executionSuspended": {"reason": "x"}});
    let many = json!({"events": {"a": suspend, "b": suspend, "none": suspend}});
    let told = tool.post(&format!("{ORCHESTRATIONS}/addhistoryevents"), &many).await;
    assert_eq!((told.status, told.json()), (200, json!(["none"])));
    tool.comes_to("a", "SUSPENDED").await;
    tool.comes_to("b", "SUSPENDED").await;
    let end = json!({"InstanceIds": ["a", "b", "none"], "Reason": "enough"});
    let ended = tool.post(&format!("{ORCHESTRATIONS}/forceterminate"), &end).await;
    assert_eq!((ended.status, ended.json()), (200, json!(["none"])));
    assert_eq!((tool.status("a").await, tool.status("b").await), ("TERMINATED".to_owned(), "TERMINATED".to_owned()));
    let purged = tool.delete(&format!("{ORCHESTRATIONS}/purge"), Some(&json!(["a", "b", "c", "none"]))).await;
    assert_eq!((purged.status, purged.json()), (200, json!({"deletedInstanceCount": 2})));
    assert_eq!(tool.ids(&json!({})).await, ["c"]);
    let terminate = json!({"executionTerminated": {"reason": "x"}});
    assert_eq!(problem(&tool.event("none", &terminate).await), is(404, "no-such-orchestration"));
    worker.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said_in_words() {
    let server = emulator().await;
    let tool = Tool::of(&server);
    let query = format!("{ORCHESTRATIONS}/query");
    let table: [(&str, Value, &str); 8] = [
        (ORCHESTRATIONS, json!({"instanceId": "x"}), "missing field `name`"),
        (ORCHESTRATIONS, json!({"name": "x", "instanceId": "@an@entity"}), "are entities"),
        (ORCHESTRATIONS, json!({"name": "x", "scheduledStartTimestamp": "soon"}), "\"soon\" is no time"),
        (&query, json!({"filter": {"orchestrationStatus": {"status": ["WALKING"]}}}), "\"WALKING\" is no status"),
        (&query, json!({"filter": {"createdAt": {"start": "yesterday"}}}), "filter.createdAt.start"),
        (&query, json!({"sort": [{"column": "COLOUR"}]}), "sort[0].column"),
        (&query, json!({"pagination": {"startIndex": 2_000_000}}), "startIndex"),
        ("/v1/taskhubs/orchestrations/x/history", json!({}), "eventRaised"),
    ];
    for (path, body, expected) in table {
        let answer = tool.post(path, &body).await;
        assert_eq!(problem(&answer), is(400, "bad-request"), "{body}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(expected), "{body}: {detail}");
    }
    let http = Http::new(server.endpoint());
    let form = [("content-type", "text/plain")];
    assert_eq!(problem(&http.call(Method::POST, &query, &form, "{}").await.unwrap()), is(415, "not-json"));
    let broken = [("content-type", "application/json")];
    assert_eq!(
        problem(&http.call(Method::POST, &query, &broken, "{\"sort\": [").await.unwrap()),
        is(400, "bad-request")
    );
    let long = json!({"name": "x", "input": "x".repeat(9 << 20)});
    assert_eq!(problem(&tool.post(ORCHESTRATIONS, &long).await), is(413, "body-too-large"));
    // What is long and still taken comes back whole.
    let input = "y".repeat(3 << 20);
    let start = json!({"name": "x", "instanceId": "long", "input": input});
    assert_eq!(tool.post(ORCHESTRATIONS, &start).await.status, 201);
    let payloads = tool.get(&format!("{ORCHESTRATIONS}/long/payloads")).await.json();
    assert!(payloads["input"].as_str() == Some(input.as_str()));
}
