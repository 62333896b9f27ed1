//! A unit of the sequence cases: an orchestration that calls five activities, one after the other, from its start
//! to the moment when whoever waits for it knows how it ended.

use anyhow::{Result, ensure};
use placet_sdk::{Client, OrchestrationContext, Status, Worker};

use crate::load::{GoOn, Unit, again_and_again};

const SEQUENCE: &str = "sequence";
const ACTIVITY: &str = "add";
const ACTIVITIES: u32 = 5;

/// Starts the worker. To be called in a runtime.
pub(crate) fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration(SEQUENCE, sequence)
        .activity(ACTIVITY, |_, sum: u32| async move { Ok(sum + 1) })
        .start()
}

async fn sequence(ctx: OrchestrationContext, mut sum: u32) -> placet_sdk::Result<u32> {
    for _ in 0..ACTIVITIES {
        sum = ctx.activity(ACTIVITY, &sum).await?;
    }
    Ok(sum)
}

pub(crate) async fn by_sdk(client: Client, go_on: GoOn) -> Result<Vec<Unit>> {
    again_and_again(go_on, async || {
        let id = client.start(SEQUENCE, &0).await?;
        let state = client.wait_for_completion(&id).await?;
        ensure!(state.status() == Status::Completed, "{id} has ended as {:?}", state.status());
        ensure!(state.output::<u32>()? == Some(ACTIVITIES), "{id} has a wrong output");
        Ok(None)
    })
    .await
}
