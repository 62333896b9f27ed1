//! Sub-orchestrations: parts of a whole with lives, ids and histories of their own. A child that fails is tried again under
//! its own id; one that nobody waits for goes on when its parent has ended.

use futures_util::future::join_all;
use placet_sdk::{Client, Failure, OrchestrationContext, Result, RetryPolicy, Worker};

/// The parent: has every region deploy, and starts the report, which nobody waits for. The id of the report.
///
/// # Errors
/// If a region fails three times.
pub async fn roll_out(ctx: OrchestrationContext, regions: Vec<String>) -> Result<String> {
    let policy = RetryPolicy { delay_first: std::time::Duration::from_millis(50), ..RetryPolicy::attempts(3) };
    let deployments = regions.iter().map(|region| {
        let id = format!("{}-{region}", ctx.instance_id());
        ctx.sub_orchestration::<()>("deploy", Some(&id), region).retry(policy.clone())
    });
    for deployment in join_all(deployments).await {
        deployment?;
    }
    ctx.start_detached("report", None, &regions)
}

/// A child.
///
/// # Errors
/// If its region does not exist.
pub async fn deploy(_: OrchestrationContext, region: String) -> Result<()> {
    if region == "atlantis" {
        return Err(Failure::new("NoSuchRegion", format!("{region} is under water")));
    }
    Ok(())
}

/// A child that nobody waits for.
///
/// # Errors
/// None.
pub async fn report(ctx: OrchestrationContext, regions: Vec<String>) -> Result<String> {
    let parent = ctx.parent().map(|parent| parent.name).unwrap_or_default();
    Ok(format!("{parent}: {}", regions.join(", ")))
}

/// A worker for all three.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("roll_out", roll_out)
        .orchestration("deploy", deploy)
        .orchestration("report", report)
        .start()
}
