//! An instance as its client sees it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use placet_proto::durabletask::{OrchestrationState, OrchestrationStatus, TaskFailureDetails};
use serde::de::DeserializeOwned;

use crate::error::{Failure, PayloadError, read};
use crate::transport::Room;

/// The protocol's statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the protocol's names")]
pub enum Status {
    Running,
    Completed,
    ContinuedAsNew,
    Failed,
    Canceled,
    Terminated,
    Pending,
    Suspended,
}

impl Status {
    /// Its name, as Microsoft's SDKs print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "RUNNING",
            Status::Completed => "COMPLETED",
            Status::ContinuedAsNew => "CONTINUED_AS_NEW",
            Status::Failed => "FAILED",
            Status::Canceled => "CANCELED",
            Status::Terminated => "TERMINATED",
            Status::Pending => "PENDING",
            Status::Suspended => "SUSPENDED",
        }
    }

    /// The protocol's number of it.
    pub(crate) fn number(self) -> i32 {
        let status = match self {
            Status::Running => OrchestrationStatus::Running,
            Status::Completed => OrchestrationStatus::Completed,
            Status::ContinuedAsNew => OrchestrationStatus::ContinuedAsNew,
            Status::Failed => OrchestrationStatus::Failed,
            Status::Canceled => OrchestrationStatus::Canceled,
            Status::Terminated => OrchestrationStatus::Terminated,
            Status::Pending => OrchestrationStatus::Pending,
            Status::Suspended => OrchestrationStatus::Suspended,
        };
        status.into()
    }

    /// Whether the instance has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Canceled | Status::Terminated)
    }
}

impl From<OrchestrationStatus> for Status {
    fn from(status: OrchestrationStatus) -> Status {
        match status {
            OrchestrationStatus::Running => Status::Running,
            OrchestrationStatus::Completed => Status::Completed,
            OrchestrationStatus::ContinuedAsNew => Status::ContinuedAsNew,
            OrchestrationStatus::Failed => Status::Failed,
            OrchestrationStatus::Canceled => Status::Canceled,
            OrchestrationStatus::Terminated => Status::Terminated,
            OrchestrationStatus::Pending => Status::Pending,
            OrchestrationStatus::Suspended => Status::Suspended,
        }
    }
}

/// An instance's state, as committed.
#[derive(Debug, Clone)]
pub struct InstanceState {
    state: OrchestrationState,
    room: Room,
}

impl PartialEq for InstanceState {
    fn eq(&self, other: &InstanceState) -> bool {
        self.state == other.state
    }
}

impl InstanceState {
    pub(crate) fn new(state: OrchestrationState, room: Room) -> InstanceState {
        InstanceState { state, room }
    }

    /// The room that it has in the scheduler's process: whoever makes something as long of it keeps this with that.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The instance's id.
    pub fn id(&self) -> &str {
        &self.state.instance_id
    }

    /// The orchestration's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The version that it was started with, or went on with.
    pub fn version(&self) -> Option<&str> {
        self.state.version.as_deref()
    }

    /// What it was started with to be found by.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.state.tags
    }

    /// The instance id of its parent, if it is a child.
    pub fn parent_id(&self) -> Option<&str> {
        self.state.parent_instance_id.as_deref()
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.state.orchestration_status().into()
    }

    /// When its start was accepted.
    pub fn created_at(&self) -> SystemTime {
        system_time(self.state.created_timestamp.as_ref())
    }

    /// When it last changed.
    pub fn updated_at(&self) -> SystemTime {
        system_time(self.state.last_updated_timestamp.as_ref())
    }

    /// When it ended.
    pub fn completed_at(&self) -> Option<SystemTime> {
        self.state.completed_timestamp.as_ref().map(|at| system_time(Some(at)))
    }

    /// Its input, if the call asked for payloads.
    ///
    /// # Errors
    /// If it is no `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<Option<T>, PayloadError> {
        payload("the input", self.state.input.as_deref())
    }

    /// What it gave back, if it completed and the call asked for payloads.
    ///
    /// # Errors
    /// If it is no `T`.
    pub fn output<T: DeserializeOwned>(&self) -> Result<Option<T>, PayloadError> {
        payload("the output", self.state.output.as_deref())
    }

    /// The input as it was written.
    pub fn input_json(&self) -> Option<&str> {
        self.state.input.as_deref().filter(|text| !text.is_empty())
    }

    /// The output as it was written.
    pub fn output_json(&self) -> Option<&str> {
        self.state.output.as_deref().filter(|text| !text.is_empty())
    }

    /// Its custom status.
    ///
    /// # Errors
    /// If it is no `T`.
    pub fn custom_status<T: DeserializeOwned>(&self) -> Result<Option<T>, PayloadError> {
        payload("the custom status", self.state.custom_status.as_deref())
    }

    /// The custom status as it was written.
    pub fn custom_status_json(&self) -> Option<&str> {
        self.state.custom_status.as_deref().filter(|text| !text.is_empty())
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        let said = |details: &&TaskFailureDetails| !details.error_type.is_empty() || !details.error_message.is_empty();
        self.state.failure_details.as_ref().filter(said).cloned().map(Failure::from_details)
    }
}

fn payload<T: DeserializeOwned>(what: &str, text: Option<&str>) -> Result<Option<T>, PayloadError> {
    text.filter(|text| !text.is_empty()).map(|text| read(what, Some(text))).transpose()
}

pub(crate) fn system_time(at: Option<&prost_types::Timestamp>) -> SystemTime {
    let Some(at) = at else { return UNIX_EPOCH };
    let seconds = u64::try_from(at.seconds).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(at.nanos).unwrap_or(0))
}

pub(crate) fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).expect("under a second"),
    }
}
