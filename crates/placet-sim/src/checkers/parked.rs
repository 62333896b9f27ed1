//! P5: what is parked costs nothing, and its timer fires within a second of its time, never before. And what waits
//! to share a commit does not wait long: a worker that hangs delays nobody (DESIGN.md §3, "Pipelining").

use super::Check;
use crate::facts::Fact;

/// How late a timer may be while nothing is wrong, in microseconds.
const LATE_MAX: u64 = 1_000_000;

/// How long an acknowledgement may be held for a turn, in microseconds.
const HOLD_MAX: u64 = 5_000;

/// The checker.
#[derive(Debug)]
pub(super) struct Parked;

impl Parked {
    #[expect(clippy::unused_self, reason = "like the others, it is told what was seen")]
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Fired { due, at } if at < due => Err(format!("a timer fired {} µs before its time", due - at)),
            Fact::TimerOver { late, slack } if *late > LATE_MAX + slack => {
                Err(format!("a timer fired {late} µs after its time, and nothing was wrong"))
            }
            Fact::Acknowledged { waited, disk } if *waited > disk + HOLD_MAX => {
                Err(format!("an acknowledgement came after {waited} µs, of which the disk took at most {disk}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_fires_early_is_found() {
        assert!(Parked.see(&Fact::Fired { due: 10, at: 9 }).is_err());
        assert!(Parked.see(&Fact::Fired { due: 10, at: 10 }).is_ok());
    }

    #[test]
    fn a_timer_that_fires_late_is_found() {
        assert!(Parked.see(&Fact::TimerOver { late: LATE_MAX + 1, slack: 0 }).is_err());
        assert!(Parked.see(&Fact::TimerOver { late: LATE_MAX, slack: 0 }).is_ok());
    }

    #[test]
    fn an_acknowledgement_that_waits_for_more_than_the_disk_is_found() {
        assert!(Parked.see(&Fact::Acknowledged { waited: HOLD_MAX + 101, disk: 100 }).is_err());
        assert!(Parked.see(&Fact::Acknowledged { waited: HOLD_MAX + 100, disk: 100 }).is_ok());
    }
}
