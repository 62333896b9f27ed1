//! The scheduler: drives the core with sockets, threads and clocks, and speaks the Durable Task protocol.
//!
//! [`Scheduler`] is a running one: a core thread that owns the [`placet_core::shard::Shard`], a committer
//! thread, reader threads, and a handle by which calls enter. [`grpc`] translates the protocol's calls into
//! commands of that handle, and [`rest`] those of HTTP; the in-process transport uses the same handle. No `if` about meaning stands here.

mod budget;
mod bulk;
mod calls;
pub mod connections;
mod driver;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod grpc;
mod health;
mod hubs;
mod lists;
mod manage;
mod metrics;
pub mod outgoing;
mod payloads;
mod published;
pub mod record;
mod records;
pub mod rest;
mod retention;
mod scheduler;
#[cfg(test)]
mod test_store;
mod time;
mod watch;
mod why;
mod worker;

pub use budget::{Budget, Busy, Share};
pub use driver::Time;
pub use health::{Health, NotReady};
pub use hubs::{HubError, hub_of};
pub use metrics::Metrics;
pub use retention::{Retention, Scope};
pub use scheduler::{CallError, Generation, Options, Page, Scheduler, StartError, Weighed};
pub use time::OpenCall;
pub use watch::Watch;
pub use worker::{StreamOut, Unread, WorkerSender, WorkerStream};
