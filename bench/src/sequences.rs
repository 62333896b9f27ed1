//! A unit of the sequence cases: an orchestration that calls five activities, one after the other, from its start
//! to the moment when whoever waits for it knows how it ended.

use std::time::Instant;

use anyhow::{Result, ensure};
use placet_sdk::{Client, OrchestrationContext, Status, Worker};

use crate::load::{GoOn, Unit, Units};
use crate::raw;

const SEQUENCE: &str = "sequence";
const ACTIVITY: &str = "add";
pub(crate) const ACTIVITIES: u32 = 5;

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
        units.push(Unit::ended(begun, None));
    }
    Ok(units)
}

/// By Microsoft's calls.
pub(crate) async fn by_raw_calls(connection: raw::Connection, go_on: GoOn) -> Result<Units> {
    let activities = ACTIVITIES.to_string();
    let mut units = Units::default();
    while go_on.holds() {
        let begun = Instant::now();
        let id = connection.start(raw::SEQUENCE, &activities).await?;
        let state = connection.wait(&id).await?;
        ensure!(state.output.as_ref() == Some(&activities), "{id}: {state:?}");
        units.push(Unit::ended(begun, None));
    }
    Ok(units)
}
