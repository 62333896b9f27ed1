//! The HTTP API: ask for an approval, look at it, decide it.
//!
//! Every resource is a file under `resources/`, every path stands in `routes.rs`, every error leaves as a problem
//! document (RFC 9457, `problem.rs`). The API works through the SDK's client alone: it never opens the store and
//! never knows whether the scheduler is in this process or at the other end of a connection.

mod body;
mod duration;
mod guard;
mod idempotency;
mod metrics;
mod openapi;
mod problem;
mod resources;
mod rights;
mod routes;

use std::fmt;
use std::sync::Arc;

use placet_approval::Configurations;
use placet_sdk::{BoxFuture, Client};

pub use duration::duration;
pub use guard::{Reach, guarded};
pub use metrics::Metrics;
pub use routes::{operators, product};

/// Why the server is not ready; empty if it is.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

/// All metrics of the process, in the OpenMetrics format.
pub type Exposition = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// What those who run the server are shown.
#[derive(Clone)]
pub struct Operations {
    /// Asked by `/readyz`.
    pub readiness: Readiness,
    /// Asked by `/metrics`.
    pub exposition: Exposition,
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").finish_non_exhaustive()
    }
}

/// Room for so many bytes of a body, if there is: it is given back when what is returned is dropped.
pub type Intake = Arc<dyn Fn(usize) -> Option<Box<dyn Send>> + Send + Sync>;

/// What the API works with.
#[derive(Clone)]
pub struct Api {
    /// The scheduler, in the task hub of the requests.
    pub client: Client,
    /// For those who run it.
    pub operations: Operations,
    /// Counts the calls.
    pub metrics: Metrics,
    /// Who can reach it.
    pub reach: Reach,
    /// Who there is, and what requests need.
    pub configuration: Configurations,
    /// Asked for each part of a body that comes in.
    pub intake: Intake,
}

/// What all its calls share: each has it cloned several times on its way.
pub(crate) type Shared = Arc<Api>;

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("client", &self.client).field("reach", &self.reach).finish_non_exhaustive()
    }
}
