//! CPU time, by what it was spent for. Every thread of this process has a telling name; on Linux the kernel counts
//! for each how long it ran. Elsewhere there is none, and the report says so.

use std::collections::BTreeMap;
use std::time::Duration;

/// The names of the threads of the two runtimes.
pub(crate) const CLIENT: &str = "client";
pub(crate) const SERVER: &str = "server";

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The caller, and his worker.
    Client,
    /// Sockets, protocols, and the built-in worker where it is the server's.
    Server,
    /// The core thread.
    Core,
    /// The committer.
    Commit,
    /// What else the store has: readers, the checkpointer.
    Store,
}

/// All parts, in the order of the report.
pub(crate) const PARTS: [(Part, &str); 5] = [
    (Part::Client, "client, worker"),
    (Part::Server, "server"),
    (Part::Core, "core"),
    (Part::Commit, "commit"),
    (Part::Store, "rest of the store"),
];

/// CPU time by part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(BTreeMap<Part, Duration>);

impl Cpu {
    /// Used so far by the threads that live.
    pub(crate) fn now() -> Cpu {
        let mut cpu = Cpu::default();
        for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            // The first number: nanoseconds on a processor.
            let nanos = read("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
            *cpu.0.entry(part(read("comm").trim())).or_default() += Duration::from_nanos(nanos);
        }
        cpu
    }

    pub(crate) fn since(&self, before: &Cpu) -> Cpu {
        Cpu(self.0.iter().map(|(part, time)| (*part, time.saturating_sub(before.of(*part)))).collect())
    }

    pub(crate) fn of(&self, part: Part) -> Duration {
        self.0.get(&part).copied().unwrap_or_default()
    }

    /// None if this system does not tell.
    pub(crate) fn total(&self) -> Option<Duration> {
        let total: Duration = self.0.values().sum();
        (!total.is_zero()).then_some(total)
    }
}

fn part(thread: &str) -> Part {
    match thread {
        SERVER => Part::Server,
        "placet-core" => Part::Core,
        "placet-commit" => Part::Commit,
        _ if thread.starts_with("placet-") && thread != "placet-bench" => Part::Store,
        _ => Part::Client,
    }
}
