//! Clients: each goes through its steps, and sends a call again until it has an answer, as a careful program would:
//! the same question under the same id.

use std::time::Duration;

use placet_core::command::{
    Ask, Caller, Command, CommandKind, Expiry, RaiseEvent, StartInstance, Suspend, Terminate, WaitFor,
};
use placet_core::ids::{Hub, InstanceId, InstanceKey};
use placet_core::rows::Lookup;
use placet_core::time::Timestamp;
use placet_proto::durabletask::OrchestrationStatus;

use super::faults::Fault;
use super::server::{Arrival, ReplyTo, Request};
use super::{Event, Mark, SECOND, Violation, World};
use crate::facts::{Answer, Call, Fact, What};
use crate::programs::{DECISION, Said, decision_payload};
use crate::struck::FaultKind;
use crate::workload::{Actor, Step};

/// A client and the call that it waits for.
#[derive(Debug)]
pub(super) struct Client {
    actor: Actor,
    waits_for: Option<Call>,
    /// When the call was sent.
    sent_at: u64,
}

impl Client {
    pub(super) fn new(actor: Actor) -> Client {
        Client { actor, waits_for: None, sent_at: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.actor.steps.is_empty()
    }

    /// What it is at, for a report.
    pub(super) fn at(&self) -> String {
        format!("{:?} of slot {}", self.actor.steps.front(), self.actor.slot)
    }
}

impl World {
    pub(super) fn client_goes_on(&mut self, at: usize) -> Result<(), Violation> {
        let client = &mut self.clients[at];
        let slot = client.actor.slot;
        match client.actor.steps.front().cloned() {
            None => Ok(()),
            Some(Step::Pause(wait)) => {
                client.actor.steps.pop_front();
                self.after(wait, Event::Client(at));
                Ok(())
            }
            Some(Step::Call(what)) => self.send(at, slot, what),
            Some(Step::CallAbout(slot, what)) => self.send(at, slot, what),
            Some(Step::Follow) => self.send(at, slot, What::Why),
        }
    }

    /// A client does these before all else, after a while.
    pub(super) fn does_first(&mut self, at: usize, wait: u64, steps: impl DoubleEndedIterator<Item = Step>) {
        steps.rev().for_each(|step| self.clients[at].actor.steps.push_front(step));
        self.after(wait, Event::Client(at));
    }

    /// A client has done what was first.
    pub(super) fn has_done(&mut self, at: usize) {
        self.clients[at].actor.steps.pop_front();
        self.after(0, Event::Client(at));
    }

    fn send(&mut self, at: usize, slot: usize, what: What) -> Result<(), Violation> {
        let doubles = may_double(&what) && self.goes_wrong(FaultKind::Doubled);
        let call = self.put(at, slot, what.clone(), true)?;
        if doubles {
            self.put(at, slot, what, false)?;
        }
        let patience = match call.what {
            What::Wait | What::WaitStart => self.chance.between(20 * SECOND, 180 * SECOND),
            _ => self.chance.between(8 * SECOND, 25 * SECOND),
        };
        self.after(patience, Event::GivesUp(at, call.number));
        self.clients[at].waits_for = Some(call);
        self.clients[at].sent_at = self.now;
        Ok(())
    }

    /// Sends a call once.
    fn put(&mut self, at: usize, slot: usize, what: What, waits: bool) -> Result<Call, Violation> {
        self.next_call += 1;
        self.counts.calls += 1;
        let number = self.next_call;
        let what = match what {
            What::Start { life, delay, over_running, .. } => {
                What::Start { life, delay, over_running, execution: format!("{slot:08x}{life:08x}{number:016x}") }
            }
            What::Record { row, change, .. } => {
                What::Record { row, change, version: self.versions_told.get(&row).copied().unwrap_or(1) }
            }
            what => what,
        };
        let call = Call { number, slot, what };
        self.see(&Fact::Sent(&call))?;
        self.trace.note(self.now, &[30, at as u64, number], || {
            format!("client {at} sends {number} about {}: {:?}", self.slots[slot].id, call.what)
        });
        if call.what == What::Rewind {
            self.repaired.insert(slot);
        }
        let request = match call.what {
            What::Record { row, change, version } => Request::Record(self.record_command(number, row, change, version)),
            _ => self.request(slot, &call.what),
        };
        if !self.goes_wrong(FaultKind::CallLost) {
            self.call_server(ReplyTo::Client(at, call.clone(), waits), request);
        }
        Ok(call)
    }

    /// The call as the edge puts it to the shard.
    fn request(&mut self, at: usize, what: &What) -> Request {
        let wait = self.chance.skewed(50_000, 6 * SECOND);
        let wall = self.wall();
        let slot = &self.slots[at];
        let kind = match what {
            What::Start { life, execution, delay, over_running } => {
                let at = i64::try_from(*delay).map_or(wall, |delay| wall + delay);
                CommandKind::Start(Box::new(StartInstance {
                    name: slot.program.name().to_owned(),
                    input: Some(slot.program.input(*life)),
                    execution_id: execution.clone(),
                    scheduled_start: (*delay > 0).then(|| Timestamp(at).to_proto()),
                    reuse: reuse(*life, *over_running),
                    ..StartInstance::default()
                }))
            }
            What::Raise { name, id } => CommandKind::RaiseEvent(RaiseEvent {
                name: (*name).to_owned(),
                input: Some(if *name == DECISION { decision_payload(id) } else { format!("\"{id}\"") }),
                stamp: Caller::default(),
            }),
            What::Ask { name, id, what } => {
                let said = Said { id: id.clone(), what: what.clone() };
                let payload =
                    if *name == DECISION { Some(decision_payload(id)) } else { serde_json::to_string(&said).ok() };
                CommandKind::Ask(
                    Ask {
                        ask_id: id.as_str().into(),
                        event_name: (*name).to_owned(),
                        payload,
                        wait: Duration::from_micros(wait),
                        stamp: Caller::default(),
                    }
                    .into(),
                )
            }
            What::Wait => CommandKind::Wait(WaitFor::Completion),
            What::WaitStart => CommandKind::Wait(WaitFor::Start),
            What::Terminate { recurse } => CommandKind::Terminate(Terminate {
                output: Some(crate::expectations::STOPPED.to_owned()),
                recurse: *recurse,
            }),
            What::Suspend => CommandKind::Suspend(Suspend { reason: None, resume: false }),
            What::Resume => CommandKind::Suspend(Suspend { reason: None, resume: true }),
            What::Rewind => CommandKind::Rewind { reason: Some("repaired".to_owned()) },
            // As a client asks for it, or as it comes by itself: whoever sent the one does not mind the other.
            What::Purge => match self.life_of(at).and_then(|life| life.row.completed_at).filter(|_| wall % 2 == 0) {
                Some(ended_at) => CommandKind::Expire(Expiry { ended_at, kept_for: Duration::ZERO }),
                None => CommandKind::Purge,
            },
            What::RetryPoisoned => CommandKind::RetryPoisoned,
            What::Why => CommandKind::Why(None),
            What::DeleteHub => return Request::DeleteHub(Hub::new(&slot.hub)),
            What::EmptyHub => return Request::CreateHub(Hub::new(&slot.hub)),
            What::Record { .. } => unreachable!("it is about no instance"),
        };
        let key = InstanceKey::new(Hub::new(&slot.hub), InstanceId::new(slot.id.as_str()));
        Request::Command(Command { target: Lookup::Key(key), kind, call: None })
    }

    pub(super) fn gives_up(&mut self, at: usize, number: u64) -> Result<(), Violation> {
        let client = &self.clients[at];
        let Some(call) = client.waits_for.as_ref().filter(|call| call.number == number).cloned() else {
            return Ok(());
        };
        self.look_at_silence(&call, client.sent_at)?;
        if let Some(process) = self.running() {
            let wait = self.latency();
            self.after(wait, Event::Arrive(process, Box::new(Arrival::Cancel(number))));
        }
        self.told(at, number, Answer::Lost)
    }

    /// A client hears what became of the call that it waits for.
    pub(super) fn told(&mut self, at: usize, number: u64, answer: Answer) -> Result<(), Violation> {
        let Some(call) = self.clients[at].waits_for.take_if(|call| call.number == number) else { return Ok(()) };
        self.trace.note(self.now, &[31, at as u64, number], || format!("client {at} is told {number}: {answer:?}"));
        self.see(&Fact::Told(&call, &answer))?;
        self.mark_answer(&call, &answer);
        if let (What::Record { row, .. }, Answer::Written(version, _) | Answer::Conflict(Some(version))) =
            (&call.what, &answer)
        {
            self.versions_told.insert(*row, *version);
        }
        if matches!(call.what, What::DeleteHub | What::EmptyHub) && self.goes_wrong(FaultKind::CrashAfterDelete) {
            // Keys of instances that are gone are given again after a restart.
            let wait = self.chance.skewed(1_000, SECOND);
            self.after(wait, Event::Fault(Fault::Crash));
        }
        if let Answer::Why(why) = &answer {
            return self.follow(at, why);
        }
        // Whoever acts on advice and is refused asks anew: what he was advised may be old, as that an event be raised for one
        // that has been suspended meanwhile.
        let advice_is_old =
            answer == Answer::TryLater && matches!(self.clients[at].actor.steps.front(), Some(Step::CallAbout(..)));
        if self.is_answered(&call, &answer) || advice_is_old {
            self.has_done(at);
        } else {
            // Who hears nothing at all does not ask again at once.
            let least = if answer == Answer::Lost { SECOND / 4 } else { SECOND / 20 };
            let wait = self.chance.skewed(least, 3 * SECOND);
            self.after(wait, Event::Client(at));
        }
        Ok(())
    }

    fn is_answered(&self, call: &Call, answer: &Answer) -> bool {
        match answer {
            Answer::TryLater | Answer::Unknown | Answer::Lost | Answer::Recorded => false,
            Answer::Absent => {
                let slot = &self.slots[call.slot];
                // What was purged, or never came to be, is not waited for.
                slot.doomed || slot.fades || matches!(call.what, What::RetryPoisoned | What::Purge)
            }
            Answer::Done
            | Answer::State(_)
            | Answer::Reply(_)
            | Answer::After(_)
            | Answer::Ended(_)
            | Answer::Exists
            | Answer::Unfit
            | Answer::Written(..)
            | Answer::Conflict(_)
            | Answer::Why(_)
            | Answer::Wrong(_) => true,
        }
    }

    /// What somebody who decided a request was told.
    fn mark_decided(&mut self, reply: &str) {
        let is = |kind: &str| reply.starts_with(&format!(r#"{{"reply":"{kind}""#));
        if is("lost") {
            self.reach(Mark::DecidedTooLate);
        } else if is("refused") {
            self.reach(Mark::DecisionRefused);
        }
    }

    fn mark_answer(&mut self, call: &Call, answer: &Answer) {
        if let (What::Ask { name: DECISION, .. }, Answer::Reply(reply)) = (&call.what, answer) {
            self.mark_decided(reply);
        }
        match (&call.what, answer) {
            (What::Ask { id, .. }, Answer::Recorded) => {
                self.told_recorded.insert((call.slot, id.clone()));
            }
            (What::Ask { id, .. }, Answer::Reply(_) | Answer::After(_)) => {
                if self.told_recorded.remove(&(call.slot, id.clone())) {
                    self.reach(Mark::AskRecordedThenAnswered);
                }
                if !self.told_answer.insert((call.slot, id.clone())) {
                    self.reach(Mark::AskRepeated);
                }
            }
            (What::Ask { name: DECISION, id, .. }, Answer::Ended(seen)) => {
                let outcome = seen.outcome.as_ref().and_then(|outcome| outcome.output.as_deref()).unwrap_or_default();
                if outcome.contains("approver") && !outcome.contains(id.as_str()) {
                    self.reach(Mark::DecisionLost);
                }
            }
            (What::Ask { .. }, Answer::Ended(_)) => self.reach(Mark::AskEnded),
            (What::Start { life: 1.., .. }, Answer::Done) => self.reach(Mark::StartedOver),
            _ => {}
        }
    }
}

/// What may give way to a start. A first start that is sent again must not start it over.
fn reuse(life: u32, over_running: bool) -> Option<Vec<OrchestrationStatus>> {
    match (life, over_running) {
        (0, _) => Some(Vec::new()),
        (_, false) => None,
        (_, true) => Some(vec![
            OrchestrationStatus::Completed,
            OrchestrationStatus::Failed,
            OrchestrationStatus::Terminated,
            OrchestrationStatus::Running,
            OrchestrationStatus::Pending,
        ]),
    }
}

/// Whether it does no harm to send it twice.
fn may_double(what: &What) -> bool {
    match what {
        What::Ask { .. } | What::Wait | What::WaitStart | What::Start { life: 0, .. } => true,
        What::Start { .. }
        | What::Raise { .. }
        | What::Terminate { .. }
        | What::Suspend
        | What::Resume
        | What::Rewind
        | What::Purge
        | What::DeleteHub
        | What::EmptyHub
        | What::RetryPoisoned
        | What::Record { .. }
        | What::Why => false,
    }
}
