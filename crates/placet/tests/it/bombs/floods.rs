//! Too many small things: events, activities.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::join_all;
use placet_sdk::{ActivityContext, Client, OrchestrationContext, Result, Worker};

use super::figure;
use super::measure::Target;
use super::payloads::insistently;

/// Events are sent by so many at a time.
const LANES: usize = 64;

async fn flood(client: &Client, id: &str, events: usize) {
    let lanes = (0..LANES).map(|lane| {
        let (client, id) = (client.clone(), id.to_owned());
        tokio::spawn(async move {
            for number in (lane..events).step_by(LANES) {
                insistently(|| client.raise_event(&id, "tick", &number)).await;
            }
        })
    });
    join_all(lanes).await.into_iter().for_each(|lane| lane.unwrap());
}

/// Takes so many events, a thousand in each generation: a history has its end.
async fn count(ctx: OrchestrationContext, (taken, wanted): (usize, usize)) -> Result<usize> {
    let mut taken = taken;
    for _ in 0..1_000 {
        if taken == wanted {
            return Ok(taken);
        }
        ctx.external_event::<usize>("tick").await?;
        taken += 1;
    }
    ctx.continue_as_new(&(taken, wanted))?;
    Ok(taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_takes_all_events_of_a_flood_while_its_worker_keeps_up() {
    let target = Target::new().await;
    let client = target.server.client();
    let worker = Worker::builder(client.clone()).orchestration("count", count).start();
    let events = figure(5_000, 1_000_000);
    let id = client.start("count", &(0, events)).await.unwrap();
    flood(&client, &id, events).await;
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<usize>().unwrap(), Some(events));
    worker.shutdown().await;
    target.judge("events with a worker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_nobody_takes_are_kept_up_to_a_bound_and_then_refused_with_the_reason() {
    let target = Target::new().await;
    let client = target.server.client();
    let id = client.start("nobody", &()).await.unwrap();
    let payload = "x".repeat(figure(100_000, 100));
    let accepted = join_all((0..LANES).map(|_| {
        let (client, id, payload) = (client.clone(), id.clone(), payload.clone());
        tokio::spawn(async move {
            for accepted in 0.. {
                if let Err(refused) = client.raise_event(&id, "tick", &payload).await {
                    assert!(refused.message.contains("the instance's inbox is full"), "{refused:?}");
                    return accepted;
                }
            }
            0_usize
        })
    }));
    let accepted: usize = accepted.await.into_iter().map(|lane| lane.unwrap()).sum();
    println!("{accepted} events of {} bytes were taken", payload.len());
    assert!(accepted * (payload.len() + 300) > 30 << 20, "{accepted} events");
    target.judge("events without a worker").await;
}

/// Starts all, then takes their results one after another: each event wakes one of them, and not all.
async fn fan_out(ctx: OrchestrationContext, width: usize) -> Result<usize> {
    let mut calls: Vec<_> = (0..width).map(|number| ctx.activity::<usize>("one", &number)).collect();
    let mut done = 0;
    let mut open = Vec::new();
    for mut call in calls.drain(..) {
        match poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx))).await {
            Poll::Ready(result) => done += usize::from(result.is_ok()),
            Poll::Pending => open.push(call),
        }
    }
    for call in open {
        call.await?;
        done += 1;
    }
    Ok(done)
}

async fn one(_: ActivityContext, number: usize) -> Result<usize> {
    Ok(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_out_of_very_many_activities_comes_back_whole() {
    let target = Target::new().await;
    let client = target.server.client();
    let worker = Worker::builder(client.clone()).orchestration("fan_out", fan_out).activity("one", one).start();
    let width = figure(5_000, 100_000);
    let id = client.start("fan_out", &width).await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    assert_eq!(done.output::<usize>().unwrap(), Some(width));
    worker.shutdown().await;
    target.judge("fan-out").await;
}
