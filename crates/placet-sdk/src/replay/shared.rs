//! What an orchestration's code and its replay share: the code asks through it, the replay answers through it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{EventRaisedEvent, HistoryEvent, OrchestratorAction, TaskFailureDetails, TraceContext};
use placet_proto::placet::v1::{AskReply, PublishedRow, Retry, Stamp, UnreadEvent, Waits};
use prost::Message as _;

/// Of what the code waits for so much is told, of each kind: it is for people, and kept with the instance.
const EVENTS_TOLD_MAX: usize = 8;
const UNREAD_TOLD_MAX: usize = 4;
const TASKS_TOLD_MAX: usize = 16;
const RETRIES_TOLD_MAX: usize = 4;

/// How something that the code waits for came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Resolved {
    Completed(Option<String>),
    Failed(TaskFailureDetails),
    Fired,
}

/// An external event as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Raised {
    /// Its place in the order of arrival.
    arrival: u64,
    /// The whole event: carried over as it is if the code never takes it.
    pub(crate) event: HistoryEvent,
    pub(crate) input: Option<String>,
    pub(crate) stamp: Stamp,
}

impl Raised {
    pub(crate) fn new(event: &HistoryEvent, raised: &EventRaisedEvent) -> Raised {
        let stamp = Stamp::decode(raised.stamp.clone()).unwrap_or_default();
        Raised { arrival: 0, event: event.clone(), input: raised.input.clone(), stamp }
    }

    /// Its name, as it was raised.
    fn name(&self) -> Option<&str> {
        match &self.event.event_type {
            Some(EventType::EventRaised(raised)) => Some(&raised.name),
            _ => None,
        }
    }
}

/// A step of the code, as it can be compared with the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.is_empty() { f.write_str(self.kind) } else { write!(f, "{} {:?}", self.kind, self.name) }
    }
}

/// What the code waits for under one action id.
#[derive(Debug, Default)]
struct Slot {
    resolved: Option<Resolved>,
    waker: Option<Waker>,
    /// What is tried again when it comes, if it is a timer for that.
    retry: Option<Box<Retry>>,
}

/// Somebody who waits for the next external event of a name.
#[derive(Debug)]
struct EventWaiter {
    number: u64,
    /// The name, as the code wrote it.
    name: String,
    raised: Option<Raised>,
    waker: Option<Waker>,
}

/// The state itself.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) now: Option<prost_types::Timestamp>,
    /// When the scheduler recorded the start of this generation.
    pub(crate) started_at: Option<prost_types::Timestamp>,
    /// Whether the scheduler says that the input was handed over by the generation before.
    pub(crate) is_continued: bool,
    pub(crate) replaying: bool,
    /// The first activity that the history has, with its id, while it is replayed.
    pub(crate) recorded_first: Option<(i32, String)>,
    pub(crate) instance_id: String,
    pub(crate) execution_id: String,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) parent: Option<placet_proto::durabletask::ParentInstanceInfo>,
    /// The trace that it belongs to, and with it all that it calls.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) custom_status: Option<String>,
    /// The new input, if the code asked to continue as new.
    pub(crate) next_input: Option<String>,
    pub(crate) replies: Vec<AskReply>,
    pub(crate) publish: Vec<PublishedRow>,
    /// Actions that the history has not confirmed.
    pub(crate) actions: BTreeMap<i32, (Step, OrchestratorAction)>,
    /// Actions of this turn that it never will.
    pub(crate) unconfirmed: Vec<OrchestratorAction>,
    last_id: i32,
    last_child: u64,
    last_uuid: u64,
    slots: BTreeMap<i32, Slot>,
    /// Events that nobody has taken, in order of arrival, under their folded names.
    buffered: Vec<(String, Raised)>,
    waiters: BTreeMap<String, VecDeque<EventWaiter>>,
    last_waiter: u64,
    last_arrival: u64,
    /// Asks whose event the code took in this turn.
    taken_asks: Vec<String>,
    /// How it was terminated, if it was.
    terminated: Option<(Option<String>, Option<prost_types::Timestamp>)>,
    /// Who wants to know that.
    termination_watched: Vec<Waker>,
}

/// A handle to the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the orchestration's code is caught; the state is as good as it was before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the history has is replayed.
    pub(crate) fn begin_replay<'a>(&mut self, mut history: impl Iterator<Item = &'a HistoryEvent>) {
        self.replaying = true;
        self.recorded_first = history.find_map(|event| match &event.event_type {
            Some(EventType::TaskScheduled(task)) => Some((event.event_id, task.name.clone())),
            _ => None,
        });
    }

    /// Whether the history has this activity as the next step, which is the first of its activities; nothing, if it does not say.
    pub(crate) fn is_recorded_first(&self, activity: &str) -> Option<bool> {
        match &self.recorded_first {
            Some((id, recorded)) if *id == self.last_id + 1 => Some(recorded == activity),
            Some(_) => Some(false),
            None => self.replaying.then_some(false),
        }
    }

    /// Asks for something: its id, under which the answer comes.
    pub(crate) fn emit(&mut self, kind: &'static str, name: &str, action: Action) -> i32 {
        let id = self.next_id();
        let step = Step { kind, name: name.to_owned() };
        let action = OrchestratorAction { id, orchestrator_action_type: Some(action) };
        self.actions.insert(id, (step, action));
        self.slots.insert(id, Slot::default());
        id
    }

    /// It is terminated. Tells whether its code wants to know.
    pub(crate) fn terminate(&mut self, reason: Option<String>, at: Option<prost_types::Timestamp>) -> bool {
        self.terminated = Some((reason, at));
        let watched = std::mem::take(&mut self.termination_watched);
        watched.iter().for_each(Waker::wake_by_ref);
        !watched.is_empty()
    }

    /// How it was terminated, if it was; else whoever asks wants to know.
    pub(crate) fn poll_termination(
        &mut self,
        waker: &Waker,
    ) -> Option<(Option<String>, Option<prost_types::Timestamp>)> {
        if self.terminated.is_none() && !self.termination_watched.iter().any(|other| other.will_wake(waker)) {
            self.termination_watched.push(waker.clone());
        }
        self.terminated.clone()
    }

    /// Asks for something that the history does not confirm.
    pub(crate) fn emit_unconfirmed(&mut self, action: Action) {
        let id = self.next_id();
        if !self.replaying {
            self.unconfirmed.push(OrchestratorAction { id, orchestrator_action_type: Some(action) });
        }
    }

    /// A number for a child without an id of its own.
    pub(crate) fn next_child(&mut self) -> u64 {
        self.last_child += 1;
        self.last_child
    }

    /// An id for an action: rising, none is given twice.
    pub(crate) fn next_id(&mut self) -> i32 {
        self.last_id += 1;
        self.last_id
    }

    /// The timer under an id is that of a retry.
    pub(crate) fn retries(&mut self, timer_id: i32, name: &str, failures: u32, attempts_max: u32, error_type: &str) {
        let retry = Retry {
            timer_id,
            name: name.to_owned(),
            attempt: failures + 1,
            attempts_max,
            error_type: error_type.to_owned(),
        };
        if let Some(slot) = self.slots.get_mut(&timer_id) {
            slot.retry = Some(Box::new(retry));
        }
    }

    /// What the code waits for now, for people who ask.
    pub(crate) fn waits(&self) -> Waits {
        let open = self.slots.iter().filter(|(_, slot)| slot.resolved.is_none());
        let waiting = self.waiters.values().flatten().filter(|waiter| waiter.raised.is_none());
        let events: Vec<String> = waiting.clone().take(EVENTS_TOLD_MAX).map(|waiter| waiter.name.clone()).collect();
        let more = waiting.count() - events.len();
        let last = self.buffered.iter().skip(self.buffered.len().saturating_sub(UNREAD_TOLD_MAX));
        let unread = last.map(|(folded, raised)| UnreadEvent {
            name: raised.name().unwrap_or(folded).to_owned(),
            received_at: raised.event.timestamp,
        });
        let tasks_more = open.clone().nth(TASKS_TOLD_MAX).is_some();
        Waits {
            events,
            events_more: u32::try_from(more).unwrap_or(u32::MAX),
            unread: unread.collect(),
            tasks: if tasks_more { Vec::new() } else { open.clone().map(|(id, _)| *id).collect() },
            tasks_more,
            retries: open.filter_map(|(_, slot)| slot.retry.as_deref().cloned()).take(RETRIES_TOLD_MAX).collect(),
        }
    }

    /// The answer under an id, if it has come; else the waker is kept.
    pub(crate) fn poll_slot(&mut self, id: i32, waker: &Waker) -> Option<Resolved> {
        let slot = self.slots.get_mut(&id)?;
        match slot.resolved.take() {
            Some(resolved) => {
                self.slots.remove(&id);
                Some(resolved)
            }
            None => {
                slot.waker = Some(waker.clone());
                None
            }
        }
    }

    /// Nobody waits under this id any more.
    pub(crate) fn drop_slot(&mut self, id: i32) {
        self.slots.remove(&id);
    }

    /// The answer under an id has come. Late answers that nobody waits for are nothing.
    pub(crate) fn resolve(&mut self, id: i32, resolved: Resolved) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.resolved = Some(resolved);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Waits for the next event of a name; names are matched without case (PROTOCOL.md §4).
    pub(crate) fn wait_for_event(&mut self, name: &str) -> u64 {
        self.last_waiter += 1;
        let number = self.last_waiter;
        let folded = fold(name);
        let early = self.buffered.iter().position(|(name, _)| *name == folded);
        let raised = early.map(|at| self.buffered.remove(at).1);
        self.waiters.entry(folded).or_default().push_back(EventWaiter {
            number,
            name: name.to_owned(),
            raised,
            waker: None,
        });
        number
    }

    pub(crate) fn poll_event(&mut self, name: &str, number: u64, waker: &Waker) -> Option<Raised> {
        let waiters = self.waiters.get_mut(&fold(name))?;
        let at = waiters.iter().position(|waiter| waiter.number == number)?;
        if waiters[at].raised.is_none() {
            waiters[at].waker = Some(waker.clone());
            return None;
        }
        let raised = waiters.remove(at)?.raised?;
        if !raised.stamp.ask_id.is_empty() {
            self.taken_asks.push(raised.stamp.ask_id.clone());
        }
        Some(raised)
    }

    /// A wait is given up: an event that came for it goes to the next one, or back to where it was.
    pub(crate) fn drop_event_wait(&mut self, name: &str, number: u64) {
        let folded = fold(name);
        let Some(waiters) = self.waiters.get_mut(&folded) else { return };
        let Some(at) = waiters.iter().position(|waiter| waiter.number == number) else { return };
        let raised = waiters.remove(at).and_then(|waiter| waiter.raised);
        if let Some(raised) = raised {
            let at = self.buffered.partition_point(|(_, other)| other.arrival < raised.arrival);
            self.buffered.insert(at, (folded, raised));
            self.hand_out_buffered();
        }
    }

    /// An event has come.
    pub(crate) fn raise(&mut self, name: &str, raised: Raised) {
        self.last_arrival += 1;
        self.buffered.push((fold(name), Raised { arrival: self.last_arrival, ..raised }));
        self.hand_out_buffered();
    }

    /// Takes what was asked in this turn and not taken by the code out of the way of the next.
    pub(crate) fn begin_turn(&mut self) {
        self.replies.clear();
        self.publish.clear();
        self.taken_asks.clear();
    }

    /// What became of the asks that the code took in this turn: its answer, or that it gave none.
    pub(crate) fn take_replies(&mut self) -> Vec<AskReply> {
        let mut replies = std::mem::take(&mut self.replies);
        for ask_id in std::mem::take(&mut self.taken_asks) {
            if !replies.iter().any(|reply| reply.ask_id == ask_id) {
                replies.push(AskReply { ask_id, answer: None });
            }
        }
        replies
    }

    /// The events that the code never took, in order of arrival.
    pub(crate) fn unconsumed(&mut self) -> Vec<HistoryEvent> {
        let handed: Vec<Raised> =
            self.waiters.values_mut().flatten().filter_map(|waiter| waiter.raised.take()).collect();
        let buffered = std::mem::take(&mut self.buffered).into_iter().map(|(_, raised)| raised);
        let mut all: Vec<Raised> = handed.into_iter().chain(buffered).collect();
        all.sort_unstable_by_key(|raised| raised.arrival);
        all.into_iter().map(|raised| raised.event).collect()
    }

    /// A number that is new each time and the same on every replay.
    pub(crate) fn next_uuid(&mut self) -> u64 {
        self.last_uuid += 1;
        self.last_uuid
    }

    fn hand_out_buffered(&mut self) {
        let mut left = Vec::new();
        for (name, raised) in std::mem::take(&mut self.buffered) {
            let waiting = self.waiters.get_mut(&name);
            match waiting.and_then(|waiters| waiters.iter_mut().find(|waiter| waiter.raised.is_none())) {
                Some(waiter) => {
                    waiter.raised = Some(raised);
                    if let Some(waker) = waiter.waker.take() {
                        waker.wake();
                    }
                }
                None => left.push((name, raised)),
            }
        }
        self.buffered = left;
    }
}

fn fold(name: &str) -> String {
    name.to_lowercase()
}
