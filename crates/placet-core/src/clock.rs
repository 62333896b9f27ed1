//! Whether the wall clock may be believed. If not, timers are held: a clock that jumped a month ahead would
//! expire every request (DESIGN.md §3, "Two times").

use std::time::Duration;

use crate::limits;
use crate::time::{Mono, Now, Timestamp};

/// Why timers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The wall clock is this much behind the newest committed time.
    Behind(Duration),
    /// It moved this much ahead of the monotonic clock.
    JumpedAhead(Duration),
    /// It moved this much back against the monotonic clock.
    JumpedBack(Duration),
}

/// Watches the wall clock against the monotonic one.
#[derive(Debug, Clone)]
pub struct ClockGuard {
    /// Where both clocks stood when they last agreed.
    agreed: Option<(Timestamp, Mono)>,
    newest: Timestamp,
    doubt: Option<Doubt>,
    /// The wall clock is virtual: it stands and goes as it likes.
    unwatched: bool,
}

impl ClockGuard {
    /// A guard that knows the newest committed time.
    pub fn new(newest: Timestamp) -> ClockGuard {
        ClockGuard { agreed: None, newest, doubt: None, unwatched: false }
    }

    /// One that believes everything: of a virtual clock.
    pub fn unwatched() -> ClockGuard {
        ClockGuard { unwatched: true, ..ClockGuard::new(Timestamp::default()) }
    }

    /// Looks at the clocks: why timers are held, if they are.
    pub fn look(&mut self, now: Now) -> Option<Doubt> {
        self.doubt = match self.agreed {
            _ if self.unwatched => None,
            None => {
                let behind = self.newest.since(now.wall);
                (behind > limits::CLOCK_BEHIND_MAX).then_some(Doubt::Behind(behind))
            }
            Some((wall, mono)) => {
                let expected = wall.after(now.mono.since(mono));
                let (ahead, back) = (now.wall.since(expected), expected.since(now.wall));
                if ahead > limits::CLOCK_STEP_MAX {
                    Some(Doubt::JumpedAhead(ahead))
                } else if back > limits::CLOCK_STEP_MAX {
                    Some(Doubt::JumpedBack(back))
                } else {
                    None
                }
            }
        };
        if self.doubt.is_none() {
            self.agreed = Some((now.wall, now.mono));
        }
        self.doubt
    }

    /// The operator says that the wall clock is right.
    pub fn accept(&mut self, now: Now) {
        self.agreed = Some((now.wall, now.mono));
        self.doubt = None;
    }

    /// Why timers are held, as of the last look.
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall_seconds: i64, mono_seconds: u64) -> Now {
        Now { wall: Timestamp(wall_seconds * 1_000_000), mono: Mono(mono_seconds * 1_000_000) }
    }

    #[test]
    fn a_clock_that_jumps_is_doubted_until_it_agrees_again_or_is_accepted() {
        let mut guard = ClockGuard::new(Timestamp(0));
        assert_eq!(guard.look(now(1_000, 0)), None);
        assert_eq!(guard.look(now(1_010, 10)), None);
        assert_eq!(guard.look(now(5_011, 11)), Some(Doubt::JumpedAhead(Duration::from_secs(4_000))));
        assert_eq!(guard.look(now(1_012, 12)), None);
        assert_eq!(guard.look(now(13, 13)), Some(Doubt::JumpedBack(Duration::from_secs(1_000))));
        guard.accept(now(13, 13));
        assert_eq!(guard.look(now(14, 14)), None);
    }

    #[test]
    fn a_virtual_clock_is_never_doubted() {
        let mut guard = ClockGuard::unwatched();
        for (wall, mono) in [(1_000, 0), (1_000, 3_600), (90_000, 3_600), (90_000, 7_200)] {
            assert_eq!(guard.look(now(wall, mono)), None);
        }
    }

    #[test]
    fn a_clock_behind_what_was_committed_is_doubted_at_the_start() {
        let mut guard = ClockGuard::new(Timestamp(100_000_000));
        assert_eq!(guard.look(now(90, 0)), Some(Doubt::Behind(Duration::from_secs(10))));
        assert_eq!(guard.look(now(96, 6)), None);
    }
}
