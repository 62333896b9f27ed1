//! Workers that take work and do not read it, or read it and never answer.

use futures_util::future::join_all;
use placet_proto::durabletask::GetWorkItemsRequest;
use placet_sdk::{OrchestrationContext, Result, Worker};

use super::measure::{LONG_COMMITS, Target};
use super::payloads::insistently;
use super::{figure, raw};

const MEBIBYTE: usize = 1 << 20;

async fn size(_: OrchestrationContext, input: String) -> Result<usize> {
    Ok(input.len())
}

/// So many instances with a mebibyte each.
async fn start(target: &Target, number: usize) {
    let payload = "x".repeat(MEBIBYTE);
    let starts = (0..8).map(|lane| {
        let (client, payload) = (target.server.client(), payload.clone());
        tokio::spawn(async move {
            for number in (lane..number).step_by(8) {
                insistently(|| async { client.start("size", &payload).id(format!("start-{number}")).await }).await;
            }
        })
    });
    join_all(starts).await.into_iter().for_each(|lane| lane.unwrap());
}

/// A worker comes that works: it ends what the others do not hold.
async fn done_by_another(target: &Target, number: usize, least: usize) {
    let client = target.server.client();
    let worker = Worker::builder(client.clone()).orchestration("size", size).start();
    let done = (0..number).map(|number| {
        let client = client.clone();
        async move { client.wait_for_completion(&format!("start-{number}")).await.map(drop) }
    });
    let (sender, mut ended) = tokio::sync::mpsc::unbounded_channel();
    for wait in done {
        let sender = sender.clone();
        tokio::spawn(async move { drop(sender.send(wait.await)) });
    }
    for _ in 0..least {
        ended.recv().await.unwrap().unwrap();
    }
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_never_read_hold_little_and_the_rest_is_done_by_another() {
    let target = Target::new().await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let channel = raw::channel(target.server.endpoint()).await;
        deaf.push(raw::work_items(&channel, GetWorkItemsRequest::default()).await);
    }
    let number = figure(150, 1_000);
    start(&target, number).await;
    // Each has at most what fits between it and the server: 4 MiB there, and the connection's window.
    done_by_another(&target, number, number - 4 * 16).await;
    drop(deaf);
    target.judge_with("workers that do not read", LONG_COMMITS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_never_answer_hold_little_and_the_rest_is_done_by_another() {
    let target = Target::new().await;
    let mut mute = Vec::new();
    for _ in 0..4 {
        let channel = raw::channel(target.server.endpoint()).await;
        let mut items = raw::work_items(&channel, GetWorkItemsRequest::default()).await;
        mute.push(tokio::spawn(async move { while let Ok(Some(_)) = items.message().await {} }));
    }
    let number = figure(150, 1_000);
    start(&target, number).await;
    done_by_another(&target, number, number - 4 * 20).await;
    mute.into_iter().for_each(|worker| worker.abort());
    target.judge_with("workers that do not answer", LONG_COMMITS).await;
}
