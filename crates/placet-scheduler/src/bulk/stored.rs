//! An operation as its record row holds it: what its caller is told, and what the server needs to go on with it.

use placet_core::command::RecordContent;
use placet_core::ids::{Hub, RecordKey};
use placet_core::rows::RecordRow;
use placet_core::time::Timestamp;
use placet_proto::placet::v1::{BulkOperation, BulkStatus};
use prost::Message as _;

use crate::records::{BULK_OPERATION, BULK_RESULT};

/// The row's body.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Stored {
    /// As its caller is told of it, but for the version, which is the row's.
    #[prost(message, required, tag = "1")]
    pub(super) operation: BulkOperation,
    /// Behind which instance it goes on looking, as a list's token.
    #[prost(string, tag = "2")]
    pub(super) cursor: String,
    /// The newest instance that there was when it began: those with higher keys came later.
    #[prost(uint64, tag = "3")]
    pub(super) iid_last: u64,
    /// How many pages of results are written, or are about to be.
    #[prost(uint64, tag = "4")]
    pub(super) pages: u64,
    /// What it is about to do. Written before any of it is done, so that nothing is left out, and nothing told twice, if the
    /// server ends meanwhile.
    #[prost(message, repeated, tag = "5")]
    pub(super) pending: Vec<Item>,
    /// All instances were looked at.
    #[prost(bool, tag = "6")]
    pub(super) is_exhausted: bool,
    /// From which ids of new instances are made: the same for the same instance.
    #[prost(bytes = "vec", tag = "7")]
    pub(super) seed: Vec<u8>,
    /// Who began it.
    #[prost(string, tag = "8")]
    pub(super) principal: String,
    /// By what proof.
    #[prost(string, tag = "9")]
    pub(super) proof: String,
}

/// An instance that something is to be done to.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Item {
    /// Its id.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Which of the lives under this id.
    #[prost(uint64, tag = "2")]
    pub(super) iid: u64,
}

impl Stored {
    /// What a row holds.
    pub(super) fn of(row: &RecordRow) -> Option<Stored> {
        Stored::decode(&row.body[..]).ok()
    }

    /// What is to be written at this time.
    pub(super) fn content(&self, now: Timestamp) -> RecordContent {
        RecordContent { expires_at: Some(now.after(BULK_OPERATION.lifetime)), body: self.encode_to_vec().into() }
    }

    pub(super) fn is_running(&self) -> bool {
        self.operation.status() == BulkStatus::Running
    }

    /// As its caller is told of it.
    pub(super) fn told(self, version: u64) -> BulkOperation {
        BulkOperation { version, ..self.operation }
    }
}

/// The row of an operation.
pub(super) fn key_of(hub: &Hub, id: &str) -> RecordKey {
    RecordKey::new(hub.clone(), BULK_OPERATION.name, id)
}

/// The row of a page of its results.
pub(super) fn page_of(hub: &Hub, id: &str, page: u64) -> RecordKey {
    RecordKey::new(hub.clone(), BULK_RESULT.name, format!("{id}/{page:012}"))
}

/// When what is written now counts as absent: the same for results as for their operation.
pub(super) fn results_expire(now: Timestamp) -> Timestamp {
    now.after(BULK_RESULT.lifetime)
}
