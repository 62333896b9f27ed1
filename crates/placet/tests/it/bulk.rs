//! Operations on many instances: a server that is killed in the middle of one, and the commands that begin and follow them.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use placet_proto::durabletask::history_event::EventType;
use placet_sdk::bulk::{Action, BulkFilter, BulkOutcome, BulkRaiseEvent, BulkResult, BulkStatus, BulkTerminate};
use placet_sdk::{Client, OrchestrationContext, Result, Status, Worker};
use placet_testkit::{Ended, Launch, Server, eventually};

use crate::PLACET;

/// Calls at a time.
const AT_ONCE: usize = 64;

async fn waits(ctx: OrchestrationContext, (): ()) -> Result<()> {
    Ok(ctx.external_event("go").await?)
}

async fn start(client: &Client, ids: impl IntoIterator<Item = String>) {
    let starts = ids.into_iter().map(|id| client.start("waits", &()).id(id).into_future());
    stream::iter(starts).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await.unwrap();
}

fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("wait-{number:05}"))
}

fn event() -> Action {
    Action::RaiseEvent(BulkRaiseEvent { name: "go".to_owned(), input: Some("null".to_owned()) })
}

async fn results(client: &Client, id: &str) -> Vec<BulkResult> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = client.bulk_results(id, &token).await.unwrap();
        all.extend(page);
        match next {
            Some(next) => token = next,
            None => return all,
        }
    }
}

/// Waits until it has come to so many, or has ended.
async fn comes_to(client: &Client, id: &str, many: u64) -> BulkStatus {
    let mut operation = client.bulk(id).await.unwrap();
    while operation.status() == BulkStatus::Running && operation.done + operation.skipped < many {
        operation = client.bulk_after(id, operation.version).await.unwrap();
    }
    operation.status()
}

#[tokio::test]
async fn an_operation_goes_on_where_its_server_was_killed_and_each_instance_hears_the_event_once() {
    const MANY: usize = 2_000;
    let mut server = crate::server().await;
    start(&server.client(), ids(MANY)).await;
    let filter = BulkFilter { name: "waits".to_owned(), ..BulkFilter::default() };
    let begun = server.client().start_bulk(filter, event(), "").await.unwrap();
    assert_eq!((begun.total, begun.total_is_least), (MANY as u64, false));
    let mut killed = 0;
    for many in [200, 700, 1_300] {
        // Mostly in the middle of a step, which is of a hundred.
        killed += usize::from(comes_to(&server.client(), &begun.id, many).await == BulkStatus::Running);
        server = server.kill().await.unwrap().start().await.unwrap();
    }
    assert!(killed > 0, "it was over before its server was killed");
    let client = server.client();
    comes_to(&client, &begun.id, u64::MAX).await;
    let ended = client.bulk(&begun.id).await.unwrap();
    assert_eq!((ended.status(), ended.done, ended.skipped, ended.failed), (BulkStatus::Completed, MANY as u64, 0, 0));
    let results = results(&client, &begun.id).await;
    assert!(results.iter().all(|result| result.outcome() == BulkOutcome::Done));
    let told: BTreeSet<String> = results.iter().map(|result| result.instance_id.clone()).collect();
    assert_eq!((results.len(), told), (MANY, ids(MANY).collect()), "each of them, once");
    // All that each was sent is in its first turn.
    let worker = Worker::builder(client.clone()).orchestration("waits", waits).start();
    let heard = ids(MANY).map(|id| times_heard(client.clone(), id));
    let heard: Vec<usize> = stream::iter(heard).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(heard.iter().filter(|times| **times != 1).count(), 0, "{heard:?}");
    worker.shutdown().await;
}

async fn times_heard(client: Client, id: String) -> usize {
    client.wait_for_completion(&id).await.unwrap();
    let history = client.history(&id).await.unwrap();
    let is_event = |event: &Option<EventType>| matches!(event, Some(EventType::EventRaised(_)));
    history.iter().filter(|event| is_event(&event.event_type)).count()
}

#[tokio::test]
async fn what_came_later_than_an_operation_is_not_touched() {
    let server = crate::server().await;
    let client = server.client();
    start(&client, ids(10)).await;
    let terminate = Action::Terminate(BulkTerminate { output: Some("\"over\"".to_owned()), recursive: false });
    let begun = client.start_bulk(BulkFilter { all: true, ..BulkFilter::default() }, terminate, "mine").await.unwrap();
    start(&client, ["later".to_owned()]).await;
    assert_eq!(comes_to(&client, "mine", u64::MAX).await, BulkStatus::Completed);
    assert_eq!(begun.id, "mine");
    let state = client.get("wait-00003").await.unwrap().unwrap();
    assert_eq!((state.status(), state.output::<String>().unwrap()), (Status::Terminated, Some("over".to_owned())));
    assert_eq!(client.get("later").await.unwrap().unwrap().status(), Status::Pending);
}

async fn leads(ctx: OrchestrationContext, child: String) -> Result<()> {
    ctx.start_detached("waits", Some(&child), &())?;
    Ok(ctx.external_event("go").await?)
}

#[tokio::test]
async fn a_recursive_termination_reaches_children_that_nobody_waits_for() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone()).orchestration("leads", leads).orchestration("waits", waits).start();
    client.start("leads", "the-child").id("the-parent").await.unwrap();
    eventually("the child waits", async || {
        let child = client.get("the-child").await.unwrap()?;
        (child.status() == Status::Running).then_some(())
    })
    .await;
    let terminate = Action::Terminate(BulkTerminate { output: None, recursive: true });
    let filter = BulkFilter { name: "leads".to_owned(), ..BulkFilter::default() };
    client.start_bulk(filter, terminate, "all").await.unwrap();
    assert_eq!(comes_to(&client, "all", u64::MAX).await, BulkStatus::Completed);
    let child = client.wait_for_completion("the-child").await.unwrap();
    assert_eq!(child.status(), Status::Terminated);
    worker.shutdown().await;
}

async fn cli(server: &Server, args: &[&str]) -> Ended {
    let endpoint = format!("--endpoint={}", server.endpoint());
    Launch::new(PLACET).args(["instances"]).args(args).args([endpoint.as_str()]).run().await.unwrap()
}

/// What it says, with the operation's id and times replaced.
fn told(ended: &Ended) -> String {
    let Ended { code, stdout, stderr } = ended;
    let text = format!("exit {}\n{stdout}{}{stderr}", code.unwrap_or(-1), if stderr.is_empty() { "" } else { "---\n" });
    let words = text.split_inclusive([' ', '\n', '"']).map(|word| {
        let bare = word.trim_end_matches([' ', '\n', '"']);
        let is_id = bare.len() == 32 && bare.chars().all(|c| c.is_ascii_hexdigit());
        let is_time = bare.len() >= 13 && bare.starts_with("20") && bare.contains('T');
        if is_id {
            word.replace(bare, "OPERATION")
        } else if is_time {
            word.replace(bare, "TIME")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

#[tokio::test]
async fn the_commands_count_ask_do_and_tell() {
    let server = crate::server().await;
    for id in ids(3) {
        start(&server.client(), [id]).await; // in this order
    }
    insta::assert_snapshot!(told(&cli(&server, &["terminate", "--prefix=wait-", "--dry-run"]).await), @"
    exit 0
    3 instances are meant: wait-00000, wait-00001, wait-00002
    ");
    insta::assert_snapshot!(told(&cli(&server, &["terminate", "--prefix=none", "--yes"]).await), @"
    exit 0
    ---
    no instance is meant
    ");
    insta::assert_snapshot!(told(&cli(&server, &["terminate", "--prefix=wait-"]).await), @"
    exit 64
    ---
    3 instances are meant: wait-00000, wait-00001, wait-00002
    placet: --yes: is needed where nobody can be asked
    ");
    insta::assert_snapshot!(told(&cli(&server, &["terminate"]).await), @"
    exit 1
    ---
    placet: filter: says nothing; name what is meant, or say `all`
    ");
    insta::assert_snapshot!(told(&cli(&server, &["terminate", "wait-00000", "--output=given up"]).await), @"
    exit 0
    wait-00000: done
    ");
    insta::assert_snapshot!(told(&cli(&server, &["terminate", "--all", "--yes"]).await), @"
    exit 0
    OPERATION terminate completed: 2 done, 1 skipped, 0 failed, of 3
    ");
    insta::assert_snapshot!(told(&cli(&server, &["operations"]).await), @"
    exit 0
    OPERATION terminate completed: 2 done, 1 skipped, 0 failed, of 3
    ");
    insta::assert_snapshot!(told(&cli(&server, &["terminate", "unknown"]).await), @"
    exit 1
    unknown: failed: there is no such instance
    ---
    placet: 1 of 1 instances refused it
    ");
    insta::assert_snapshot!(told(&cli(&server, &["operation", "unknown"]).await), @r#"
    exit 1
    ---
    placet: there is no bulk operation "unknown"; one is told of for seven days after its last change
    "#);
    let operation = server.client().bulks().await.unwrap().remove(0).id;
    insta::assert_snapshot!(told(&cli(&server, &["operation", &operation, "--results"]).await), @"
    exit 0
    wait-00000: skipped: it has ended: TERMINATED
    wait-00001: done
    wait-00002: done
    ");
    insta::assert_snapshot!(told(&cli(&server, &["operation", &operation, "--results", "--json"]).await), @r#"
    exit 0
    {"id":"wait-00000","outcome":"skipped","reason":"it has ended: TERMINATED"}
    {"id":"wait-00001","outcome":"done"}
    {"id":"wait-00002","outcome":"done"}
    "#);
    let shown = told(&cli(&server, &["show", "wait-00000", "--json"]).await);
    let listed = told(&cli(&server, &["list", "--status=terminated", "--name=waits", "--limit=2", "--json"]).await);
    insta::assert_snapshot!(format!("{shown}{listed}"), @r#"
    exit 0
    {"id":"wait-00000","name":"waits","status":"TERMINATED","created":"TIME","changed":"TIME","ended":"TIME","input":null,"output":"given up"}
    exit 0
    {"id":"wait-00000","name":"waits","status":"TERMINATED","created":"TIME","changed":"TIME","ended":"TIME"}
    {"id":"wait-00001","name":"waits","status":"TERMINATED","created":"TIME","changed":"TIME","ended":"TIME"}
    "#);
    let purged = cli(&server, &["purge", "--status=terminated", "--created-after=1d", "--yes", "--json"]).await;
    insta::assert_snapshot!(told(&purged), @r#"
    exit 0
    {"id":"OPERATION","action":"purge","status":"completed","began":"TIME","ended":"TIME","total":3,"totalIsLeast":false,"done":3,"skipped":0,"failed":0}
    "#);
}

#[tokio::test]
async fn an_operation_that_is_left_to_the_server_can_be_cancelled_by_its_id() {
    let server = crate::server().await;
    let client = server.client();
    start(&client, ids(1_500)).await;
    // Two act at a time: the third has to wait for its turn.
    for _ in 0..2 {
        client.start_bulk(BulkFilter { all: true, ..BulkFilter::default() }, event(), "").await.unwrap();
    }
    let begun = cli(&server, &["raise-event", "go", "--all", "--yes", "--detach"]).await;
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let id = begun.stdout.trim();
    let cancelled = cli(&server, &["operation", id, "--cancel", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&cancelled.stdout).unwrap();
    assert_eq!(told["status"], "cancelled", "{told}");
    let done = told["done"].as_u64().unwrap();
    assert!(done < 1_500, "it was over before it was cancelled");
    assert_eq!(results(&client, id).await.len() as u64, done);
    let again = cli(&server, &["operation", id]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
}
