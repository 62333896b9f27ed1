//! `placet completions` and `placet man`: what shells and manuals know of the command line, from the command line itself.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::exit::Failure;
use crate::flags::{Completions, Flags, Man};

pub(super) fn completions(flags: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Flags::command(), "placet", &mut script);
    // Whoever closed our output does not want to hear it.
    drop(std::io::stdout().write_all(&script));
    Ok(())
}

pub(super) fn pages(flags: &Man) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::system(flags.dir.to_string_lossy(), error);
    std::fs::create_dir_all(&flags.dir).map_err(failed)?;
    clap_mangen::generate_to(Flags::command(), &flags.dir).map_err(failed)
}
