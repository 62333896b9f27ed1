//! Whether the scheduler can be relied upon right now, and if not, why.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use placet_core::clock::Doubt;
use placet_core::shard::Trouble;

/// Commits that do not succeed for this long make the server not ready.
const COMMIT_OVERDUE: Duration = Duration::from_secs(10);

/// Broken invariants are counted for so long …
pub(crate) const BREAKS_WITHIN: Duration = Duration::from_secs(60);

/// … and so many of them make the server not ready.
const BREAKS_MANY: usize = 3;

/// Why the server is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// Nothing has become durable for too long.
    #[error("no commit has succeeded for {} s", for_.as_secs())]
    CommitsFail {
        /// Since when.
        for_: Duration,
    },
    /// The last commit found no room.
    #[error("the disk is full: nothing new is taken until there is room")]
    DiskFull,
    /// Timers are held.
    #[error("the clock is not believed, timers are held: {0}")]
    Clock(String),
    /// Memory was dropped several times within a minute, since something that arrives breaks an invariant.
    #[error("an invariant broke {times} times within a minute: see the log, and report it")]
    InvariantsBreak {
        /// How often.
        times: usize,
    },
    /// The core thread has ended.
    #[error("the scheduler has ended: restart the server, and see its log")]
    CoreEnded,
    /// It is on its way out.
    #[error("the server is stopping")]
    Stopping,
}

/// What the driver's threads know of their own state.
#[derive(Debug, Default)]
pub struct Health(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    /// Since when a commit has been under way, or failing, without a success.
    commit_owed_since: Option<Instant>,
    core: Trouble,
    broken: Option<(usize, Instant)>,
    stopping: bool,
    core_ended: bool,
}

impl Health {
    /// Why the server is not ready; empty if it is.
    pub fn reasons(&self) -> Vec<NotReady> {
        let facts = self.lock();
        let mut reasons = Vec::new();
        if let Some(for_) = facts.commit_owed_since.map(|since| since.elapsed())
            && for_ >= COMMIT_OVERDUE
        {
            reasons.push(NotReady::CommitsFail { for_ });
        }
        if facts.core.refusing && facts.commit_owed_since.is_some() {
            reasons.push(NotReady::DiskFull);
        }
        if let Some(doubt) = facts.core.clock_doubt {
            reasons.push(NotReady::Clock(describe(doubt)));
        }
        if let Some((times, since)) = facts.broken
            && times >= BREAKS_MANY
            && since.elapsed() < BREAKS_WITHIN
        {
            reasons.push(NotReady::InvariantsBreak { times });
        }
        if facts.core_ended && !facts.stopping {
            reasons.push(NotReady::CoreEnded);
        }
        if facts.stopping {
            reasons.push(NotReady::Stopping);
        }
        reasons
    }

    pub(crate) fn commit_begins(&self) {
        self.lock().commit_owed_since.get_or_insert_with(Instant::now);
    }

    pub(crate) fn commit_succeeded(&self) {
        self.lock().commit_owed_since = None;
    }

    pub(crate) fn core_says(&self, trouble: Trouble) {
        self.lock().core = trouble;
    }

    /// So many invariants broke within [`BREAKS_WITHIN`].
    pub(crate) fn invariants_broken(&self, times: usize) {
        self.lock().broken = Some((times, Instant::now()));
    }

    /// Whether the last commit did not succeed.
    pub(crate) fn owes_commit(&self) -> bool {
        self.lock().commit_owed_since.is_some()
    }

    /// Whether timers are held, and with them all that goes by the wall clock.
    pub(crate) fn doubts_clock(&self) -> bool {
        self.lock().core.clock_doubt.is_some()
    }

    pub(crate) fn core_ended(&self) {
        self.lock().core_ended = true;
    }

    pub(crate) fn stopping(&self) {
        self.lock().stopping = true;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(doubt: Doubt) -> String {
    let hint = "set the clock, or run `placet time accept` if it is right";
    match doubt {
        Doubt::Behind(by) => format!("it is {} s behind the newest committed time; {hint}", by.as_secs()),
        Doubt::JumpedAhead(by) => format!("it jumped {} s ahead; {hint}", by.as_secs()),
        Doubt::JumpedBack(by) => format!("it jumped {} s back; {hint}", by.as_secs()),
    }
}
