//! The same for many instances at once, as an operation that the server carries on by itself.
//!
//! The messages are the protocol's (`placet.v1`).

pub use placet_proto::durabletask::OrchestrationStatus;
pub use placet_proto::placet::v1::bulk_action::Action;
pub use placet_proto::placet::v1::{
    BulkAction, BulkFilter, BulkOperation, BulkOutcome, BulkPurge, BulkRaiseEvent, BulkRestart, BulkResult, BulkResume,
    BulkRewind, BulkStatus, BulkSuspend, BulkTerminate, StartBulkResponse,
};
use placet_proto::placet::v1::{BulkResultsRequest, CancelBulkRequest, GetBulkRequest, StartBulkRequest};

use crate::client::{Client, renewed};
use crate::transport::CallError;

/// How long one call waits for a change.
const WAIT_MS: u32 = 30_000;

impl Client {
    /// How many instances a filter means, and the first of them. Nothing is done.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn count_bulk(&self, filter: BulkFilter, action: Action) -> Result<StartBulkResponse, CallError> {
        let request = StartBulkRequest { dry_run: true, ..start(filter, action, "") };
        self.transport().start_bulk(self.hub(), request).await
    }

    /// Begins to do the same to all instances that a filter means. Who begins an operation twice with the same id begins
    /// it once; an empty one is made up.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn start_bulk(&self, filter: BulkFilter, action: Action, id: &str) -> Result<BulkOperation, CallError> {
        let answer = self.transport().start_bulk(self.hub(), start(filter, action, id)).await?;
        Ok(answer.operation.unwrap_or_default())
    }

    /// An operation as it stands.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::NotFound`] if there is none of this id.
    pub async fn bulk(&self, id: &str) -> Result<BulkOperation, CallError> {
        let request = GetBulkRequest { operation_id: id.to_owned(), ..GetBulkRequest::default() };
        self.transport().get_bulk(self.hub(), request).await
    }

    /// An operation as soon as it has another version than this, or as it stands after half a minute.
    ///
    /// # Errors
    /// As [`Client::bulk`].
    pub async fn bulk_after(&self, id: &str, known_version: u64) -> Result<BulkOperation, CallError> {
        renewed(|| {
            let request = GetBulkRequest { operation_id: id.to_owned(), known_version, wait_ms: WAIT_MS };
            self.transport().get_bulk(self.hub(), request)
        })
        .await
    }

    /// Ends an operation after what is under way: how it stands then.
    ///
    /// # Errors
    /// As [`Client::bulk`].
    pub async fn cancel_bulk(&self, id: &str) -> Result<BulkOperation, CallError> {
        self.transport().cancel_bulk(self.hub(), CancelBulkRequest { operation_id: id.to_owned() }).await
    }

    /// The operations of the hub, those that began last first, without the texts of what they do.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn bulks(&self) -> Result<Vec<BulkOperation>, CallError> {
        Ok(self.transport().list_bulks(self.hub()).await?.operations)
    }

    /// Some of an operation's results, and where the next ones are: none if those were the last. From the beginning with an
    /// empty token.
    ///
    /// # Errors
    /// As [`Client::bulk`].
    pub async fn bulk_results(&self, id: &str, token: &str) -> Result<(Vec<BulkResult>, Option<String>), CallError> {
        let request = BulkResultsRequest { operation_id: id.to_owned(), page_token: token.to_owned() };
        let answer = self.transport().bulk_results(self.hub(), request).await?;
        let next = Some(answer.next_page_token).filter(|token| !token.is_empty());
        Ok((answer.results, next))
    }
}

fn start(filter: BulkFilter, action: Action, id: &str) -> StartBulkRequest {
    StartBulkRequest {
        filter: Some(filter),
        action: Some(BulkAction { action: Some(action) }),
        dry_run: false,
        operation_id: id.to_owned(),
    }
}
