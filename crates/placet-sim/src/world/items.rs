//! What goes out to workers, as seen from outside.

use placet_core::ids::{Hub, Iid, StreamId, Turn};
use placet_core::token::Token;
use placet_proto::durabletask::{HistoryEvent, WorkItem, history_event::EventType, work_item::Request};

use super::turns::item_of;
use super::{Mark, Violation, World};
use crate::expectations::micros;
use crate::facts::Fact;

impl World {
    /// What an item is, as seen from outside.
    pub(super) fn look_at_item(&mut self, stream: StreamId, hub: &Hub, item: &WorkItem) -> Result<(), Violation> {
        let token: Token = item.completion_token.parse().map_err(|_| "an item's token is none".to_owned())?;
        *self.deliveries.entry(item_of(token)).or_default() += 1;
        if self.plan.faults.bomb {
            // From now on it may break its stream.
            let process = self.running().unwrap_or(0);
            self.broke.entry((process, item_of(token))).or_insert((0, self.commits_failed));
        }
        match (&item.request, token) {
            (Some(Request::OrchestratorRequest(turn)), Token::Turn { iid, turn: number, presumed, .. }) => {
                if self.deliveries.get(&item_of(token)).is_some_and(|times| *times > 1) {
                    self.reach(Mark::TurnRedelivered);
                }
                let key = (hub.as_str().to_owned(), turn.instance_id.clone());
                let slot = *self.slot_of.get(&key).ok_or("an item of an instance that nobody started")?;
                let execution = turn.execution_id.clone().unwrap_or_default();
                if carries_an_ask(&turn.new_events) {
                    self.reach(Mark::AskCarriedOver);
                }
                self.executions.insert((iid.0, number.0), (slot, execution));
                if !turn.requires_history_streaming {
                    self.past_is_stored(iid, number, presumed, &turn.past_events)?;
                }
                if let Some(stream) = self.streams.get(&stream) {
                    self.turn_with.insert(slot, stream.worker);
                }
                self.see(&Fact::TurnGivenOut(&item.completion_token))?;
                self.see(&Fact::TurnSent(slot, &turn.past_events, &turn.new_events))
            }
            (Some(Request::ActivityRequest(activity)), Token::Activity { iid, seq, .. }) => {
                if self.deliveries.get(&item_of(token)).is_some_and(|times| *times > 1) {
                    self.reach(Mark::ActivityRedelivered);
                }
                let process = self.running().unwrap_or(0);
                self.handed_out.entry((iid.0, seq.0)).or_insert(process);
                let instance = activity.orchestration_instance.as_ref().map_or("", |instance| &instance.instance_id);
                let slot = self.slot_named(instance).ok_or("an activity of an instance that nobody started")?;
                let durable = self.ledger.lives.get(&iid).is_some_and(|life| life.activities.contains_key(&seq));
                self.see(&Fact::ActivitySent(slot, durable))
            }
            (request, token) => Err(format!("an item {request:?} with token {token}").into()),
        }
    }

    /// What a worker is told of the past is what is stored, event for event (I13).
    fn past_is_stored(&self, iid: Iid, turn: Turn, presumed: bool, past: &[HistoryEvent]) -> Result<(), Violation> {
        let Some(life) = self.ledger.lives.get(&iid) else { return Ok(()) };
        // A turn may be handed out before the one that it follows is durable.
        if presumed || life.body.turn != turn.0 || *life.history == *past {
            return Ok(());
        }
        let what = format!(
            "{} is sent {} events of the past, {} others are stored",
            life.row.id,
            past.len(),
            life.history.len()
        );
        Err(Violation { promise: "what is recorded does not change", what })
    }

    pub(super) fn slot_named(&self, id: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id)
    }
}

/// Whether a generation begins with a question that an earlier one was asked.
fn carries_an_ask(new: &[HistoryEvent]) -> bool {
    let Some([_, start, rest @ ..]) = new.get(..3).map(|_| new) else { return false };
    let Some(EventType::ExecutionStarted(_)) = &start.event_type else { return false };
    rest.iter().any(|event| match &event.event_type {
        Some(EventType::EventRaised(raised)) => {
            !raised.stamp.is_empty() && event.timestamp.as_ref().map(micros) < start.timestamp.as_ref().map(micros)
        }
        _ => false,
    })
}
