//! Async HTTP API: a call that begins something long answers at once, and says where to look for its outcome. What stands
//! here is what such an API does in its handlers; the rest is any web framework.

use placet_sdk::{CallError, Client, OrchestrationContext, Result, StartError, Status, Worker};
use serde::Serialize;

/// What `POST /jobs` answers, with 202.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// The job.
    pub id: String,
    /// Where to look (`Location`).
    pub status_url: String,
}

/// What `GET /jobs/{id}` answers: 202 while it runs, 200 once it has ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// Whether it has ended.
    pub is_over: bool,
    /// How far it is.
    pub progress: Option<u32>,
    /// What came of it, as JSON.
    pub outcome: Option<String>,
}

/// `POST /jobs`. Who sends the same id again begins nothing twice.
///
/// # Errors
/// If the scheduler does not answer.
pub async fn begin(client: &Client, id: &str, steps: u32) -> std::result::Result<Accepted, StartError> {
    match client.start("job", &steps).id(id).only_if_absent().await {
        Ok(_) | Err(StartError::AlreadyExists(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(Accepted { id: id.to_owned(), status_url: format!("/jobs/{id}") })
}

/// `GET /jobs/{id}`; nothing is 404.
///
/// # Errors
/// If the scheduler does not answer.
pub async fn look(client: &Client, id: &str) -> std::result::Result<Option<Progress>, CallError> {
    Ok(client.get(id).await?.map(|state| Progress {
        is_over: !matches!(state.status(), Status::Pending | Status::Running | Status::Suspended),
        progress: state.custom_status().unwrap_or_default(),
        outcome: state.output_json().map(str::to_owned),
    }))
}

/// The job itself: some steps, each of which waits for the word to go on.
///
/// # Errors
/// If an event is not what it should be.
pub async fn job(ctx: OrchestrationContext, steps: u32) -> Result<String> {
    for step in 0..steps {
        ctx.set_custom_status(&step)?;
        ctx.external_event::<()>("go_on").await?;
    }
    Ok("done".to_owned())
}

/// A worker for it.
pub fn worker(client: Client) -> Worker {
    Worker::builder(client).orchestration("job", job).start()
}
