//! What is configured: who there is, and which policies are in force. It is read, watched and swapped as a whole, so that a
//! policy never meets another file's groups.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::directory::{Directory, undecidable};
use crate::field::FieldError;
use crate::plan::Plan;
use crate::policy::Policies;
use crate::projection::ContentRow;
use crate::request::{Input, NewRequest, Request};

/// What is configured, as it stands when it is asked.
pub type Configurations = Arc<dyn Fn() -> Arc<Configuration> + Send + Sync>;

/// There is nobody in particular: whoever says a name is a person, there are no groups, and whoever asks says who decides.
pub fn nobody() -> Configurations {
    Arc::new(Arc::default)
}

/// Who there is, and what they go by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// Who there is.
    pub directory: Directory,
    /// What requests need.
    pub policies: Policies,
}

/// What a request would need, of whom and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Needs {
    /// Until when it could be answered if it were asked for now.
    pub due: Timestamp,
    /// Who would decide, and how; `policy` is absent if none applies.
    pub plan: Plan,
    /// What approvers would read, fill in, answer and choose from.
    #[serde(flatten)]
    pub content: ContentRow,
}

impl Configuration {
    /// A request as it begins if it is accepted now.
    ///
    /// # Errors
    /// Naming the field of a request that cannot be accepted, or that nobody could decide.
    pub fn open(&self, asked: &NewRequest, id: &str, now: Timestamp) -> Result<Request, FieldError> {
        let mut request = Input::New(Box::new(asked.clone())).open(id.to_owned(), now, false)?;
        if let Some(planned) = self.policies.plan(asked, now)? {
            request = request.planned(planned);
        }
        undecidable(&request, &self.directory).map_or(Ok(request), Err)
    }

    /// What a request would need if it were asked for now.
    ///
    /// # Errors
    /// As [`Configuration::open`].
    pub fn needs(&self, asked: &NewRequest, now: Timestamp) -> Result<Needs, FieldError> {
        let request = self.open(asked, "none", now)?;
        let content = ContentRow { of: String::new(), ..request.content().unwrap_or_default() };
        Ok(Needs { due: request.due, content, plan: request.plan })
    }
}
