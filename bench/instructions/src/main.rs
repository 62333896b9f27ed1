//! The hot paths, each as a program that does so many units of it: `cargo xtask instructions` runs it under valgrind,
//! with few units and with more, and takes the difference. What it counts does not depend on what else the machine does,
//! and hardly on the machine. The counts that are accepted stand in `bench/instructions.toml`.

mod commit;
mod rig;
mod sequence;
mod turns;
mod waiting;
mod wire;

use anyhow::{Context as _, Result};

/// A hot path: its name, and its units.
type HotPath = (&'static str, fn(u32) -> Result<()>);

const HOT_PATHS: [HotPath; 8] = [
    ("core-sequence-of-5", sequence::run),
    ("core-approval", waiting::approvals),
    ("core-event-for-what-left-memory", waiting::events_from_afar),
    ("sdk-replay-of-50-events", turns::run),
    ("sqlite-commit-of-64-steps", commit::run),
    ("sqlite-lives-of-64-instances", commit::lives),
    ("sqlite-load-of-64-instances", commit::load),
    ("wire-frame-of-64-completions", wire::run),
];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        list();
        return Ok(());
    };
    let units = args.next().context("how many units?")?.parse()?;
    let (_, run) = HOT_PATHS.iter().find(|(path, _)| *path == name).context("no such hot path")?;
    run(units)
}

/// Their names, for whoever runs them.
#[expect(clippy::print_stdout, reason = "asked for by its caller")]
fn list() {
    HOT_PATHS.iter().for_each(|(name, _)| println!("{name}"));
}
