//! `/metrics`: what happened is what it tells, in words that the documentation explains.

use std::collections::BTreeMap;
use std::time::Duration;

use placet_sdk::{Client, OrchestrationContext, Worker};
use placet_testkit::{Http, Launch, eventually};
use serde_json::json;

use crate::PLACET;
use crate::requests::{approve, ask_for_id, decide};

/// What was read: each line's value by its name and labels.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    async fn read(http: &Http) -> Metrics {
        let answer = http.get("/metrics").await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.content_type(), "application/openmetrics-text");
        let text = answer.text();
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let split = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        };
        Metrics(lines.map(split).collect())
    }

    /// Absent is zero: a call that was never made has no line.
    fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// How much more there is than before.
    fn since(&self, before: &Metrics, name: &str) -> f64 {
        assert!(self.0.contains_key(name), "{name} is not among {:?}", self.0.keys());
        self.of(name) - before.of(name)
    }
}

#[tokio::test]
async fn an_approval_moves_what_it_should() {
    let server = crate::server().await;
    let http = server.http();
    let before = Metrics::read(&http).await;
    let id = ask_for_id(&http).await;
    approve(&http, &id).await;
    assert_eq!(decide(&http, &id, false, "Manager").await.status, 409);
    assert_eq!(http.get("/api/requests/no-such").await.unwrap().status, 404);
    let after = Metrics::read(&http).await;

    let moved = |name: &str| after.since(&before, name);
    assert_eq!(moved(r#"placet_http_calls_total{method="POST",path="/api/requests",status="200"}"#), 1.0);
    assert_eq!(moved(r#"placet_http_calls_total{method="POST",path="/api/approvals/{id}",status="409"}"#), 1.0);
    assert_eq!(moved(r#"placet_http_calls_total{method="GET",path="/api/requests/{id}",status="404"}"#), 1.0);
    assert_eq!(moved(r#"placet_http_call_seconds_count{method="POST",path="/api/approvals/{id}"}"#), 2.0);
    assert_eq!(moved(r#"placet_deliveries_total{kind="turn"}"#), 2.0, "the request, and the decision");
    assert_eq!(moved(r#"placet_redeliveries_total{kind="turn"}"#), 0.0);
    let commits = moved("placet_commit_seconds_count");
    assert!((2.0..=4.0).contains(&commits), "{commits} commits");
    assert_eq!(moved("placet_commit_rows_count"), commits);
    assert!(moved("placet_commit_commands_sum") >= 4.0, "start, turn, ask, turn");
    assert!(moved("placet_commit_rows_sum") >= 4.0);
    assert!(moved("placet_commit_seconds_sum") > 0.0);
    let synced = moved("placet_sync_seconds_sum");
    assert!(synced > 0.0 && synced <= moved("placet_commit_seconds_sum"), "{synced}");
    assert_eq!(after.of(r#"placet_ready_items{kind="turn"}"#), 0.0);
    assert_eq!(after.of("placet_worker_streams"), 1.0, "the built-in worker's");
    assert_eq!(after.of("placet_commits_failed_total"), 0.0);
}

#[tokio::test]
async fn calls_over_grpc_count_by_method_and_status_and_a_backlog_is_seen() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = client.start("nobody_serves_it", &()).await.unwrap();
    client.raise_event("no-such-instance", "event", &()).await.unwrap_err();
    let seen = Metrics::read(&http).await;
    assert_eq!(seen.of(r#"placet_grpc_calls_total{method="TaskHubSidecarService/StartInstance",status="OK"}"#), 1.0);
    assert_eq!(
        seen.of(r#"placet_grpc_calls_total{method="TaskHubSidecarService/RaiseEvent",status="NOT_FOUND"}"#),
        1.0
    );
    assert_eq!(seen.of(r#"placet_grpc_call_seconds_count{method="TaskHubSidecarService/RaiseEvent"}"#), 1.0);
    assert_eq!(seen.of(r#"placet_refusals_total{reason="not_found"}"#), 1.0);
    assert_eq!(seen.of(r#"placet_ready_items{kind="turn"}"#), 1.0);
    assert_eq!(seen.of(r#"placet_instances_in_memory{state="active"}"#), 1.0);

    let waiting = tokio::spawn({
        let (client, id) = (client.clone(), id.clone());
        async move { client.wait_for_completion(&id).await }
    });
    // The call is on its way at the latest when another one of the same connection has been answered after it.
    eventually("a call whose caller went away is counted", async || {
        client.get(&id).await.unwrap();
        waiting.abort();
        let cancelled =
            r#"placet_grpc_calls_total{method="TaskHubSidecarService/WaitForInstanceCompletion",status="CANCELLED"}"#;
        (Metrics::read(&http).await.of(cancelled) == 1.0).then_some(())
    })
    .await;
}

async fn sleeper(ctx: OrchestrationContext, (): ()) -> placet_sdk::Result<()> {
    ctx.timer(Duration::from_millis(20)).await;
    Ok(())
}

fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("sleeper", sleeper).start()
}

#[tokio::test]
async fn a_scheduler_alone_answers_where_it_is_told_to_and_timers_are_counted_with_their_lateness() {
    let scheduler = Launch::scheduler(PLACET).args(["--metrics-addr=127.0.0.1:0"]).start().await.unwrap();
    let http = Http::new(scheduler.announced().metrics.as_deref().unwrap());
    assert_eq!(http.get("/healthz").await.unwrap().status, 204);
    assert_eq!(http.get("/readyz").await.unwrap().json(), json!({"ready": true, "reasons": []}));
    assert_eq!(http.get("/api/requests").await.unwrap().status, 404);
    let client = scheduler.client();
    let worker = worker(client.clone());
    for _ in 0..3 {
        let id = client.start("sleeper", &()).await.unwrap();
        client.wait_for_completion(&id).await.unwrap();
    }
    let seen = Metrics::read(&http).await;
    assert_eq!(seen.of("placet_timer_lateness_seconds_count"), 3.0);
    assert_eq!(seen.of(r#"placet_timer_lateness_seconds_bucket{le="+Inf"}"#), 3.0);
    assert_eq!(seen.of("placet_near_timers"), 0.0);
    worker.shutdown().await;
    assert_eq!(scheduler.stop().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_scheduler_that_is_not_told_where_answers_nowhere() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    assert_eq!(scheduler.announced().metrics, None);
}

/// The documentation has every metric, and no other.
#[tokio::test]
async fn every_metric_is_explained() {
    let server = crate::server().await;
    let http = server.http();
    http.get("/").await.unwrap();
    server.client().start("nobody_serves_it", &()).await.unwrap();
    let text = http.get("/metrics").await.unwrap().text();
    let mut told: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    let page = include_str!("../../../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut explained: Vec<String> = rows.map(|(name, _)| name.to_owned()).collect();
    told.sort_unstable();
    explained.sort_unstable();
    if cfg!(target_os = "linux") {
        assert_eq!(told, explained);
    }
}
