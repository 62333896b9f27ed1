//! What workers make of what they are given: turns by the SDK's own code, activities by ours, and how both are told.

use std::time::Duration;

use placet_core::command::CompleteTurn;
use placet_core::ids::StreamId;
use placet_core::token::Token;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    ActivityRequest, ActivityResponse, HistoryEvent, OrchestrationStatus, OrchestratorResponse,
};
use placet_proto::placet::v1::TurnCompletion;
use placet_sdk::sans_io::CacheCounts;

use super::pieces::Rest;
use super::server::{Arrival, ReplyTo};
use super::workers::{Completion, Turn, WorkerStep};
use super::{Event, Mark, SECOND, Violation, World};
use crate::facts::{Fact, id_of};
use crate::plan::MINUTE;
use crate::programs::run_activity;
use crate::struck::FaultKind;
use crate::workload::Bomb;

impl World {
    /// A worker has read a history by itself: that of another generation, or none, is of no use to it.
    pub(super) fn history_comes(&mut self, at: usize, stream: StreamId, mut turn: Turn) -> Result<(), Violation> {
        let token: Token = turn.token.parse().map_err(|error| format!("token {}: {error}", turn.token))?;
        let life = self.ledger.lives.get(&item_of(token).0);
        let same = life.filter(|life| Some(&life.body.execution_id) == turn.request.execution_id.as_ref());
        let history = same.map(|life| life.history.to_vec());
        match history {
            Some(history) if !self.goes_wrong(FaultKind::ReadFailed) => {
                turn.request.past_events = history;
                self.run_turn(at, stream, turn)
            }
            _ => {
                self.give_back(stream, at, token);
                Ok(())
            }
        }
    }

    pub(super) fn run_turn(
        &mut self,
        at: usize,
        stream: StreamId,
        Turn { hub, request: turn, token }: Turn,
    ) -> Result<(), Violation> {
        self.counts.turns += 1;
        let parsed: Token = token.parse().map_err(|error| format!("token {token}: {error}"))?;
        if self.explodes(&turn.instance_id, Bomb::Turn) {
            return self.blow_up(stream, &turn.instance_id, parsed);
        }
        if self.goes_wrong(FaultKind::Abandoned) {
            self.trace.note(self.now, &[22], || format!("worker {at} gives back {token}"));
            self.give_back(stream, at, parsed);
            return Ok(());
        }
        self.maybe_lie(parsed);
        let now = Duration::from_micros(self.now);
        let presumed = matches!(parsed, Token::Turn { presumed: true, .. });
        let name = turn.instance_id.clone();
        self.look_at_states(at, &hub, &turn.instance_id, parsed);
        let slot = self.slot_of.get(&(hub.clone(), turn.instance_id.clone())).copied();
        let execution = turn.execution_id.clone().unwrap_or_default();
        let new: Vec<String> = turn.new_events.iter().filter_map(id_of).map(str::to_owned).collect();
        let worker = &mut self.workers[at];
        let completion = if worker.keeps_state {
            worker.turns.turn(now, hub, turn, token.clone())
        } else {
            worker.turns.replay(turn, token.clone())
        };
        self.mark_states(at);
        let TurnCompletion { response, publish, replies, waits } = completion;
        let waits = waits.map(Vec::from);
        let response = response.ok_or("a turn without a response")?;
        if let Some(slot) = slot {
            self.see(&Fact::TurnRan(slot, &execution, &new, carried(&response)))?;
        }
        if presumed {
            let missed = response.requires_history;
            self.reach(if missed { Mark::PresumedStateMissed } else { Mark::PresumedStateFound });
        }
        self.trace.note(self.now, &[23, at as u64, response.actions.len() as u64], || {
            format!("worker {at} ran {name} {token}: {:?} replies {replies:?}", response.actions)
        });
        let think =
            if self.chance.one_in(10) { self.chance.skewed(100, 3 * SECOND) } else { self.chance.skewed(10, 2_000) };
        let stray = CompleteTurn {
            token: parsed,
            sticky: None,
            response: response.clone(),
            publish: publish.clone(),
            replies: None,
            waits: None,
        };
        if !response.requires_history && self.goes_wrong(FaultKind::Doubled) {
            self.double(at, Completion::Turn(stray.clone()));
        }
        if self.workers[at].keeps_state {
            let sticky = Some(stream);
            let completion = CompleteTurn { token: parsed, sticky, response, publish, replies: Some(replies), waits };
            let reply_to = ReplyTo::Stream(stream, token, !completion.response.requires_history);
            self.on_stream(stream, think, Arrival::Turn(reply_to, Box::new(completion)));
        } else {
            let life = self.workers[at].life;
            let completion = if stray.response.requires_history { Completion::Turn(stray) } else { self.cut(stray) };
            self.after(think, Event::Worker(at, life, WorkerStep::Complete(Box::new(completion))));
        }
        Ok(())
    }

    /// An item breaks the stream that it came on, which the server counts, unless it had taken the item back.
    fn blow_up(&mut self, stream: StreamId, id: &str, token: Token) -> Result<(), Violation> {
        let Some(wire) = self.streams.get(&stream) else { return Ok(()) };
        let (process, noticed) = (wire.process, wire.broken);
        self.break_stream(stream);
        if noticed {
            return Ok(());
        }
        let broke = self.broke.entry((process, item_of(token))).or_insert((0, self.commits_failed));
        broke.0 += 1;
        let (times, void) = (broke.0, self.commits_failed - broke.1);
        self.see(&Fact::BrokeStream { id, times, void })
    }

    pub(super) fn start_activity(
        &mut self,
        at: usize,
        stream: StreamId,
        request: ActivityRequest,
        token: &str,
    ) -> Result<(), Violation> {
        self.counts.activities += 1;
        let parsed: Token = token.parse().map_err(|error| format!("token {token}: {error}"))?;
        if self.goes_wrong(FaultKind::Abandoned) {
            self.trace.note(self.now, &[24], || format!("worker {at} gives back {token}"));
            self.give_back(stream, at, parsed);
            return Ok(());
        }
        let instance = request.orchestration_instance.unwrap_or_default();
        if self.explodes(&instance.instance_id, Bomb::Activity) {
            return self.blow_up(stream, &instance.instance_id, parsed);
        }
        self.maybe_lie(parsed);
        let slot = self.slot_named(&instance.instance_id);
        let repaired = slot.is_some_and(|slot| self.is_repaired(slot));
        let input = request.input.as_deref().unwrap_or("null");
        let result = run_activity(&request.name, input, request.task_id, repaired);
        let told = result.clone().map_err(|failure| failure.message().to_owned());
        if let Some(slot) = slot {
            let execution = instance.execution_id.unwrap_or_default();
            self.see(&Fact::ActivityRan(slot, &execution, request.task_id, &told))?;
        }
        let (result, failure_details) = match result {
            Ok(result) => (Some(result), None),
            Err(failure) => (
                None,
                Some(placet_proto::durabletask::TaskFailureDetails {
                    error_type: failure.error_type().to_owned(),
                    error_message: failure.message().to_owned(),
                    ..Default::default()
                }),
            ),
        };
        let response = ActivityResponse {
            instance_id: instance.instance_id,
            task_id: request.task_id,
            result,
            failure_details,
            completion_token: token.to_owned(),
        };
        let runs = self.chance.skewed(100, self.plan.activity_max);
        self.workers[at].running += 1;
        self.look_at_room();
        let life = self.workers[at].life;
        if self.goes_wrong(FaultKind::Doubled) {
            self.double(at, Completion::Activity(parsed, response.clone()));
        }
        self.after(runs, Event::Worker(at, life, WorkerStep::ActivityEnds(Box::new(response))));
        Ok(())
    }

    pub(super) fn activity_ends(&mut self, at: usize, response: ActivityResponse) {
        self.look_at_room();
        let worker = &mut self.workers[at];
        worker.running = worker.running.saturating_sub(1);
        if worker.keeps_state {
            match worker.stream {
                Some(stream) => self.send_result(stream, response),
                None => worker.results.push_back(response),
            }
        } else if let Ok(token) = response.completion_token.parse() {
            self.complete(at, Completion::Activity(token, response));
        }
    }

    pub(super) fn send_result(&mut self, stream: StreamId, response: ActivityResponse) {
        let text = response.completion_token.clone();
        let Ok(token) = text.parse() else { return };
        self.on_stream(stream, 0, Arrival::Activity(ReplyTo::Stream(stream, text, true), token, Box::new(response)));
    }

    fn give_back(&mut self, stream: StreamId, at: usize, token: Token) {
        if self.workers[at].keeps_state {
            let reply_to = ReplyTo::Stream(stream, token.to_string(), false);
            self.on_stream(stream, 0, Arrival::Abandon(reply_to, token));
        } else {
            self.complete(at, Completion::Abandon(token));
        }
        if self.goes_wrong(FaultKind::Doubled) {
            self.double(at, Completion::Abandon(token));
        }
    }

    /// The same again, much later, from somewhere.
    fn double(&mut self, at: usize, completion: Completion) {
        let wait = self.chance.skewed(1_000, MINUTE);
        self.wrong(self.now + wait);
        let life = self.workers[at].life;
        self.after(wait, Event::Worker(at, life, WorkerStep::Complete(Box::new(completion))));
    }

    /// Whether somebody repaired what was brittle for this instance or an ancestor of it.
    fn is_repaired(&self, slot: usize) -> bool {
        std::iter::successors(Some(slot), |at| self.slots[*at].parent).any(|at| self.repaired.contains(&at))
    }

    /// Whether a worker does not survive this.
    fn explodes(&mut self, instance: &str, bomb: Bomb) -> bool {
        let explodes = !self.healed
            && self.plan.faults.bomb
            && self.slot_named(instance).is_some_and(|slot| self.slots[slot].bomb == Some(bomb));
        if explodes {
            self.strikes(FaultKind::Bomb);
        }
        explodes
    }

    /// Where the state for a turn is, before the turn takes it.
    fn look_at_states(&mut self, at: usize, hub: &str, instance: &str, token: Token) {
        let Token::Turn { iid, epoch, .. } = token else { return };
        let last = self.workers[at].epochs.insert(iid.0, epoch);
        if !self.workers[at].keeps_state {
            return;
        }
        if last.is_some_and(|last| last != epoch) && self.workers[at].turns.keeps(hub, instance) {
            self.reach(Mark::StateOfEarlierEpoch);
        }
        let mut others = self.workers.iter().enumerate().filter(|(other, _)| *other != at);
        if others.any(|(_, other)| other.turns.kept() > 0 && other.turns.keeps(hub, instance)) {
            self.reach(Mark::StateElsewhere);
        }
    }

    /// What became of a worker's states since it was last asked.
    pub(super) fn mark_states(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let now = worker.turns.counts();
        let before = std::mem::replace(&mut worker.states, now);
        if now == before {
            return;
        }
        let CacheCounts { missed_unknown, missed_other_execution, missed_other_events, evicted, idle, refused } = now;
        for (mark, now, before) in [
            (Mark::StateUnknown, missed_unknown, before.missed_unknown),
            (Mark::StateOfAnother, missed_other_execution, before.missed_other_execution),
            (Mark::StateAtOtherEvents, missed_other_events, before.missed_other_events),
            (Mark::StateEvicted, evicted, before.evicted),
            (Mark::StateIdle, idle, before.idle),
            (Mark::StateRefused, refused, before.refused),
        ] {
            if now > before {
                self.reach(mark);
            }
        }
    }

    /// A completion by a call of its own. If it is lost, the worker makes it again, or the connection that failed
    /// was that of its stream, too. (One that is lost for good while its stream lives is nobody's to notice: an
    /// activity has no lease then.)
    pub(super) fn complete(&mut self, at: usize, completion: Completion) {
        if self.goes_wrong(FaultKind::CallLost) {
            match self.workers[at].stream {
                Some(stream) if self.chance.one_in(2) => self.break_stream(stream),
                _ => {
                    let wait = self.chance.skewed(1_000, 5 * SECOND);
                    let life = self.workers[at].life;
                    self.after(wait, Event::Worker(at, life, WorkerStep::Complete(Box::new(completion))));
                }
            }
            return;
        }
        let wait = self.latency();
        let process = self.running().unwrap_or(0);
        let arrival = match completion {
            Completion::Turn(turn) => Arrival::Turn(ReplyTo::Nobody(Some(turn.token.to_string())), Box::new(turn)),
            Completion::Pieces(pieces) => {
                let Some(next) = pieces.front().cloned() else { return };
                let rest = Rest { worker: at, life: self.workers[at].life, pieces };
                let is_last = rest.pieces.len() == 1;
                let reply_to =
                    if is_last { ReplyTo::Nobody(Some(next.token.to_string())) } else { ReplyTo::Piece(rest) };
                Arrival::Turn(reply_to, Box::new(next))
            }
            Completion::Activity(token, response) => {
                Arrival::Activity(ReplyTo::Nobody(Some(token.to_string())), token, Box::new(response))
            }
            Completion::Abandon(token) => Arrival::Abandon(ReplyTo::Nobody(None), token),
        };
        self.after(wait, Event::Arrive(process, Box::new(arrival)));
    }
}

/// What a turn that continues as new hands on.
fn carried(response: &OrchestratorResponse) -> Option<&[HistoryEvent]> {
    response.actions.iter().find_map(|action| match &action.orchestrator_action_type {
        Some(Action::CompleteOrchestration(end))
            if end.orchestration_status() == OrchestrationStatus::ContinuedAsNew =>
        {
            Some(end.carryover_events.as_slice())
        }
        _ => None,
    })
}

/// What is delivered again if it fails.
pub(super) fn item_of(token: Token) -> super::Item {
    match token {
        Token::Turn { iid, turn, .. } => (iid, u64::from(turn.0), true),
        Token::Activity { iid, seq, .. } => (iid, seq.0, false),
    }
}
