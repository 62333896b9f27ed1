//! The kinds of faults by their names, and how often each struck: a batch in which one of them hardly ever did proves little
//! about it.

use crate::plan::Faults;

/// How often each kind of fault struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck([u32; FaultKind::ALL.len()]);

macro_rules! kinds {
    ($($kind:ident = $field:ident off $none:expr),+ $(,)?) => {
        /// A kind of fault: what each is stands at the plan's field of its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the plan's fields tell")]
        pub enum FaultKind {
            $($kind),+
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind),+];

            /// Its name, as it is switched off by it.
            pub fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => stringify!($field)),+
                }
            }

            /// Switches it off.
            pub(crate) fn switch_off(self, faults: &mut Faults) {
                match self {
                    $(FaultKind::$kind => faults.$field = $none),+
                }
            }
        }
    };
}

kinds! {
    CommitLost = commit_lost off 0,
    CommitUnknown = commit_unknown off 0,
    CommitFull = commit_full off 0,
    AheadFailed = ahead_failed off 0,
    DiskHangs = disk_hangs off 0,
    ReadFailed = read_failed off 0,
    CallLost = call_lost off 0,
    Doubled = doubled off 0,
    Abandoned = abandoned off 0,
    Lied = lied off 0,
    CrashInCommit = crash_in_commit off 0,
    CrashAfterDelete = crash_after_delete off 0,
    Crash = crashes off 0,
    Stop = stops off 0,
    InvariantBroken = broken_invariants off 0,
    WorkerCrash = worker_crashes off 0,
    StreamBreak = stream_breaks off 0,
    WorkerHang = worker_hangs off 0,
    WorkerStop = worker_stops off 0,
    ServerHang = server_hangs off 0,
    WallStep = wall_steps off 0,
    Bomb = bomb off false,
}

impl FaultKind {
    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Struck {
    /// One struck.
    pub(crate) fn add(&mut self, kind: FaultKind) {
        self.0[kind as usize] += 1;
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Struck) {
        for (sum, times) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(times);
        }
    }

    /// All kinds, with how often each struck.
    pub fn all(&self) -> impl Iterator<Item = (FaultKind, u32)> {
        FaultKind::ALL.iter().copied().zip(self.0)
    }
}

impl Default for Struck {
    fn default() -> Struck {
        Struck([0; FaultKind::ALL.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself_and_found_by_its_name() {
        let mut struck = Struck::default();
        for (times, kind) in (0..).zip(FaultKind::ALL) {
            assert_eq!(FaultKind::named(kind.name()), Some(*kind));
            (0..times).for_each(|_| struck.add(*kind));
        }
        let mut twice = struck.clone();
        twice.merge(&struck);
        assert!((0..).zip(twice.all()).all(|(times, (_, struck))| struck == 2 * times), "{twice:?}");
    }
}
