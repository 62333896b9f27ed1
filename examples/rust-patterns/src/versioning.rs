//! Versioning: new code beside instances that the old code began. Code that waits must do what its history says, so a change
//! of its steps is a new version: instances that were started with the old one go on as they began, however long they wait.

use placet_sdk::{ActivityContext, Client, OrchestrationContext, Result, Worker};

/// Which version new instances are started with.
pub const CURRENT: &str = "2";

/// The orchestration, in both of its versions.
///
/// # Errors
/// If an activity fails.
pub async fn ship(ctx: OrchestrationContext, order: String) -> Result<Vec<String>> {
    let mut done: Vec<String> = Vec::new();
    if ctx.version().as_deref() == Some(CURRENT) {
        // New in version 2. An instance of version 1 that waits below must not do it when it is replayed.
        done.push(ctx.activity("insure", &order).await?);
    }
    done.push(ctx.activity("pack", &order).await?);
    ctx.external_event::<()>("picked_up").await?;
    Ok(done)
}

async fn insure(_: ActivityContext, order: String) -> Result<String> {
    Ok(format!("{order} is insured"))
}

async fn pack(_: ActivityContext, order: String) -> Result<String> {
    Ok(format!("{order} is packed"))
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("ship", ship).activity("insure", insure).activity("pack", pack).start()
}
