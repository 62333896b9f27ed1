//! An approval as a step: `placet.approval`, which the server's own worker runs, called as a child. People answer it wherever they are
//! asked; the workflow waits for as long as that takes, and costs nothing meanwhile. What comes back is typed: only
//! [`Outcome::Approved`] means yes.

use placet_approval::{NewRequest, ORCHESTRATION, Outcome};
use placet_sdk::{Client, OrchestrationContext, Result, Worker};

/// Deploys a version that somebody has agreed to.
///
/// # Errors
/// If the request cannot be accepted.
pub async fn deploy_approved(ctx: OrchestrationContext, version: String) -> Result<String> {
    let mut request = NewRequest::new("pipeline", format!("Deploy {version}"));
    request.timeout = Some("1d".to_owned());
    let id = format!("{}:approval", ctx.instance_id());
    let outcome: Outcome = ctx.sub_orchestration(ORCHESTRATION, Some(&id), &request).await?;
    Ok(match outcome {
        Outcome::Approved(by) => format!("{version} is deployed, as {} says", by.approver),
        Outcome::Rejected(by) => format!("{version} is not deployed: {} says {:?}", by.approver, by.comments),
        Outcome::Timeout(_) => format!("{version} is not deployed: nobody has answered"),
        Outcome::Withdrawn(by) => format!("{version} is not deployed: {} has taken it back", by.by),
    })
}

/// A worker for it. The approval itself is not its business.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("deploy_approved", deploy_approved).start()
}
