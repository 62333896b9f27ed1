//! A unit of the sequence cases: an orchestration that calls five activities, one after the other, from its start
//! to the moment when whoever waits for it knows how it ended.

use std::time::Instant;

use anyhow::{Result, ensure};
use placet_sdk::{Client, OrchestrationContext, Status, Worker};

use crate::load::{GoOn, Units};

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

pub(crate) async fn by_sdk(client: Client, go_on: GoOn) -> Result<Units> {
    let mut units = Units::default();
    while go_on.holds() {
        let begun = Instant::now();
        let id = client.start(SEQUENCE, &0).await?;
        let state = client.wait_for_completion(&id).await?;
        ensure!(state.status() == Status::Completed, "{id} has ended as {:?}", state.status());
        ensure!(state.output::<u32>()? == Some(ACTIVITIES), "{id} has a wrong output");
        units.ended(begun, None);
    }
    Ok(units)
}
