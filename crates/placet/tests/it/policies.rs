//! Policies: what the file says binds whoever asks, however he does; a request keeps the policy that it began with; and `placet
//! policy check` tells beforehand.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use placet_sdk::{OrchestrationContext, Worker};
use placet_testkit::{Answer, Ended, Http, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::PLACET;

const FILE: &str = r#"
[groups]
managers = ["max"]
finance = ["fay"]

[policies.expense]
timeout = "2d"
timeout_max = "5d"
details = "Pay **{payload.amount}**?"

[[policies.expense.stages]]
name = "manager"
seats = [{ from = ["group:managers"] }]

[[policies.expense.stages]]
name = "finance"
when = "payload.amount > 1000"
seats = [{ from = ["group:finance"] }]
"#;

const DEFAULT: &str = "\n[policies.default]\nstages = [{ seats = [{ from = [\"group:managers\"] }] }]\n";

async fn server(file: &str) -> Server {
    let launch = Launch::serve(PLACET);
    std::fs::write(launch.folder().join("placet.toml"), file).unwrap();
    launch.start().await.unwrap()
}

/// The file of a server.
fn file(server: &Server) -> PathBuf {
    server.announced().data_dir.clone().unwrap().parent().unwrap().join("placet.toml")
}

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, &[("Content-Type", "application/json")], &body.to_string()).await.unwrap()
}

fn expense(amount: u32) -> Value {
    json!({"requester": "ann", "item": "Laptop", "category": "expense", "payload": {"amount": amount}})
}

async fn ask(http: &Http, body: Value) -> String {
    let answer = post(http, "/api/v1/requests", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["request_id"].as_str().unwrap().to_owned()
}

async fn approve(http: &Http, id: &str, approver: &str) -> Answer {
    post(http, &format!("/api/v1/requests/{id}/decisions"), json!({"approver": approver, "decision": "approve"})).await
}

async fn look(http: &Http, id: &str) -> Value {
    http.get(&format!("/api/v1/requests/{id}")).await.unwrap().json()
}

/// The request, once its worker shows it.
async fn begun(http: &Http, id: &str) -> Value {
    eventually("the request has begun", async || Some(look(http, id).await).filter(|shown| !shown["stage"].is_null()))
        .await
}

#[tokio::test]
async fn what_a_request_needs_follows_from_what_it_says_and_is_told_beforehand() {
    let server = server(FILE).await;
    let http = server.http();
    for (amount, stages) in [(900, 1), (1_200, 2)] {
        let told = post(&http, "/api/v1/policies/check", expense(amount)).await;
        assert_eq!(told.status, 200, "{told:?}");
        let told = told.json();
        assert_eq!(told["plan"]["stages"].as_array().unwrap().len(), stages, "{told}");
        let id = ask(&http, expense(amount)).await;
        let shown = begun(&http, &id).await;
        assert_eq!((&shown["policy"], &shown["details"]), (&told["plan"]["policy"], &told["details"]), "{shown}");
        assert_eq!((&shown["stage"]["of"], &shown["details"]), (&json!(stages), &json!(format!("Pay **{amount}**?"))));
        let length = crate::time_of(&shown["due"]).duration_since(crate::time_of(&shown["submitted_at"])).unwrap();
        assert!(length.as_secs().abs_diff(172_800) <= 2, "{length:?}");
        assert_eq!(approve(&http, &id, "fay").await.status, 403);
        assert_eq!(approve(&http, &id, "max").await.status, 200);
        if stages == 2 {
            assert_eq!(look(&http, &id).await["status"], "Pending");
            assert_eq!(approve(&http, &id, "fay").await.status, 200);
        }
        assert_eq!(look(&http, &id).await["status"], "Approved");
    }
    let free = post(&http, "/api/v1/policies/check", json!({"requester": "ann", "item": "Tea"})).await.json();
    assert_eq!(
        (&free["plan"].get("policy"), &free["plan"]["stages"][0]["seats"][0]["from"]),
        (&None, &json!(["anyone"]))
    );
}

#[tokio::test]
async fn what_the_policy_does_not_take_is_refused_with_the_field_before_anything_begins() {
    let server = server(FILE).await;
    let http = server.http();
    for (more, field, remedy) in [
        (json!({"approvers": ["bob"]}), "approvers", "policy expense: it says who decides"),
        (json!({"plan": {"stages": [{"seats": [{"from": ["bob"]}]}]}}), "plan", "leave the plan out"),
        (json!({"timeout": "6d"}), "timeout", "policy expense: must be"),
        (json!({"payload": {"sum": 1}}), "payload", "\"payload.amount > 1000\""),
    ] {
        let mut body = expense(1);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for path in ["/api/v1/requests", "/api/v1/policies/check"] {
            let refused = post(&http, path, body.clone()).await;
            let problem = refused.json();
            assert_eq!((refused.status, &problem["field"]), (422, &json!(field)), "{problem}");
            assert!(problem["detail"].as_str().unwrap().contains(remedy), "{problem}");
        }
    }
}

#[tokio::test]
async fn whoever_starts_a_request_without_the_api_is_bound_as_well() {
    let server = server(FILE).await;
    let (http, client) = (server.http(), server.client());
    let id = client.start("placet.approval", &expense(5_000)).await.unwrap();
    assert_eq!(begun(&http, &id).await["stage"]["of"], 2);
    let event = json!({"is_approved": true, "approver": "max"});
    client.raise_event(&id, "approval_response", &event).await.unwrap();
    assert_eq!(approve(&http, &id, "ann").await.status, 403);
    assert_eq!(approve(&http, &id, "max").await.status, 200);

    let mut own = expense(5_000);
    own["approvers"] = json!(["ann"]);
    let id = client.start("placet.approval", &own).await.unwrap();
    let failed = client.wait_for_completion(&id).await.unwrap();
    let failure = failed.failure().unwrap().message().to_owned();
    assert_eq!(failure, "approvers: policy expense: it says who decides: leave them out");

    // In the form in which the first release handed a request over, which nobody vouches for.
    let due = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let mut forged = json!({
        "rules": 1, "request_id": "x", "asked": expense(5_000), "submitted_at": due, "due": due,
        "plan": {"stages": [{"seats": [{"from": ["ann"]}]}]},
    });
    let id = client.start("placet.approval", &forged).await.unwrap();
    assert_eq!(begun(&http, &id).await["stage"]["seats"][0]["from"], json!(["group:managers"]));
    forged["asked"]["category"] = json!("free");
    forged["plan"]["policy"] = json!({"name": "expense", "digest": "0"});
    let id = client.start("placet.approval", &forged).await.unwrap();
    let failed = client.wait_for_completion(&id).await.unwrap();
    assert!(failed.failure().unwrap().message().contains("not for whoever asks to say"), "{failed:?}");

    // As a child of any program's.
    let worker = Worker::builder(client.clone())
        .orchestration("buys", async |ctx: OrchestrationContext, (): ()| {
            let outcome = ctx.sub_orchestration::<Value>("placet.approval", Some("child"), &expense(5_000)).await?;
            Ok(outcome)
        })
        .start();
    let parent = client.start("buys", &()).await.unwrap();
    eventually("the child has begun", async || client.get("child").await.unwrap()).await;
    assert_eq!(begun(&http, "child").await["stage"]["of"], 2);
    assert_eq!(approve(&http, "child", "max").await.status, 200);
    assert_eq!(approve(&http, "child", "fay").await.status, 200);
    let done = client.wait_for_completion(&parent).await.unwrap();
    assert_eq!(done.output::<Value>().unwrap().unwrap()["status"], "Approved");
    worker.shutdown().await;
}

#[tokio::test]
async fn a_request_keeps_the_policy_that_it_began_with_whatever_the_file_says_later() {
    let before = server(FILE).await;
    let http = before.http();
    let old = ask(&http, expense(5_000)).await;
    let version = begun(&http, &old).await["policy"].clone();
    let plain = post(&http, "/api/requests", json!({"requester": "ann", "item": "Tea"})).await.json();
    let plain = plain["request_id"].as_str().unwrap();
    before.client().wait_for_start(plain).await.unwrap();
    let path = file(&before);

    // One with an error changes nothing.
    std::fs::write(&path, FILE.replace("payload.amount >", "payload.amount >>")).unwrap();
    let log = || std::fs::read_to_string(path.with_file_name("stderr.txt")).unwrap();
    let is_told = async || (log().contains("line 17") && log().contains("stays in force")).then_some(());
    eventually("the log names line and remedy", is_told).await;
    // sleep: what must not happen has had its time.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(log().matches("line 17").count(), 1, "that it was read is no change of it: {}", log());
    assert_eq!(begun(&http, &ask(&http, expense(1_200)).await).await["policy"], version);

    // Nor does one that is emptied first, as it is when it is written anew.
    std::fs::write(&path, "").unwrap();
    eventually("the log tells of the empty file", async || log().contains("is empty").then_some(())).await;
    assert_eq!(begun(&http, &ask(&http, expense(1_200)).await).await["policy"], version);
    // Nor does half a one, which may say something, too.
    let mut half = std::fs::File::create(&path).unwrap();
    half.write_all(b"[groups]\n").unwrap();
    // sleep: it must not be read meanwhile.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(begun(&http, &ask(&http, expense(1_200)).await).await["policy"], version);
    half.write_all(FILE.trim_start().strip_prefix("[groups]\n").unwrap().as_bytes()).unwrap();
    drop(half);

    // Another one, and everything is read from the disk again.
    let changed = FILE.replace("> 1000", "> 9000").replace("[\"fay\"]", "[\"fay\", \"fred\"]") + DEFAULT;
    std::fs::write(&path, changed).unwrap();
    let after = before.kill().await.unwrap().start().await.unwrap();
    let http = after.http();
    let new = begun(&http, &ask(&http, expense(5_000)).await).await;
    assert_eq!(new["stage"]["of"], 1, "{new}");
    assert_ne!(new["policy"], version);
    let shown = look(&http, &old).await;
    assert_eq!((&shown["stage"]["of"], &shown["policy"]), (&json!(2), &version), "{shown}");
    assert_eq!(approve(&http, &old, "max").await.status, 200);
    assert_eq!(approve(&http, &old, "fred").await.status, 200);
    assert_eq!(look(&http, &old).await["status"], "Approved");
    // What began without a policy goes on without one; what begins now is the default's.
    assert_eq!(approve(&http, plain, "anybody").await.status, 200);
    let bound = post(&http, "/api/requests", json!({"requester": "ann", "item": "Tea"})).await.json();
    let bound = bound["request_id"].as_str().unwrap();
    assert_eq!(begun(&http, bound).await["policy"]["name"], "default");
    assert_eq!(approve(&http, bound, "anybody").await.status, 403);
    assert_eq!(approve(&http, bound, "max").await.status, 200);
}

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies")
}

async fn check(args: &[&str]) -> Ended {
    Launch::new(PLACET).args([&["policy", "check"], args].concat()).run().await.unwrap()
}

#[tokio::test]
async fn a_shell_is_told_what_the_worked_policies_need() {
    for (name, said) in [
        (
            "expense",
            &["policy expense (", "stage 1    manager: 1 of group:managers", "stage 2    finance: 1 of group:finance"]
                [..],
        ),
        (
            "content-moderation",
            &[
                "policy content-moderation (",
                "stage 2    trust and safety: 2 of group:trust",
                "then       it is rejected",
            ],
        ),
        (
            "change",
            &[
                "policy change (",
                "1 of group:developers, and 1 of group:databases",
                "on call: 1 of group:on-call",
                "critical   yes",
            ],
        ),
        ("access", &["policy access (", "stage 2    security: 60% of group:security"]),
    ] {
        let path = |ending: &str| examples().join(format!("{name}.{ending}")).to_str().unwrap().to_owned();
        let ended = check(&["--file", &path("toml"), &path("json")]).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        assert!(said.iter().all(|part| ended.stdout.contains(part)), "{}", ended.stdout);
        let json = check(&["--file", &path("toml"), "--json", &path("json")]).await;
        let needs: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(needs["plan"]["policy"]["name"], name);
        let alone = check(&["--file", &path("toml")]).await;
        assert!(alone.code == Some(0) && alone.stdout.ends_with(&format!("can be taken: {name}\n")), "{alone:?}");
    }
}

#[tokio::test]
async fn a_shell_is_told_what_is_wrong_with_a_request_or_a_file() {
    let launch = Launch::new(PLACET).args(["policy", "check", "--file", "placet.toml", "request.json"]);
    std::fs::write(launch.folder().join("placet.toml"), FILE).unwrap();
    std::fs::write(launch.folder().join("request.json"), json!({"item": "x"}).to_string()).unwrap();
    let ended = launch.run().await.unwrap();
    assert_eq!(ended.code, Some(65), "{ended:?}");
    assert!(ended.stderr.contains("request.json: missing field `requester`"), "{ended:?}");

    let launch = Launch::new(PLACET).args(["policy", "check", "request.json"]);
    std::fs::write(launch.folder().join("placet.toml"), FILE).unwrap();
    let mut body = expense(5);
    body["payload"] = json!({"amount": "five"});
    std::fs::write(launch.folder().join("request.json"), body.to_string()).unwrap();
    let ended = launch.run().await.unwrap();
    assert_eq!(ended.code, Some(65), "{ended:?}");
    assert!(ended.stderr.contains("payload: policy expense: stage 2 asks \"payload.amount > 1000\""), "{ended:?}");

    let launch = Launch::new(PLACET).args(["policy", "check"]);
    std::fs::write(launch.folder().join("placet.toml"), FILE.replace("timeout_max", "timeout_most")).unwrap();
    let ended = launch.run().await.unwrap();
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("line 8") && ended.stderr.contains("unknown field `timeout_most`"), "{ended:?}");
}
