//! The record: what happened to requests, as it is read, checked, exported, signed and erased, from a running server and
//! without one; and whatever is done to it behind the server's back.

use std::path::Path;

use http::Method;
use placet_testkit::{Ended, Http, Launch, Server, eventually};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::PLACET;

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

async fn run(server: &Server, args: &[&str]) -> Ended {
    Launch::new(PLACET).args(args).variable("ENDPOINT", server.endpoint()).run().await.unwrap()
}

async fn post(http: &Http, path: &str, body: Value) -> Value {
    let answer = http.call(Method::POST, path, &JSON, &body.to_string()).await.unwrap();
    assert!(answer.status < 300, "{path} {body}: {answer:?}");
    answer.json()
}

async fn ask(http: &Http, item: &str, approvers: &[&str]) -> String {
    let asked = json!({"requester": "alice", "item": item, "approvers": approvers, "payload": {"amount": 9}});
    post(http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned()
}

async fn decide(http: &Http, id: &str, who: &str, decision: &str) {
    let path = format!("/api/v1/requests/{id}/decisions");
    post(http, &path, json!({"approver": who, "decision": decision, "comments": "seen"})).await;
}

async fn entries(http: &Http, id: &str) -> Vec<Value> {
    let answer = http.get(&format!("/api/v1/requests/{id}/record")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["entries"].as_array().unwrap().clone()
}

/// Of each entry what it tells of, and who.
fn told(entries: &[Value]) -> Vec<String> {
    let one = |entry: &Value| {
        let entry = &entry["entry"];
        format!("{} {}", entry["entry"].as_str().unwrap_or("erased"), entry["by"].as_str().unwrap_or("-"))
    };
    entries.iter().map(one).collect()
}

#[tokio::test]
async fn what_happened_is_in_the_record_and_outlives_its_request() {
    let server = crate::server().await;
    let http = server.http();
    let id = ask(&http, "A chair", &["bob", "zoe"]).await;
    post(&http, &format!("/api/v1/requests/{id}/claim"), json!({"by": "zoe"})).await;
    decide(&http, &id, "zoe", "approve").await;
    decide(&http, &id, "zoe", "approve").await;
    let expected = ["requested -", "asked -", "said zoe", "said zoe", "ended -"];
    let found = entries(&http, &id).await;
    assert_eq!(told(&found), expected);
    let shown = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json();
    assert_eq!(found[4]["entry"]["outcome"], shown["outcome"]);
    let hash = shown["content_hash"].as_str().unwrap();
    assert_eq!((hash.len(), &found[0]["entry"]["content_hash"]), (64, &shown["content_hash"]));
    // On a content that was shown: another one is told apart.
    let other = ask(&http, "Another", &["bob"]).await;
    let decision = json!({"approver": "bob", "decision": "approve", "content_hash": hash});
    let path = format!("/api/v1/requests/{other}/decisions");
    let answer = http.call(Method::POST, &path, &JSON, &decision.to_string()).await.unwrap();
    assert_eq!((answer.status, answer.json()["revision"].is_null()), (409, true), "{answer:?}");
    // Gone, and killed.
    assert!(server.client().purge(&id).await.unwrap());
    let server = server.kill().await.unwrap().start().await.unwrap();
    assert_eq!(entries(&server.http(), &id).await, found);
    let verified = run(&server, &["audit", "verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.stdout.starts_with("hub default: 7 entries in 2 chains"), "{verified:?}");
    let nobodys = server.http().get("/api/v1/requests/nothing/record").await.unwrap();
    assert_eq!(nobodys.status, 404);
}

#[tokio::test]
async fn an_export_is_checked_without_a_server_and_its_first_bad_entry_is_named() {
    let server = crate::server().await;
    let http = server.http();
    let id = ask(&http, "Ünïcode \u{202e} chair", &["bob"]).await;
    decide(&http, &id, "bob", "reject").await;
    let key = run(&server, &["audit", "checkpoint", "--key"]).await.stdout.trim().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let export = file("export.jsonl");
    let exported = run(&server, &["audit", "export", "-o", &export]).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let kept = run(&server, &["audit", "checkpoint"]).await.stdout;
    std::fs::write(file("kept"), &kept).unwrap();
    drop(server);

    let verify = async |args: &[&str]| {
        let args = [&["audit", "verify"], args].concat();
        let ended = Launch::new(PLACET).args(args).run().await.unwrap();
        (ended.code, [ended.stdout, ended.stderr].concat())
    };
    let (code, said) = verify(&[&export, "--key", &key, "--checkpoint", &file("kept")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("4 entries in 1 chain,") && said.contains(&key) && !said.contains("believed"), "{said}");
    let text = std::fs::read_to_string(&export).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6);
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().join("\n");
    let other_key = "placet/default+00000000+AAAA";
    let moved = lines[2].replace(&id, "somebody-elses");
    let entry_5 = lines[4].replace("\"number\":4", "\"number\":5");
    let table: [(String, &str, i32); 10] = [
        (
            [&lines[..2], &[moved.as_str()], &lines[3..]].concat().join("\n"),
            "entry 2 is of a request that belongs to another",
            1,
        ),
        ([&lines[..5], &[entry_5.as_str()], &lines[5..]].concat().join("\n"), "entry 5 is signed by no checkpoint", 1),
        ([&lines[..], &lines[1..2]].concat().join("\n"), "an export ends with its checkpoint", 65),
        (text.replace(r#"is_approved\":false"#, r#"is_approved\":true"#), "entry 3 is not what was written", 1),
        (text.replace("Ünïcode", "Unicode"), "entry 1 is not what was written", 1),
        (without(2), "entry 3 stands where 2 must", 1),
        (without(4), "has 3 entries, and checkpoint 1 has signed 4: its end is missing", 1),
        ([lines[0], lines[5]].join("\n"), "has 0 entries", 1),
        (without(5), "it was cut off", 65),
        (without(0), "begins with its hub", 65),
    ];
    for (changed, expected, expected_code) in table {
        std::fs::write(&export, &changed).unwrap();
        let (code, said) = verify(&[&export]).await;
        assert!(code == Some(expected_code) && said.contains(expected), "{code:?} {said}, not {expected}");
    }
    std::fs::write(&export, text.replace("\\nnumber 1\\n", "\\nnumber 2\\n")).unwrap();
    let (code, said) = verify(&[&export]).await;
    assert!(code == Some(1) && said.contains("it was changed, or signed by another key"), "{said}");
    let (code, said) = verify(&[&export, "--key", other_key]).await;
    assert!(code == Some(64) && said.contains("no verifier key"), "{said}");
}

#[tokio::test]
async fn a_request_that_is_terminated_is_withdrawn_for_everybody_who_looks() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = ask(&http, "A chair", &["bob", "zoe"]).await;
    eventually("it is entered", async || {
        let answer = http.get(&format!("/api/v1/requests/{id}/record")).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
    client.terminate(&id, &"no longer needed").await.unwrap();
    client.wait_for_completion(&id).await.unwrap();
    let found = entries(&http, &id).await;
    assert_eq!(told(&found), ["requested -", "asked -", "ended -"]);
    let outcome = &found[2]["entry"]["outcome"];
    assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("Withdrawn"), &json!("no longer needed")));
    assert_eq!(found[2]["entry"]["at"], outcome["withdrawn_at"]);
    let shown = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json();
    assert_eq!((&shown["status_detail"], &shown["outcome"]), (&json!("withdrawn"), outcome));
    let open = http.get("/api/v1/requests?status=pending").await.unwrap().json();
    assert_eq!(open["requests"], json!([]));
    // The mission's four words.
    let shown = http.get(&format!("/api/requests/{id}")).await.unwrap().json();
    assert_eq!((&shown["status"], &shown["status_detail"]), (&json!("Rejected"), &json!("withdrawn")));
    // One that no worker has begun with.
    let later = client.start("placet.approval", &json!({"requester": "a", "item": "b"})).id("later");
    let id = later.at(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).await.unwrap();
    client.terminate(&id, &"not at all").await.unwrap();
    client.wait_for_completion(&id).await.unwrap();
    let shown = http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json();
    assert_eq!(shown["status_detail"], "withdrawn");
}

/// Whoever has the file and knows its format changes it as he likes, sums and links included.
fn tamper(folder: &Path, statements: &str) {
    let path = folder.join("placet-data").join("placet.db");
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
}

#[tokio::test]
async fn a_record_that_was_cut_off_is_signed_no_more() {
    let server = crate::server().await;
    let http = server.http();
    let id = ask(&http, "A chair", &["bob"]).await;
    decide(&http, &id, "bob", "reject").await;
    eventually("it is entered", async || (entries(&http, &id).await.len() == 4).then_some(())).await;
    // In good order: what was entered is signed by then.
    let (_, launch) = server.stop_to_restart().await.unwrap();
    tamper(launch.folder(), "DELETE FROM entry WHERE number = 4");
    let server = launch.start().await.unwrap();
    let data = server.announced().data_dir.clone().unwrap();
    let export = data.join("export.jsonl").to_str().unwrap().to_owned();
    std::fs::write(&export, "an earlier one").unwrap();
    for command in [&["audit", "verify"][..], &["audit", "export", "-o", &export], &["audit", "checkpoint"]] {
        let ended = run(&server, command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = "the record is not what checkpoint 1 says: entry 4 of chain";
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    assert_eq!(std::fs::read_to_string(&export).unwrap(), "an earlier one");
    // Whatever else is done to it, people decide.
    let other = ask(&server.http(), "Another", &["bob"]).await;
    decide(&server.http(), &other, "bob", "approve").await;

    // Nor if the checkpoint is taken away, too; somebody who may says so, and it is seen.
    let (_, launch) = server.stop_to_restart().await.unwrap();
    tamper(launch.folder(), "DELETE FROM record WHERE kind = 'checkpoint'");
    let server = launch.start().await.unwrap();
    let ended = run(&server, &["audit", "checkpoint"]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("is missing, or not signed by its key"), "{ended:?}");
    let ended = run(&server, &["audit", "checkpoint", "--anew"]).await;
    assert!(
        ended.code == Some(0) && ended.stdout.contains("number 1\n") && ended.stdout.contains("before -\n"),
        "{ended:?}"
    );
    assert_eq!(run(&server, &["audit", "verify"]).await.code, Some(0));
    // A key that cannot be had is not taken for none.
    let (_, launch) = server.stop_to_restart().await.unwrap();
    std::fs::remove_file(launch.folder().join("placet-data").join("master.key")).unwrap();
    let server = launch.start().await.unwrap();
    let ended = run(&server, &["audit", "checkpoint"]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("put back the file `master.key`"), "{ended:?}");
}

#[tokio::test]
async fn nothing_is_signed_where_nothing_was_entered() {
    let server = crate::server().await;
    let ended = run(&server, &["audit", "verify", "--taskhub", "nobodys"]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("nothing has been entered"), "{ended:?}");
    let hubs = server.http().get("/v1/taskhubs").await.unwrap();
    assert!(!hubs.text().contains("nobodys"), "{hubs:?}");
}

/// Edits that replace a payload almost as long as one may be: the record has it as it was sent and as it was approved.
#[tokio::test]
async fn a_long_payload_that_an_approver_changes_is_entered_whole() {
    let server = crate::server().await;
    let http = server.http();
    let text = |letter: &str| letter.repeat(900 << 10);
    let plan = json!({"stages": [{"seats": [{"from": ["bob"], "need": 1}]}], "editable": ["/text"]});
    let asked = json!({"requester": "alice", "item": "A text", "plan": plan, "payload": {"text": text("a")}});
    let id = post(&http, "/api/v1/requests", asked).await["request_id"].as_str().unwrap().to_owned();
    let edits = json!([{"op": "replace", "path": "/text", "value": text("b")}]);
    let path = format!("/api/v1/requests/{id}/decisions");
    let told = post(&http, &path, json!({"approver": "bob", "decision": "approve", "edits": edits})).await;
    assert_eq!(told["outcome"]["status"], "Approved");
    let found = entries(&http, &id).await;
    assert_eq!(found.last().unwrap()["entry"]["outcome"]["approved"]["text"].as_str().unwrap().len(), 900 << 10);
    assert_eq!(run(&server, &["audit", "verify"]).await.code, Some(0));
}

#[tokio::test]
async fn what_is_erased_is_nowhere_any_more_and_the_chain_is_whole() {
    let server = crate::server().await;
    let http = server.http();
    let open = ask(&http, "Open", &["bob"]).await;
    let first = ask(&http, "A secret chair", &["bob"]).await;
    decide(&http, &first, "bob", "reject").await;
    let second = ask(&http, "Another chair", &["bob", "zoe"]).await;
    decide(&http, &second, "zoe", "approve").await;
    let kept = run(&server, &["audit", "checkpoint"]).await.stdout;
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note").to_str().unwrap().to_owned();
    std::fs::write(&note, kept).unwrap();
    let verified = async || {
        let ended = run(&server, &["audit", "verify", "--checkpoint", &note]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };

    let refused = run(&server, &["erase", &first]).await;
    assert!(refused.code == Some(64) && refused.stderr.contains("--yes"), "{refused:?}");
    let refused = run(&server, &["erase", &open, "--yes"]).await;
    assert!(refused.code == Some(65) && refused.stderr.contains("is open"), "{refused:?}");
    let erased = run(&server, &["erase", &first, "--yes"]).await;
    assert_eq!(erased.stdout, format!("{first}: erased\n"), "{erased:?}");
    assert_eq!(told(&entries(&http, &first).await), ["erased -"; 4]);
    assert_eq!(http.get(&format!("/api/v1/requests/{first}")).await.unwrap().status, 404);
    verified().await;

    let erased = run(&server, &["erase", "--person", "user:bob", "--yes"]).await;
    assert!(erased.stdout.starts_with("bob: erased from the record of 1 "), "{erased:?}");
    assert!(erased.code == Some(1) && erased.stderr.contains(&open), "{erased:?}");
    let left = entries(&http, &second).await;
    assert_eq!(told(&left), ["requested -", "asked -", "said zoe", "ended -"]);
    assert_eq!(left[1]["entry"]["seats"][0]["from"], json!(["user:~1", "user:zoe"]));
    verified().await;
    let export = run(&server, &["audit", "export"]).await.stdout;
    assert!(!export.contains("secret"), "{export}");
    let bobs = export.lines().filter(|line| line.contains("bob"));
    assert!(bobs.clone().all(|line| line.contains(&open)) && bobs.count() > 0, "{export}");
}
