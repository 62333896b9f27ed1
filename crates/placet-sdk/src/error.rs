//! What goes wrong in orchestrations and activities, as it travels through histories.

use placet_proto::durabletask::TaskFailureDetails;

/// What an orchestration or activity gives back.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why an orchestration or activity failed: what is recorded of it. Made from any error by `?`.
///
/// It is no [`std::error::Error`] itself, so that every error can become one.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    details: TaskFailureDetails,
}

impl Failure {
    /// A failure of this kind, in these words.
    pub fn new(error_type: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure {
            details: TaskFailureDetails {
                error_type: error_type.into(),
                error_message: message.into(),
                ..TaskFailureDetails::default()
            },
        }
    }

    /// Trying again would not help.
    #[must_use]
    pub fn non_retriable(mut self) -> Failure {
        self.details.is_non_retriable = true;
        self
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.details.error_message
    }

    /// The kind of error.
    pub fn error_type(&self) -> &str {
        &self.details.error_type
    }

    pub(crate) fn into_details(self) -> TaskFailureDetails {
        self.details
    }

    pub(crate) fn from_details(details: TaskFailureDetails) -> Failure {
        Failure { details }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.details.error_message)
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut failure = Failure::new(short_type_name::<E>(), error.to_string());
        let any: &dyn std::error::Error = &error;
        if let Some(activity) = any.downcast_ref::<ActivityError>() {
            failure.details.inner_failure = Some(Box::new(activity.details.clone()));
            failure.details.is_non_retriable = activity.details.is_non_retriable;
        }
        failure
    }
}

/// An activity (or a sub-orchestration) that an orchestration called has failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what} {name} #{task_id} failed: {}", details.error_message)]
pub struct ActivityError {
    pub(crate) what: &'static str,
    pub(crate) name: String,
    pub(crate) task_id: i32,
    pub(crate) details: TaskFailureDetails,
}

impl ActivityError {
    /// What was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of its error.
    pub fn error_type(&self) -> &str {
        &self.details.error_type
    }

    /// Its error's message.
    pub fn message(&self) -> &str {
        &self.details.error_message
    }

    /// Whether it said that trying again would not help.
    pub fn is_non_retriable(&self) -> bool {
        self.details.is_non_retriable
    }

    /// It gave back something else than what was expected of it.
    pub(crate) fn unreadable(name: &str, task_id: i32, error: &serde_json::Error) -> ActivityError {
        let details = Failure::new("PayloadError", format!("its result cannot be read: {error}")).non_retriable();
        ActivityError { what: "activity", name: name.to_owned(), task_id, details: details.into_details() }
    }
}

/// A payload is not what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{what} is not a {expected}: {source}")]
pub struct PayloadError {
    pub(crate) what: String,
    pub(crate) expected: &'static str,
    pub(crate) source: serde_json::Error,
}

impl PayloadError {
    pub(crate) fn new<T>(what: impl Into<String>, source: serde_json::Error) -> PayloadError {
        PayloadError { what: what.into(), expected: short_type_name::<T>(), source }
    }
}

/// Reads a payload; an absent one is JSON's null.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    what: &str,
    payload: Option<&str>,
) -> std::result::Result<T, PayloadError> {
    let text = payload.filter(|text| !text.is_empty()).unwrap_or("null");
    serde_json::from_str(text).map_err(|source| PayloadError::new::<T>(what, source))
}

/// A type's name without the path to it.
fn short_type_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let end = name.find('<').unwrap_or(name.len());
    let start = name[..end].rfind("::").map_or(0, |at| at + 2);
    &name[start..]
}
