//! The human interaction pattern in Rust: submit a request, wait for a person or for the deadline, act on the answer.
//!
//! The orchestration is an ordinary `async fn`. It may wait for a day or for a year: while it does, it is a row in the
//! scheduler's store and nothing else, and if this program is killed meanwhile, it goes on where it was when the
//! program is started again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use placet_sdk::{ActivityContext, Client, Either, OrchestrationContext, Result, Worker};
use serde::{Deserialize, Serialize};

/// The names under which the sample registers them, so that its clients find them here, too.
pub const ORCHESTRATION: &str = "human_interaction_orchestrator";

/// What somebody asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// Which request it is.
    pub request_id: String,
    /// Who asks.
    pub requester: String,
    /// For what.
    pub item: String,
    /// How long to wait for an answer, in hours.
    pub timeout_hours: f64,
}

/// What an approver says: the payload of the event `approval_response`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalResponse {
    /// Whether he approves.
    pub is_approved: bool,
    /// Who he is.
    pub approver: String,
    /// What he says to it.
    #[serde(default)]
    pub comments: Option<String>,
}

/// How it stands, as clients see it while it waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submission {
    /// Which request it is.
    pub request_id: String,
    /// "Pending".
    pub status: String,
    /// Seconds since 1970.
    pub submitted_at: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which request it is.
    pub request_id: String,
    /// "Approved", "Rejected" or "Timeout".
    pub status: String,
    /// Who decided, if anybody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// What he said to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
}

/// The orchestration.
///
/// # Errors
/// If an activity fails.
pub async fn human_interaction(ctx: OrchestrationContext, request: ApprovalRequest) -> Result<Outcome> {
    let request_id = request.request_id.clone();
    let submission: Submission = ctx.activity("submit_approval_request", &request).await?;
    ctx.set_custom_status(&submission)?;

    let answered = ctx.external_event::<ApprovalResponse>("approval_response");
    let too_late = ctx.timer(Duration::from_secs_f64(request.timeout_hours * 3_600.0));
    match ctx.first(answered, too_late).await {
        Either::Left(response) => Ok(ctx.activity("process_approval", &(request_id, response?)).await?),
        Either::Right(()) => Ok(Outcome { request_id, status: "Timeout".to_owned(), approver: None, comments: None }),
    }
}

/// Tells the approver. A real one sends a mail.
///
/// # Errors
/// None; a real one has some.
pub async fn submit_approval_request(_: ActivityContext, request: ApprovalRequest) -> Result<Submission> {
    let submitted_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Submission { request_id: request.request_id, status: "Pending".to_owned(), submitted_at })
}

/// Acts on the decision. A real one books the leave.
///
/// # Errors
/// None; a real one has some.
pub async fn process_approval(
    _: ActivityContext,
    (request_id, response): (String, ApprovalResponse),
) -> Result<Outcome> {
    let status = if response.is_approved { "Approved" } else { "Rejected" };
    let approver = Some(response.approver);
    Ok(Outcome { request_id, status: status.to_owned(), approver, comments: response.comments })
}

/// A running worker for all three.
pub fn start_worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration(ORCHESTRATION, human_interaction)
        .activity("submit_approval_request", submit_approval_request)
        .activity("process_approval", process_approval)
        .start()
}
