//! What a step costs when much has gone before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use placet_sdk::{Client, OrchestrationContext, Worker};

use super::Settings;
use crate::cpu::{Cpu, Part};
use crate::raw::{self, Connection, Switch};
use crate::report::{Section, Table};
use crate::stage::{HUB, Stage};

pub(super) const TITLE: &str = "Cost of a step by the length of the history";

/// Lengths of histories, in events.
const LENGTHS: [u64; 4] = [10, 100, 1_000, 10_000];

/// What a step adds to a history: a turn's beginning, an activity's schedule, its completion.
const EVENTS_A_STEP: u64 = 3;

/// Orchestrations side by side: more steps to look at, and shared syncs. Few for Microsoft's calls, which bring the
/// whole history with every turn.
const SIDE_BY_SIDE: u64 = 32;
const SIDE_BY_SIDE_RAW: u64 = 4;

/// Steps of each orchestration that are looked at, from a length on.
const STEPS: u64 = 40;

const LOOK_EVERY: Duration = Duration::from_micros(200);

const ABOUT: &str = "\
Orchestrations that call one activity after another; a step is one of them, with its turn. CPU µs a step when a history
has about so many events: of the worker (and its activity), and of the server. By our SDK over gRPC, which keeps an
orchestration's state; by Microsoft's calls, which bring the whole history with every turn: a worker that does not look
at it since it has kept the state, and one that replays it.";

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let lengths = settings.pick(LENGTHS.as_slice(), &LENGTHS[..2]);
    let mut table = Table::new(&["worker", "events", "worker µs", "server µs", "of it core µs", "steps a second"]);
    for way in [Kept::BySdk, Kept::ByRaw, Kept::Replayed] {
        for (length, seen) in lengths.iter().zip(measure(settings, way, lengths)?) {
            let mut cells = vec![way.name().to_owned(), length.to_string()];
            cells.extend(seen.cells());
            table.row(cells);
        }
    }
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![table] })
}

/// Who has the state of an orchestration between its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    BySdk,
    ByRaw,
    Replayed,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Kept::BySdk => "SDK, keeps its state",
            Kept::ByRaw => "raw, keeps its state",
            Kept::Replayed => "raw, replays",
        }
    }
}

/// What was seen of some steps.
struct Seen {
    steps: u64,
    took: Duration,
    cpu: Cpu,
}

impl Seen {
    fn cells(&self) -> Vec<String> {
        let a_step = |parts: &[Part]| {
            let time: Duration = parts.iter().map(|part| self.cpu.of(*part)).sum();
            format!("{:.0}", time.as_secs_f64() * 1e6 / self.steps as f64)
        };
        vec![
            a_step(&[Part::Client]),
            a_step(&[Part::Server, Part::Core, Part::Commit, Part::Store]),
            a_step(&[Part::Core]),
            format!("{:.0}", self.steps as f64 / self.took.as_secs_f64()),
        ]
    }
}

fn measure(settings: &Settings, kept: Kept, lengths: &[u64]) -> Result<Vec<Seen>> {
    let stage = Stage::set(&settings.data_dir)?;
    let endpoint = stage.serve_grpc()?;
    let steps_each = lengths.last().map_or(0, |length| length / EVENTS_A_STEP + 2 * STEPS);
    let _inside = stage.client.enter();
    let seen = stage.client.block_on(async {
        if kept == Kept::BySdk {
            let steps = Arc::new(AtomicU64::new(0));
            let _worker = start(Client::connect(&endpoint)?, steps.clone());
            let client = Client::connect(&endpoint)?;
            for _ in 0..SIDE_BY_SIDE {
                client.start("long", &steps_each).await?;
            }
            return look(lengths, SIDE_BY_SIDE, || steps.load(Ordering::Relaxed), |_| {}).await;
        }
        let (worker, client) = (Connection::to(&endpoint, HUB)?, Connection::to(&endpoint, HUB)?);
        let switch = Switch::default();
        worker.work(switch.clone()).await?;
        for _ in 0..SIDE_BY_SIDE_RAW {
            client.start(raw::SEQUENCE, &steps_each.to_string()).await?;
        }
        // It replays only while it is looked at: all ten thousand events before would take minutes.
        let at_work = |looking| switch.replay(looking && kept == Kept::Replayed);
        look(lengths, SIDE_BY_SIDE_RAW, || switch.turns(), at_work).await
    })?;
    stage.strike();
    Ok(seen)
}

/// Looks at the steps from each length on.
async fn look(
    lengths: &[u64],
    side_by_side: u64,
    steps: impl Fn() -> u64,
    looking: impl Fn(bool),
) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for length in lengths {
        let from = length / EVENTS_A_STEP * side_by_side;
        reach(&steps, from).await?;
        looking(true);
        // The items that are out were made before.
        let (begun, first) = (Instant::now(), steps());
        let before = Cpu::now();
        reach(&steps, first + STEPS * side_by_side).await?;
        let (cpu, last) = (Cpu::now().since(&before), steps());
        looking(false);
        all.push(Seen { steps: last - first, took: begun.elapsed(), cpu });
    }
    Ok(all)
}

/// Waits until so many steps are done.
async fn reach(steps: impl Fn() -> u64, target: u64) -> Result<()> {
    let mut last = (steps(), Instant::now());
    while steps() < target {
        tokio::time::sleep(LOOK_EVERY).await;
        if steps() > last.0 {
            last = (steps(), Instant::now());
        }
        ensure!(last.1.elapsed() < Duration::from_secs(60), "nothing happens after {} steps of {target}", last.0);
    }
    Ok(())
}

fn start(client: Client, steps: Arc<AtomicU64>) -> Worker {
    Worker::builder(client)
        .orchestration("long", long)
        .activity("step", move |_, ()| {
            steps.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        })
        .start()
}

async fn long(ctx: OrchestrationContext, steps: u64) -> placet_sdk::Result<()> {
    for _ in 0..steps {
        ctx.activity::<()>("step", &()).await?;
    }
    Ok(())
}
