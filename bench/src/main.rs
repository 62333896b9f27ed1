//! The benchmarks: how fast is the server, what does it cost, and how far is it from what the machine allows?
//!
//! Each *figure* is a file of [`figures`]. Most of them run server, worker and callers in this process, on threads whose
//! names tell whose they were ([`stage`], [`cpu`]); those that look at memory, files and restarts run the server as it
//! ships, in a process of its own ([`child`]). Everything is on a data folder of its own, on a real disk, with every
//! step synced. Beside the speed of a way in stand two limits, measured in the same run: the store writing the same rows
//! in the same groups as fast as it goes ([`limits::store`]), and the disk appending and syncing the same bytes in the
//! same groups ([`limits::disk`]). Ratios, so that a slow machine and a fast one tell the same story; nothing here passes
//! or fails.

mod approvals;
mod case;
mod child;
mod cpu;
mod figures;
mod http;
mod limits;
mod load;
mod machine;
mod raw;
mod record;
mod report;
mod sequences;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::figures::{FIGURES, Settings};
use crate::machine::Machine;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Placet's benchmarks: figures, and their ratios to the limits of this machine")]
struct Flags {
    /// Under a minute in all: whether the benchmarks run, not how fast the server is.
    #[arg(long)]
    quick: bool,
    /// Also what takes many minutes: a million parked.
    #[arg(long)]
    long: bool,
    /// Also write bench/RESULTS.md.
    #[arg(long)]
    write: bool,
    /// Seconds measured per line.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of warm-up before.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Only what has this in its name: ways, knee, histories, fan-out, timers, neighbours, memory, parked, or some of
    /// the ways, such as "raw". May be given more than once.
    #[arg(long)]
    only: Vec<String>,
    /// Only with so many callers.
    #[arg(long)]
    callers: Vec<usize>,
    /// No limits beside the figures: for a profiler, which would see the replay of the store.
    #[arg(long)]
    no_limits: bool,
    /// Where the data folders are made; it should lie on the disk that is meant.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench"))]
    data_dir: PathBuf,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    std::fs::create_dir_all(&flags.data_dir)?;
    let machine = Machine::look(&flags.data_dir)?;
    report::machine(&machine);
    let settings = Settings {
        quick: flags.quick,
        long: flags.long,
        window: Duration::from_secs_f64(if flags.quick { 0.3 } else { flags.seconds }),
        warm_up: Duration::from_secs_f64(if flags.quick { 0.1 } else { flags.warm_up }),
        callers: flags.callers,
        limits: !flags.no_limits,
        only: flags.only,
        data_dir: flags.data_dir.canonicalize()?,
        placet: child::program()?,
    };
    let mut sections = Vec::new();
    for figure in FIGURES.iter().filter(|figure| figure.is_wanted(&settings)) {
        sections.push(figure.run(&settings)?);
    }
    if flags.write {
        report::write(&machine, &FIGURES.map(|figure| figure.title), &sections)?;
    }
    Ok(())
}
