//! A work item as a worker sees it that keeps its state: the history is there, and stays bytes until it is wanted.

use bytes::Bytes;
use placet_proto::durabletask::{ActivityRequest, HistoryEvent};

/// `WorkItem`, without entities.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Item {
    #[prost(message, optional, tag = "1")]
    pub(super) turn: Option<Turn>,
    #[prost(message, optional, tag = "2")]
    pub(super) activity: Option<ActivityRequest>,
    #[prost(string, tag = "10")]
    pub(super) completion_token: String,
}

/// `OrchestratorRequest`, as far as it is used here.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Turn {
    #[prost(string, tag = "1")]
    pub(super) instance_id: String,
    /// Each an encoded `HistoryEvent`.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub(super) past_events: Vec<Bytes>,
    #[prost(message, repeated, tag = "4")]
    pub(super) new_events: Vec<HistoryEvent>,
}
