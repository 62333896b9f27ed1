//! The end of a run: whether all that can end has ended, and how.

use super::{Mark, Violation, World};
use crate::facts::{Outcome, What};
use placet_proto::durabletask::{OrchestrationStatus, history_event::EventType};

impl World {
    /// Whether every client has what it wanted.
    pub(super) fn is_over(&self) -> bool {
        self.clients.iter().all(super::clients::Client::is_done)
    }

    /// What did not end.
    pub(super) fn unfinished(&self) -> Violation {
        let clients: Vec<String> =
            self.clients.iter().filter(|client| !client.is_done()).map(super::clients::Client::at).collect();
        let mut instances = Vec::new();
        for (at, slot) in self.slots.iter().enumerate() {
            if let Ok(Some(stored)) = self.stored(at)
                && stored.outcome.is_none()
            {
                let waits = stored.inbox.len();
                instances.push(format!("{} ({waits} messages wait)", slot.id));
            }
        }
        let what = format!(
            "long after everything works again, these have not ended: {}; these clients wait: {}",
            instances.join(", "),
            clients.join(", ")
        );
        Violation { promise: "all that can end does", what }
    }

    /// Every instance, as it ended.
    pub(super) fn finale(&mut self) -> Result<(), Violation> {
        self.ledger.compare(&self.disk.store)?;
        for slot in 0..self.slots.len() {
            let stored = self.stored(slot)?;
            if let Some(stored) = &stored {
                self.mark_end(&stored.history);
                if let Some(outcome) = &stored.outcome {
                    self.mark_decision(slot, outcome);
                }
            }
            let named = &self.slots[slot];
            let ended = self.checkers.at_end(slot, named, stored.as_ref());
            ended.map_err(|broken| Violation { what: format!("{}: {}", named.id, broken.what), ..broken })?;
        }
        self.check_rows()
    }

    fn mark_end(&mut self, history: &[placet_proto::durabletask::HistoryEvent]) {
        let Some(last) = history.last() else { return };
        if let Some(EventType::ExecutionCompleted(completed)) = &last.event_type
            && completed.orchestration_status() == OrchestrationStatus::Terminated
        {
            let by_server = last.event_id == -1;
            self.reach(if by_server { Mark::TerminatedByServer } else { Mark::TerminatedByWorker });
        }
    }

    fn mark_decision(&mut self, slot: usize, outcome: &Outcome) {
        if !matches!(self.slots[slot].program, crate::expectations::Program::Decide(_)) {
            return;
        }
        let timed_out = outcome.output.as_deref().is_some_and(|output| output.contains("timeout"));
        if timed_out && self.told_answer.iter().any(|(about, _)| *about == slot) {
            self.reach(Mark::TimedOutThoughAsked);
        }
    }

    /// The operator puts back to work what was set aside.
    pub(super) fn retry_poisoned(&mut self, slot: usize) {
        self.clients.push(super::clients::Client::new(crate::workload::Actor {
            slot,
            steps: [crate::workload::Step::Call(What::RetryPoisoned)].into(),
        }));
        let client = self.clients.len() - 1;
        self.after(0, super::Event::Client(client));
    }
}
