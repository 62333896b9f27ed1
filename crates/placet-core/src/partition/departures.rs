//! What left memory while the store was being asked. An answer that was asked for before is older than what left, and
//! must not bring it back.

use crate::ids::{Hub, Iid};
use crate::planted::{self, Plant};

use super::Map;

/// When something was asked, as [`Departures`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked(u64);

/// The departures that a question under way does not know of.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    count: u64,
    /// How many questions are under way that were asked at each count, in their order.
    questions: Vec<(u64, usize)>,
    instances: Map<Iid, u64>,
    hubs: Vec<(Hub, u64)>,
}

impl Departures {
    /// A question is asked. Follow with [`Departures::answered`].
    pub(crate) fn ask(&mut self) -> Asked {
        match self.questions.last_mut() {
            Some((count, open)) if *count == self.count => *open += 1,
            _ => self.questions.push((self.count, 1)),
        }
        Asked(self.count)
    }

    /// It was answered. What no question under way could confuse is forgotten.
    pub(crate) fn answered(&mut self, asked: Asked) {
        let at = self.questions.iter().position(|(count, _)| *count == asked.0);
        let at = at.expect("a question is answered once");
        self.questions[at].1 -= 1;
        if self.questions[at].1 > 0 {
            return;
        }
        self.questions.remove(at);
        match self.questions.first() {
            None => {
                self.instances.clear();
                self.hubs.clear();
            }
            Some((oldest, _)) => {
                self.instances.retain(|_, left| *left > *oldest);
                self.hubs.retain(|(_, left)| *left > *oldest);
            }
        }
    }

    /// An instance left memory, or its deletion became durable.
    pub(crate) fn instance_left(&mut self, iid: Iid) {
        if !self.questions.is_empty() {
            self.count += 1;
            self.instances.insert(iid, self.count);
        }
    }

    /// The deletion of a hub became durable.
    pub(crate) fn hub_left(&mut self, hub: &Hub) {
        if !self.questions.is_empty() {
            self.count += 1;
            self.hubs.push((hub.clone(), self.count));
        }
    }

    /// Whether an answer may be older than what left.
    pub(crate) fn is_old(&self, asked: Asked, iid: Iid, hub: &Hub) -> bool {
        if planted::is(Plant::OldAnswerInstalled) {
            return false;
        }
        self.instances.get(&iid).is_some_and(|left| *left > asked.0) || self.is_hub_old(asked, hub)
    }

    /// Whether an answer about a hub may be older than its deletion.
    pub(crate) fn is_hub_old(&self, asked: Asked, hub: &Hub) -> bool {
        self.hubs.iter().any(|(gone, left)| gone == hub && *left > asked.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_were_asked_for_before_are_old() {
        let (hub, mut departures) = (Hub::new("default"), Departures::default());
        let before = departures.ask();
        departures.instance_left(Iid(1));
        let after = departures.ask();
        assert!(departures.is_old(before, Iid(1), &hub));
        assert!(!departures.is_old(after, Iid(1), &hub));
        assert!(!departures.is_old(before, Iid(2), &hub));
        departures.hub_left(&hub);
        assert!(departures.is_old(after, Iid(2), &hub));
        departures.answered(before);
        assert!(departures.instances.is_empty(), "no question under way is older than this departure");
        departures.answered(after);
        assert!(departures.hubs.is_empty());
    }

    #[test]
    fn what_leaves_while_nothing_is_asked_is_not_kept() {
        let mut departures = Departures::default();
        departures.instance_left(Iid(1));
        assert!(departures.instances.is_empty());
    }
}
