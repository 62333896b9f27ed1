//! The benchmarks: how fast is each way in, and how far is it from what the machine allows?
//!
//! Each *case* is a way in (HTTP, the SDK in the process, the SDK over gRPC) at one number of callers. It runs on a
//! data folder of its own, on a real disk, with every step synced. Beside its speed stand two limits, measured in
//! the same run: the store writing the same rows in the same groups as fast as it goes ([`limits::store`]), and the
//! disk appending and syncing the same bytes in the same groups ([`limits::disk`]). Ratios, so that a slow machine
//! and a fast one tell the same story; nothing here passes or fails.

mod approvals;
mod case;
mod cpu;
mod http;
mod limits;
mod load;
mod machine;
mod record;
mod report;
mod sequences;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::case::{Case, WAYS};
use crate::machine::Machine;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many callers at once.
const CALLERS: [usize; 3] = [1, 32, 256];

#[derive(Debug, Parser)]
#[command(about = "Placet's benchmarks: figures, and their ratios to the limits of this machine")]
struct Flags {
    /// A few seconds in all: whether the benchmarks run, not how fast the server is.
    #[arg(long)]
    quick: bool,
    /// Also write bench/RESULTS.md.
    #[arg(long)]
    write: bool,
    /// Seconds measured per case.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of warm-up before.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Only the cases whose name holds this.
    #[arg(long)]
    only: Option<String>,
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
    let seconds = if flags.quick { 0.3 } else { flags.seconds };
    let warm_up = if flags.quick { 0.1 } else { flags.warm_up };
    let callers = if !flags.callers.is_empty() {
        flags.callers.clone()
    } else if flags.quick {
        vec![1, 32]
    } else {
        CALLERS.to_vec()
    };

    let mut measured = Vec::new();
    report::head();
    for way in WAYS {
        if flags.only.as_ref().is_some_and(|only| !way.name().contains(only.as_str())) {
            continue;
        }
        for &callers in &callers {
            let case = Case {
                way,
                callers,
                warm_up: Duration::from_secs_f64(warm_up),
                window: Duration::from_secs_f64(seconds),
                limits: !flags.no_limits,
            };
            let result = case.run(&flags.data_dir)?;
            report::line(&result);
            measured.push(result);
        }
    }
    report::where_the_time_goes(&measured);
    if flags.write {
        report::write(&machine, seconds, &measured)?;
    }
    Ok(())
}
