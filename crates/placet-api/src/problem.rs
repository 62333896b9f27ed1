//! Errors as problem documents (RFC 9457): what went wrong, where, and what to do about it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use placet_approval::FieldError;
use placet_sdk::{CallError, Code};
use serde_json::{Map, Value};

/// The kinds of problem. Their names are stable: `type` is `urn:placet:problem:<name>` (docs/errors.md has a
/// paragraph on each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    AlreadyDecided,
    BadBody,
    BodyTooLarge,
    BodyTooSlow,
    DiskFull,
    ForbiddenHost,
    ForbiddenOrigin,
    MethodNotAllowed,
    MissingHeader,
    NoSuchPath,
    NoSuchRequest,
    ContentChanged,
    KeyReused,
    NotJson,
    NotApproved,
    NotNow,
    NotYours,
    Overloaded,
    SchedulerUnreachable,
    SchedulerFailed,
    SeenOtherwise,
    OutcomeUnknown,
    TimeIsReal,
}

impl Kind {
    /// Each of them.
    pub(crate) const ALL: [Kind; 23] = [
        Kind::AlreadyDecided,
        Kind::BadBody,
        Kind::BodyTooLarge,
        Kind::BodyTooSlow,
        Kind::DiskFull,
        Kind::ForbiddenHost,
        Kind::ForbiddenOrigin,
        Kind::MethodNotAllowed,
        Kind::MissingHeader,
        Kind::NoSuchPath,
        Kind::NoSuchRequest,
        Kind::ContentChanged,
        Kind::KeyReused,
        Kind::NotJson,
        Kind::NotApproved,
        Kind::NotNow,
        Kind::NotYours,
        Kind::Overloaded,
        Kind::SchedulerUnreachable,
        Kind::SchedulerFailed,
        Kind::SeenOtherwise,
        Kind::OutcomeUnknown,
        Kind::TimeIsReal,
    ];

    /// As docs/errors.md has it.
    pub(crate) fn name(self) -> &'static str {
        self.facts().0
    }

    pub(crate) fn title(self) -> &'static str {
        self.facts().1
    }

    pub(crate) fn status(self) -> StatusCode {
        self.facts().2
    }

    /// Whether the same may be taken a second later.
    pub(crate) fn passes(self) -> bool {
        [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE].contains(&self.status())
    }

    /// The `type` of its documents.
    pub(crate) fn uri(self) -> String {
        format!("urn:placet:problem:{}", self.name())
    }

    /// Name, title and status: the one table.
    fn facts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Kind::AlreadyDecided => ("already-decided", "Another decision won", StatusCode::CONFLICT),
            Kind::BadBody => ("bad-body", "The body is not what it must be", StatusCode::UNPROCESSABLE_ENTITY),
            Kind::BodyTooLarge => ("body-too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE),
            Kind::BodyTooSlow => ("body-too-slow", "The body comes too slowly", StatusCode::REQUEST_TIMEOUT),
            Kind::DiskFull => ("disk-full", "The server's disk is full", StatusCode::INSUFFICIENT_STORAGE),
            Kind::ForbiddenHost => ("forbidden-host", "This server has another name", StatusCode::MISDIRECTED_REQUEST),
            Kind::ForbiddenOrigin => ("forbidden-origin", "The page comes from elsewhere", StatusCode::FORBIDDEN),
            Kind::MethodNotAllowed => {
                ("method-not-allowed", "The method is not allowed", StatusCode::METHOD_NOT_ALLOWED)
            }
            Kind::MissingHeader => ("missing-header", "A header is missing", StatusCode::BAD_REQUEST),
            Kind::NoSuchPath => ("no-such-path", "There is nothing here", StatusCode::NOT_FOUND),
            Kind::NoSuchRequest => ("no-such-request", "There is no such request", StatusCode::NOT_FOUND),
            Kind::ContentChanged => ("content-changed", "The content has changed", StatusCode::CONFLICT),
            Kind::KeyReused => {
                ("idempotency-key-reused", "The key was used for something else", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Kind::NotApproved => ("not-approved", "This is not what was approved", StatusCode::CONFLICT),
            Kind::NotNow => ("not-now", "The request is not in a state for this", StatusCode::CONFLICT),
            Kind::NotYours => ("not-yours", "This is not yours to do", StatusCode::FORBIDDEN),
            Kind::NotJson => ("not-json", "The body must be JSON", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Kind::Overloaded => ("overloaded", "Too much is going on", StatusCode::SERVICE_UNAVAILABLE),
            Kind::SchedulerUnreachable => {
                ("scheduler-unreachable", "The scheduler does not answer", StatusCode::SERVICE_UNAVAILABLE)
            }
            Kind::SchedulerFailed => ("scheduler-failed", "The scheduler failed", StatusCode::INTERNAL_SERVER_ERROR),
            Kind::SeenOtherwise => ("seen-otherwise", "The request has changed", StatusCode::PRECONDITION_FAILED),
            Kind::OutcomeUnknown => {
                ("outcome-unknown", "Nobody knows whether it was done", StatusCode::INTERNAL_SERVER_ERROR)
            }
            Kind::TimeIsReal => ("time-is-real", "The server's time is real", StatusCode::CONFLICT),
        }
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), more: Map::new() }
    }

    /// Something wrong with a field of the body.
    pub(crate) fn field(field: impl Into<String>, remedy: impl std::fmt::Display) -> Problem {
        let field = field.into();
        Problem::new(Kind::BadBody, format!("{field}: {remedy}")).with("field", field)
    }

    pub(crate) fn no_such_request(id: &str) -> Problem {
        Problem::new(Kind::NoSuchRequest, format!("there is no request {id:?}")).with("request_id", id)
    }

    /// A member beside the standard ones.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (_, title, status) = self.kind.facts();
        let mut document = Map::new();
        document.insert("type".to_owned(), self.kind.uri().into());
        document.insert("title".to_owned(), title.into());
        document.insert("status".to_owned(), status.as_u16().into());
        document.insert("detail".to_owned(), self.detail.into());
        document.extend(self.more);
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
        let mut response = (status, headers, Value::Object(document).to_string()).into_response();
        if self.kind.passes() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Problem {
        Problem::field(error.field, error.remedy)
    }
}

/// A call of the scheduler that concerns this request.
pub(crate) fn of_call(id: &str, error: &CallError) -> Problem {
    let kind = match error.code {
        Code::NotFound => return Problem::no_such_request(id),
        Code::InvalidArgument | Code::OutOfRange => return Problem::field("request_id", &error.message),
        Code::AlreadyExists | Code::FailedPrecondition => Kind::AlreadyDecided,
        Code::ResourceExhausted if error.reason.as_deref() == Some("disk-full") => Kind::DiskFull,
        Code::ResourceExhausted => Kind::Overloaded,
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unauthenticated
        | Code::PermissionDenied => Kind::SchedulerUnreachable,
        Code::Unknown | Code::Aborted => Kind::OutcomeUnknown,
        Code::Unimplemented | Code::Internal | Code::DataLoss => Kind::SchedulerFailed,
    };
    tracing::warn!(request_id = id, code = ?error.code, message = error.message, "a call of the scheduler failed");
    Problem::new(kind, error.message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_all_of_them() {
        assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        assert_eq!(Kind::ALL.last(), Some(&Kind::TimeIsReal), "the last one of the enum");
    }

    #[test]
    fn every_code_of_a_call_has_its_problem() {
        let table = [
            (Code::NotFound, 404),
            (Code::InvalidArgument, 422),
            (Code::OutOfRange, 422),
            (Code::AlreadyExists, 409),
            (Code::FailedPrecondition, 409),
            (Code::ResourceExhausted, 503),
            (Code::Unavailable, 503),
            (Code::DeadlineExceeded, 503),
            (Code::Cancelled, 503),
            (Code::Unauthenticated, 503),
            (Code::PermissionDenied, 503),
            (Code::Unknown, 500),
            (Code::Aborted, 500),
            (Code::Unimplemented, 500),
            (Code::Internal, 500),
            (Code::DataLoss, 500),
        ];
        for (code, status) in table {
            let response = of_call("r-1", &CallError::new(code, "what the scheduler said")).into_response();
            assert_eq!(response.status().as_u16(), status, "{code:?}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        }
        let full = CallError { reason: Some("disk-full".into()), ..CallError::new(Code::ResourceExhausted, "no room") };
        let response = of_call("r-1", &full).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[header::RETRY_AFTER]),
            (507, &HeaderValue::from_static("1"))
        );
    }
}
