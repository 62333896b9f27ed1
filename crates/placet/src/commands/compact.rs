//! `placet compact`: the data rewritten without the room that was left in it, while no server has it.

use std::io::Write as _;

use placet_store_sqlite::{Compacted, SqliteStore};

use crate::exit::Failure;
use crate::flags::Compact;
use crate::store::FILE;

pub(super) fn run(flags: &Compact) -> Result<(), Failure> {
    let path = flags.data_dir.join(FILE);
    let Compacted { before, after } = SqliteStore::compact(&path)?;
    // Whoever closed our output does not want to hear it.
    drop(writeln!(std::io::stdout(), "{}: {} before, {} now", path.display(), written(before), written(after)));
    Ok(())
}

/// In the unit that people read.
fn written(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    if bytes < MEBIBYTE {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    } else {
        format!("{} MiB", bytes.div_ceil(MEBIBYTE))
    }
}
