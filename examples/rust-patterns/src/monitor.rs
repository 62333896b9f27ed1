//! Monitor: looks again and again, at times that it sets itself, until something is so or it is too late. Between two looks
//! it is a row in the scheduler's store and nothing else.

use std::time::Duration;

use placet_sdk::{ActivityContext, Client, OrchestrationContext, Result, Worker};
use serde::{Deserialize, Serialize};

/// What to look at, and how patiently.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watch {
    /// The job.
    pub job: String,
    /// The time between the first two looks, in milliseconds; it doubles from look to look.
    pub every_ms: u64,
    /// How many looks there are in all.
    pub looks: u32,
}

/// The orchestration: after how many looks the job was done, if it was.
///
/// # Errors
/// If the activity fails.
pub async fn monitor(ctx: OrchestrationContext, watch: Watch) -> Result<Option<u32>> {
    let mut pause = Duration::from_millis(watch.every_ms);
    for look in 1..=watch.looks {
        if ctx.activity("is_done", &(&watch.job, look)).await? {
            return Ok(Some(look));
        }
        ctx.set_custom_status(&format!("looked {look} times"))?;
        ctx.timer(pause).await;
        pause *= 2;
    }
    Ok(None)
}

/// A real one asks whoever runs the job. Here the number of the job's letters says how many looks it takes.
async fn is_done(_: ActivityContext, (job, look): (String, u32)) -> Result<bool> {
    Ok(u64::from(look) >= job.chars().count() as u64)
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("monitor", monitor).activity("is_done", is_done).start()
}
