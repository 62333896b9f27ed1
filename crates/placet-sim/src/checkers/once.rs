//! P3: orchestration code runs effectively once. An instance comes to what the model of its program says; each turn
//! is completed once; an activity goes out only when its scheduling is durable, and its recorded result is one that
//! a worker brought.

use std::collections::{BTreeMap, BTreeSet};

use placet_proto::durabletask::history_event::EventType;

use super::Check;
use crate::expectations::Sent;
use crate::facts::{Answer, Call, Fact, Stored, What};
use crate::programs::decided_in;
use crate::workload::Slot;

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Once {
    /// The slots' parents and ids.
    kin: Vec<(Option<usize>, String)>,
    sent: BTreeMap<usize, Sent>,
    /// Which life each execution that a client named is.
    lives: BTreeMap<String, u32>,
    turns: BTreeSet<(String, u32)>,
    /// The executions of each slot whose turns counted, the newest last.
    executions: BTreeMap<usize, Vec<String>>,
    /// Executions whose start was refused.
    refused: BTreeSet<String>,
    /// What workers brought, by slot, execution and step.
    results: BTreeMap<(usize, String, i32), BTreeSet<Result<String, String>>>,
}

impl Once {
    pub(super) fn new(slots: &[Slot]) -> Once {
        let mut once =
            Once { kin: slots.iter().map(|slot| (slot.parent, slot.id.clone())).collect(), ..Once::default() };
        for (at, slot) in slots.iter().enumerate() {
            // What other instances tell it is sent once.
            let times = slot.hears.iter().map(|id| (id.clone(), 1));
            once.sent.entry(at).or_default().times.extend(times);
        }
        once
    }

    /// This slot and all that descend from it.
    fn family(&self, of: usize) -> impl Iterator<Item = usize> {
        let parent = |at: &usize| self.kin.get(*at).and_then(|(parent, _)| *parent);
        let descends = move |at: &usize| std::iter::successors(Some(*at), parent).any(|ancestor| ancestor == of);
        // A slot that nobody told of has no kin.
        (0..self.kin.len().max(of + 1)).filter(descends)
    }

    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Sent(call) => self.sent(call),
            Fact::TurnAccepted(slot, execution, turn, stored) => {
                return self.accepted(*slot, execution, *turn, *stored);
            }
            Fact::Released(call, Answer::TryLater, _) => self.refused(call),
            Fact::ActivitySent(slot, false) => {
                return Err(format!("an activity of slot {slot} went out before its scheduling was durable"));
            }
            Fact::ActivityRan(slot, execution, step, result) => {
                let brought = self.results.entry((*slot, (*execution).to_owned(), *step)).or_default();
                brought.insert((*result).clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// A turn's completion counts.
    fn accepted(&mut self, slot: usize, execution: &str, turn: u32, stored: bool) -> Check {
        if !stored {
            return Err(format!("turn {turn} of execution {execution} was said to count, and is not stored"));
        }
        if !self.turns.insert((execution.to_owned(), turn)) {
            return Err(format!("turn {turn} of execution {execution} was completed twice"));
        }
        let executions = self.executions.entry(slot).or_default();
        if executions.last().is_some_and(|last| last == execution) {
            return Ok(());
        }
        if executions.iter().any(|earlier| earlier == execution) {
            return Err(format!("execution {execution} went on after a later one had begun"));
        }
        executions.push(execution.to_owned());
        Ok(())
    }

    /// The caller was told that nothing was done: nothing of it may ever be seen.
    fn refused(&mut self, call: &Call) {
        let sent = self.sent.entry(call.slot).or_default();
        match &call.what {
            What::Start { execution, .. } => drop(self.refused.insert(execution.clone())),
            What::Raise { id, .. } => {
                if let Some(times) = sent.times.get_mut(id) {
                    *times = times.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    fn sent(&mut self, call: &Call) {
        let sent = self.sent.entry(call.slot).or_default();
        match &call.what {
            What::Start { life, execution, .. } => {
                self.lives.insert(execution.clone(), *life);
            }
            What::Raise { id, .. } => {
                *sent.times.entry(id.clone()).or_default() += 1;
                if let Some(what) = decided_in(id) {
                    sent.said.insert(id.clone(), what.to_owned());
                }
            }
            What::Ask { id, what, .. } => {
                // However often it is sent, it is delivered once.
                sent.times.insert(id.clone(), 1);
                sent.said.insert(id.clone(), what.clone());
            }
            What::Terminate { recurse } => self.terminated(call.slot, *recurse),
            What::Rewind => {
                for at in self.family(call.slot).collect::<Vec<_>>() {
                    self.sent.entry(at).or_default().rewound = true;
                }
            }
            _ => {}
        }
    }

    /// Somebody terminates an instance, and maybe its children.
    fn terminated(&mut self, slot: usize, recurse: bool) {
        let ended = if recurse { self.family(slot).collect() } else { vec![slot] };
        for at in ended {
            self.sent.entry(at).or_default().terminated = true;
            let Some((parent, id)) = self.kin.get(at).cloned() else { continue };
            let ancestors = std::iter::successors(parent, |at| self.kin[*at].0);
            for ancestor in ancestors {
                self.sent.entry(ancestor).or_default().terminated_children.insert(id.clone());
            }
        }
    }

    pub(super) fn at_end(&mut self, at: usize, slot: &Slot, stored: &Stored) -> Check {
        if self.refused.contains(&stored.execution) {
            return Err(format!("execution {} was refused, and is there", stored.execution));
        }
        let Some(outcome) = &stored.outcome else { return Ok(()) };
        let life = self.lives.get(&stored.execution).copied().unwrap_or(0);
        let sent = self.sent.entry(at).or_default();
        slot.program.check(life, outcome, sent, &stored.history).map_err(|what| format!("{what}: {outcome:?}"))?;
        self.results_are_real(at, stored)
    }

    fn results_are_real(&self, at: usize, stored: &Stored) -> Check {
        for event in stored.history.iter() {
            let (step, result) = match &event.event_type {
                Some(EventType::TaskCompleted(task)) => {
                    (task.task_scheduled_id, Ok(task.result.clone().unwrap_or_default()))
                }
                Some(EventType::TaskFailed(task)) => {
                    let details = task.failure_details.clone().unwrap_or_default();
                    (task.task_scheduled_id, Err(details.error_message))
                }
                _ => continue,
            };
            // What was rewound keeps the results of the execution that it was.
            let rewound = self.sent.get(&at).is_some_and(|sent| sent.rewound);
            let mut brought = self.results.range((at, String::new(), i32::MIN)..(at + 1, String::new(), i32::MIN));
            let is_it =
                |(_, execution, of): &(usize, String, i32)| *of == step && (rewound || *execution == stored.execution);
            if !brought.any(|(key, brought)| is_it(key) && brought.contains(&result)) {
                return Err(format!("step {step} is recorded with {result:?}, which no worker brought"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::{GENERATION, completed, event, sequence, start, stored};
    use super::*;
    use placet_proto::durabletask::TaskCompletedEvent;

    #[test]
    fn an_output_that_the_program_cannot_come_to_is_found() {
        let mut once = Once::default();
        once.see(&Fact::Sent(&start(1))).unwrap();
        assert!(once.at_end(0, &sequence(), &stored(Some(completed("4")))).is_ok());
        assert!(once.at_end(0, &sequence(), &stored(Some(completed("5")))).is_err());
    }

    #[test]
    fn a_turn_that_is_completed_twice_is_found() {
        let mut once = Once::default();
        once.see(&Fact::TurnAccepted(0, GENERATION, 1, true)).unwrap();
        once.see(&Fact::TurnAccepted(0, GENERATION, 2, true)).unwrap();
        assert!(once.see(&Fact::TurnAccepted(0, GENERATION, 1, true)).is_err());
    }

    #[test]
    fn a_turn_that_counts_before_it_is_stored_is_found() {
        assert!(Once::default().see(&Fact::TurnAccepted(0, GENERATION, 1, false)).is_err());
    }

    #[test]
    fn an_execution_that_goes_on_beside_a_later_one_is_found() {
        let mut once = Once::default();
        once.see(&Fact::TurnAccepted(0, GENERATION, 1, true)).unwrap();
        once.see(&Fact::TurnAccepted(0, "another", 3, true)).unwrap();
        assert!(once.see(&Fact::TurnAccepted(0, GENERATION, 2, true)).is_err());
    }

    #[test]
    fn what_was_refused_and_is_there_all_the_same_is_found() {
        let mut once = Once::default();
        once.see(&Fact::Sent(&start(1))).unwrap();
        once.see(&Fact::Released(&start(1), &Answer::TryLater, None)).unwrap();
        assert!(once.at_end(0, &sequence(), &stored(Some(completed("4")))).is_err());
    }

    #[test]
    fn an_activity_that_goes_out_too_early_is_found() {
        assert!(Once::default().see(&Fact::ActivitySent(0, true)).is_ok());
        assert!(Once::default().see(&Fact::ActivitySent(0, false)).is_err());
    }

    #[test]
    fn a_recorded_result_that_nobody_brought_is_found() {
        let mut once = Once::default();
        once.see(&Fact::ActivityRan(0, GENERATION, 1, &Ok("8".into()))).unwrap();
        let result = |text: &str| {
            let task = TaskCompletedEvent { task_scheduled_id: 1, result: Some(text.into()) };
            let history = vec![event(1, -1, EventType::TaskCompleted(task))].into();
            Stored { history, ..stored(Some(completed("4"))) }
        };
        assert!(once.at_end(0, &sequence(), &result("8")).is_ok());
        assert!(once.at_end(0, &sequence(), &result("9")).is_err());
    }
}
