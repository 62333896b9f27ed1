//! The figures, a file each: what is measured, and how.

mod fan_out;
mod histories;
mod knee;
mod memory;
mod neighbours;
mod parked;
mod timers;
mod ways;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::report::Section;

/// What all of them are told.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Whether they run, not how fast the server is.
    pub(crate) quick: bool,
    /// Also what takes many minutes.
    pub(crate) long: bool,
    /// Measured per line, and before it.
    pub(crate) window: Duration,
    pub(crate) warm_up: Duration,
    /// Only with so many callers, if any are named.
    pub(crate) callers: Vec<usize>,
    /// Whether limits are measured beside the figures.
    pub(crate) limits: bool,
    /// Only what has one of these in its name, if there are any.
    pub(crate) only: Vec<String>,
    pub(crate) data_dir: PathBuf,
    /// The server as it ships, for figures of a process of its own.
    pub(crate) placet: PathBuf,
}

impl Settings {
    /// One number for people, a small one for those who want to see whether it runs.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }
}

/// A figure: its name on the command line, the title of its section, and its code.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    run: fn(&Settings) -> Result<Section>,
}

/// All of them, in the order of the report.
pub(crate) const FIGURES: [Figure; 8] = [
    Figure { name: "ways", title: ways::TITLE, run: ways::run },
    Figure { name: "knee", title: knee::TITLE, run: knee::run },
    Figure { name: "histories", title: histories::TITLE, run: histories::run },
    Figure { name: "fan-out", title: fan_out::TITLE, run: fan_out::run },
    Figure { name: "timers", title: timers::TITLE, run: timers::run },
    Figure { name: "neighbours", title: neighbours::TITLE, run: neighbours::run },
    Figure { name: "memory", title: memory::TITLE, run: memory::run },
    Figure { name: "parked", title: parked::TITLE, run: parked::run },
];

impl Figure {
    /// Whether it is among those that are wanted.
    pub(crate) fn is_wanted(&self, settings: &Settings) -> bool {
        settings.wants(self.name) || (self.name == "ways" && ways::has_wanted(settings))
    }

    pub(crate) fn run(&self, settings: &Settings) -> Result<Section> {
        crate::report::begin(self.title);
        (self.run)(settings)
    }
}
