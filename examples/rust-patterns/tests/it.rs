//! Every pattern, against a scheduler in this process.
#![expect(clippy::unwrap_used, reason = "what a test did not expect fails it")]

use std::sync::Arc;
use std::time::Duration;

use placet::InProcess;
use placet_scheduler::Scheduler;
use placet_sdk::{Client, Status};
use placet_store_sqlite::SqliteStore;
use rust_patterns::{PATTERNS, children, demonstrate, http_api, monitor, saga, versioning};
use tempfile::TempDir;

struct Running {
    client: Client,
    scheduler: Scheduler,
    _folder: TempDir,
}

fn start() -> Running {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    let scheduler = Scheduler::start(Arc::new(store)).unwrap();
    let client = Client::over(Arc::new(InProcess::new(scheduler.clone())), "default");
    Running { client, scheduler, _folder: folder }
}

impl Running {
    /// Waits until there is such an instance: one that nobody waits for begins when it does.
    async fn begun(&self, id: &str) {
        while self.client.get(id).await.unwrap().is_none() {
            // sleep: between two looks at something that cannot be waited for
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn every_pattern_comes_to_what_it_is_to() {
    let running = start();
    // As the server has one.
    let built_in = placet_worker::start(running.client.clone(), ["*"], placet_approval::nobody());
    let outcomes = [
        r#""Hello world!""#,
        "10",
        "6",
        r#"{"balance":325,"booked":25}"#,
        "[]",
        "",
        r#"["order-1 is insured","order-1 is packed"]"#,
        r#""done""#,
        r#""2.3 is deployed, as ann says""#,
    ];
    for (pattern, expected) in PATTERNS.into_iter().zip(outcomes) {
        let outcome = demonstrate(&running.client, pattern).await.unwrap();
        if pattern == "children" {
            // The id of the report, which nobody waits for.
            running.begun(outcome.trim_matches('"')).await;
        } else {
            assert_eq!(outcome, expected, "{pattern}");
        }
    }
    assert!(demonstrate(&running.client, "unheard-of").await.is_err());
    built_in.shutdown().await;
    running.scheduler.stop();
}

#[tokio::test]
async fn a_trip_without_trouble_is_booked_whole() {
    let running = start();
    let worker = saga::worker(running.client.clone());
    let id = running.client.start("book_trip", &None::<String>).await.unwrap();
    let booked: Vec<String> = running.client.wait_for_completion(&id).await.unwrap().output().unwrap().unwrap();
    assert_eq!(booked, ["flight booked", "hotel booked", "car booked"]);
    worker.shutdown().await;
    running.scheduler.stop();
}

#[tokio::test]
async fn a_monitor_gives_up_in_the_end() {
    let running = start();
    let worker = monitor::worker(running.client.clone());
    let watch = monitor::Watch { job: "endless".to_owned(), every_ms: 1, looks: 3 };
    let id = running.client.start("monitor", &watch).await.unwrap();
    let seen: Option<u32> = running.client.wait_for_completion(&id).await.unwrap().output().unwrap().unwrap();
    assert_eq!(seen, None);
    worker.shutdown().await;
    running.scheduler.stop();
}

#[tokio::test]
async fn a_region_that_does_not_exist_fails_the_roll_out_and_the_report_goes_on_by_itself() {
    let running = start();
    let worker = children::worker(running.client.clone());
    let id = running.client.start("roll_out", &["north", "atlantis"]).await.unwrap();
    let failed = running.client.wait_for_completion(&id).await.unwrap();
    assert_eq!(failed.status(), Status::Failed);
    assert!(failed.failure().unwrap().message().contains("atlantis is under water"));

    let id = running.client.start("roll_out", &["north", "south"]).await.unwrap();
    let report: String = running.client.wait_for_completion(&id).await.unwrap().output().unwrap().unwrap();
    running.begun(&report).await;
    let told: String = running.client.wait_for_completion(&report).await.unwrap().output().unwrap().unwrap();
    assert_eq!(told, "roll_out: north, south");
    worker.shutdown().await;
    running.scheduler.stop();
}

#[tokio::test]
async fn an_instance_of_the_old_version_goes_on_as_it_began() {
    let running = start();
    let worker = versioning::worker(running.client.clone());
    let id = running.client.start("ship", "order-1").version("1").await.unwrap();
    running.client.wait_for_start(&id).await.unwrap();
    // Another worker replays what the first one began.
    worker.shutdown().await;
    let worker = versioning::worker(running.client.clone());
    running.client.raise_event(&id, "picked_up", &()).await.unwrap();
    let done: Vec<String> = running.client.wait_for_completion(&id).await.unwrap().output().unwrap().unwrap();
    assert_eq!(done, ["order-1 is packed"]);
    worker.shutdown().await;
    running.scheduler.stop();
}

#[tokio::test]
async fn a_job_is_begun_once_and_looked_at_until_it_is_over() {
    let running = start();
    let worker = http_api::worker(running.client.clone());
    for _ in 0..2 {
        let accepted = http_api::begin(&running.client, "job-1", 1).await.unwrap();
        assert_eq!(accepted.status_url, "/jobs/job-1");
    }
    assert_eq!(http_api::look(&running.client, "job-2").await.unwrap(), None);
    while http_api::look(&running.client, "job-1").await.unwrap().unwrap().progress != Some(0) {
        // sleep: as a caller does between two looks
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.client.raise_event("job-1", "go_on", &()).await.unwrap();
    running.client.wait_for_completion("job-1").await.unwrap();
    let over = http_api::look(&running.client, "job-1").await.unwrap().unwrap();
    assert_eq!((over.is_over, over.outcome.as_deref()), (true, Some(r#""done""#)));
    worker.shutdown().await;
    running.scheduler.stop();
}
