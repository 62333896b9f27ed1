//! `placet why`: what a real server says of instances that wait, and that the command which it names lets them go on.

use std::time::Duration;

use placet_sdk::why::{RemedyKind, WaitCause, WorkStage};
use placet_sdk::{ActivityContext, Client, Code, Either, Failure, OrchestrationContext, Result, RetryPolicy, Worker};
use placet_testkit::{Ended, Launch, Server, eventually};
use serde_json::{Value, json};

use crate::PLACET;

async fn order(ctx: OrchestrationContext, (): ()) -> Result<String> {
    let approved = ctx.external_event::<String>("approval_response");
    let late = ctx.timer(Duration::from_secs(24 * 3_600));
    match ctx.first(approved, late).await {
        Either::Left(answer) => Ok(answer?),
        Either::Right(()) => Ok("nobody answered".to_owned()),
    }
}

async fn shipment(ctx: OrchestrationContext, (): ()) -> Result<String> {
    ctx.sub_orchestration("order", Some("child-1"), &()).await.map_err(Failure::from)
}

async fn charges(ctx: OrchestrationContext, (): ()) -> Result<()> {
    Ok(ctx.activity("charge", &()).version("2").await?)
}

async fn tries(ctx: OrchestrationContext, (): ()) -> Result<()> {
    let (hour, five) = (Duration::from_secs(3_600), RetryPolicy::attempts(5));
    let policy = RetryPolicy { delay_first: hour, delay_max: hour, ..five };
    Ok(ctx.activity("fails", &()).retry(policy).await?)
}

async fn charge(_: ActivityContext, (): ()) -> Result<()> {
    std::future::pending().await
}

async fn fails(_: ActivityContext, (): ()) -> Result<()> {
    Err(Failure::new("TimeoutError", "it takes too long"))
}

fn worker(client: &Client) -> Worker {
    Worker::builder(client.clone())
        .orchestration("order", order)
        .orchestration("shipment", shipment)
        .orchestration("charges", charges)
        .orchestration("tries", tries)
        .activity("charge", charge)
        .activity("fails", fails)
        .start()
}

/// Runs a command against a server, as the shell would.
async fn run(server: &Server, words: &[&str]) -> Ended {
    Launch::new(PLACET).args(words).args(["--endpoint", server.endpoint()]).run().await.unwrap()
}

async fn why(server: &Server, id: &str) -> String {
    let ended = run(server, &["why", id]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    ended.stdout
}

/// What is told of an instance once it waits for this.
async fn waits(client: &Client, id: &str, cause: WaitCause) -> placet_sdk::why::WhyResponse {
    eventually(&format!("{id} waits"), async || {
        let why = client.why(id).await.ok()?;
        (why.cause() == cause).then_some(why)
    })
    .await
}

/// The words of the command that the last line names, with something for its event to say.
fn command(told: &str) -> Vec<String> {
    let line = told.lines().last().unwrap().trim();
    let words = line.strip_prefix("placet ").unwrap_or_else(|| panic!("{line} is no command"));
    words.split(' ').map(|word| if word == "JSON" { "\"yes\"" } else { word }.to_owned()).collect()
}

#[tokio::test]
async fn the_command_that_it_names_lets_an_instance_go_on_that_waits_for_an_event() {
    let server = crate::server().await;
    let (client, worker) = (server.client(), worker(&server.client()));
    client.start("order", &()).id("order-7").await.unwrap();
    waits(&client, "order-7", WaitCause::Event).await;
    client.raise_event("order-7", "aproval_response", "no").await.unwrap();
    let told = eventually("the other event was seen", async || {
        Some(why(&server, "order-7").await).filter(|told| told.contains("aproval_response"))
    })
    .await;
    let first = told.lines().next().unwrap();
    assert!(first.starts_with("order-7: waits for event `approval_response` since "), "{told}");
    assert!(first.contains(" s, until ") && first.ends_with(" UTC and is unread"), "{told}");
    assert!(told.contains("\n  -> raise the event `approval_response`\n"), "{told}");

    let words = command(&told);
    assert_eq!(words[..6], ["instances", "raise-event", "approval_response", "order-7", "--payload", "\"yes\""]);
    // It names the server, too.
    let ended = Launch::new(PLACET).args(&words).run().await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(client.wait_for_completion("order-7").await.unwrap().output::<String>().unwrap().unwrap(), "yes");
    assert!(why(&server, "order-7").await.ends_with(": completed\n"));
    worker.shutdown().await;
}

#[tokio::test]
async fn what_its_code_waits_for_is_known_after_a_restart_without_any_worker_and_of_a_child_from_its_parent() {
    let server = crate::server().await;
    let (client, worker) = (server.client(), worker(&server.client()));
    client.start("shipment", &()).id("parent-1").await.unwrap();
    waits(&client, "child-1", WaitCause::Event).await;
    waits(&client, "parent-1", WaitCause::Child).await;
    worker.shutdown().await;
    let server = server.kill().await.unwrap().start().await.unwrap();
    let told = why(&server, "parent-1").await;
    assert!(told.starts_with("parent-1: waits for child `child-1` (`order`) since "), "{told}");
    assert!(told.contains(": waits for event `approval_response` since "), "{told}");
    assert!(told.contains("\n     placet instances raise-event approval_response child-1 --payload JSON"), "{told}");
}

#[tokio::test]
async fn what_a_worker_has_and_what_is_tried_again_is_told_in_words_and_as_json() {
    let server = crate::server().await;
    let (client, worker) = (server.client(), worker(&server.client()));
    client.start("charges", &()).id("charges-1").await.unwrap();
    client.start("tries", &()).id("tries-1").await.unwrap();
    let charges = waits(&client, "charges-1", WaitCause::Activity).await;
    let work = charges.work.unwrap();
    assert_eq!((work.name.as_str(), work.version.as_deref(), work.task_id), ("charge", Some("2"), Some(1)));
    let runs = eventually("it is with the worker", async || {
        let work = client.why("charges-1").await.unwrap().work.unwrap();
        (work.stage() == WorkStage::Running).then_some(work)
    })
    .await;
    assert_eq!(runs.deliveries, 1);
    assert_eq!(charges.remedy.unwrap().kind(), RemedyKind::Wait);

    waits(&client, "tries-1", WaitCause::Retry).await;
    let ended = run(&server, &["why", "tries-1", "--json"]).await;
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let retry = json!({"name": "fails", "attempt": 2, "attempts_max": 5, "error_type": "TimeoutError"});
    assert_eq!((&told["cause"], &told["retry"], &told["status"]), (&json!("retry"), &retry, &json!("running")));
    let sentence = told["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("retry 2 of 5 of `fails` in ") && sentence.ends_with(" after TimeoutError"), "{told}");
    assert_eq!((&told["remedy"]["kind"], &told["remedy"]["command"]), (&json!("wait"), &Value::Null));
    let due = crate::time_of(&told["until"]).duration_since(crate::time_of(&told["now"])).unwrap();
    assert!(due > Duration::from_secs(3_500) && due <= Duration::from_secs(3_600), "{told}");
    drop(worker); // what it runs never ends
}

#[tokio::test]
async fn a_suspended_instance_tells_its_reason_and_the_command_that_resumes_it() {
    let server = crate::server().await;
    let (client, worker) = (server.client(), worker(&server.client()));
    client.start("order", &()).id("it's 1").await.unwrap();
    waits(&client, "it's 1", WaitCause::Event).await;
    client.suspend("it's 1", "maintenance").await.unwrap();
    waits(&client, "it's 1", WaitCause::Suspended).await;
    client.raise_event("it's 1", "approval_response", "yes").await.unwrap();
    let told = why(&server, "it's 1").await;
    assert!(told.contains(" (maintenance); 1 message waits until it is resumed\n"), "{told}");
    let command = format!("     placet instances resume 'it'\\''s 1' --endpoint {}\n", server.endpoint());
    assert!(told.ends_with(&command), "{told}");
    assert_eq!(run(&server, &["instances", "resume", "it's 1"]).await.code, Some(0));
    assert_eq!(client.wait_for_completion("it's 1").await.unwrap().output::<String>().unwrap().unwrap(), "yes");
    worker.shutdown().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_by_the_exit_code_and_hubs_are_walls() {
    let server = crate::server().await;
    server.client().start("nobodys", &()).id("here").await.unwrap();
    let there = why(&server, "here").await;
    assert!(there.starts_with("here: next turn ready since "), "{there}");
    assert!(there.contains("; no worker is connected to task hub `default`\n"), "{there}");
    for words in [&["why", "no-such"][..], &["why", "here", "--taskhub=other"], &["instances", "retry", "no-such"]] {
        let ended = run(&server, words).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("there is no "), "{ended:?}");
    }
    assert_eq!(run(&server, &["instances", "retry", "here"]).await.stdout, "0 put back to work\n");
    assert_eq!(server.client().why("no-such").await.unwrap_err().code, Code::NotFound);
}
