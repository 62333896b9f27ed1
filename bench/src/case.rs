//! A case: one way in, at one number of callers, with the limits beside it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use placet_sdk::Client;

use crate::http::Pool;
use crate::load::{GoOn, Load, Unit, Units};
use crate::raw::{Connection, Switch};
use crate::record::Committed;
use crate::stage::{HUB, Stage};
use crate::{approvals, limits, load, sequences};

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ApprovalHttp,
    ApprovalV1,
    ApprovalInProcess,
    ApprovalGrpc,
    ApprovalRaw,
    SequenceInProcess,
    SequenceGrpc,
    SequenceRaw,
}

pub(crate) const WAYS: [Way; 8] = [
    Way::ApprovalHttp,
    Way::ApprovalV1,
    Way::ApprovalInProcess,
    Way::ApprovalGrpc,
    Way::ApprovalRaw,
    Way::SequenceInProcess,
    Way::SequenceGrpc,
    Way::SequenceRaw,
];

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::ApprovalHttp => "approval, HTTP",
            Way::ApprovalV1 => "approval, HTTP v1",
            Way::ApprovalInProcess => "approval, SDK in-process",
            Way::ApprovalGrpc => "approval, SDK gRPC",
            Way::ApprovalRaw => "approval, raw gRPC",
            Way::SequenceInProcess => "sequence of 5, SDK in-process",
            Way::SequenceGrpc => "sequence of 5, SDK gRPC",
            Way::SequenceRaw => "sequence of 5, raw gRPC",
        }
    }
}

impl Way {
    /// How many steps a unit has: each is decided on its own, and must be durable before the next.
    pub(crate) fn steps(self) -> f64 {
        match self {
            Way::ApprovalHttp | Way::ApprovalInProcess | Way::ApprovalGrpc | Way::ApprovalRaw => 2.0,
            // Who could vote is looked up in between, by an activity.
            Way::ApprovalV1 => 4.0,
            Way::SequenceInProcess | Way::SequenceGrpc | Way::SequenceRaw => 6.0,
        }
    }
}

/// How units come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrivals {
    /// So many callers, each with one unit after the other.
    Callers(usize),
    /// So many a second, at a steady pace; for approvals.
    Paced(f64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) way: Way,
    pub(crate) arrivals: Arrivals,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) limits: bool,
}

/// What a case has shown.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    pub(crate) load: Load,
    pub(crate) commits: Commits,
    pub(crate) limits: Option<Limits>,
}

/// What was committed in the window.
#[derive(Debug)]
pub(crate) struct Commits {
    pub(crate) count: usize,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    /// How long the store was at it.
    pub(crate) took: Duration,
    /// How long the recording was at it.
    pub(crate) recording: Duration,
}

/// Units a second if there were nothing else to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) store: f64,
    pub(crate) disk: f64,
}

impl Case {
    pub(crate) fn run(self, folder: &Path) -> Result<Measured> {
        let stage = Stage::set(folder)?;
        let load = self.load(&stage)?;
        let records = stage.records.clone();
        stage.strike();

        let mut batches = records.take();
        let (begun, ended) = load.window;
        batches.retain(|committed| committed.at <= ended);
        let from = batches.partition_point(|committed| committed.at < begun);
        let commits = Commits::of(&batches[from..]);
        let limits = if self.limits { Some(Limits::measure(folder, &batches, from, load.count())?) } else { None };
        Ok(Measured { case: self, load, commits, limits })
    }

    fn load(&self, stage: &Stage) -> Result<Load> {
        match self.way {
            Way::ApprovalHttp => {
                let address = serve_approvals(stage)?;
                let pool = Pool::of(address);
                self.arrive(stage, |go_on| approvals::over_http(address, go_on), || pool.clone().one())
            }
            Way::ApprovalV1 => {
                let address = serve_approvals(stage)?;
                let pool = Pool::of(address);
                self.arrive(stage, |go_on| approvals::by_v1(address, go_on), || pool.clone().one())
            }
            Way::ApprovalInProcess => {
                let client = stage.in_process();
                let _inside = stage.client.enter();
                placet_worker::start(client.clone(), ["*"], placet_approval::nobody());
                self.approvals(stage, &client)
            }
            Way::ApprovalGrpc => {
                let endpoint = stage.serve_grpc()?;
                {
                    let _inside = stage.server.enter();
                    placet_worker::start(stage.in_process(), ["*"], placet_approval::nobody());
                }
                let _inside = stage.client.enter();
                let client = Client::connect(&endpoint)?;
                self.approvals(stage, &client)
            }
            Way::ApprovalRaw | Way::SequenceRaw => {
                let endpoint = stage.serve_grpc()?;
                let _inside = stage.client.enter();
                // A connection each, as they would be programs of their own.
                let (client, worker) = (Connection::to(&endpoint, HUB)?, Connection::to(&endpoint, HUB)?);
                stage.client.block_on(worker.work(Switch::default()))?;
                if self.way == Way::SequenceRaw {
                    return self.call(stage, |go_on| sequences::by_raw_calls(client.clone(), go_on));
                }
                self.arrive(
                    stage,
                    |go_on| approvals::by_raw_calls(client.clone(), go_on),
                    || {
                        let client = client.clone();
                        async move { approvals::one_by_raw_calls(&client).await }
                    },
                )
            }
            Way::SequenceInProcess => {
                let client = stage.in_process();
                self.sequences(stage, &client, client.clone())
            }
            Way::SequenceGrpc => {
                let endpoint = stage.serve_grpc()?;
                // A connection each, as they would be programs of their own.
                let _inside = stage.client.enter();
                self.sequences(stage, &Client::connect(&endpoint)?, Client::connect(&endpoint)?)
            }
        }
    }

    fn approvals(&self, stage: &Stage, client: &Client) -> Result<Load> {
        self.arrive(
            stage,
            |go_on| approvals::by_sdk(client.clone(), go_on),
            || {
                let client = client.clone();
                async move { approvals::one_by_sdk(&client).await }
            },
        )
    }

    fn sequences(&self, stage: &Stage, client: &Client, workers: Client) -> Result<Load> {
        let _inside = stage.client.enter();
        sequences::worker(workers);
        self.call(stage, |go_on| sequences::by_sdk(client.clone(), go_on))
    }

    fn arrive<F, G>(&self, stage: &Stage, caller: impl Fn(GoOn) -> F, unit: impl Fn() -> G) -> Result<Load>
    where
        F: Future<Output = Result<Units>> + Send + 'static,
        G: Future<Output = Result<Unit>> + Send + 'static,
    {
        match self.arrivals {
            Arrivals::Callers(_) => self.call(stage, caller),
            Arrivals::Paced(per_second) => {
                stage.client.block_on(load::paced(per_second, self.warm_up, self.window, unit))
            }
        }
    }

    fn call<F>(&self, stage: &Stage, caller: impl Fn(GoOn) -> F) -> Result<Load>
    where
        F: Future<Output = Result<Units>> + Send + 'static,
    {
        let Arrivals::Callers(callers) = self.arrivals else { bail!("{} is not paced", self.way.name()) };
        stage.client.block_on(load::run(callers, self.warm_up, self.window, caller))
    }
}

impl Commits {
    fn of(batches: &[Committed]) -> Commits {
        Commits {
            count: batches.len(),
            rows: batches.iter().map(|committed| limits::rows(&committed.batch)).sum(),
            bytes: batches.iter().map(|committed| limits::bytes(&committed.batch)).sum(),
            took: batches.iter().map(|committed| committed.took).sum(),
            recording: batches.iter().map(|committed| committed.kept_in).sum(),
        }
    }
}

impl Limits {
    fn measure(folder: &Path, batches: &[Committed], from: usize, units: f64) -> Result<Limits> {
        let groups: Vec<usize> = batches[from..].iter().map(|committed| limits::bytes(&committed.batch)).collect();
        Ok(Limits {
            store: units / limits::store(folder, batches, from)?.as_secs_f64(),
            disk: units / limits::disk(folder, &groups)?.as_secs_f64(),
        })
    }
}

/// The API and the built-in worker; where they are.
fn serve_approvals(stage: &Stage) -> Result<SocketAddr> {
    let address = stage.serve_http()?;
    let _inside = stage.server.enter();
    placet_worker::start(stage.in_process(), ["*"], placet_approval::nobody());
    Ok(address)
}
