//! Permits: what was approved is done once, by whoever begins it, as far as it is approved still; and through no back door twice.

use std::time::Duration;

use http::Method;
use placet_sdk::Status;
use placet_testkit::{Answer, Ended, Http, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::PLACET;

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

async fn call(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, &JSON, &body.to_string()).await.unwrap()
}

async fn post(http: &Http, path: &str, body: Value) -> Value {
    let answer = call(http, path, body.clone()).await;
    assert!(answer.status < 300, "{path} {body}: {answer:?}");
    answer.json()
}

/// A request of Ann's for this payload, which Bob has approved.
async fn approved(http: &Http, more: Value) -> String {
    let mut asked =
        json!({"requester": "ann", "item": "Pay", "approvers": ["bob"], "payload": {"to": "acme", "amount": 7}});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id = post(http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
    decide(http, &id, json!({"approver": "bob", "decision": "approve"})).await;
    id
}

async fn decide(http: &Http, id: &str, decision: Value) {
    post(http, &format!("/api/v1/requests/{id}/decisions"), decision).await;
}

async fn act(http: &Http, id: &str, what: &str, body: Value) -> Answer {
    call(http, &format!("/api/v1/requests/{id}/{what}"), body).await
}

async fn status(http: &Http, id: &str) -> Value {
    http.get(&format!("/api/v1/requests/{id}/permit")).await.unwrap().json()["status"].clone()
}

/// What the record tells of, in order.
async fn entered(http: &Http, id: &str) -> Vec<Value> {
    let record = http.get(&format!("/api/v1/requests/{id}/record")).await.unwrap().json();
    record["entries"].as_array().unwrap().iter().map(|entry| entry["entry"]["entry"].clone()).collect()
}

async fn run(server: &Server, args: &[&str]) -> Ended {
    let launch = Launch::new(PLACET).args(args).variable("PLACET_URL", server.http().base()).variable("USER", "ann");
    launch.variable("ENDPOINT", server.endpoint()).run().await.unwrap()
}

#[tokio::test]
async fn what_was_approved_is_begun_once_and_its_permit_is_checked_without_a_server() {
    for more in [json!({}), json!({"valid_for": "1h"})] {
        let server = crate::server().await;
        let http = server.http();
        let id = approved(&http, more).await;
        assert_eq!(status(&http, &id).await, "granted");
        let other = act(&http, &id, "begin", json!({"action": {"to": "acme", "amount": 8}})).await;
        assert_eq!((other.status, &other.json()["type"]), (409, &json!("urn:placet:problem:not-approved")));
        let begin = json!({"action": {"amount": 7.0, "to": "acme"}, "attempt_key": "k"});
        let begun = act(&http, &id, "begin", begin.clone()).await;
        assert_eq!((begun.status, &begun.json()["status"]), (200, &json!("begun")), "{begun:?}");
        // Killed, and asked again as whoever heard nothing would.
        let server = server.kill().await.unwrap().start().await.unwrap();
        let http = server.http();
        let again = act(&http, &id, "begin", begin.clone()).await;
        assert_eq!((again.status, again.json()), (200, begun.json()));
        let second = act(&http, &id, "begin", json!({"action": {"to": "acme", "amount": 7}})).await;
        assert_eq!((second.status, &second.json()["permit"]["begun"]["by"]), (409, &json!("ann")), "{second:?}");
        assert_eq!(act(&http, &id, "revoke", json!({"by": "bob"})).await.status, 409);
        let finish = json!({"result": {"paid": true}, "attempt_key": "k"});
        for _ in 0..2 {
            assert_eq!(act(&http, &id, "finish", finish.clone()).await.status, 200);
        }
        assert_eq!(act(&http, &id, "finish", json!({"result": "other"})).await.status, 409);
        assert_eq!(act(&http, &id, "begin", begin).await.json()["permit"], begun.json()["permit"]);
        assert_eq!(entered(&http, &id).await[4..], ["begun", "finished"]);

        let key = run(&server, &["audit", "checkpoint", "--key"]).await;
        assert_eq!(key.stdout.trim(), begun.json()["key"], "{key:?}");
        let key = key.stdout.trim().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("permit");
        let permit = begun.json()["permit"].as_str().unwrap().to_owned();
        let verify = async |text: &str, action: &str| {
            std::fs::write(&file, text).unwrap();
            let file = file.to_str().unwrap();
            Launch::new(PLACET).args(["permit", "verify", file, "--key", &key, "--action", action]).run().await.unwrap()
        };
        let good = verify(&permit, r#"{"to":"acme","amount":7}"#).await;
        assert_eq!(good.code, Some(0), "{good:?}");
        assert!(good.stdout.contains(&id) && good.stdout.contains("approved by bob"), "{good:?}");
        assert_eq!(verify(&permit, r#"{"to":"acme","amount":70}"#).await.code, Some(1));
        let forged = verify(&permit.replace("\"ann\"", "\"eve\""), "{}").await;
        assert!(forged.code == Some(1) && forged.stderr.contains("not that of its text"), "{forged:?}");
    }
}

#[tokio::test]
async fn only_what_is_approved_can_be_begun_and_only_as_it_was_approved_in_the_end() {
    let server = crate::server().await;
    let http = server.http();
    let asked = json!({"requester": "ann", "item": "x", "payload": {"amount": 7},
        "plan": {"stages": [{"seats": [{"from": ["bob"]}]}], "editable": ["/amount"]}});
    let id = post(&http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
    let early = act(&http, &id, "begin", json!({"action": {"amount": 7}})).await;
    assert_eq!((early.status, early.json()["detail"].as_str().unwrap().contains("pending")), (409, true), "{early:?}");
    let edits = json!([{"op": "replace", "path": "/amount", "value": 5}]);
    decide(&http, &id, json!({"approver": "bob", "decision": "approve", "edits": edits})).await;
    assert_eq!(act(&http, &id, "begin", json!({"action": {"amount": 7}})).await.status, 409, "as it was proposed");
    let hash = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json()["content_hash"].clone();
    for body in [json!({}), json!({"action": {"amount": 5}, "extra": 1}), json!({"content_hash": 5})] {
        assert_eq!(act(&http, &id, "begin", body).await.status, 422);
    }
    assert_eq!(act(&http, &id, "finish", json!({})).await.status, 409, "nobody has begun");
    assert_eq!(act(&http, &id, "begin", json!({"content_hash": hash, "action": {"amount": 5}})).await.status, 200);
    assert_eq!(act(&http, "nothing", "begin", json!({"action": 1})).await.status, 404);
    assert_eq!(http.get("/api/v1/requests/nothing/permit").await.unwrap().status, 404);
    let asked = json!({"requester": "ann", "item": "x", "approvers": ["bob"]});
    let rejected = post(&http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
    decide(&http, &rejected, json!({"approver": "bob", "decision": "reject"})).await;
    assert_eq!(act(&http, &rejected, "begin", json!({"action": null, "content_hash": "x"})).await.status, 409);
}

#[tokio::test]
async fn it_is_revoked_until_it_is_begun_and_lapses_if_nobody_begins_it() {
    let server = crate::server().await;
    let http = server.http();
    let id = approved(&http, json!({"valid_for": "1h"})).await;
    assert_eq!(act(&http, &id, "revoke", json!({"by": "bob", "reason": "too dear"})).await.status, 200);
    let begun = act(&http, &id, "begin", json!({"action": {"to": "acme", "amount": 7}})).await;
    assert!(begun.status == 409 && begun.json()["detail"].as_str().unwrap().ends_with(": too dear"), "{begun:?}");
    let id = approved(&http, json!({"valid_for": "1s"})).await;
    eventually("it lapses", async || (status(&http, &id).await == "lapsed").then_some(())).await;
    let is_entered = async || (entered(&http, &id).await.last() == Some(&json!("lapsed"))).then_some(());
    eventually("the record has it, though nobody has begun it", is_entered).await;
    let late = act(&http, &id, "begin", json!({"action": {"to": "acme", "amount": 7}})).await;
    assert_eq!((late.status, &late.json()["permit"]["status"]), (409, &json!("lapsed")), "{late:?}");
}

#[tokio::test]
async fn begin_and_revoke_race_and_one_wins() {
    let server = crate::server().await;
    let http = server.http();
    for _ in 0..20 {
        let id = approved(&http, json!({})).await;
        let begin = json!({"action": {"to": "acme", "amount": 7}});
        let (one, two, revoked) = tokio::join!(
            act(&http, &id, "begin", begin.clone()),
            act(&http, &id, "begin", begin.clone()),
            act(&http, &id, "revoke", json!({"by": "bob"})),
        );
        let statuses = [one.status, two.status, revoked.status];
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        let expected = if revoked.status == 200 { "revoked" } else { "begun" };
        assert_eq!(status(&http, &id).await, expected);
    }
}

#[tokio::test]
async fn no_back_door_begins_it_or_begins_it_twice() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = approved(&http, json!({"valid_for": "1h"})).await;
    let salt = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json()["content_salt"].clone();
    let permit = format!("{id}:permit:{}", &salt.as_str().unwrap()[..8]);
    let begin = json!({"act": "begin", "action": {"to": "acme", "amount": 7}});
    client.raise_event(&permit, "permit", &begin).await.unwrap();
    assert_eq!(status(&http, &id).await, "granted", "an event bears nobody's name");
    // Another permit of the same request, or one that says for itself what it is good for.
    for input in [
        json!({"request_id": id}),
        json!({"status": "granted", "grant": {
        "request_id": id, "requester": "ann", "granted_at": "2026-01-01T00:00:00Z", "not_after": "2126-01-01T00:00:00Z",
        "revision": 1, "content_hash": "", "action_hash": "", "content_salt": "", "approvers": []}}),
    ] {
        let other = client.start("placet.permit", &input).id("another").await.unwrap();
        assert_eq!(client.wait_for_completion(&other).await.unwrap().status(), Status::Failed, "{input}");
        client.purge(&other).await.unwrap();
    }
    let begin = json!({"action": {"to": "acme", "amount": 7}});
    assert_eq!(act(&http, &id, "begin", begin.clone()).await.status, 200);
    client.terminate(&permit, "enough").await.unwrap();
    client.wait_for_completion(&permit).await.unwrap();
    assert_eq!(status(&http, &id).await, "finished");
    assert!(client.purge(&permit).await.unwrap());
    assert_eq!(http.get(&format!("/api/v1/requests/{id}/permit")).await.unwrap().status, 409);
    let again = act(&http, &id, "begin", begin).await;
    assert!(again.status == 409 && again.json()["detail"].as_str().unwrap().contains("record"), "{again:?}");
    let erased = run(&server, &["erase", &id, "--yes"]).await;
    assert_eq!(erased.code, Some(0), "{erased:?}");
    assert!(entered(&http, &id).await.iter().all(Value::is_null));
    let verified = run(&server, &["audit", "verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test]
async fn a_policy_that_has_changed_since_is_asked_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("placet.toml");
    let policy = |need: u32| {
        let text = format!(
            "[users.ann]\n[users.bob]\n[users.cem]\n[policies.pay]\nvalid_for = \"2h\"\n\
             stages = [{{ seats = [{{ from = [\"bob\", \"cem\"], need = {need} }}] }}]\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    policy(1);
    let server = Launch::serve(PLACET).args(["--config", file.to_str().unwrap()]).start().await.unwrap();
    let http = server.http();
    let ask = async || {
        let asked = json!({"requester": "ann", "item": "x", "category": "pay", "payload": 1, "valid_for": "3h"});
        let id = post(&http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
        decide(&http, &id, json!({"approver": "bob", "decision": "approve"})).await;
        id
    };
    let (first, second) = (ask().await, ask().await);
    let permit = http.get(&format!("/api/v1/requests/{first}/permit")).await.unwrap().json();
    let time = |field: &str| permit[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("not_after").duration_since(time("granted_at")).as_hours(), 2, "the policy says less");
    let begun = act(&http, &first, "begin", json!({"action": 1})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    policy(2);
    let is_new = async || {
        let answer = call(&http, "/api/v1/policies/check", json!({"requester": "ann", "item": "x", "category": "pay"}));
        answer.await.text().contains("\"need\":2").then_some(())
    };
    eventually("the new policy is in force", is_new).await;
    let refused = act(&http, &second, "begin", json!({"action": 1})).await;
    assert!(refused.status == 409 && refused.json()["detail"].as_str().unwrap().contains("policy pay"), "{refused:?}");
}

/// Whoever terminates an orchestration says what its output is: a permit is what it has published.
#[tokio::test]
async fn a_permit_that_is_terminated_stays_as_it_was_whatever_its_output() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    for is_begun in [true, false] {
        let id = approved(&http, json!({"valid_for": "1h"})).await;
        let shown = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json();
        let permit = format!("{id}:permit:{}", &shown["content_salt"].as_str().unwrap()[..8]);
        let begin = |key: &str| json!({"action": {"to": "acme", "amount": 7}, "attempt_key": key});
        let first = if is_begun { Some(act(&http, &id, "begin", begin("k")).await) } else { None };
        client.wait_for_start(&permit).await.unwrap();
        let forged = json!({"status": "granted", "grant": {
            "request_id": id, "requester": "eve", "granted_at": "2026-01-01T00:00:00Z", "not_after": "2126-01-01T00:00:00Z",
            "revision": 1, "content_hash": "", "action_hash": "", "content_salt": shown["content_salt"], "approvers": []}});
        client.terminate(&permit, &forged).await.unwrap();
        client.wait_for_completion(&permit).await.unwrap();
        assert_eq!(act(&http, &id, "begin", begin("evil")).await.status, 409);
        match first {
            Some(first) => {
                let again = act(&http, &id, "begin", begin("k")).await;
                assert_eq!((again.status, &again.json()["permit"]), (200, &first.json()["permit"]), "{again:?}");
                assert_eq!(status(&http, &id).await, "finished");
            }
            None => assert_eq!(status(&http, &id).await, "revoked"),
        }
    }
}

/// A permit that is terminated before it has shown anything is taken back as well: nobody begins it anew.
#[tokio::test]
async fn a_permit_that_is_terminated_as_soon_as_it_is_there_is_revoked() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let asked = json!({"requester": "ann", "item": "Pay", "approvers": ["bob"], "valid_for": "1h"});
    let id = post(&http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
    decide(&http, &id, json!({"approver": "bob", "decision": "approve"})).await;
    let shown = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json();
    let permit = format!("{id}:permit:{}", &shown["content_salt"].as_str().unwrap()[..8]);
    eventually("the permit is there", async || client.terminate(&permit, &"stop").await.ok()).await;
    client.wait_for_completion(&permit).await.unwrap();
    let begun = act(&http, &id, "begin", json!({"content_hash": shown["content_hash"]})).await;
    assert_eq!(begun.status, 409, "{begun:?}");
    assert_eq!(status(&http, &id).await, "revoked");
}

#[tokio::test]
async fn a_result_that_nobody_could_read_and_a_name_of_two_lines_are_refused() {
    let server = crate::server().await;
    let http = server.http();
    let id = approved(&http, json!({})).await;
    let named = act(&http, &id, "begin", json!({"action": 1, "by": "eve\nhub default: request OTHER"})).await;
    assert_eq!((named.status, &named.json()["field"]), (422, &json!("by")), "{named:?}");
    let wrong = act(&http, &id, "begin", json!({"action": 1, "attempt_key": 5})).await;
    assert_eq!((wrong.status, &wrong.json()["field"]), (422, &json!("attempt_key")), "{wrong:?}");
    assert_eq!(act(&http, &id, "begin", json!({"action": {"to": "acme", "amount": 7}})).await.status, 200);
    for levels in [65, 120, 126] {
        let result: Value = serde_json::from_str(&format!("{}{}", "[".repeat(levels), "]".repeat(levels))).unwrap();
        let deep = act(&http, &id, "finish", json!({"result": result})).await;
        assert_eq!(deep.status, 422, "{levels}: {deep:?}");
    }
    assert_eq!(act(&http, &id, "finish", json!({"result": [[[1]]]})).await.status, 200);
}

#[tokio::test]
async fn one_that_was_started_too_early_is_no_hindrance_and_a_permit_outlives_its_request() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let asked = json!({"requester": "ann", "item": "x", "approvers": ["bob"], "payload": 1});
    let id = post(&http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
    let salt = eventually("a worker has begun with it", async || {
        let shown = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json();
        shown["content_salt"].as_str().map(str::to_owned)
    })
    .await;
    let permit = format!("{id}:permit:{}", &salt[..8]);
    client.start("placet.permit", &json!({"request_id": id})).id(&permit).await.unwrap();
    assert_eq!(client.wait_for_completion(&permit).await.unwrap().status(), Status::Failed);
    decide(&http, &id, json!({"approver": "bob", "decision": "approve"})).await;
    let begin = json!({"action": 1, "attempt_key": "k"});
    let begun = act(&http, &id, "begin", begin.clone()).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    assert!(client.purge(&id).await.unwrap());
    let again = act(&http, &id, "begin", begin).await;
    assert_eq!((again.status, again.json()), (200, begun.json()));
    assert_eq!(act(&http, &id, "finish", json!({"result": "done"})).await.status, 200);
}

/// A workflow that goes on for ever asks under the same id again: each is approved for itself, and of what it is about itself.
#[tokio::test]
async fn a_request_whose_id_was_used_before_has_a_permit_of_its_own() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = placet_sdk::Worker::builder(client.clone())
        .orchestration("again", async |ctx: placet_sdk::OrchestrationContext, (id, payload): (String, Value)| {
            let mut request = json!({"requester": "ann", "item": "x", "approvers": ["bob"], "valid_for": "1h"});
            if !payload.is_null() {
                request["payload"] = payload;
            }
            Ok(ctx.sub_orchestration::<Value>("placet.approval", Some(&id), &request).await?)
        })
        .start();
    for (payload, decision) in [(json!(1_000_000), "reject"), (json!(7), "approve"), (Value::Null, "approve")] {
        let id = "asks-again";
        let parent = client.start("again", &(id, &payload)).await.unwrap();
        let path = format!("/api/v1/requests/{id}");
        eventually("it is asked", async || {
            let shown = http.get(&path).await.unwrap();
            (shown.status == 200 && shown.json()["status"] == "Pending").then_some(())
        })
        .await;
        assert_eq!(http.get(&path).await.unwrap().json()["payload"], payload);
        decide(&http, id, json!({"approver": "bob", "decision": decision})).await;
        client.wait_for_completion(&parent).await.unwrap();
        let wrong = act(&http, id, "begin", json!({"action": 1_000_000})).await;
        assert_eq!(wrong.status, 409, "{wrong:?}");
        if decision == "approve" {
            let begun = act(&http, id, "begin", json!({"action": payload})).await;
            assert_eq!(begun.status, 200, "{payload}: {begun:?}");
        }
    }
    let entered = entered(&http, "asks-again").await;
    assert_eq!(entered.iter().filter(|entry| **entry == "begun").count(), 2, "{entered:?}");
    worker.shutdown().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipeline_runs_what_was_approved_once_and_the_record_has_how_it_ended() {
    let server = crate::server().await;
    let http = server.http();
    let script = "test -n \"$PLACET_PERMIT\" && echo deploying $PLACET_REQUEST_ID; exit 7";
    let pipeline = async |args: &[&str], approve: bool| {
        let launch = Launch::new(PLACET).args([&["request", "Deploy", "-a", "bob"], args].concat());
        let launch = launch.variable("PLACET_URL", http.base()).variable("USER", "ann");
        let running = tokio::spawn(async move { launch.run().await.unwrap() });
        let id = eventually("the request is there", async || {
            let page = http.get("/api/v1/requests?status=pending").await.unwrap().json();
            page["requests"][0]["request_id"].as_str().map(str::to_owned)
        })
        .await;
        let decision = if approve { "approve" } else { "reject" };
        decide(&http, &id, json!({"approver": "bob", "decision": decision})).await;
        (id, tokio::time::timeout(Duration::from_secs(60), running).await.unwrap().unwrap())
    };
    let (id, ended) = pipeline(&["--begin", "--", "sh", "-c", script], true).await;
    assert_eq!((ended.code, ended.stdout.trim()), (Some(7), format!("deploying {id}").as_str()), "{ended:?}");
    let shown = run(&server, &["permit", "show", &id]).await;
    assert!(shown.stdout.contains(r#"finished by ann at"#) && shown.stdout.contains(r#"{"exit_code":7}"#), "{shown:?}");
    let (id, ended) = pipeline(&["--begin", "--", "sh", "-c", script], false).await;
    assert_eq!((ended.code, ended.stdout.contains("deploying")), (Some(1), false), "{ended:?}");
    assert_eq!(run(&server, &["permit", "show", &id]).await.code, Some(65));
    // Asked to stop meanwhile, it passes that on and stays until it can tell how that went.
    let script = "trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.05; done";
    let (id, ended) = pipeline(&["--begin", "--", "sh", "-c", script], true).await;
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert_eq!(status(&http, &id).await, "finished");
    let (id, ended) = pipeline(&["--begin", "--", "/no/such/program"], true).await;
    assert_eq!(ended.code, Some(127), "{ended:?}");
    assert_eq!(status(&http, &id).await, "finished");
}
