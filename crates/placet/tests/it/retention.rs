//! What has ended goes by itself after its time, whatever becomes of the process meanwhile, and the file gives the space back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use placet_sdk::{Client, Filter, OrchestrationContext, Result, Worker};
use placet_testkit::{Http, Launch, eventually};

use crate::PLACET;
use crate::requests::{approve, ask_for_id, look};

/// Instances that go …
const MANY: usize = 4_000;

/// … and bytes of what each was given, and gave back.
const BYTES: usize = 4_000;

async fn echo(_: OrchestrationContext, text: String) -> Result<String> {
    Ok(text)
}

/// So many instances that have ended.
async fn ended(client: &Client, many: usize) {
    let text = "x".repeat(BYTES);
    for first in (0..many).step_by(200) {
        let run = (first..many.min(first + 200)).map(async |number| {
            let id = format!("i-{number}");
            client.start("echo", &text).id(&id).await.unwrap();
            client.wait_for_completion(&id).await.unwrap();
        });
        join_all(run).await;
    }
}

/// How many have gone since the server started.
async fn gone(http: &Http) -> usize {
    let metrics = metrics(http).await;
    let line = r#"placet_instances_expired_total{status="completed"} "#;
    let count = metrics.lines().find_map(|shown| shown.strip_prefix(line));
    count.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

async fn metrics(http: &Http) -> String {
    http.get("/metrics").await.unwrap().text()
}

fn length(folder: &Path, name: &str) -> u64 {
    fs::metadata(folder.join("placet-data").join(name)).unwrap().len()
}

async fn is_there(client: &Client, id: &str) -> bool {
    client.get(id).await.unwrap().is_some()
}

#[tokio::test]
async fn a_server_killed_while_it_lets_go_of_thousands_goes_on_and_gives_the_space_back() {
    let server = Launch::serve(PLACET).variable("PLACET_RETENTION", "off").start().await.unwrap();
    let (client, kept) = (server.client(), server.client().with_hub("kept"));
    let worker = Worker::builder(client.clone()).hubs(["*"]).orchestration("echo", echo).start();
    ended(&client, MANY).await;
    ended(&kept, 10).await;
    worker.shutdown().await;
    let (_, launch) = server.stop_to_restart().await.unwrap();
    let folder = launch.folder().to_owned();
    let full = length(&folder, "placet.db");
    assert!(full > (MANY * BYTES) as u64, "{full} bytes");

    let server = launch.variable("PLACET_RETENTION", "1s,kept:off").start().await.unwrap();
    let http = server.http();
    eventually("some have gone", async || (gone(&http).await > MANY / 20).then_some(())).await;
    let launch = server.kill().await.unwrap();

    let server = launch.start().await.unwrap();
    let http = server.http();
    let client = server.client();
    let first = gone(&http).await;
    assert!(first < MANY * 19 / 20, "{first} were left");
    for number in 0..MANY {
        let id = format!("i-{number}");
        eventually(&format!("{id} has gone"), async || (!is_there(&client, &id).await).then_some(())).await;
    }
    for number in 0..10 {
        assert!(is_there(&client.with_hub("kept"), &format!("i-{number}")).await);
    }
    eventually("the space is given back", async || {
        (length(&folder, "placet.db") < full / 8 && length(&folder, "placet.db-wal") < full / 8).then_some(())
    })
    .await;
    let metrics = metrics(&http).await;
    assert!(metrics.contains("placet_retention_overdue_seconds 0"), "{metrics}");
    assert_eq!(http.get("/readyz").await.unwrap().status, 200);
}

#[tokio::test]
async fn on_virtual_time_what_is_over_has_gone_when_the_advance_returns_and_without_a_word_all_stays() {
    for (retention, stays) in [(Some("30d"), false), (None, true)] {
        let mut launch = Launch::serve(PLACET).args(["--ephemeral", "--virtual-time"]);
        if let Some(retention) = retention {
            launch = launch.args(["--retention", retention]);
        }
        let server = launch.start().await.unwrap();
        let (http, client) = (server.http(), server.client());
        let id = ask_for_id(&http).await;
        approve(&http, &id).await;
        client.advance_time(Duration::from_secs(29 * 24 * 3_600)).await.unwrap();
        assert!(is_there(&client, &id).await);
        client.advance_time(Duration::from_secs(2 * 24 * 3_600)).await.unwrap();
        assert_eq!(is_there(&client, &id).await, stays, "{retention:?}");
        let expected = if stays { 200 } else { 404 };
        assert_eq!(http.get(&format!("/api/requests/{id}")).await.unwrap().status, expected);
    }
}

#[tokio::test]
async fn a_file_is_compacted_while_no_server_has_it_and_says_how_long_it_was_and_is() {
    let server = Launch::serve(PLACET).variable("PLACET_RETENTION", "off").start().await.unwrap();
    let compact = || Launch::new(PLACET).args(["compact", "--data-dir"]);
    let data = server.announced().data_dir.clone().unwrap();
    let refused = compact().args([&data]).run().await.unwrap();
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert!(refused.stderr.contains("is in use by another process"), "{refused:?}");
    let id = ask_for_id(&server.http()).await;
    let (_, launch) = server.stop_to_restart().await.unwrap();
    let done = compact().args([&data]).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("placet.db: ") && done.stdout.contains(" KiB now"), "{done:?}");
    let server = launch.start().await.unwrap();
    approve(&server.http(), &id).await;
    let nothing = compact().args([data.join("nowhere")]).run().await.unwrap();
    assert_eq!(nothing.code, Some(73), "{nothing:?}");
}

#[tokio::test]
async fn a_request_that_is_purged_is_shown_nowhere_and_its_neighbour_is() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let (gone, kept) = (ask_for_id(&http).await, ask_for_id(&http).await);
    approve(&http, &gone).await;
    assert!(client.published("request", &gone).await.unwrap().is_some());
    assert!(!client.purge(&kept).await.unwrap(), "it waits for somebody");
    assert!(client.purge(&gone).await.unwrap());
    assert_eq!(http.get(&format!("/api/requests/{gone}")).await.unwrap().status, 404);
    assert_eq!(client.published("request", &gone).await.unwrap(), None);
    let listed: Vec<_> = client.list(Filter::default()).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|state| state.id()).collect::<Vec<_>>(), [kept.as_str()]);
    // After a restart, too; and who was not purged is there.
    let server = server.kill().await.unwrap().start().await.unwrap();
    assert_eq!(server.client().published("request", &gone).await.unwrap(), None);
    assert_eq!(look(&server.http(), &kept).await["status"], "Pending");
}
