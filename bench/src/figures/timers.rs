//! Very many timers that are due within one second, and what those who decide meanwhile notice of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use placet_sdk::{Client, OrchestrationContext, Worker};
use tokio::task::JoinSet;

use super::Settings;
use crate::child::{Child, Metrics};
use crate::http::Pool;
use crate::load::{self, percentiles};
use crate::report::{Section, Table, ms};
use crate::stage::runtime;

pub(super) const TITLE: &str = "Many timers at once";

const TIMERS: u64 = 100_000;

/// Instances that are started at once.
const STARTERS: u64 = 256;

/// Decisions a second meanwhile.
const DECISIONS: f64 = 50.0;

const ABOUT: &str = "\
Orchestrations that sleep until times which are spread evenly over one second; most of them have left memory when it
comes. *Fired*: how late the scheduler took a timer up; *ran*: how late its orchestration went on, in a worker elsewhere;
*drained*: from the second's beginning until the last one did. Meanwhile approvals are made and decided over HTTP, 50 a
second: the time from decision to outcome, and the same while nothing else happens.";

/// How late each orchestration went on.
type Late = Arc<Mutex<Vec<Duration>>>;

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let timers = settings.pick(TIMERS, 500);
    let mut table = Table::new(&[
        "timers in a second",
        "fired p50 ms",
        "p99 ms",
        "ran p50 ms",
        "p99 ms",
        "most ms",
        "drained s",
        "decided p50 ms",
        "p99 ms",
        "calm p50 ms",
        "p99 ms",
    ]);
    let folder = tempfile::tempdir_in(&settings.data_dir)?;
    let child = Child::start(&settings.placet, folder.path())?;
    let client = runtime("client")?;
    let cells = client.block_on(measure(settings, &child, timers))?;
    table.row(cells);
    child.stop()?;
    client.shutdown_background();
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![table] })
}

async fn measure(settings: &Settings, child: &Child, timers: u64) -> Result<Vec<String>> {
    let late = Late::default();
    let _worker = start(Client::connect(&child.grpc)?, late.clone());
    let client = Client::connect(&child.grpc)?;
    // How fast they can be started, so that all of them are there before the first is due.
    let probe = timers / 50;
    let began = Instant::now();
    sleepers(&client, probe, SystemTime::now() + Duration::from_secs(36_000), Duration::ZERO).await?;
    let a_second = probe as f64 / began.elapsed().as_secs_f64();
    let start_in = Duration::from_secs_f64(1.5 * timers as f64 / a_second + settings.pick(5.0, 1.0));
    let first = SystemTime::now() + start_in;
    sleepers(&client, timers, first, Duration::from_secs(1) / u32::try_from(timers)?).await?;
    let pool = Pool::of(child.http);
    let calm = first.duration_since(SystemTime::now()).context("they were due before all were there")?;
    let decide = || pool.clone().one();
    let calm = load::paced(DECISIONS, Duration::ZERO, calm.min(settings.window), decide)
        .await?
        .decisions([0.5, 0.99])
        .unwrap_or_default();
    tokio::time::sleep(first.duration_since(SystemTime::now()).unwrap_or_default()).await;

    let before = child.metrics()?;
    let began = Instant::now();
    let taken = || late.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
    // All that began before the last timer had run, in one go: a decision that takes long is one of them.
    let mut drained = Duration::ZERO;
    let wanted = |_| {
        drained = began.elapsed();
        taken() < timers
    };
    let units = load::pace(DECISIONS, wanted, decide).await?;
    let decisions = units.iter().filter_map(|(_, unit)| unit.decision).collect();
    let fired = Lateness::between(&before, &child.metrics()?);
    let late = std::mem::take(&mut *late.lock().unwrap_or_else(PoisonError::into_inner));
    let [ran_p50, ran_p99, ran_most] = percentiles(late, [0.5, 0.99, 1.0]).map(ms);
    let [decided_p50, decided_p99] = percentiles(decisions, [0.5, 0.99]).map(ms);
    let [calm_p50, calm_p99] = calm.map(ms);
    Ok(vec![
        timers.to_string(),
        fired.at(0.5),
        fired.at(0.99),
        ran_p50,
        ran_p99,
        ran_most,
        format!("{:.1}", drained.as_secs_f64()),
        decided_p50,
        decided_p99,
        calm_p50,
        calm_p99,
    ])
}

/// Starts so many, due one after the other.
async fn sleepers(client: &Client, many: u64, first: SystemTime, gap: Duration) -> Result<()> {
    let mut starting = JoinSet::new();
    for starter in 0..STARTERS.min(many) {
        let client = client.clone();
        starting.spawn(async move {
            let mut number = starter;
            while number < many {
                let due = first + gap * u32::try_from(number)?;
                let micros = u64::try_from(due.duration_since(UNIX_EPOCH)?.as_micros())?;
                client.start("sleeper", &micros).await?;
                number += STARTERS;
            }
            anyhow::Ok(())
        });
    }
    while let Some(started) = starting.join_next().await {
        started??;
    }
    Ok(())
}

fn start(client: Client, late: Late) -> Worker {
    let sleeper = move |ctx: OrchestrationContext, micros: u64| {
        let late = late.clone();
        async move {
            let due = UNIX_EPOCH + Duration::from_micros(micros);
            ctx.timer_until(due).await;
            if !ctx.is_replaying() {
                let by = SystemTime::now().duration_since(due).unwrap_or_default();
                late.lock().unwrap_or_else(PoisonError::into_inner).push(by);
            }
            Ok(())
        }
    };
    Worker::builder(client).orchestration("sleeper", sleeper).only_registered().start()
}

/// The histogram of lateness, between two looks: how many up to each bound.
struct Lateness(Vec<(f64, f64)>);

impl Lateness {
    fn between(before: &Metrics, after: &Metrics) -> Lateness {
        let bounds = placet_core::tally::LATENESS_BOUNDS_MICROS.map(|micros| micros as f64 / 1e6);
        let many = |bound: f64| {
            let name = format!(r#"placet_timer_lateness_seconds_bucket{{le="{bound:?}"}}"#);
            after.of(&name) - before.of(&name)
        };
        let all = "placet_timer_lateness_seconds_count";
        let mut counts: Vec<(f64, f64)> = bounds.iter().map(|bound| (*bound, many(*bound))).collect();
        counts.push((f64::INFINITY, after.of(all) - before.of(all)));
        Lateness(counts)
    }

    /// The bound that this part of them keeps.
    fn at(&self, part: f64) -> String {
        let all = self.0.last().map_or(0.0, |(_, all)| *all);
        let bound = self.0.iter().find(|(_, many)| *many >= part * all).map_or(f64::INFINITY, |(bound, _)| *bound);
        format!("≤ {}", bound * 1e3)
    }
}
