//! The figures, for people: lines on stdout as they come, and `bench/RESULTS.md`.
#![expect(clippy::print_stdout, reason = "what a benchmark says is its output")]

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::case::Measured;
use crate::cpu::PARTS;
use crate::machine::Machine;

/// Where the written results go.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// The columns, each with its width.
const COLUMNS: [(&str, usize); 12] = [
    ("case", 30),
    ("callers", 7),
    ("a second", 8),
    ("p50 ms", 8),
    ("p99 ms", 8),
    ("decided p50", 11),
    ("p99 ms", 8),
    ("CPU ms", 7),
    ("commits", 7),
    ("store's limit", 16),
    ("disk's limit", 16),
    ("kB", 5),
];

pub(crate) fn machine(machine: &Machine) {
    println!("{}", describe(machine));
    if !machine.has_real_disk() {
        println!("This file system is in memory: a sync costs nothing there, and the figures mean little.");
    }
    println!();
}

fn describe(machine: &Machine) -> String {
    let or_unknown = |known: Option<String>| known.unwrap_or_else(|| "unknown".to_owned());
    format!(
        "Machine: {} cores, {} GiB of memory; file system {}; 4 KiB appended and synced in {} ms (p50), {} ms (p99); \
         load before the run {}.",
        machine.cores,
        or_unknown(machine.memory_gib.map(|gib| gib.to_string())),
        or_unknown(machine.file_system.clone()),
        ms(machine.sync[0]),
        ms(machine.sync[1]),
        or_unknown(machine.load.map(|load| format!("{load:.1}"))),
    )
}

pub(crate) fn head() {
    println!("{}", aligned(&COLUMNS.map(|(name, _)| name.to_owned())));
}

pub(crate) fn line(measured: &Measured) {
    println!("{}", aligned(&cells(measured)));
}

/// CPU time per unit and part, in microseconds.
pub(crate) fn where_the_time_goes(all: &[Measured]) {
    println!("\n{}", cpu_head());
    for measured in all {
        println!("{}", cpu_line(measured));
    }
}

fn aligned(cells: &[String; 12]) -> String {
    let mut line = String::new();
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        let first = line.is_empty();
        if first {
            write!(line, "{cell:<width$}").expect("a string takes all");
        } else {
            write!(line, "  {cell:>width$}").expect("a string takes all");
        }
    }
    line
}

fn cells(measured: &Measured) -> [String; 12] {
    let Measured { case, load, commits, limits } = measured;
    let per_unit = |number: usize| number as f64 / load.count();
    let [p50, p99] = load.wholes([0.5, 0.99]).map(ms);
    let [decided_p50, decided_p99] = load.decisions([0.5, 0.99]).map_or_else(Default::default, |times| times.map(ms));
    let cpu = load.cpu.total().map(|cpu| format!("{:.2}", cpu.as_secs_f64() * 1e3 / load.count()));
    let limit = |limit: Option<f64>| {
        limit.map_or_else(String::new, |limit| format!("{limit:.0} ({:.0} %)", load.per_second() / limit * 100.0))
    };
    [
        case.way.name().to_owned(),
        case.callers.to_string(),
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

fn cpu_head() -> String {
    let mut line = format!("{:<30}  {:>7}", "CPU µs per unit", "callers");
    for (_, name) in PARTS {
        write!(line, "  {name:>17}").expect("a string takes all");
    }
    line + "  rows a commit  committer busy  recording"
}

fn cpu_line(measured: &Measured) -> String {
    let Measured { case, load, commits, .. } = measured;
    let mut line = format!("{:<30}  {:>7}", case.way.name(), case.callers);
    for (part, _) in PARTS {
        write!(line, "  {:>17.0}", load.cpu.of(part).as_secs_f64() * 1e6 / load.count()).expect("a string takes all");
    }
    let window = (load.window.1 - load.window.0).as_secs_f64();
    let rows = commits.rows as f64 / commits.count.max(1) as f64;
    let busy = commits.took.as_secs_f64() / window * 100.0;
    let recording = commits.recording.as_secs_f64() / window * 100.0;
    write!(line, "  {rows:>13.0}  {busy:>12.0} %  {recording:>7.1} %").expect("a string takes all");
    line
}

/// Writes `bench/RESULTS.md`.
pub(crate) fn write(machine: &Machine, seconds: f64, all: &[Measured]) -> Result<()> {
    let mut text = String::from(HEAD);
    writeln!(text, "{}\n{seconds} s measured per line.\n", describe(machine))?;
    row(&mut text, &COLUMNS.map(|(name, _)| name.to_owned()));
    row(&mut text, &std::array::from_fn(|column| if column == 0 { "---" } else { "---:" }.to_owned()));
    for measured in all {
        row(&mut text, &cells(measured));
    }
    write!(text, "\n## Where the CPU time goes\n\n```text\n{}\n", cpu_head())?;
    for measured in all {
        writeln!(text, "{}", cpu_line(measured))?;
    }
    text += "```\n";
    // What people wrote below the mark stays.
    let written = std::fs::read_to_string(RESULTS).unwrap_or_default();
    let notes = written.split_once(MARK).map_or("", |(_, notes)| notes);
    text = text + "\n" + MARK + if notes.is_empty() { "\n" } else { notes };
    std::fs::write(RESULTS, text)?;
    println!("\nwritten to {RESULTS}");
    Ok(())
}

fn row(text: &mut String, cells: &[String; 12]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes all");
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// Below it stands what is written by hand.
const MARK: &str = "<!-- Written by hand from here on. -->";

const HEAD: &str = "# Results

Made by `cargo xtask bench --write`; how is told in `bench/src/`. Server, worker and callers share one process and
the machine's cores: HTTP and gRPC go over real sockets on loopback, callers and server have thread pools of their
own. Every step is synced before it is acknowledged, on a fresh data folder.

- **approval**: a request is made and approved; *decided* is the time from the decision's call to its answer, which
  comes when the outcome is durable.
- **sequence of 5**: an orchestration that calls five activities, one after the other, from its start to its
  caller's knowing how it ended.
- **CPU ms**, **commits**, **kB**: per unit, in all threads; a commit is one sync. kB are the rows' own bytes.
- **store's limit**: units a second if the store had nothing else to do: the run's own batches, in their groups,
  committed to a fresh store as fast as it goes. In brackets: how much of it was reached.
- **disk's limit**: the same bytes in the same groups, appended to a file and synced.

";
