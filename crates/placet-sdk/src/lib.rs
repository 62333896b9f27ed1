//! Write orchestrations as plain async functions, start them, and wait for people.
//!
//! An *orchestration* is an `async fn` that survives restarts: its code is replayed from its history, so it
//! must do the same each time and leave everything else to *activities*, which are ordinary async functions.
//!
//! ```no_run
//! use std::time::Duration;
//! use placet_sdk::{Client, OrchestrationContext, Result, Worker};
//!
//! async fn expense(ctx: OrchestrationContext, amount: u32) -> Result<String> {
//!     ctx.activity::<()>("notify", &amount).await?;
//!     let answer = ctx.external_event::<bool>("approval_response");
//!     match ctx.first(answer, ctx.timer(Duration::from_secs(24 * 3600))).await {
//!         placet_sdk::Either::Left(approved) => Ok(if approved? { "approved" } else { "rejected" }.into()),
//!         placet_sdk::Either::Right(()) => Ok("timeout".into()),
//!     }
//! }
//!
//! # async fn run() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://localhost:8080")?;
//! let worker = Worker::builder(client.clone())
//!     .orchestration("expense", expense)
//!     .activity("notify", |_ctx, amount: u32| async move {
//!         println!("somebody wants {amount}");
//!         Ok(())
//!     })
//!     .start();
//! let id = client.start("expense", &120).id("expense-1").await?;
//! client.raise_event(&id, "approval_response", &true).await?;
//! let state = client.wait_for_completion(&id).await?;
//! assert_eq!(state.output::<String>()?, Some("approved".to_owned()));
//! worker.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! * [`Client`] starts instances, raises events, asks questions and waits.
//! * [`Worker`] runs orchestrations and activities.
//! * [`OrchestrationContext`] is what an orchestration may do.
//! * `testing` (a feature) has a server for tests, on virtual time.
//! * [`Transport`] is how both reach a scheduler: over gRPC, or in the same process.

pub mod bulk;
mod client;
mod context;
mod error;
mod grpc;
mod instances;
mod replay;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod trace;
mod transport;
mod worker;

/// The generated stubs.
#[rustfmt::skip]
#[allow(
    clippy::all, clippy::allow_attributes, clippy::allow_attributes_without_reason, missing_docs, unreachable_pub, unused_qualifications, dead_code,
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

pub use client::{Answer, AskCall, Client, ConnectError, Reply, StartCall, StartError};
pub use context::{
    ActivityCall, EventCall, EventFacts, ExternalEvent, OrchestrationContext, Parent, RetryPolicy, Termination,
    TerminationWatch, TimerCall,
};
pub use error::{ActivityError, Failure, PayloadError, Result};
pub use futures_util::future::Either;
pub use grpc::GrpcTransport;
pub use instances::{Filter, Purged};
pub use state::{InstanceState, Status};
pub use time::{AdvanceCall, Advanced, ServerTime};
pub use trace::TraceContext;
pub use transport::{BoxFuture, CallError, CallResult, Closed, Code, Completer, Held, Room, Transport, WorkStream};
pub use worker::{ActivityContext, Worker, WorkerBuilder};

/// Lists of what orchestrations have published ([`Client::list_published`]): the messages of `placet.v1`, as they are.
pub mod published {
    pub use placet_proto::placet::v1::{
        AnyTerm, ListPublishedRequest, ListPublishedResponse, ListedRow, TermMatch, term_match::Match,
    };

    /// One of these terms, each whole.
    pub fn any_of(terms: impl IntoIterator<Item = String>) -> AnyTerm {
        any(terms.into_iter().map(Match::Is))
    }

    /// A term that begins so.
    pub fn beginning(text: impl Into<String>) -> AnyTerm {
        any([Match::Starts(text.into())])
    }

    fn any(matches: impl IntoIterator<Item = Match>) -> AnyTerm {
        AnyTerm { any: matches.into_iter().map(|one| TermMatch { r#match: Some(one) }).collect() }
    }
}

/// The record ([`Client::entries_of`], [`Client::chain`], [`Client::checkpoint`]): the messages of `placet.v1`, as they are.
pub mod record {
    pub use placet_proto::placet::v1::{
        ChainedEntry, CheckpointResponse, EntryPart, EntryParts, ListEntriesResponse, entry_part,
    };

    /// What each part of an entry says, without its salt; nothing where it was erased.
    pub fn texts(said: &EntryParts) -> impl Iterator<Item = Option<&[u8]>> {
        said.parts.iter().map(|part| match &part.part {
            Some(entry_part::Part::Salted(bytes)) => bytes.get(placet_proto::SALT_BYTES..),
            Some(entry_part::Part::Erased(_)) | None => None,
        })
    }
}

/// Why instances wait ([`Client::why`]): the messages of `placet.v1`, as they are.
pub mod why {
    pub use placet_proto::placet::v1::{
        RemedyKind, WaitCause, WaitRemedy, WaitedChild, WaitedRetry, WaitedWork, WhyResponse, WorkStage,
    };
}

/// The worker without its stream and clock: for the simulator alone, and no part of what is promised.
#[doc(hidden)]
pub mod sans_io {
    pub use crate::worker::{CacheCounts, Registry, Turns};
}

/// What finishing a stored history under today's code makes of it: for tests that keep old histories.
pub use replay::check_history;
