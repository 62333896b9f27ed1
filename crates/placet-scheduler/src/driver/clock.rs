//! The two clocks (DESIGN.md §3, "Two times").

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use placet_core::time::Timestamp;

use crate::retention::Wake;

/// The clock that users see. Clones are handles to the same one: whatever tells the time beside the core reads it, too.
#[derive(Debug, Clone)]
pub(crate) enum WallClock {
    /// The machine's.
    Real,
    /// One that stands until the core says otherwise.
    Virtual(Arc<Standing>),
}

/// Where a virtual clock stands, and who is told when it moves.
#[derive(Debug)]
pub(crate) struct Standing {
    /// As in a [`Timestamp`].
    micros: AtomicI64,
    listener: OnceLock<Sender<Wake>>,
}

impl WallClock {
    /// A virtual one, which begins with the time that the machine has now.
    pub(crate) fn new_virtual() -> WallClock {
        WallClock::Virtual(Arc::new(Standing { micros: AtomicI64::new(wall().0), listener: OnceLock::new() }))
    }

    /// What it says.
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            WallClock::Real => wall(),
            WallClock::Virtual(standing) => Timestamp(standing.micros.load(Ordering::Acquire)),
        }
    }

    /// Sets one that is virtual. Only the core thread does.
    pub(super) fn set(&self, at: Timestamp) {
        match self {
            WallClock::Real => unreachable!("the core sets no clock but a virtual one"),
            WallClock::Virtual(standing) => {
                standing.micros.store(at.0, Ordering::Release);
                // If nobody listens any more, nobody need know.
                standing.listener.get().into_iter().for_each(|listener| drop(listener.send(Wake::ClockMoved)));
            }
        }
    }

    /// Has somebody told whenever a virtual one moves: the first who asks for it.
    pub(crate) fn tell_of_moves(&self, listener: Sender<Wake>) {
        if let WallClock::Virtual(standing) = self {
            drop(standing.listener.set(listener));
        }
    }
}

/// The machine's wall clock.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The monotonic clock. It goes on while the machine sleeps: else a laptop that was shut for an hour would seem to have a wall
/// clock that jumped, and its timers would be held. `Instant` stands still there on Linux and macOS.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn since_boot() -> Duration {
    read(rustix::time::ClockId::Boottime)
}

/// See above: here `CLOCK_MONOTONIC` is the one that goes on.
#[cfg(target_vendor = "apple")]
pub(super) fn since_boot() -> Duration {
    read(rustix::time::ClockId::Monotonic)
}

/// See above: here `Instant` goes on.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn since_boot() -> Duration {
    static FIRST: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    FIRST.elapsed()
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn read(clock: rustix::time::ClockId) -> Duration {
    let at = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(at.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(at.tv_nsec).unwrap_or_default())
}
