//! The load: so many callers, each of which does one unit after another, from the first of them to the end of the
//! window: what ended within it counts. Or units that begin at a steady pace: all that began within the window count,
//! however late they ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::cpu::Cpu;

/// One unit that was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) ended: Instant,
    /// From its beginning to its end.
    pub(crate) whole: Duration,
    /// From the decision to its outcome, where there is one.
    pub(crate) decision: Option<Duration>,
}

impl Unit {
    /// One that begun then has ended.
    pub(crate) fn ended(begun: Instant, decision: Option<Duration>) -> Unit {
        let ended = Instant::now();
        Unit { ended, whole: ended - begun, decision }
    }
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Load {
    /// When the window began and ended.
    pub(crate) window: (Instant, Instant),
    /// The units that ended in it, or began in it.
    pub(crate) units: Vec<Unit>,
    /// CPU time spent in it.
    pub(crate) cpu: Cpu,
}

/// Whether the callers are to go on.
#[derive(Debug, Clone, Default)]
pub(crate) struct GoOn(Arc<AtomicBool>);

impl GoOn {
    pub(crate) fn holds(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What one caller has done so far.
#[derive(Debug, Default)]
pub(crate) struct Units(Vec<Unit>);

impl Units {
    pub(crate) fn push(&mut self, unit: Unit) {
        self.0.push(unit);
    }
}

impl Load {
    /// What ended in a window that has just passed. On a machine so busy that nothing did, the window lasts until the
    /// next unit has ended.
    fn of(mut window: (Instant, Instant), cpu: Cpu, mut units: Vec<Unit>) -> Result<Load> {
        units.retain(|unit| unit.ended >= window.0);
        let first = units.iter().map(|unit| unit.ended).min().context("nothing was done: make the window longer")?;
        window.1 = window.1.max(first);
        units.retain(|unit| unit.ended <= window.1);
        Ok(Load { window, units, cpu })
    }
}

/// Lets units begin at a steady pace, so many a second, whether or not those before have ended, for as long as more are
/// wanted at a time. All of them, when each began.
pub(crate) async fn pace<F>(
    per_second: f64,
    mut wanted: impl FnMut(Instant) -> bool,
    unit: impl Fn() -> F,
) -> Result<Vec<(Instant, Unit)>>
where
    F: Future<Output = Result<Unit>> + Send + 'static,
{
    let (mut next, gap, mut running) = (Instant::now(), Duration::from_secs_f64(1.0 / per_second), JoinSet::new());
    while wanted(next) {
        tokio::time::sleep_until(next.into()).await;
        let (begun, unit) = (next, unit());
        running.spawn(async move { anyhow::Ok((begun, unit.await?)) });
        next += gap;
    }
    let mut units = Vec::new();
    while let Some(done) = running.join_next().await {
        units.push(done.context("a unit")??);
    }
    Ok(units)
}

/// Paces units for the warm-up and the window. What began in the window counts, whenever it ended: the slow ones above all.
pub(crate) async fn paced<F>(per_second: f64, warm_up: Duration, window: Duration, unit: impl Fn() -> F) -> Result<Load>
where
    F: Future<Output = Result<Unit>> + Send + 'static,
{
    let begun = Instant::now();
    let (from, to) = (begun + warm_up, begun + warm_up + window);
    let (mut cpu_before, mut cpu) = (None, Cpu::default());
    let wanted = |next: Instant| {
        if next >= from && cpu_before.is_none() {
            cpu_before = Some(Cpu::now());
        }
        if next >= to {
            cpu = Cpu::now().since(&cpu_before.take().unwrap_or_default());
        }
        next < to
    };
    let units = pace(per_second, wanted, unit).await?;
    let units = units.into_iter().filter(|(begun, _)| *begun >= from).map(|(_, unit)| unit);
    Ok(Load { window: (from, to), units: units.collect(), cpu })
}

/// Runs the callers for the warm-up and the window.
pub(crate) async fn run<F>(
    callers: usize,
    warm_up: Duration,
    window: Duration,
    caller: impl Fn(GoOn) -> F,
) -> Result<Load>
where
    F: Future<Output = Result<Units>> + Send + 'static,
{
    let go_on = GoOn::default();
    let mut running = JoinSet::new();
    for _ in 0..callers {
        running.spawn(caller(go_on.clone()));
    }
    tokio::time::sleep(warm_up).await;
    let (begun, cpu_before) = (Instant::now(), Cpu::now());
    tokio::time::sleep(window).await;
    let (ended, cpu) = (Instant::now(), Cpu::now().since(&cpu_before));
    go_on.end();
    let mut units = Vec::new();
    while let Some(done) = running.join_next().await {
        units.extend(done.context("a caller")??.0);
    }
    Load::of((begun, ended), cpu, units)
}

impl Load {
    pub(crate) fn count(&self) -> f64 {
        self.units.len() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() / (self.window.1 - self.window.0).as_secs_f64()
    }

    /// The given parts (0.5 is the median) of the units' whole times.
    pub(crate) fn wholes<const N: usize>(&self, parts: [f64; N]) -> [Duration; N] {
        percentiles(self.units.iter().map(|unit| unit.whole).collect(), parts)
    }

    /// The same of the times from decision to outcome; none where nothing is decided.
    pub(crate) fn decisions<const N: usize>(&self, parts: [f64; N]) -> Option<[Duration; N]> {
        let times: Vec<Duration> = self.units.iter().filter_map(|unit| unit.decision).collect();
        (!times.is_empty()).then(|| percentiles(times, parts))
    }
}

/// The nearest-rank percentiles of times.
///
/// # Panics
/// If there are none.
pub(crate) fn percentiles<const N: usize>(mut times: Vec<Duration>, parts: [f64; N]) -> [Duration; N] {
    times.sort_unstable();
    #[expect(clippy::cast_possible_truncation, reason = "an index of the list, times a number up to one")]
    parts.map(|part| times[((times.len() - 1) as f64 * part).round() as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_of_what_was_measured() {
        let times = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(times, [0.0, 0.5, 0.99, 1.0]), [1, 51, 100, 101].map(Duration::from_millis));
        assert_eq!(percentiles(vec![Duration::from_millis(7)], [0.99]), [Duration::from_millis(7)]);
    }
}
