//! P4: an instance sees its messages in the order in which they were committed. From outside that order is known
//! where one call was answered before another was sent.

use std::collections::{BTreeMap, BTreeSet};

use placet_proto::durabletask::OrchestrationStatus;

use super::Check;
use crate::facts::{Answer, Call, Fact, Stored, What, id_of};

/// When an event was first sent, and when somebody was first told that it is there. Counted in facts.
#[derive(Debug, Clone, Copy)]
struct Times {
    sent: u64,
    known: Option<u64>,
}

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Order {
    clock: u64,
    /// By slot and id.
    events: BTreeMap<usize, BTreeMap<String, Times>>,
}

impl Order {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Sent(call) => {
                self.clock += 1;
                if let Some(id) = id_in(call) {
                    let sent = self.clock;
                    let events = self.events.entry(call.slot).or_default();
                    events.entry(id.to_owned()).or_insert(Times { sent, known: None });
                }
            }
            Fact::Told(call, answer) => {
                self.clock += 1;
                let is_there = matches!(
                    answer,
                    Answer::Done | Answer::Reply(_) | Answer::After(_) | Answer::Recorded | Answer::Ended(_)
                );
                if let Some(id) = id_in(call).filter(|_| is_there)
                    && let Some(times) = self.events.get_mut(&call.slot).and_then(|events| events.get_mut(id))
                {
                    times.known.get_or_insert(self.clock);
                }
            }
            Fact::TurnSent(slot, past, new) => {
                return self.in_order(*slot, past.iter().chain(*new).filter_map(id_of));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn at_end(&self, slot: usize, stored: &Stored) -> Check {
        self.in_order(slot, stored.history.iter().filter_map(id_of))?;
        let Some(outcome) = stored.outcome.as_ref().filter(|o| o.status == OrchestrationStatus::Completed) else {
            return Ok(());
        };
        // What the programs that gather events give back: one list, or two.
        let output = outcome.output.as_deref().unwrap_or("null");
        if let Ok(ids) = serde_json::from_str::<Vec<String>>(output) {
            self.in_order(slot, ids.iter().map(String::as_str))?;
        }
        if let Ok((left, right)) = serde_json::from_str::<(Vec<String>, Vec<String>)>(output) {
            self.in_order(slot, left.iter().map(String::as_str))?;
            self.in_order(slot, right.iter().map(String::as_str))?;
        }
        Ok(())
    }

    /// Of two events, the one that was known to be there before the other was sent comes first.
    fn in_order<'a>(&self, slot: usize, ids: impl Iterator<Item = &'a str>) -> Check {
        let Some(events) = self.events.get(&slot) else { return Ok(()) };
        // Of those before, the one that was sent last: it is the first to be in the way.
        let mut latest: Option<(&str, u64)> = None;
        let mut twice = BTreeSet::new();
        for id in ids {
            let Some(times) = events.get(id) else { continue };
            if !twice.insert(id) {
                continue; // sent twice: the first decides
            }
            if let Some((before, sent)) = latest
                && times.known.is_some_and(|known| known < sent)
            {
                return Err(format!("{before} comes before {id}, which was there before {before} was sent"));
            }
            if latest.is_none_or(|(_, sent)| sent < times.sent) {
                latest = Some((id, times.sent));
            }
        }
        Ok(())
    }
}

fn id_in(call: &Call) -> Option<&str> {
    match &call.what {
        What::Raise { id, .. } | What::Ask { id, .. } => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{completed, raise, raised, stored};
    use super::*;

    fn one_after_the_other() -> Order {
        let mut order = Order::default();
        for (number, id) in [(1, "a"), (2, "b")] {
            order.see(&Fact::Sent(&raise(number, id))).unwrap();
            order.see(&Fact::Told(&raise(number, id), &Answer::Done)).unwrap();
        }
        order
    }

    #[test]
    fn events_that_reach_a_turn_in_another_order_are_found() {
        let (a, b) = ([raised(1, "item", "a")], [raised(2, "item", "b")]);
        assert!(one_after_the_other().see(&Fact::TurnSent(0, &a, &b)).is_ok());
        assert!(one_after_the_other().see(&Fact::TurnSent(0, &b, &a)).is_err());
    }

    #[test]
    fn an_output_in_another_order_is_found() {
        assert!(one_after_the_other().at_end(0, &stored(Some(completed(r#"["a","b"]"#)))).is_ok());
        assert!(one_after_the_other().at_end(0, &stored(Some(completed(r#"["b","a"]"#)))).is_err());
    }

    #[test]
    fn events_sent_at_once_may_come_in_any_order() {
        let mut order = Order::default();
        for (number, id) in [(1, "a"), (2, "b")] {
            order.see(&Fact::Sent(&raise(number, id))).unwrap();
        }
        for (number, id) in [(1, "a"), (2, "b")] {
            order.see(&Fact::Told(&raise(number, id), &Answer::Done)).unwrap();
        }
        assert!(order.at_end(0, &stored(Some(completed(r#"["b","a"]"#)))).is_ok());
    }
}
