//! The two clocks (DESIGN.md §3, "Two times").

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use placet_core::time::Timestamp;

/// The wall clock.
pub(super) fn wall() -> Timestamp {
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
