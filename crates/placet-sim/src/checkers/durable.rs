//! P1: a call that answered OK had been committed; nothing takes it back.
//!
//! An event that was acknowledged is in the inbox or in the history, or it is provably over: its instance has ended, or a
//! worker was given it, continued as new and did not hand it on.

use std::collections::{BTreeMap, BTreeSet};

use placet_proto::durabletask::{HistoryEvent, history_event::EventType};

use super::Check;
use crate::expectations::Program;
use crate::facts::{Answer, Call, Fact, Outcome, Seen, Stored, What, id_of};
use crate::workload::Slot;

#[derive(Debug)]
struct Known {
    /// Somebody else may delete its hub at any time.
    doomed: bool,
    /// Somebody purges it.
    fades: bool,
    /// It continues as new.
    renews: bool,
    /// Its start was acknowledged, and its hub not deleted since.
    started: bool,
    terminated: bool,
    /// Its termination was acknowledged in this generation, which had not ended: the next one has to tell of it.
    terminated_in: Option<String>,
}

impl Known {
    fn may_be_gone(&self) -> bool {
        self.doomed || self.fades
    }
}

/// The checker.
#[derive(Debug)]
pub(super) struct Durable {
    /// A turn holds all that waits for it: a termination does not come after an end that it waits for.
    roomy: bool,
    known: Vec<Known>,
    /// How generations ended, as somebody was told.
    outcomes: BTreeMap<(usize, String), Outcome>,
    /// Starts that were sent since: an older generation may be gone.
    newest: BTreeMap<usize, String>,
    /// What events each generation's workers were given.
    heard: BTreeMap<(usize, String), BTreeSet<String>>,
    /// The generations that were given an event, and may have continued as new without handing it on.
    used_up: BTreeMap<(usize, String), BTreeSet<String>>,
}

impl Durable {
    pub(super) fn new(slots: &[Slot], roomy: bool) -> Durable {
        let known = slots.iter().map(|slot| Known {
            doomed: slot.doomed,
            fades: slot.fades,
            renews: matches!(
                slot.program,
                Program::Collect(_) | Program::Heed(_) | Program::Decide(_) | Program::Tally(_) | Program::Approval(_)
            ),
            started: false,
            terminated: false,
            terminated_in: None,
        });
        Durable {
            roomy,
            known: known.collect(),
            outcomes: BTreeMap::new(),
            newest: BTreeMap::new(),
            heard: BTreeMap::new(),
            used_up: BTreeMap::new(),
        }
    }

    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Sent(call) => self.sent(call),
            Fact::Released(call, answer, stored) => return self.released(call, answer, *stored),
            Fact::Told(call, Answer::Wrong(what)) => return Err(format!("{:?} was refused: {what}", call.what)),
            // What has been kept for its time is let go of only by a clock that is believed.
            Fact::Told(call, Answer::Unfit) if !matches!(call.what, What::Rewind | What::Purge) => {
                return Err(format!("{:?} was refused: it cannot be done", call.what));
            }
            Fact::Told(call, Answer::Done) if matches!(call.what, What::Terminate { .. }) => {
                self.known[call.slot].terminated |= self.known[call.slot].started;
            }
            Fact::TurnRan(slot, execution, new, carried) => self.ran(*slot, execution, new, *carried),
            Fact::Unqueued(slot, execution, id, false) if !self.is_used_up(*slot, execution, id) => {
                return Err(format!("event {id} is taken off the inbox, and no history has it"));
            }
            _ => {}
        }
        Ok(())
    }

    fn ran(&mut self, slot: usize, execution: &str, new: &[String], carried: Option<&[HistoryEvent]>) {
        if !self.known[slot].renews {
            return;
        }
        let heard = self.heard.entry((slot, execution.to_owned())).or_default();
        heard.extend(new.iter().cloned());
        let Some(carried) = carried else { return };
        let carried: BTreeSet<&str> = carried.iter().filter_map(id_of).collect();
        for id in heard.iter().filter(|id| !carried.contains(id.as_str())) {
            self.used_up.entry((slot, id.clone())).or_default().insert(execution.to_owned());
        }
    }

    /// Whether a generation before this one may have used an event, and left no trace of it.
    fn is_used_up(&self, slot: usize, execution: &str, id: &str) -> bool {
        let by = self.used_up.get(&(slot, id.to_owned()));
        by.is_some_and(|by| by.iter().any(|generation| generation != execution))
    }

    /// Whether an acknowledged event is in the store, or is over by the rules.
    fn is_accounted_for(&self, slot: usize, id: &str, stored: Option<&Stored>) -> bool {
        let Some(stored) = stored else { return self.known[slot].may_be_gone() };
        stored.outcome.is_some() || has_event(stored, id) || self.is_used_up(slot, &stored.execution, id)
    }

    fn sent(&mut self, call: &Call) {
        match &call.what {
            What::DeleteHub | What::EmptyHub => self.known[call.slot].started = false,
            What::Purge => {
                self.known[call.slot].started = false;
                self.known[call.slot].fades = true;
            }
            What::Start { life, execution, .. } if *life > 0 => {
                self.newest.insert(call.slot, execution.clone());
                self.known[call.slot].fades = false;
                self.known[call.slot].terminated = false;
                self.known[call.slot].terminated_in = None;
            }
            _ => {}
        }
    }

    fn released(&mut self, call: &Call, answer: &Answer, stored: Option<&Stored>) -> Check {
        match (&call.what, answer) {
            (What::Raise { id, .. }, Answer::Done) if !self.is_accounted_for(call.slot, id, stored) => {
                return Err(format!("event {id} was acknowledged, and the store does not have it"));
            }
            (What::Ask { id, .. }, Answer::Recorded) if !self.is_accounted_for(call.slot, id, stored) => {
                return Err(format!("question {id} is said to be recorded, and the store does not have it"));
            }
            _ => {}
        }
        let known = &mut self.known[call.slot];
        match (&call.what, answer) {
            (What::Start { .. }, Answer::Done) => {
                known.started = !known.doomed;
                if stored.is_none() && !known.doomed {
                    return Err("a start was acknowledged, and the store has no such instance".to_owned());
                }
            }
            (What::Start { .. }, Answer::Exists) => known.started = !known.doomed,
            (_, Answer::Absent) if known.started => {
                return Err(format!("{:?} finds no instance, and its start was acknowledged", call.what));
            }
            (What::Terminate { .. }, Answer::Done) if known.started && known.renews => {
                let alive = stored.filter(|stored| stored.outcome.is_none());
                known.terminated_in = alive.map(|stored| stored.execution.clone());
            }
            (What::Ask { id, .. }, Answer::Reply(reply)) => {
                let there = stored.and_then(|stored| stored.replies.get(id));
                if there.map(Option::as_ref) != Some(Some(reply)) {
                    return Err(format!("question {id} was answered {reply}, and the store has {there:?}"));
                }
            }
            (_, Answer::State(seen) | Answer::After(seen) | Answer::Ended(seen)) => {
                return self.outcome_told(call.slot, seen, stored);
            }
            _ => {}
        }
        Ok(())
    }

    fn outcome_told(&mut self, slot: usize, seen: &Seen, stored: Option<&Stored>) -> Check {
        let Some(outcome) = &seen.outcome else { return Ok(()) };
        let here = stored.filter(|stored| stored.execution == seen.execution);
        if let Some(stored) = here
            && stored.outcome.as_ref() != Some(outcome)
        {
            return Err(format!("the end was told as {outcome:?}, and the store has {:?}", stored.outcome));
        }
        if here.is_none() && !self.known[slot].may_be_gone() && !self.newest.contains_key(&slot) {
            return Err(format!("the end of generation {} was told, and the store lacks it", seen.execution));
        }
        self.outcomes.insert((slot, seen.execution.clone()), outcome.clone());
        Ok(())
    }

    pub(super) fn at_end(&mut self, slot: usize, stored: Option<&Stored>) -> Check {
        let known = &self.known[slot];
        let Some(stored) = stored else {
            return if known.started { Err("its start was acknowledged, and it is gone".to_owned()) } else { Ok(()) };
        };
        if known.terminated && stored.outcome.is_none() {
            return Err("its termination was acknowledged, and it goes on".to_owned());
        }
        let tells =
            stored.history.iter().any(|event| matches!(event.event_type, Some(EventType::ExecutionTerminated(_))));
        if known.terminated_in.as_ref().is_some_and(|generation| *generation != stored.execution)
            && !tells
            && self.roomy
        {
            return Err("its termination was acknowledged, and the generation after it does not tell of it".to_owned());
        }
        match self.outcomes.get(&(slot, stored.execution.clone())) {
            Some(told) if Some(told) != stored.outcome.as_ref() => {
                Err(format!("its end was told as {told:?}, and now it is {:?}", stored.outcome))
            }
            _ => Ok(()),
        }
    }
}

fn has_event(stored: &Stored, id: &str) -> bool {
    // The latest first: it has just come.
    stored.inbox.iter().rev().chain(stored.history.iter().rev()).any(|event| id_of(event) == Some(id))
}

#[cfg(test)]
mod tests {
    use super::super::planted::{GENERATION, ask, call, completed, raise, raised, seen, sequence, slot, start, stored};
    use super::*;
    use crate::programs::Collect;

    fn checker() -> Durable {
        Durable::new(&[sequence()], true)
    }

    #[test]
    fn a_start_that_is_acknowledged_before_it_is_stored_is_found() {
        assert!(checker().see(&Fact::Released(&start(1), &Answer::Done, None)).is_err());
        assert!(checker().see(&Fact::Released(&start(1), &Answer::Done, Some(&stored(None)))).is_ok());
    }

    #[test]
    fn an_instance_that_is_gone_after_its_start_was_acknowledged_is_found() {
        let mut durable = checker();
        durable.see(&Fact::Released(&start(1), &Answer::Done, Some(&stored(None)))).unwrap();
        assert!(durable.see(&Fact::Released(&call(2, What::Wait), &Answer::Absent, None)).is_err());
        assert!(durable.at_end(0, None).is_err());
    }

    #[test]
    fn an_event_that_is_acknowledged_and_not_stored_is_found() {
        assert!(checker().see(&Fact::Released(&raise(1, "a"), &Answer::Done, Some(&stored(None)))).is_err());
        let there = Stored { inbox: vec![raised(1, "item", "a")], ..stored(None) };
        assert!(checker().see(&Fact::Released(&raise(1, "a"), &Answer::Done, Some(&there))).is_ok());
    }

    #[test]
    fn an_event_that_a_generation_used_up_is_over_and_one_that_was_handed_on_is_not() {
        let loops = || Durable::new(&[slot(Program::Collect(Collect { want: 1, every: 1, seen: Vec::new() }))], true);
        let next = Stored { execution: "another".into(), ..stored(None) };
        let raised_and =
            |durable: &mut Durable| durable.see(&Fact::Released(&raise(1, "a"), &Answer::Done, Some(&next)));
        assert!(raised_and(&mut loops()).is_err(), "no worker was ever given it");
        let ran = |carried: &[HistoryEvent]| {
            let mut durable = loops();
            durable.see(&Fact::TurnRan(0, GENERATION, &["a".to_owned()], Some(carried))).unwrap();
            durable
        };
        assert!(raised_and(&mut ran(&[])).is_ok());
        assert!(raised_and(&mut ran(&[raised(1, "item", "a")])).is_err());
        let unqueued = Fact::Unqueued(0, "another", "a", false);
        assert!(ran(&[]).see(&unqueued).is_ok());
        assert!(ran(&[raised(1, "item", "a")]).see(&unqueued).is_err());
        let same = Fact::Unqueued(0, GENERATION, "a", false);
        assert!(ran(&[]).see(&same).is_err(), "the generation that did not hand it on is still there");
    }

    #[test]
    fn an_answer_that_is_told_and_not_stored_is_found() {
        let answer = Answer::Reply("yes".into());
        assert!(checker().see(&Fact::Released(&ask(1, "a", "approve"), &answer, Some(&stored(None)))).is_err());
    }

    #[test]
    fn an_end_that_changes_after_it_was_told_is_found() {
        let mut durable = checker();
        let told = Answer::State(seen(Some(completed("4"))));
        let end = stored(Some(completed("4")));
        durable.see(&Fact::Released(&call(1, What::Wait), &told, Some(&end))).unwrap();
        assert!(durable.at_end(0, Some(&end)).is_ok());
        assert!(durable.at_end(0, Some(&stored(Some(completed("5"))))).is_err());
        assert!(durable.at_end(0, Some(&stored(None))).is_err());
    }

    #[test]
    fn a_termination_that_is_acknowledged_and_forgotten_is_found() {
        let mut durable = checker();
        durable.see(&Fact::Released(&start(1), &Answer::Done, Some(&stored(None)))).unwrap();
        durable.see(&Fact::Told(&call(2, What::Terminate { recurse: false }), &Answer::Done)).unwrap();
        assert!(durable.at_end(0, Some(&stored(None))).is_err());
    }

    #[test]
    fn a_termination_that_a_next_generation_knows_nothing_of_is_found() {
        let loops = slot(Program::Collect(Collect { want: 1, every: 1, seen: Vec::new() }));
        let mut durable = Durable::new(&[loops], true);
        durable.see(&Fact::Released(&start(1), &Answer::Done, Some(&stored(None)))).unwrap();
        durable
            .see(&Fact::Released(&call(2, What::Terminate { recurse: false }), &Answer::Done, Some(&stored(None))))
            .unwrap();
        let same = stored(Some(completed("[]")));
        assert!(durable.at_end(0, Some(&same)).is_ok(), "a turn that was out may have ended it");
        let next = Stored { execution: "another".into(), ..same };
        assert!(durable.at_end(0, Some(&next)).is_err());
    }
}
