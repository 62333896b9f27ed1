//! The machine, in general words: what a reader needs to judge the figures by.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::percentiles;

/// What is appended and synced to see how long a sync takes.
const BLOCK: [u8; 4096] = [0x5A; 4096];
const SYNCS: usize = 300;

/// Memory file systems, on which a sync is nothing.
const UNREAL: [&str; 2] = ["tmpfs", "ramfs"];

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_gib: Option<u64>,
    pub(crate) file_system: Option<String>,
    /// Of appending 4 KiB to a file and syncing it: the median and the 99th percentile.
    pub(crate) sync: [Duration; 2],
    /// How many others wanted the processors before we began, over the last minute.
    pub(crate) load: Option<f64>,
}

impl Machine {
    pub(crate) fn look(folder: &Path) -> Result<Machine> {
        let load = std::fs::read_to_string("/proc/loadavg").ok();
        Ok(Machine {
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: memory_gib(),
            file_system: file_system(folder),
            sync: sync(folder)?,
            load: load.and_then(|load| load.split(' ').next()?.parse().ok()),
        })
    }

    /// Whether the figures mean anything.
    pub(crate) fn has_real_disk(&self) -> bool {
        !self.file_system.as_ref().is_some_and(|name| UNREAL.contains(&name.as_str()))
    }
}

fn sync(folder: &Path) -> Result<[Duration; 2]> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(percentiles(times, [0.5, 0.99]))
}

fn memory_gib() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib.div_ceil(1 << 20))
}

/// The type of the file system that is mounted nearest above the folder.
fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(mount, _)| folder.starts_with(mount));
    above.max_by_key(|(mount, _)| mount.len()).map(|(_, name)| name.to_owned())
}
