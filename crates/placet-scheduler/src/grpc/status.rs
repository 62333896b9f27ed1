//! Every refusal's gRPC status, in one place. UNAVAILABLE promises that the call had no effect, since clients
//! repeat it by themselves (PROTOCOL.md §2.1).

use std::time::Duration;

use placet_core::command::{DISK_FULL, Refusal};
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::budget::RETRY_AFTER;
use crate::hubs::HubError;
use crate::scheduler::CallError;

/// The name of a refusal's cause, for programs that tell apart what one code says (`placet-sdk` reads it).
const REASON: &str = "placet-reason";

/// The status that tells of this error.
pub fn status_of(error: &CallError) -> Status {
    let mut status = match retry_after(error) {
        Some(retry_after) => exhausted(error.to_string(), retry_after),
        None => Status::new(code_of(error), error.to_string()),
    };
    if matches!(error, CallError::Refused(Refusal::Exhausted { what: DISK_FULL, .. })) {
        status.metadata_mut().insert(REASON, MetadataValue::from_static("disk-full"));
    }
    status
}

/// A message that is too large in itself.
pub(super) fn too_large(bytes: usize, most: usize) -> Status {
    Status::resource_exhausted(format!("the message has {bytes} bytes; {most} at most are taken (payloads of 64 MiB)"))
}

/// A message that found no room.
pub(super) fn busy() -> Status {
    status_of(&CallError::Busy)
}

/// Whether this tells of the server's want of room, and of nothing that its caller did: it says when to come again.
pub(super) fn is_want_of_room(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && !status.details().is_empty()
}

/// A message that does not come.
pub(super) fn too_slow(patience: Duration) -> Status {
    let seconds = patience.as_secs();
    Status::deadline_exceeded(format!("the message came too slowly: {seconds} s are given, and a second for each MiB"))
}

/// When the same call may be made again, if it was refused for want of room: a hub too many stays one too many.
fn retry_after(error: &CallError) -> Option<Duration> {
    match error {
        CallError::Refused(refusal) => refusal.retry_after(),
        CallError::Busy | CallError::TooManyWait => Some(RETRY_AFTER),
        CallError::Hub(_)
        | CallError::Read(_)
        | CallError::ContinuedAsNew
        | CallError::NoOperation(_)
        | CallError::Key(_)
        | CallError::NotItsCheckpoint(_)
        | CallError::NothingEntered(_)
        | CallError::RecordBroken { .. }
        | CallError::Stopping => None,
    }
}

/// `google.rpc.Status`, which carries [`RetryInfo`] to clients that look for it (`grpc-status-details-bin`).
#[derive(Clone, PartialEq, prost::Message)]
struct Details {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn exhausted(message: String, retry_after: Duration) -> Status {
    let info = RetryInfo { retry_delay: prost_types::Duration::try_from(retry_after).ok() };
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    let details = vec![prost_types::Any { type_url, value: info.encode_to_vec() }];
    let details = Details { code: Code::ResourceExhausted.into(), message: message.clone(), details };
    Status::with_details(Code::ResourceExhausted, message, details.encode_to_vec().into())
}

fn code_of(error: &CallError) -> Code {
    match error {
        CallError::Refused(refusal) => code_of_refusal(refusal),
        CallError::Hub(HubError::Invalid(_)) => Code::InvalidArgument,
        CallError::Hub(HubError::Unknown(_)) => Code::NotFound,
        CallError::Hub(HubError::TooMany) | CallError::Busy | CallError::TooManyWait => Code::ResourceExhausted,
        CallError::NoOperation(_) | CallError::NothingEntered(_) => Code::NotFound,
        CallError::Key(_) => Code::FailedPrecondition,
        CallError::RecordBroken { .. } | CallError::NotItsCheckpoint(_) => Code::DataLoss,
        CallError::ContinuedAsNew => Code::Aborted,
        CallError::Read(_) => Code::Internal,
        CallError::Stopping => Code::Unavailable,
    }
}

fn code_of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NotFound(_) => Code::NotFound,
        Refusal::AlreadyExists { .. } => Code::AlreadyExists,
        Refusal::InvalidArgument(_) => Code::InvalidArgument,
        Refusal::FailedPrecondition(_) => Code::FailedPrecondition,
        Refusal::Exhausted { .. } => Code::ResourceExhausted,
        Refusal::Unknown => Code::Unknown,
        Refusal::Unreadable(_) => Code::Internal,
        // A refusal that this edge does not know yet is the server's fault, not the caller's.
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use placet_core::ids::{Hub, InstanceId, InstanceKey};

    use super::*;

    #[test]
    fn every_refusal_has_its_code() {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new("x"));
        let exhausted = Refusal::Exhausted { what: DISK_FULL, retry_after: Duration::from_secs(1) };
        assert_eq!(status_of(&CallError::Refused(exhausted.clone())).metadata().get(REASON).unwrap(), "disk-full");
        let table = [
            (Refusal::NotFound(key.clone()), Code::NotFound),
            (Refusal::AlreadyExists { key, status: "RUNNING" }, Code::AlreadyExists),
            (Refusal::InvalidArgument("x".into()), Code::InvalidArgument),
            (Refusal::FailedPrecondition("x".into()), Code::FailedPrecondition),
            (exhausted, Code::ResourceExhausted),
            (Refusal::Unknown, Code::Unknown),
            (Refusal::Unreadable("x".into()), Code::Internal),
        ];
        for (refusal, code) in table {
            assert_eq!(status_of(&CallError::Refused(refusal)).code(), code);
        }
        assert_eq!(status_of(&CallError::Stopping).code(), Code::Unavailable);
        assert_eq!(status_of(&CallError::NoOperation("x".into())).code(), Code::NotFound);
        assert_eq!(status_of(&CallError::Busy).code(), Code::ResourceExhausted);
    }

    #[test]
    fn a_refusal_for_want_of_room_says_in_the_protocols_own_way_when_to_come_again() {
        let status = busy();
        assert_eq!(status.message(), "too many bytes are in flight in this server; try again in 1000 ms");
        let details = Details::decode(status.details()).unwrap();
        let info = RetryInfo::decode(details.details[0].value.as_slice()).unwrap();
        assert_eq!(info.retry_delay.unwrap().seconds, 1);
        assert!(status_of(&CallError::Stopping).details().is_empty());
        assert!(is_want_of_room(&status));
        assert!(!is_want_of_room(&too_large(2, 1)), "this one is its sender's");
    }
}
