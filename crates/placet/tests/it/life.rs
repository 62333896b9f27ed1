//! The life of a request through `/api/v1`: stages, groups of the configuration, what people do among themselves, and what
//! becomes of it when the server is killed in between.

use http::Method;
use placet_testkit::{Answer, Http, Launch, Server, eventually};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

const COMPANY: &str = r#"
[users.ann]
[users.ben]
[users.cem]
emails = ["cem@example.org"]
[users.dot]
[users.req]

[groups]
security = ["ann", "ben"]
finance = ["ann", "email:cem@example.org"]
nobody = []
"#;

/// A server of a company.
async fn company() -> Server {
    let launch = Launch::serve(crate::PLACET);
    std::fs::write(launch.folder().join("placet.toml"), COMPANY).unwrap();
    launch.start().await.unwrap()
}

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, &JSON, &body.to_string()).await.unwrap()
}

/// A request of `req`'s, accepted; its id.
async fn ask(http: &Http, more: Value) -> String {
    let mut body = json!({"requester": "req", "item": "Deploy 2.3"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = post(http, "/api/v1/requests", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let shown = answer.json();
    let id = shown["request_id"].as_str().unwrap().to_owned();
    assert_eq!((&shown["status"], &shown["status_detail"]), (&json!("Pending"), &json!("pending")), "{shown}");
    id
}

async fn decide(http: &Http, id: &str, approver: &str, decision: &str, more: Value) -> Answer {
    let mut body = json!({"approver": approver, "decision": decision});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(http, &format!("/api/v1/requests/{id}/decisions"), body).await
}

async fn act(http: &Http, id: &str, by: &str, act: &str, more: Value) -> Answer {
    let mut body = json!({"by": by});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(http, &format!("/api/v1/requests/{id}/{act}"), body).await
}

#[tokio::test]
async fn whoever_says_what_he_has_seen_does_nothing_to_anything_else() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, json!({"approvers": ["ann", "ben"]})).await;
    let path = format!("/api/v1/requests/{id}");
    eventually("the worker has it", async || (!look(&http, &id).await["stage"].is_null()).then_some(())).await;
    let seen = http.get(&path).await.unwrap().header("etag").unwrap().to_owned();
    let with = async |tag: &str, act: &str, body: Value| {
        let headers = [JSON[0], ("If-Match", tag)];
        http.call(Method::POST, &format!("{path}/{act}"), &headers, &body.to_string()).await.unwrap()
    };
    let comment = || json!({"by": "ben", "text": "well"});
    assert_eq!(with(&seen, "claim", json!({"by": "ann"})).await.status, 200);
    let late = with(&seen, "comment", comment()).await;
    assert_eq!((late.status, &late.json()["type"]), (412, &json!("urn:placet:problem:seen-otherwise")), "{late:?}");
    let yes = || json!({"approver": "ann", "decision": "approve"});
    assert_eq!(with(&seen, "decisions", yes()).await.status, 412);
    for no_tag in ["", "x", "\"", "\"x\", y"] {
        assert_eq!(with(no_tag, "comment", comment()).await.status, 422, "{no_tag:?}");
    }
    assert_eq!(with("*", "comment", comment()).await.status, 200);
    let seen = http.get(&path).await.unwrap().header("etag").unwrap().to_owned();
    assert_eq!(with(&format!("\"x\", {seen}"), "decisions", yes()).await.status, 200);
}

async fn look(http: &Http, id: &str) -> Value {
    let answer = http.get(&format!("/api/v1/requests/{id}")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Status, and the message or what the problem says.
#[track_caller]
fn said(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    let text = json.get("message").or_else(|| json.get("detail")).unwrap_or_else(|| panic!("{answer:?}"));
    (answer.status, text.as_str().unwrap().to_owned())
}

fn two_stages() -> Value {
    json!({"plan": {"stages": [
        {"name": "security", "seats": [{"from": ["group:security"], "need": 2}]},
        {"name": "finance", "seats": [{"from": ["group:finance"]}]},
    ], "editable": ["/amount"]}, "payload": {"amount": 9}, "details": "**now**", "category": "deploy", "tags": ["prod"]})
}

#[tokio::test]
async fn another_decision_under_the_same_key_is_told_apart() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, json!({"plan": {"stages": [{"seats": [{"from": ["ann", "ben"], "need": 2}]}]}})).await;
    let keyed = async |decision: &str, comments: &str| {
        let body = json!({"approver": "ann", "decision": decision, "comments": comments}).to_string();
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "click-1")];
        http.call(Method::POST, &format!("/api/v1/requests/{id}/decisions"), &headers, &body).await.unwrap()
    };
    let first = keyed("approve", "").await;
    let again = keyed("approve", "").await;
    assert_eq!((first.status, again.status, first.text()), (200, 200, again.text()));
    for (decision, comments) in [("reject", ""), ("approve", "more")] {
        let other = keyed(decision, comments).await;
        assert_eq!(other.status, 422, "{other:?}");
        assert!(other.json()["type"].as_str().unwrap().ends_with("idempotency-key-reused"), "{other:?}");
    }
    assert_eq!(look(&http, &id).await["stage"]["votes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn many_are_decided_at_once_and_each_is_answered_for_itself() {
    let server = company().await;
    let http = server.http();
    let alike = json!({"approvers": ["ann"]});
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(ask(&http, alike.clone()).await);
    }
    let four_eyes = json!({"plan": {"stages": [{"seats": [{"from": ["ann", "ben"], "need": 1}]}], "four_eyes": true}});
    let alone = ask(&http, four_eyes).await;
    decide(&http, &ids[1], "ann", "reject", json!({})).await;
    let named = [&ids[0], &ids[1], &ids[2], &alone, &"nothing".to_owned()];
    let mut requests: Vec<Value> = named.iter().map(|id| json!({"request_id": id})).collect();
    requests.push(json!({"request_id": ids[3], "revision": 7}));
    requests.push(json!({"request_id": ids[4], "revision": 1}));
    let body = json!({"approver": "ann", "decision": "approve", "comments": "all of it", "requests": requests});
    let answer = post(&http, "/api/v1/decisions", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.json()["results"].as_array().unwrap().clone();
    let statuses: Vec<u64> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 409, 200, 403, 404, 409, 200], "{results:?}");
    assert_eq!(
        (&results[0]["request_id"], &results[0]["answer"]["outcome"]["comments"]),
        (&json!(ids[0]), &json!("all of it"))
    );
    assert!(results[3]["answer"]["detail"].as_str().unwrap().contains("decided by itself"), "{results:?}");
    assert_eq!(look(&http, &ids[3]).await["status_detail"], "pending");
    for wrong in [json!([]), json!([{"request_id": "a", "edits": []}])] {
        let body = json!({"approver": "ann", "decision": "approve", "requests": wrong});
        assert_eq!(post(&http, "/api/v1/decisions", body).await.status, 422);
    }
}

#[tokio::test]
async fn two_stages_of_groups_are_decided_across_a_kill() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, two_stages()).await;

    let outsider = decide(&http, &id, "dot", "approve", json!({})).await;
    assert_eq!(said(&outsider), (403, "dot is not asked in this stage".to_owned()));
    let stranger = decide(&http, &id, "eve", "approve", json!({})).await;
    assert_eq!(said(&stranger), (422, "approver: there is nobody of the name \"eve\" in [users]".to_owned()));
    let own = decide(&http, &id, "req", "approve", json!({})).await;
    assert_eq!(said(&own), (403, "nobody decides what he asked for himself".to_owned()));
    let first = decide(&http, &id, "ann", "approve", json!({"comments": "fine"})).await;
    assert_eq!(said(&first), (200, "Recorded, 1 more needed".to_owned()));
    assert_eq!((&first.json()["stage"], &first.json()["more"]), (&json!(1), &json!(1)));

    let server = server.kill().await.unwrap().start().await.unwrap();
    let http = server.http();
    let shown = look(&http, &id).await;
    assert_eq!(shown["stage"]["votes"][0]["person"], "ann", "{shown}");
    assert_eq!((&shown["stage"]["more"], &shown["stage"]["name"]), (&json!(1), &json!("security")));
    assert_eq!((&shown["payload"], &shown["details"]), (&json!({"amount": 9}), &json!("**now**")));

    // The mission's own call counts like any other, and says that it does not settle it.
    let body = json!({"is_approved": true, "approver": "ben"});
    let second = post(&http, &format!("/api/approvals/{id}"), body).await;
    assert_eq!(said(&second), (200, "Recorded, 1 more needed".to_owned()));
    let shown = look(&http, &id).await;
    assert_eq!((&shown["stage"]["number"], &shown["stage"]["name"]), (&json!(2), &json!("finance")), "{shown}");
    let again = decide(&http, &id, "ben", "approve", json!({})).await;
    assert_eq!(said(&again), said(&second), "the same once more, which nobody counts");
    let gone = decide(&http, &id, "ben", "approve", json!({"stage": 2})).await;
    assert_eq!(said(&gone), (403, "ben is not asked in this stage".to_owned()));

    let edits = json!({"edits": [{"op": "replace", "path": "/amount", "value": 5}]});
    let edited = decide(&http, &id, "cem", "approve", edits).await;
    assert_eq!(said(&edited), (200, "Recorded, 2 more needed".to_owned()), "the first stage confirms it");
    let shown = look(&http, &id).await;
    assert_eq!((&shown["revision"], &shown["payload"]), (&json!(2), &json!({"amount": 5})), "{shown}");
    assert_eq!(shown["proposed"], json!({"amount": 9}));
    let old = decide(&http, &id, "ann", "approve", json!({"revision": 1})).await;
    assert_eq!((old.status, &old.json()["type"]), (409, &json!("urn:placet:problem:content-changed")));
    for who in ["ann", "ben"] {
        assert_eq!(decide(&http, &id, who, "approve", json!({"revision": 2})).await.status, 200);
    }
    let last = decide(&http, &id, "cem", "approve", json!({})).await;
    assert_eq!(said(&last), (200, "Request approved by cem".to_owned()));
    let outcome = &last.json()["outcome"];
    assert_eq!((&outcome["approved"], &outcome["revision"]), (&json!({"amount": 5}), &json!(2)), "{outcome}");
    assert_eq!(outcome["approvers"], json!(["ann", "ben", "cem"]));

    // Twice the same is the same; anything else is too late.
    assert_eq!(
        said(&decide(&http, &id, "cem", "approve", json!({})).await),
        (200, "Request approved by cem".to_owned())
    );
    assert_eq!(
        said(&decide(&http, &id, "ann", "approve", json!({})).await),
        (200, "Request approved by cem".to_owned())
    );
    assert_eq!(decide(&http, &id, "ann", "reject", json!({})).await.status, 409);
    assert_eq!(
        decide(&http, &id, "cem", "approve", json!({"comments": "else"})).await.status,
        200,
        "he is one of them"
    );
    assert_eq!(decide(&http, &id, "dot", "approve", json!({})).await.status, 409);
    assert_eq!(decide(&http, &id, "dot", "reject", json!({})).await.status, 409);
    let shown = look(&http, &id).await;
    assert_eq!((&shown["status"], &shown["status_detail"]), (&json!("Approved"), &json!("approved")), "{shown}");
    assert!(shown.get("stage").is_none());
    let missions = http.get(&format!("/api/requests/{id}")).await.unwrap().json();
    assert_eq!((&missions["status"], &missions["output"]["approver"]), (&json!("Approved"), &json!("cem")));
}

#[tokio::test]
async fn people_settle_among_themselves_who_answers() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, json!({"approvers": ["group:security"]})).await;

    assert_eq!(act(&http, &id, "ann", "claim", json!({})).await.status, 200);
    let claimed = decide(&http, &id, "ben", "approve", json!({})).await;
    assert_eq!((claimed.status, &claimed.json()["type"]), (409, &json!("urn:placet:problem:not-now")));
    assert_eq!(look(&http, &id).await["stage"]["claim"]["holder"], "ann");
    assert_eq!(act(&http, &id, "ann", "delegate", json!({"to": "dot"})).await.status, 200);
    assert_eq!(act(&http, &id, "ann", "release", json!({})).await.status, 409, "it went with the delegation");
    let question = act(&http, &id, "dot", "question", json!({"text": "Why now?"})).await;
    assert_eq!(question.status, 200, "{question:?}");
    assert_eq!(look(&http, &id).await["unanswered"][0]["text"], "Why now?");
    assert_eq!(act(&http, &id, "req", "answer", json!({"question": 1, "text": "Friday"})).await.status, 200);
    assert_eq!(act(&http, &id, "dot", "return", json!({"text": "say why"})).await.status, 200);
    assert_eq!(decide(&http, &id, "dot", "approve", json!({})).await.status, 409);
    assert_eq!(act(&http, &id, "req", "revise", json!({"details": "It is Friday."})).await.status, 200);
    let won = decide(&http, &id, "dot", "approve", json!({})).await;
    assert_eq!(said(&won), (200, "Request approved by dot".to_owned()));

    // What is wrong is told with the field, and does nothing.
    let id = ask(&http, json!({"approvers": ["group:security"]})).await;
    for (name, body, status, field) in [
        ("forward", json!({"by": "ann"}), 422, "to"),
        ("forward", json!({"by": "ann", "to": "eve"}), 422, "to"),
        ("forward", json!({"by": "ann", "to": "req"}), 422, "to"),
        ("comment", json!({"by": "ann", "text": " "}), 422, "text"),
        ("comment", json!({"by": "ann", "words": "x"}), 422, "words"),
        ("comment", json!({"text": "x"}), 422, "by"),
        ("comment", json!({"by": "eve", "text": "x"}), 422, "by"),
    ] {
        let refused = post(&http, &format!("/api/v1/requests/{id}/{name}"), body.clone()).await;
        assert_eq!((refused.status, &refused.json()["field"]), (status, &json!(field)), "{body}: {refused:?}");
    }
    assert_eq!(act(&http, &id, "ann", "dance", json!({})).await.status, 404);
    assert_eq!(act(&http, "nothing", "ann", "claim", json!({})).await.status, 404);
    let withdrawn = act(&http, &id, "req", "withdraw", json!({"text": "not needed"})).await;
    assert_eq!(said(&withdrawn), (200, "Request withdrawn by req".to_owned()));
    assert_eq!(look(&http, &id).await["status_detail"], "withdrawn");
    let late = act(&http, &id, "ann", "claim", json!({})).await;
    assert_eq!((late.status, &late.json()["outcome"]["by"]), (409, &json!("req")), "{late:?}");
}

#[tokio::test]
async fn what_nobody_could_decide_is_refused_and_who_is_overridden_is_told_by_whom() {
    let server = company().await;
    let http = server.http();
    for (approvers, seat) in [
        (json!(["group:nobody"]), "seat 1 of stage 1 needs 1 of group:nobody"),
        (json!(["user:req"]), "seat 1 of stage 1 needs 1 of user:req"),
        (json!(["group:unheard-of"]), "needs 1 of group:unheard-of"),
    ] {
        let body = json!({"requester": "req", "item": "x", "approvers": approvers});
        let refused = post(&http, "/api/v1/requests", body).await;
        let (status, text) = said(&refused);
        assert!(status == 422 && text.contains(seat), "{refused:?}");
    }
    for (field, body) in [
        ("timeout_hours", json!({"requester": "req", "item": "x", "timeout_hours": -1})),
        ("due", json!({"requester": "req", "item": "x", "due": "2001-01-01T00:00:00Z"})),
        ("links", json!({"requester": "req", "item": "x", "links": [{"url": "javascript:alert(1)"}]})),
        ("input_schema", json!({"requester": "req", "item": "x", "input_schema": {"type": "thing"}})),
        ("outcomes", json!({"requester": "req", "item": "x", "outcomes": [{"name": "approve", "is_approval": true}]})),
        ("colour", json!({"requester": "req", "item": "x", "colour": 1})),
    ] {
        let refused = post(&http, "/api/v1/requests", body).await;
        assert_eq!((refused.status, &refused.json()["field"]), (422, &json!(field)), "{refused:?}");
    }

    let id = ask(&http, json!({"approvers": ["group:security"]})).await;
    assert_eq!(act(&http, &id, "dot", "override", json!({"text": ""})).await.status, 422);
    let won = act(&http, &id, "dot", "override", json!({"text": "the site is down"})).await;
    assert_eq!(won.status, 200, "{won:?}");
    let shown = look(&http, &id).await;
    assert_eq!((&shown["status"], &shown["status_detail"]), (&json!("Approved"), &json!("approved_by_override")));
    assert_eq!(shown["outcome"]["comments"], "the site is down");
}

#[tokio::test]
async fn a_changed_configuration_counts_at_once_and_a_wrong_one_never() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, json!({"approvers": ["group:security"]})).await;
    let file = server.announced().data_dir.clone().unwrap().parent().unwrap().join("placet.toml");
    std::fs::write(&file, "[groups]\nsecurity = 7\n").unwrap();
    assert_eq!(decide(&http, &id, "dot", "approve", json!({})).await.status, 403);
    std::fs::write(&file, COMPANY.replace("security = [", "security = [\"dot\", ")).unwrap();
    let won = eventually("dot is in the group", async || {
        Some(decide(&http, &id, "dot", "approve", json!({})).await).filter(|answer| answer.status != 403)
    })
    .await;
    assert_eq!(said(&won), (200, "Request approved by dot".to_owned()));

    let wrong = Launch::serve(crate::PLACET);
    std::fs::write(wrong.folder().join("placet.toml"), "[groups]\nsecurity = 7\n").unwrap();
    let ended = wrong.run().await.unwrap();
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("placet.toml") && ended.stderr.contains("line 2"), "{}", ended.stderr);
}

#[tokio::test]
async fn nobody_decides_in_anothers_name_by_raising_an_event() {
    let server = company().await;
    let (http, client) = (server.http(), server.client());
    let id = ask(&http, json!({"approvers": ["user:ann"]})).await;
    let forged = json!({"is_approved": true, "approver": "ann", "principal": "{\"person\":\"ann\"}"});
    client.raise_event(&id, "approval_response", &forged).await.unwrap();
    let asked = client.ask(&id, "approval_response", &forged).await.unwrap();
    let placet_sdk::Answer::Reply(reply) = asked else { panic!("{asked:?}") };
    assert!(reply.contains("forbidden"), "{reply:?}");
    assert_eq!(look(&http, &id).await["status"], "Pending");
    assert_eq!(decide(&http, &id, "ann", "reject", json!({})).await.status, 200);
}

#[tokio::test]
async fn nobody_starts_a_request_in_the_middle_or_over_another_ones_rows() {
    let server = company().await;
    let (http, client) = (server.http(), server.client());
    let id = ask(&http, json!({"approvers": ["user:ann"]})).await;
    let due = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let forged = json!({
        "rules": 2, "request_id": id, "asked": {"requester": "req", "item": "x"}, "submitted_at": due, "due": due,
        "outcome": {"status": "Approved", "request_id": id, "processed_at": due, "approver": "ann", "comments": ""},
    });
    for tags in [json!({}), json!({"placet.continued": ""})] {
        let tags: std::collections::BTreeMap<String, String> = serde_json::from_value(tags).unwrap();
        match client.start("placet.approval", &forged).tags(tags.clone()).await {
            Ok(started) => {
                let done = client.wait_for_completion(&started).await.unwrap();
                assert_eq!(done.status(), placet_sdk::Status::Failed, "{done:?}");
            }
            Err(error) => assert!(!tags.is_empty() && error.to_string().contains("placet.continued"), "{error}"),
        }
    }
    assert_eq!(look(&http, &id).await["status"], "Pending");
}

#[tokio::test]
async fn an_abstention_says_nothing_to_another_program() {
    let server = company().await;
    let (http, client) = (server.http(), server.client());
    let worker = placet_sdk::Worker::builder(client.clone())
        .orchestration("asks", async |ctx: placet_sdk::OrchestrationContext, (): ()| {
            let said = ctx.external_event::<Value>("approval_response").await?;
            Ok(said)
        })
        .start();
    let id = client.start("asks", &()).await.unwrap();
    client.wait_for_start(&id).await.unwrap();
    for body in [
        json!({"approver": "ann", "decision": "abstain"}),
        json!({"approver": "ann", "decision": "approve", "revision": 1}),
    ] {
        let refused = post(&http, &format!("/api/v1/requests/{id}/decisions"), body).await;
        assert_eq!(
            (refused.status, &refused.json()["type"]),
            (409, &json!("urn:placet:problem:not-now")),
            "{refused:?}"
        );
    }
    assert_eq!(act(&http, &id, "ann", "claim", json!({})).await.status, 409);
    assert_eq!(decide(&http, &id, "ann", "approve", json!({})).await.status, 200);
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<Value>().unwrap().unwrap()["is_approved"], true);
    worker.shutdown().await;
}

#[tokio::test]
async fn votes_are_carried_over_into_the_next_generation() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, two_stages()).await;
    assert_eq!(decide(&http, &id, "ann", "approve", json!({})).await.status, 200);
    for number in 0..60 {
        assert_eq!(act(&http, &id, "dot", "comment", json!({"text": format!("{number}")})).await.status, 200);
    }
    assert_eq!(
        said(&decide(&http, &id, "ann", "approve", json!({})).await),
        (200, "Recorded, 1 more needed".to_owned())
    );
    assert_eq!(decide(&http, &id, "ben", "approve", json!({})).await.json()["stage"], 2);
    let rejected = decide(&http, &id, "cem", "reject", json!({"comments": "no"})).await;
    assert_eq!(said(&rejected), (200, "Request rejected by cem".to_owned()));
}

#[tokio::test]
async fn who_asks_twice_under_one_key_asks_once() {
    let server = company().await;
    let http = server.http();
    let keyed = async |key: &str, body: Value| {
        let headers = [JSON[0], ("Idempotency-Key", key)];
        http.call(Method::POST, "/api/v1/requests", &headers, &body.to_string()).await.unwrap()
    };
    let body = json!({"requester": "req", "item": "Deploy", "approvers": ["ann"], "timeout": "3d"});
    let first = keyed("k-1", body.clone()).await;
    let id = first.json()["request_id"].clone();
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("location").unwrap(), format!("{}/api/v1/requests/{}", http.base(), id.as_str().unwrap()));
    let again = keyed("k-1", body.clone()).await;
    assert_eq!((again.status, &again.json()["request_id"], &again.json()["due"]), (200, &id, &first.json()["due"]));
    let other = keyed("k-1", json!({"requester": "req", "item": "Destroy", "approvers": ["ann"]})).await;
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("urn:placet:problem:idempotency-key-reused")));
    let others = keyed("k-1", json!({"requester": "dot", "item": "Deploy", "approvers": ["ann"]})).await;
    assert_eq!(others.status, 201, "another requester's keys are his own");
    assert_eq!(keyed("", body).await.status, 422);

    // The same one racing itself is there once.
    let body = json!({"requester": "req", "item": "Race", "approvers": ["ann"]});
    let answers = futures_util::future::join_all((0..8).map(|_| keyed("k-2", body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.json()["request_id"] == answers[0].json()["request_id"]));
}

#[tokio::test]
async fn whoever_waits_is_told_when_it_is_decided_and_who_knows_it_is_told_that() {
    let server = company().await;
    let http = server.http();
    let id = ask(&http, json!({"approvers": ["ann"]})).await;
    let path = format!("/api/v1/requests/{id}");
    let waiting = tokio::spawn({
        let (http, path) = (http.clone(), format!("{path}?wait=30s"));
        async move { http.get(&path).await.unwrap() }
    });
    let since = std::time::Instant::now();
    assert_eq!(http.get(&format!("{path}?wait=1")).await.unwrap().json()["status"], "Pending");
    assert!(since.elapsed().as_secs() >= 1);
    assert_eq!(decide(&http, &id, "ann", "approve", json!({})).await.status, 200);
    assert_eq!(waiting.await.unwrap().json()["status"], "Approved");
    let known = http.get(&path).await.unwrap();
    let tag = known.header("etag").unwrap();
    let again = http.call(Method::GET, &path, &[("If-None-Match", &tag)], "").await.unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0), "{again:?}");
    assert_eq!(http.get(&format!("{path}?wait=soon")).await.unwrap().json()["field"], "wait");
}
