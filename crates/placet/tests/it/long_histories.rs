//! Long histories: of a hundred thousand events an instance goes on as of ten, whether its worker kept its state or lost it.

use futures_util::future::join_all;
use placet_sdk::{ActivityContext, Client, OrchestrationContext, Result, Worker};
use placet_testkit::eventually;

/// Activities at once: two events of each.
const WIDTH: usize = 2_500;

const ROUNDS: usize = 20;

async fn rounds(ctx: OrchestrationContext, rounds: usize) -> Result<usize> {
    let mut sum = 0;
    for round in 0..rounds {
        let calls = (0..WIDTH).map(|number| ctx.activity::<usize>("same", &(round + number)));
        for result in join_all(calls).await {
            sum += result?;
        }
        ctx.set_custom_status(&(round + 1))?;
    }
    let more: usize = ctx.external_event("more").await?;
    Ok(sum + ctx.activity::<usize>("same", &more).await?)
}

async fn same(_: ActivityContext, number: usize) -> Result<usize> {
    Ok(number)
}

fn worker(client: &Client) -> Worker {
    Worker::builder(client.clone()).orchestration("rounds", rounds).activity("same", same).start()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_with_a_very_long_history_goes_on_with_a_worker_that_reads_it_for_the_first_time() {
    let server = crate::server().await;
    let client = server.client();
    let first = worker(&client);
    let id = client.start("rounds", &ROUNDS).await.unwrap();
    eventually("all rounds are done", async || {
        let state = client.get(&id).await.unwrap()?;
        (state.custom_status::<usize>().unwrap() == Some(ROUNDS)).then_some(())
    })
    .await;
    first.shutdown().await;

    let second = worker(&client);
    client.raise_event(&id, "more", &7).await.unwrap();
    let done = client.wait_for_completion(&id).await.unwrap();
    let sum: usize = (0..ROUNDS).map(|round| (0..WIDTH).map(|number| round + number).sum::<usize>()).sum();
    assert_eq!(done.output::<usize>().unwrap(), Some(sum + 7));
    let history = client.history(&id).await.unwrap();
    assert!(history.len() >= 100_000, "{} events", history.len());
    second.shutdown().await;
}
