//! I32 and I35: what is parked costs no memory, a server that has nothing to do holds nothing, and a start reads what
//! has work and nothing else.

use super::Check;
use crate::facts::{Fact, Idle};

/// The checker.
#[derive(Debug)]
pub(super) struct Bounds;

impl Bounds {
    #[expect(clippy::unused_self, reason = "like the others, it is told what was seen")]
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Idle(idle) => held(idle),
            Fact::Recovered { read, active, .. } if read > active => {
                Err(format!("a start read {read} instances, of which {active} had work"))
            }
            Fact::Recovered { pages, active, page, .. } if *pages > active / page + 1 => {
                Err(format!("a start read {pages} pages of {page} instances, and {active} had work"))
            }
            _ => Ok(()),
        }
    }
}

fn held(idle: &Idle) -> Check {
    let Idle { hot, active, timers, timers_near, asks, calls, bytes } = *idle;
    let checks = [
        (hot > active, format!("{hot} instances are in memory, of which {active} have work")),
        (timers > timers_near, format!("{timers} timers are in memory, of which {timers_near} are near")),
        (asks > calls, format!("{asks} questions are kept, and {calls} callers wait")),
        (bytes > 0, format!("{bytes} bytes wait to be written")),
    ];
    match checks.into_iter().find(|(broken, _)| *broken) {
        Some((_, what)) => Err(format!("nothing happens, and {what}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_idle_server_holds_and_should_not_is_found() {
        let good = Idle { hot: 1, active: 1, timers: 2, timers_near: 2, asks: 1, calls: 1, bytes: 0 };
        assert!(Bounds.see(&Fact::Idle(&good)).is_ok());
        for bad in
            [Idle { hot: 2, ..good }, Idle { timers: 3, ..good }, Idle { asks: 2, ..good }, Idle { bytes: 1, ..good }]
        {
            assert!(Bounds.see(&Fact::Idle(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_start_that_reads_more_than_there_is_work_is_found() {
        let start = |read, pages| Fact::Recovered { read, pages, active: 10, page: 5 };
        assert!(Bounds.see(&start(10, 3)).is_ok());
        assert!(Bounds.see(&start(11, 3)).is_err());
        assert!(Bounds.see(&start(10, 4)).is_err());
    }
}
