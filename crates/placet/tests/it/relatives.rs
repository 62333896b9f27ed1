//! Parents and children, and what a client does to instances from outside, through the Rust SDK.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use http::Method;
use placet_sdk::{
    ActivityContext, Client, Code, Either, Failure, Filter, OrchestrationContext, Result, RetryPolicy, Status,
    TraceContext, Worker,
};
use placet_testkit::eventually;

async fn double(_: OrchestrationContext, number: u32) -> Result<u32> {
    Ok(2 * number)
}

async fn sum_of_doubles(ctx: OrchestrationContext, width: u32) -> Result<u32> {
    let doubles = (0..width).map(|number| ctx.sub_orchestration::<u32>("double", None, &number));
    let doubles: std::result::Result<Vec<u32>, _> = join_all(doubles).await.into_iter().collect();
    Ok(doubles?.into_iter().sum())
}

async fn waits(ctx: OrchestrationContext, (): ()) -> Result<String> {
    Ok(ctx.external_event("go").await?)
}

/// Calls one of the same kind, so deep.
async fn nests(ctx: OrchestrationContext, depth: u32) -> Result<()> {
    if depth > 0 {
        let id = format!("{}-{depth}", ctx.instance_id());
        ctx.sub_orchestration::<()>("nests", Some(&id), &(depth - 1)).await?;
    }
    ctx.external_event::<()>("never").await?;
    Ok(())
}

async fn launches(ctx: OrchestrationContext, (): ()) -> Result<String> {
    ctx.start_detached("waits", None, &())
}

async fn tells(ctx: OrchestrationContext, other: String) -> Result<()> {
    ctx.send_event(&other, "GO", "told")
}

async fn kills(ctx: OrchestrationContext, other: String) -> Result<()> {
    ctx.terminate(&other, "killed")
}

async fn states(client: &Client, filter: Filter) -> Vec<(String, Status)> {
    let listed: Vec<_> = client.list(filter).try_collect().await.unwrap();
    listed.iter().map(|state| (state.id().to_owned(), state.status())).collect()
}

async fn runs(client: &Client, id: &str) {
    eventually(&format!("{id} runs"), async || {
        let state = client.get(id).await.unwrap()?;
        (state.status() == Status::Running).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_parent_waits_for_as_many_children_as_it_likes() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone())
        .orchestration("double", double)
        .orchestration("sum_of_doubles", sum_of_doubles)
        .start();
    let id = client.start("sum_of_doubles", &300).await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<u32>().unwrap(), Some(299 * 300));
    assert_eq!(states(&client, Filter { statuses: vec![Status::Completed], ..Filter::default() }).await.len(), 301);
    assert_eq!(client.purge_with_children(&id).await.unwrap(), 301);
    assert_eq!(states(&client, Filter::default()).await, []);
    worker.shutdown().await;
}

#[tokio::test]
async fn a_child_that_fails_is_tried_again_and_its_failure_told_in_the_end() {
    let server = crate::server().await;
    let client = server.client();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let fails = move |ctx: OrchestrationContext, (): ()| {
        if !ctx.is_replaying() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        async { Err::<(), _>(Failure::new("Broken", "it is broken")) }
    };
    let insists = |ctx: OrchestrationContext, (): ()| async move {
        let policy = RetryPolicy { delay_first: Duration::from_millis(10), ..RetryPolicy::attempts(3) };
        let child = ctx.sub_orchestration::<()>("fails", Some("child"), &()).retry(policy);
        let failure = child.version("2").tag("colour", "red").await.unwrap_err();
        Ok(failure.to_string())
    };
    let worker =
        Worker::builder(client.clone()).orchestration("fails", fails).orchestration("insists", insists).start();
    let id = client.start("insists", &()).await.unwrap();
    let told = client.wait_for_completion(&id).await.unwrap().output::<String>().unwrap().unwrap();
    assert!(told.contains("it is broken"), "{told}");
    assert_eq!(tries.load(Ordering::Relaxed), 3);
    let child = client.get("child").await.unwrap().unwrap();
    assert_eq!((child.version(), child.tags().get("colour").map(String::as_str)), (Some("2"), Some("red")));
    worker.shutdown().await;
}

#[tokio::test]
async fn who_is_ended_with_his_children_takes_them_with_him() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone()).orchestration("nests", nests).start();
    client.start("nests", &2).id("root").await.unwrap();
    let family = ["root", "root-2", "root-2-1"];
    runs(&client, family[2]).await;
    client.terminate_with_children("root", "enough").await.unwrap();
    for id in family {
        let ended = client.wait_for_completion(id).await.unwrap();
        assert_eq!((ended.status(), ended.output().unwrap()), (Status::Terminated, Some("enough".to_owned())));
    }
    worker.shutdown().await;
}

#[tokio::test]
async fn instances_begin_tell_and_end_others_that_nobody_waits_for() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone())
        .orchestration("waits", waits)
        .orchestration("launches", launches)
        .orchestration("tells", tells)
        .orchestration("kills", kills)
        .start();
    let mut launched = Vec::new();
    for _ in 0..2 {
        let id = client.start("launches", &()).await.unwrap();
        let done = client.wait_for_completion(&id).await.unwrap();
        launched.push(done.output::<String>().unwrap().unwrap());
    }
    runs(&client, &launched[0]).await;
    runs(&client, &launched[1]).await;
    client.start("tells", &launched[0]).await.unwrap();
    client.start("kills", &launched[1]).await.unwrap();
    let told = client.wait_for_completion(&launched[0]).await.unwrap();
    assert_eq!(told.output::<String>().unwrap().as_deref(), Some("told"));
    let killed = client.wait_for_completion(&launched[1]).await.unwrap();
    assert_eq!((killed.status(), killed.output().unwrap()), (Status::Terminated, Some("killed".to_owned())));
    worker.shutdown().await;
}

#[tokio::test]
async fn an_instance_rests_goes_on_and_begins_again() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone()).orchestration("waits", waits).start();
    let id = client.start("waits", &()).await.unwrap();
    client.wait_for_start(&id).await.unwrap();
    client.suspend(&id, "holidays").await.unwrap();
    eventually("it rests", async || (client.get(&id).await.unwrap()?.status() == Status::Suspended).then_some(()))
        .await;
    client.raise_event(&id, "go", "kept").await.unwrap();
    assert_eq!(client.restart(&id).await.unwrap_err().code, Code::FailedPrecondition);
    client.resume(&id, "back").await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<String>().unwrap().as_deref(), Some("kept"));

    client.restart(&id).await.unwrap();
    let another = client.restart_as_new(&id).await.unwrap();
    for id in [&id, &another] {
        client.raise_event(id, "go", "again").await.unwrap();
        let done = client.wait_for_completion(id).await.unwrap();
        assert_eq!(done.output::<String>().unwrap().as_deref(), Some("again"));
    }
    assert!(client.purge(&id).await.unwrap());
    assert!(!client.purge(&id).await.unwrap());
    let purged = client.purge_where(&Filter::default()).await.unwrap();
    assert_eq!((purged.count, purged.is_complete), (1, true));
    assert_eq!(client.suspend(&id, "gone").await.unwrap_err().code, Code::NotFound);
    worker.shutdown().await;
}

#[tokio::test]
async fn what_failed_is_tried_again_with_its_children_once_it_is_mended() {
    let server = crate::server().await;
    let client = server.client();
    let (mended, runs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_mended, counted) = (mended.clone(), runs.clone());
    let moody = move |_: ActivityContext, (): ()| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mended = is_mended.load(Ordering::Relaxed);
        async move { if mended { Ok(7) } else { Err(Failure::new("Broken", "not yet")) } }
    };
    let child = |ctx: OrchestrationContext, (): ()| async move { Ok(ctx.activity::<u32>("moody", &()).await?) };
    let parent = |ctx: OrchestrationContext, (): ()| async move {
        let child = ctx.sub_orchestration::<u32>("child", Some("kid"), &()).await?;
        Ok(child + ctx.activity::<u32>("moody", &()).await?)
    };
    let worker = Worker::builder(client.clone())
        .orchestration("parent", parent)
        .orchestration("child", child)
        .activity("moody", moody)
        .start();
    let id = client.start("parent", &()).await.unwrap();
    assert_eq!(client.wait_for_completion(&id).await.unwrap().status(), Status::Failed);
    client.rewind(&id, "too early").await.unwrap();
    assert_eq!(client.wait_for_completion(&id).await.unwrap().status(), Status::Failed);
    mended.store(true, Ordering::Relaxed);
    client.rewind(&id, "mended").await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<u32>().unwrap(), Some(14), "{:?}", done.failure());
    assert_eq!(runs.load(Ordering::Relaxed), 4);
    assert_eq!(client.rewind(&id, "it is well").await.unwrap_err().code, Code::FailedPrecondition);
    worker.shutdown().await;
}

async fn traced(ctx: OrchestrationContext, depth: u32) -> Result<Vec<String>> {
    let mut seen = vec![ctx.activity::<String>("trace", &()).await?];
    match depth {
        0 => seen.push(ctx.trace().map_or_else(String::new, |trace| trace.parent)),
        _ => seen.extend(ctx.sub_orchestration::<Vec<String>>("traced", None, &(depth - 1)).await?),
    }
    Ok(seen)
}

#[tokio::test]
async fn activities_and_children_belong_to_the_trace_of_who_started_their_parent() {
    let server = crate::server().await;
    let client = server.client();
    let worker = Worker::builder(client.clone())
        .orchestration("traced", traced)
        .activity("trace", |ctx: ActivityContext, (): ()| async move {
            let TraceContext { parent, state } = ctx.trace.ok_or_else(|| Failure::new("NoTrace", "none was told"))?;
            Ok(format!("{parent} {}", state.unwrap_or_default()))
        })
        .start();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext { state: Some("shop=1".to_owned()), ..TraceContext::new(parent) };
    let id = client.start("traced", &1).trace(trace).await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    let told = format!("{parent} shop=1");
    assert_eq!(done.output::<Vec<String>>().unwrap().unwrap(), [&*told, &*told, parent]);
    worker.shutdown().await;
}

/// Asks for an approval, and waits for it until somebody says that it may go on without.
async fn asks_for_a_while(ctx: OrchestrationContext, is_withdrawn_then: bool) -> Result<String> {
    let asked = serde_json::json!({"requester": "order", "item": "a chair", "withdraw_with_parent": is_withdrawn_then});
    let child = if is_withdrawn_then { "goes-request" } else { "stays-request" };
    let answer = ctx.sub_orchestration::<serde_json::Value>("placet.approval", Some(child), &asked);
    match ctx.first(answer, ctx.external_event::<String>("go on")).await {
        Either::Left(answer) => Ok(answer?.to_string()),
        Either::Right(words) => Ok(words?),
    }
}

#[tokio::test]
async fn a_request_whose_parent_has_merely_ended_is_withdrawn_only_if_it_says_so() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = Worker::builder(client.clone()).orchestration("asks_for_a_while", asks_for_a_while).start();
    for (parent, child, is_withdrawn_then) in [("stays", "stays", false), (r#""goes"\"#, "goes", true)] {
        client.start("asks_for_a_while", &is_withdrawn_then).id(parent).await.unwrap();
        let look = async || http.get(&format!("/api/v1/requests/{child}-request")).await.unwrap();
        eventually("it is asked", async || (look().await.status == 200).then_some(())).await;
        client.raise_event(parent, "go on", &"without").await.unwrap();
        let ended = client.wait_for_completion(parent).await.unwrap();
        assert_eq!(ended.output_json(), Some("\"without\""));
    }
    let gone = client.wait_for_completion("goes-request").await.unwrap();
    let outcome: serde_json::Value = serde_json::from_str(gone.output_json().unwrap()).unwrap();
    assert_eq!(
        (&outcome["status"], &outcome["by"], &outcome["reason"]),
        (&"Withdrawn".into(), &"its parent".into(), &r#""goes"\ no longer waits for it"#.into())
    );
    // Nobody but the scheduler can say so: not a client, in whatever letters, and not another orchestration.
    for name in ["placet.parent-ended", "PLACET.Parent-Ended"] {
        let refused = client.raise_event("stays-request", name, &"stays").await.unwrap_err();
        assert_eq!(refused.code, Code::FailedPrecondition, "{refused:?}");
        let refused = client.ask("stays-request", name, &"stays").await.unwrap_err();
        assert_eq!(refused.code, Code::FailedPrecondition, "{refused:?}");
    }
    // The other one can still be decided.
    let decision = r#"{"approver": "bob", "decision": "approve"}"#;
    let json = [("Content-Type", "application/json")];
    let decided = http.call(Method::POST, "/api/v1/requests/stays-request/decisions", &json, decision).await.unwrap();
    assert_eq!(decided.status, 200, "{decided:?}");
    worker.shutdown().await;
}
