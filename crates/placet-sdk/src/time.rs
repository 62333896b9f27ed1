//! The scheduler's clock, as its clients see it.

use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use placet_proto::placet::v1::AdvanceTimeRequest;

use crate::client::Client;
use crate::state::system_time;
use crate::transport::{BoxFuture, CallError, CallResult, Code};

/// What the scheduler's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTime {
    /// By this, histories, deadlines and timers go.
    pub now: SystemTime,
    /// The clock stands until it is told to go on, or goes by itself to the next timer.
    pub is_virtual: bool,
}

/// Where a virtual clock has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advanced {
    /// What it says now.
    pub now: SystemTime,
    /// How many timers have fired on the way.
    pub timers_fired: u64,
    /// Work items that workers have, and that were not waited for any longer.
    pub items_out: u64,
    /// Work items that no worker has taken.
    pub items_ready: u64,
}

/// A virtual clock that is about to go on. Await it.
#[derive(Debug)]
#[must_use = "it goes when it is awaited"]
pub struct AdvanceCall {
    pub(crate) client: Client,
    pub(crate) by: Duration,
    pub(crate) patience: Option<Duration>,
}

impl AdvanceCall {
    /// How long, in real time, the clock waits for a work item that a worker has, before it leaves it to go on; and all in
    /// all for a worker of items that nobody has taken. 10 s, if nothing is said.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

impl IntoFuture for AdvanceCall {
    type Output = CallResult<Advanced>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let patience = self.patience.map(|patience| proto("patience", patience)).transpose()?;
            let request = AdvanceTimeRequest { by: Some(proto("by", self.by)?), patience };
            let arrived = self.client.transport.advance_time(request).await?;
            Ok(Advanced {
                now: system_time(arrived.now.as_ref()),
                timers_fired: arrived.timers_fired,
                items_out: arrived.items_out,
                items_ready: arrived.items_ready,
            })
        })
    }
}

fn proto(field: &str, duration: Duration) -> CallResult<prost_types::Duration> {
    let refused = |_| CallError::new(Code::InvalidArgument, format!("{field}: {duration:?} is too long"));
    prost_types::Duration::try_from(duration).map_err(refused)
}
