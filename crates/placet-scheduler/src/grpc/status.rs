//! Every refusal's gRPC status, in one place. UNAVAILABLE promises that the call had no effect, since clients
//! repeat it by themselves (PROTOCOL.md §2.1).

use placet_core::command::{DISK_FULL, Refusal};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::hubs::HubError;
use crate::scheduler::CallError;

/// The name of a refusal's cause, for programs that tell apart what one code says (`placet-sdk` reads it).
const REASON: &str = "placet-reason";

/// The status that tells of this error.
pub fn status_of(error: &CallError) -> Status {
    let mut metadata = MetadataMap::new();
    if matches!(error, CallError::Refused(Refusal::Exhausted { what: DISK_FULL, .. })) {
        metadata.insert(REASON, MetadataValue::from_static("disk-full"));
    }
    Status::with_metadata(code_of(error), error.to_string(), metadata)
}

fn code_of(error: &CallError) -> Code {
    match error {
        CallError::Refused(refusal) => code_of_refusal(refusal),
        CallError::Hub(HubError::Invalid(_)) => Code::InvalidArgument,
        CallError::Hub(HubError::TooMany) | CallError::Busy => Code::ResourceExhausted,
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
    use std::time::Duration;

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
        assert_eq!(status_of(&CallError::Busy).code(), Code::ResourceExhausted);
    }
}
