//! Every refusal as a problem document (RFC 9457), in one table. The tools look at the status: 403, 404 ("it may have been
//! purged"), 409 with the body shown. docs/errors.md has a paragraph on each kind.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use placet_core::command::{DISK_FULL, Refusal};
use serde::Serialize;

use crate::hubs::HubError;
use crate::scheduler::CallError;

/// The kinds. Their names are stable: `type` is `urn:placet:problem:<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BadBody,
    BodyTooLarge,
    BodyTooSlow,
    Conflict,
    DiskFull,
    MethodNotAllowed,
    NoSuchEntity,
    NoSuchOrchestration,
    NoSuchPath,
    NoSuchSchedule,
    NoSuchTaskHub,
    NotImplemented,
    NotJson,
    OutcomeUnknown,
    Overloaded,
    SchedulerFailed,
    TooManyTaskHubs,
}

impl Kind {
    /// Name, title and status.
    fn facts(self) -> (&'static str, &'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Kind::BadBody => ("bad-request", "The call is not what it must be", S::BAD_REQUEST),
            Kind::BodyTooLarge => ("body-too-large", "The body is too large", S::PAYLOAD_TOO_LARGE),
            Kind::BodyTooSlow => ("body-too-slow", "The body comes too slowly", S::REQUEST_TIMEOUT),
            Kind::Conflict => ("conflict", "Its state does not allow it", S::CONFLICT),
            Kind::DiskFull => ("disk-full", "The server's disk is full", S::INSUFFICIENT_STORAGE),
            Kind::MethodNotAllowed => ("method-not-allowed", "The method is not allowed", S::METHOD_NOT_ALLOWED),
            Kind::NoSuchEntity => ("no-such-entity", "There is no such entity", S::NOT_FOUND),
            Kind::NoSuchOrchestration => ("no-such-orchestration", "There is no such orchestration", S::NOT_FOUND),
            Kind::NoSuchPath => ("no-such-path", "There is nothing here", S::NOT_FOUND),
            Kind::NoSuchSchedule => ("no-such-schedule", "There is no such schedule", S::NOT_FOUND),
            Kind::NoSuchTaskHub => ("no-such-task-hub", "There is no such task hub", S::NOT_FOUND),
            Kind::NotImplemented => ("not-implemented", "This server cannot do it yet", S::NOT_IMPLEMENTED),
            Kind::NotJson => ("not-json", "The body must be JSON", S::UNSUPPORTED_MEDIA_TYPE),
            Kind::OutcomeUnknown => ("outcome-unknown", "Nobody knows whether it was done", S::INTERNAL_SERVER_ERROR),
            Kind::Overloaded => ("overloaded", "Too much is going on", S::SERVICE_UNAVAILABLE),
            Kind::SchedulerFailed => ("scheduler-failed", "The scheduler failed", S::INTERNAL_SERVER_ERROR),
            Kind::TooManyTaskHubs => ("too-many-task-hubs", "There are too many task hubs", S::CONFLICT),
        }
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into() }
    }

    /// Something wrong with a field of the body, or with a header.
    pub(super) fn field(field: &str, what: impl std::fmt::Display) -> Problem {
        Problem::new(Kind::BadBody, format!("{field}: {what}"))
    }

    pub(super) fn no_such_orchestration(id: &str) -> Problem {
        let detail = format!("there is no orchestration {id:?} in this task hub; it may have been purged");
        Problem::new(Kind::NoSuchOrchestration, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, title, status) = self.kind.facts();
        let kind = format!("urn:placet:problem:{name}");
        let document = Document { kind, title, status: status.as_u16(), detail: &self.detail };
        let document = serde_json::to_string(&document).expect("texts and a number");
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
        let mut answer = (status, headers, document).into_response();
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE].contains(&status) {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Problem {
        let kind = match &error {
            HubError::Invalid(_) => Kind::BadBody,
            HubError::Unknown(_) => Kind::NoSuchTaskHub,
            HubError::TooMany => Kind::TooManyTaskHubs,
        };
        Problem::new(kind, error.to_string())
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Problem {
        let detail = error.to_string();
        let kind = match error {
            CallError::Refused(refusal) => kind_of(&refusal),
            CallError::Hub(error) => return error.into(),
            CallError::Busy | CallError::TooManyWait | CallError::Stopping => Kind::Overloaded,
            CallError::ContinuedAsNew => Kind::Conflict,
            // No call over HTTP asks for one.
            CallError::NoOperation(_)
            | CallError::Key(_)
            | CallError::NothingEntered(_)
            | CallError::NotItsCheckpoint(_)
            | CallError::RecordBroken { .. } => Kind::SchedulerFailed,
            CallError::Read(_) => Kind::SchedulerFailed,
        };
        if kind == Kind::SchedulerFailed {
            tracing::error!(detail, "a call over HTTP failed");
        }
        Problem::new(kind, detail)
    }
}

fn kind_of(refusal: &Refusal) -> Kind {
    match refusal {
        Refusal::NotFound(_) => Kind::NoSuchOrchestration,
        Refusal::AlreadyExists { .. } | Refusal::FailedPrecondition(_) => Kind::Conflict,
        Refusal::InvalidArgument(_) => Kind::BadBody,
        Refusal::Exhausted { what: DISK_FULL, .. } => Kind::DiskFull,
        Refusal::Exhausted { .. } => Kind::Overloaded,
        Refusal::Unknown => Kind::OutcomeUnknown,
        // A refusal that this edge does not know yet is the server's fault, not the caller's.
        _ => Kind::SchedulerFailed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use placet_core::ids::{Hub, InstanceId, InstanceKey};
    use placet_store::ReadError;

    use super::*;

    #[test]
    fn every_error_of_a_call_has_its_status() {
        let key = || InstanceKey::new(Hub::new("default"), InstanceId::new("x"));
        let exhausted = |what| Refusal::Exhausted { what, retry_after: Duration::from_secs(1) };
        let read = ReadError::Damaged { table: "instance", what: "x".into() };
        let table = [
            (CallError::Refused(Refusal::NotFound(key())), 404),
            (CallError::Refused(Refusal::AlreadyExists { key: key(), status: "RUNNING" }), 409),
            (CallError::Refused(Refusal::FailedPrecondition("x".into())), 409),
            (CallError::Refused(Refusal::InvalidArgument("x".into())), 400),
            (CallError::Refused(exhausted("the inbox is full")), 503),
            (CallError::Refused(exhausted(DISK_FULL)), 507),
            (CallError::Refused(Refusal::Unknown), 500),
            (CallError::Refused(Refusal::Unreadable("x".into())), 500),
            (CallError::Hub(HubError::Invalid("x".into())), 400),
            (CallError::Hub(HubError::Unknown("x".into())), 404),
            (CallError::Hub(HubError::TooMany), 409),
            (CallError::Busy, 503),
            (CallError::TooManyWait, 503),
            (CallError::Stopping, 503),
            (CallError::ContinuedAsNew, 409),
            (CallError::Read(read), 500),
        ];
        for (error, status) in table {
            let what = format!("{error:?}");
            let answer = Problem::from(error).into_response();
            assert_eq!(answer.status().as_u16(), status, "{what}");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), [503, 507].contains(&status), "{what}");
        }
    }
}
