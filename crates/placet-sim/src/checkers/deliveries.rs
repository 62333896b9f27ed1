//! I36, one item that fails its workers again and again: after ten times it is set aside, whatever else fails meanwhile.
//! And a delivery of a turn is one: its token is given out once, so that two workers never have the same.

use std::collections::BTreeSet;

use placet_core::limits::DELIVERIES_MAX;

use super::Check;
use crate::facts::Fact;

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    given_out: BTreeSet<String>,
}

impl Deliveries {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::TurnGivenOut(token) if !self.given_out.insert((*token).to_owned()) => {
                Err(format!("a turn is given out twice with the token {token}"))
            }
            Fact::BrokeStream { id, times, void } if *times > DELIVERIES_MAX + void => {
                Err(format!("{id} broke its worker's stream {times} times, of which {void} may not count"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_given_out_twice_is_found() {
        let mut deliveries = Deliveries::default();
        deliveries.see(&Fact::TurnGivenOut("pl1.0.0.t.1")).unwrap();
        deliveries.see(&Fact::TurnGivenOut("pl1.0.0.t.2")).unwrap();
        assert!(deliveries.see(&Fact::TurnGivenOut("pl1.0.0.t.1")).is_err());
    }

    #[test]
    fn what_breaks_its_workers_more_often_than_it_may_is_found() {
        let broke = |times, void| Deliveries::default().see(&Fact::BrokeStream { id: "sequence-1", times, void });
        assert!(broke(DELIVERIES_MAX, 0).is_ok());
        assert!(broke(DELIVERIES_MAX + 1, 1).is_ok());
        assert!(broke(DELIVERIES_MAX + 1, 0).is_err());
    }
}
