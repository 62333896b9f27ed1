//! The gRPC services: each method checks, translates, and gives one command to the scheduler.
//!
//! `TaskHubSidecarService` is Microsoft's (PROTOCOL.md); `placet.v1` is ours. What is not there yet answers
//! UNIMPLEMENTED and says so.

mod admin;
mod admission;
mod ask;
mod count;
mod deadline;
mod history;
mod messages;
mod metadata;
mod serve;
mod sidecar;
mod status;
#[cfg(test)]
mod tests;
mod work;
mod work_stream;

/// The generated stubs.
#[rustfmt::skip]
#[allow(
    clippy::all, clippy::allow_attributes, clippy::allow_attributes_without_reason, missing_docs, unreachable_pub,
    unused_qualifications, dead_code,
    reason = "generated"
)]
mod generated {
    pub(crate) mod durabletask {
        include!("generated/durabletask.rs");
    }
    pub(crate) mod placet {
        include!("generated/placet.rs");
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use admission::Admission;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use serve::services;
pub use serve::{Beside, ServeError, serve};
pub use status::status_of;
pub use work_stream::stream_spec;
