//! Every way in, at one caller and at many: how fast, at what cost, how far from the limits.

use std::time::Duration;

use anyhow::Result;

use super::Settings;
use crate::case::{Arrivals, Case, Measured, WAYS, Way};
use crate::cpu::PARTS;
use crate::report::{Section, Table, ms};

pub(super) const TITLE: &str = "Ways in";

/// How many callers at once.
const CALLERS: [usize; 3] = [1, 32, 256];

/// What a step may take beside its sync, with one caller: a target of ours.
const STEP: Duration = Duration::from_micros(300);

const ABOUT: &str = "\
- **approval**: a request is made and approved; *decided* is the time from the decision's call to its answer, which
  comes when the outcome is durable. Raw: the decision is an event, its outcome that of the instance.
- **approval, HTTP v1**: a request that names its approver, who decides by `/api/v1`: who could vote is looked up in between, and every
  act is in the record.
- **sequence of 5**: an orchestration that calls five activities, one after the other, from its start to its
  caller's knowing how it ended.
- **SDK**: ours; **raw gRPC**: a client and a worker that speak Microsoft's calls and nothing else (`bench/src/raw/`).
- **CPU ms**, **commits**, **kB**: per unit, in all threads; a commit is one sync. kB are the rows' own bytes.
- **store's limit**: units a second if the store had nothing else to do: the run's own batches, in their groups,
  committed to a fresh store as fast as it goes. In brackets: how much of it was reached.
- **disk's limit**: the same bytes in the same groups, appended to a file and synced.

Below: CPU µs per unit by what it was spent for; then, with one caller, a unit's time against one and a half times that
of as many bare syncs of the same bytes, plus 0.3 ms for each.";

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let callers = match settings.callers.as_slice() {
        [] => settings.pick(CALLERS.to_vec(), vec![1, 32]),
        wanted => wanted.to_vec(),
    };
    let mut speed = Table::new(&[
        "case",
        "callers",
        "a second",
        "p50 ms",
        "p99 ms",
        "decided p50",
        "p99 ms",
        "CPU ms",
        "commits",
        "store's limit",
        "disk's limit",
        "kB",
    ]);
    let mut all = Vec::new();
    for way in WAYS.into_iter().filter(|way| is_wanted(*way, settings)) {
        for &callers in &callers {
            let Settings { warm_up, window, limits, .. } = *settings;
            let arrivals = Arrivals::Callers(callers);
            let measured = Case { way, arrivals, warm_up, window, limits }.run(&settings.data_dir)?;
            speed.row(speed_of(callers, &measured));
            all.push((callers, measured));
        }
    }
    let mut cpu = Table::new(&[
        "CPU µs per unit",
        "callers",
        PARTS[0].1,
        PARTS[1].1,
        PARTS[2].1,
        PARTS[3].1,
        PARTS[4].1,
        "rows a commit",
        "committer busy",
        "recording",
    ]);
    all.iter().for_each(|(callers, measured)| cpu.row(cpu_of(*callers, measured)));
    let mut alone = Table::new(&["with one caller", "ms", "syncs", "bare syncs ms", "bound ms", "of the bound"]);
    all.iter()
        .filter(|(callers, _)| *callers == 1)
        .filter_map(|(_, measured)| alone_of(measured))
        .for_each(|cells| alone.row(cells));
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![speed, cpu, alone] })
}

/// Whether any of the ways is wanted by its own name.
pub(super) fn has_wanted(settings: &Settings) -> bool {
    WAYS.into_iter().any(|way| settings.wants(way.name()))
}

/// All of them if the figure is wanted as such.
fn is_wanted(way: Way, settings: &Settings) -> bool {
    settings.wants("ways") || settings.wants(way.name())
}

fn speed_of(callers: usize, measured: &Measured) -> Vec<String> {
    let Measured { case, load, commits, limits } = measured;
    let per_unit = |number: usize| number as f64 / load.count();
    let [p50, p99] = load.wholes([0.5, 0.99]).map(ms);
    let [decided_p50, decided_p99] = load.decisions([0.5, 0.99]).map_or_else(Default::default, |times| times.map(ms));
    let cpu = load.cpu.total().map(|cpu| format!("{:.2}", cpu.as_secs_f64() * 1e3 / load.count()));
    let limit = |limit: Option<f64>| {
        limit.map_or_else(String::new, |limit| format!("{limit:.0} ({:.0} %)", load.per_second() / limit * 100.0))
    };
    vec![
        case.way.name().to_owned(),
        callers.to_string(),
        format!("{:.0}", load.per_second()),
        p50,
        p99,
        decided_p50,
        decided_p99,
        cpu.unwrap_or_default(),
        format!("{:.2}", per_unit(commits.count)),
        limit(limits.map(|limits| limits.store)),
        limit(limits.map(|limits| limits.disk)),
        format!("{:.1}", per_unit(commits.bytes) / 1e3),
    ]
}

fn cpu_of(callers: usize, measured: &Measured) -> Vec<String> {
    let Measured { case, load, commits, .. } = measured;
    let mut cells = vec![case.way.name().to_owned(), callers.to_string()];
    cells.extend(PARTS.map(|(part, _)| format!("{:.0}", load.cpu.of(part).as_secs_f64() * 1e6 / load.count())));
    let window = (load.window.1 - load.window.0).as_secs_f64();
    cells.push(format!("{:.0}", commits.rows as f64 / commits.count.max(1) as f64));
    cells.push(format!("{:.0} %", commits.took.as_secs_f64() / window * 100.0));
    cells.push(format!("{:.1} %", commits.recording.as_secs_f64() / window * 100.0));
    cells
}

fn alone_of(measured: &Measured) -> Option<Vec<String>> {
    let Measured { case, load, commits, limits } = measured;
    let disk = limits.as_ref()?.disk;
    let unit = 1.0 / load.per_second();
    let syncs = commits.count as f64 / load.count();
    let bound = 1.5 / disk + STEP.as_secs_f64() * case.way.steps();
    Some(vec![
        case.way.name().to_owned(),
        format!("{:.2}", unit * 1e3),
        format!("{syncs:.2}"),
        format!("{:.2}", 1e3 / disk),
        format!("{:.2}", bound * 1e3),
        format!("{:.0} %", unit / bound * 100.0),
    ])
}
