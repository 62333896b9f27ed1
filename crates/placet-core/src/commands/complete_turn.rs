//! CompleteOrchestratorTask: a turn's result becomes history, in one piece: its events, the confirmations of
//! its actions, and all that the actions ask for (PROTOCOL.md §6).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    CompleteOrchestrationAction, CreateSubOrchestrationAction, EventRaisedEvent, EventSentEvent,
    ExecutionCompletedEvent, ExecutionTerminatedEvent, HistoryEvent, OrchestrationStatus, OrchestratorAction,
    ParentInstanceInfo, ScheduleTaskAction, SubOrchestrationInstanceCreatedEvent, TaskFailureDetails,
    TaskScheduledEvent, TimerCreatedEvent, history_event::EventType,
};
use placet_proto::placet::v1::{self, AskReply, Stamp};
use prost::Message as _;

use super::continue_as_new::execution_id_from;
use super::failure::{failure, passing_failure, readable};
use crate::body::{
    ChildRewind, ChildStart, InboxMessage, KeptWaits, MessageKind, Outgoing, PendingActivity, Told, Waits,
};
use crate::chain::{ENTRIES, EntryRow, Said};
use crate::command::{CompleteTurn, FIRE_AND_FORGET, Refusal, Reply};
use crate::dispatch::{BY_SCHEDULER, ItemId, PARENT_ENDED_EVENT, RESERVED_PREFIX};
use crate::ids::{CallId, Iid};
use crate::limits::{self, Limits};
use crate::outcome::{Effect, Outcome};
use crate::partition::{Ended, Instance, Known, Message, Partition, kept, message_bytes, reply_bytes};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{ActivityRow, HistoryRow, PublishedRow, Term, Write};
use crate::time::{Now, Timestamp};
use crate::token::Token;
use crate::why;
use crate::wire;

/// How an instance ends.
#[derive(Debug)]
pub(crate) struct End {
    /// The action's id; -1 if the server ends it.
    pub(crate) id: i32,
    pub(crate) status: OrchestrationStatus,
    pub(crate) output: Option<String>,
    pub(crate) failure: Option<TaskFailureDetails>,
}

/// What a turn leads to.
#[derive(Default)]
enum Next {
    #[default]
    Waits,
    Ends(End),
    ContinuesAsNew(CompleteOrchestrationAction),
    /// With this history.
    Rewinds(Vec<HistoryEvent>),
}

/// Which of the asks that came with a turn, or before it, its code has taken.
pub(crate) enum Taken<'a> {
    /// The worker knows of asks, and says so.
    Said(&'a [AskReply]),
    /// It does not, and its code did something.
    All {
        /// It ended.
        ends: bool,
    },
    /// It does not, and its code did nothing.
    Nothing,
}

/// A turn's actions, sorted by what they need.
#[derive(Default)]
struct Plan {
    next: Next,
    activities: Vec<PendingActivity>,
    timers: Vec<(i32, prost_types::Timestamp)>,
    /// What others are to be told: children that they are to be, and all else.
    messages: Vec<Outgoing>,
    /// The confirmations, as a run.
    confirmations: BytesMut,
}

impl Partition {
    pub(crate) fn complete_turn(
        &mut self,
        now: Now,
        iid: Iid,
        mut completion: CompleteTurn,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let is_meant = |token| token == completion.token || planted::is(Plant::StaleTokenAccepted);
        let Some(out) = instance.out.as_mut().filter(|out| is_meant(out.token)) else {
            outcome.reply(call, Ok(Reply::Stale));
            return;
        };
        let named = &completion.response.instance_id;
        if !named.is_empty() && named != instance.key.id.as_str() {
            let what = format!("instanceId: {named:?}, and its completion token is of a turn of {:?}", instance.key.id);
            outcome.reply(call, Err(Refusal::InvalidArgument(what)));
            return;
        }
        match out.pieces.take(completion.response) {
            Ok(Some(whole)) => completion.response = whole,
            Ok(None) => {
                outcome.reply(call, Ok(Reply::Done));
                self.count(iid);
                return;
            }
            Err(refusal) => {
                outcome.given_back.push(ItemId::Turn(self.id, iid));
                outcome.reply(call, Err(refusal));
                return;
            }
        }
        if completion.response.requires_history && completion.response.actions.is_empty() {
            match completion.token {
                Token::Turn { presumed: true, .. } if instance.past_bytes() <= self.limits.unread_bytes / 8 => {
                    outcome.resend = Some(iid);
                }
                // So much is to be counted before it is read: it is given out anew.
                Token::Turn { presumed: true, .. } => {
                    reach(Corner::LongHistoryWanted);
                    outcome.given_back.push(ItemId::Turn(self.id, iid));
                }
                // It had the history: what it lacks, another may have.
                Token::Turn { .. } | Token::Activity { .. } => outcome.given_back.push(ItemId::Turn(self.id, iid)),
            }
            outcome.reply(call, Ok(Reply::Done));
            return;
        }
        if let Err(refusal) = check_published(instance, &completion) {
            outcome.given_back.push(ItemId::Turn(self.id, iid));
            outcome.reply(call, Err(refusal));
            return;
        }
        self.record(now, iid, completion, outcome);
        outcome.done.push(ItemId::Turn(self.id, iid));
        outcome.reply(call, Ok(Reply::Done));
        self.conclude(iid, outcome);
    }

    fn record(&mut self, now: Now, iid: Iid, completion: CompleteTurn, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let out = instance.out.take().expect("its token was checked");
        let at = instance.record_time(now);
        instance.last_turn_took = now.mono.since(out.began);
        let nudged = instance.inbox.front().is_some_and(|entry| entry.message.kind() == MessageKind::Nudge);
        let messages = processed(out.messages, completion.response.num_events_processed, nudged);
        let mut plan = plan(instance, at, completion.response.actions);
        if matches!(plan.next, Next::Rewinds(_)) && !instance.rewinds() {
            let end = fails("InvalidCompletion", "the worker rewinds what was not asked to be rewound");
            plan = Plan { next: Next::Ends(end), ..Plan::default() };
        }
        let status = completion.response.custom_status;
        let too_much = long_status(status.as_deref())
            .or_else(|| too_much(instance, &plan, messages, completion.replies.as_deref(), &self.limits));
        let status_changed = too_much.is_none() && instance.body.custom_status != status;
        if status_changed {
            instance.body.custom_status = status;
        }
        instance.body.turn_trace = completion.response.orchestration_trace_context.filter(wire::is_short);
        let (plan, replies) = match too_much {
            // Nothing of what it brought is kept.
            Some(end) => (Plan { next: Next::Ends(end), ..Plan::default() }, completion.replies.map(|_| Vec::new())),
            None => (plan, completion.replies),
        };
        let mut run = BytesMut::with_capacity(TURN_STARTED_LEN + instance.messages_len(messages));
        instance.push_turn(&out, messages, wire::PAST_EVENTS, &mut run);
        if run.len() > limits::TURN_AT_ONCE_BYTES {
            // A row of their own: what the turn answers may be as long again.
            self.record_turn(iid, run.split().freeze(), outcome);
        }
        run.extend_from_slice(&plan.confirmations);

        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        publish(instance, completion.publish, outcome);
        let termination = self.termination_among(iid, messages);
        let rewound = self.rewound_first(iid);
        let taken = match &replies {
            Some(replies) => Taken::Said(replies),
            // Code that did nothing has not taken what came: it waits for something else.
            None if plan.does_something() || status_changed => Taken::All { ends: matches!(plan.next, Next::Ends(_)) },
            None => Taken::Nothing,
        };
        let waits = self.waits_after(iid, at, messages, &plan, &taken, completion.waits);
        let settled = self.consume(iid, messages, taken, outcome);
        match plan.next {
            Next::Waits => {
                let instance = self.instances.get_mut(&iid).expect("it is in memory");
                instance.status = instance.status_between_turns();
                instance.sticky = completion.sticky;
                instance.body.waits = waits;
                instance.touch(at);
                self.pend(iid, plan.activities, plan.timers, outcome);
                self.send_all(iid, plan.messages, true, outcome);
                self.record_turn(iid, run.freeze(), outcome);
            }
            Next::Ends(end) => {
                let recurse = termination.as_ref().filter(|_| end.status == OrchestrationStatus::Terminated);
                let told = recurse.and_then(|entry| told_to_children(&entry.message));
                self.send_all(iid, plan.messages, false, outcome);
                self.end(iid, at, end, told, &mut run, outcome);
                self.pend(iid, plan.activities, Vec::new(), outcome);
                self.record_turn(iid, run.freeze(), outcome);
            }
            Next::Rewinds(history) => self.record_rewind(now, iid, history, rewound, outcome),
            Next::ContinuesAsNew(action) => {
                self.send_all(iid, plan.messages, false, outcome);
                self.continue_as_new(now, iid, action, termination, outcome);
            }
        }
        self.settle_asks(iid, replies.unwrap_or_default(), &settled, outcome);
        self.wake_waiters(iid, outcome);
    }

    /// What its code waits for after a turn that takes the first messages: as the worker told, or as it is seen.
    fn waits_after(
        &self,
        iid: Iid,
        at: Timestamp,
        messages: usize,
        plan: &Plan,
        taken: &Taken<'_>,
        told: Option<Vec<u8>>,
    ) -> Option<KeptWaits> {
        let instance = self.instances.get(&iid).filter(|_| matches!(plan.next, Next::Waits))?;
        match told {
            Some(told) => Some(why::waits_told(instance, messages, told, at)),
            None => {
                let timer = plan.timers.first().map(|(timer_id, _)| *timer_id);
                Waits::seen(instance, messages, matches!(taken, Taken::Nothing), timer)
            }
        }
    }

    /// Tells those who asked what became of it.
    fn settle_asks(&mut self, iid: Iid, replies: Vec<AskReply>, settled: &[String], outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        for reply in replies {
            instance.answer_ask(&reply.ask_id, reply.answer.map(Arc::from), outcome);
        }
        // Carried over into the next generation, an ask goes on waiting.
        for ask_id in settled {
            if !instance.inbox_asks.contains(ask_id) {
                instance.answer_ask(ask_id, None, outcome);
            }
        }
        instance.drop_old_replies(&self.limits, outcome);
        self.tell_askers(iid, outcome);
    }

    /// Takes the first messages out of the inbox; tells the asks that are taken by this turn without an answer. Others stay
    /// open, up to a number: of more, the oldest are taken for such.
    pub(crate) fn consume(
        &mut self,
        iid: Iid,
        messages: usize,
        taken: Taken<'_>,
        outcome: &mut Outcome,
    ) -> Vec<String> {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let mut asked = Vec::new();
        for entry in instance.inbox.drain(..messages) {
            if !planted::is(Plant::TurnHalfApplied) {
                outcome.writes.push(Write::DeleteInbox(iid, entry.seq));
            }
            instance.inbox_bytes -= message_bytes(&entry.message);
            match entry.message.kind() {
                MessageKind::Suspended => {
                    instance.body.suspended = true;
                    instance.body.suspension = Some(why::suspension(&entry));
                }
                MessageKind::Resumed => (instance.body.suspended, instance.body.suspension) = (false, None),
                _ => {}
            }
            if let Some(ask_id) = entry.message.ask_id {
                instance.inbox_asks.remove(&ask_id);
                asked.push(ask_id);
            }
        }
        // Looked for only if there was one: an inbox may be long.
        instance.terminating &= instance.inbox.iter().any(|m| m.message.kind() == MessageKind::Terminated);
        instance.resuming &= instance.inbox.iter().any(|m| m.message.kind() == MessageKind::Resumed);
        let open = &mut instance.body.open_asks;
        match taken {
            Taken::Said(replies) => {
                let answered = |ask_id: &String| replies.iter().any(|reply| reply.ask_id == *ask_id);
                open.extend(asked.drain(..).filter(|ask_id| !answered(ask_id)));
            }
            Taken::Nothing => open.append(&mut asked),
            // What it had seen before and not acted upon, it did not end for.
            Taken::All { ends: true } => {}
            Taken::All { ends: false } => {
                if !open.is_empty() {
                    reach(Corner::OpenAsksAnswered);
                }
                asked.extend(open.iter().cloned());
            }
        }
        let over = open.len().saturating_sub(limits::OPEN_ASKS_MAX);
        asked.extend(open.drain(..over));
        asked
    }

    /// A termination among the messages of a turn.
    fn termination_among(&self, iid: Iid, messages: usize) -> Option<Message> {
        let instance = self.instances.get(&iid)?;
        let mut taken = instance.inbox.iter().take(messages);
        taken.find(|entry| entry.message.kind() == MessageKind::Terminated).cloned()
    }

    /// Makes the activities and timers that a turn asked for.
    pub(super) fn pend(
        &mut self,
        iid: Iid,
        activities: Vec<PendingActivity>,
        timers: Vec<(i32, prost_types::Timestamp)>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        for pending in activities {
            let seq = instance.next_seq();
            let data = pending.encode_to_vec().into();
            outcome.writes.push(Write::PutActivity(ActivityRow { iid, seq, data }));
            outcome.effects.push(Effect::Offer(instance.activity_spec(self.id, seq, &pending)));
            instance.push_pending(seq, pending);
        }
        for (timer_id, fire_at) in timers {
            instance.add_timer(self.id, Some(timer_id), fire_at, outcome);
        }
    }

    /// Sends what a turn has to tell others. `waits`: for its children's results.
    pub(super) fn send_all(&mut self, iid: Iid, messages: Vec<Outgoing>, waits: bool, outcome: &mut Outcome) {
        let partition = self.id;
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        for Outgoing { to, told } in messages {
            let Some(mut told) = told else { continue };
            match &mut told {
                Told::Start(start) | Told::Rewind(ChildRewind { start: Some(start), .. }) => {
                    instance.begin_child(&to, start, waits, outcome);
                }
                _ => {}
            }
            instance.tell(partition, &to, told, outcome);
        }
    }

    /// Ends an instance: what it waited for is dropped, and the completion is its last event. `children`: what those are
    /// told for whose results it waits.
    pub(crate) fn end(
        &mut self,
        iid: Iid,
        at: Timestamp,
        end: End,
        children: Option<ExecutionTerminatedEvent>,
        run: &mut BytesMut,
        outcome: &mut Outcome,
    ) {
        let partition = self.id;
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let told = |child: &PendingActivity| match &children {
            Some(terminated) => Some(Told::Terminate(terminated.clone())),
            None if !child.name.starts_with(RESERVED_PREFIX) => None,
            None if end.status == OrchestrationStatus::Terminated => {
                Some(Told::Terminate(ExecutionTerminatedEvent { input: end.output.clone(), recurse: false }))
            }
            None => Some(nobody_waits(instance.key.id.as_str())),
        };
        let told = instance.children.values().filter_map(|child| Some((child.child.clone()?, told(child)?)));
        for (child, told) in told.collect::<Vec<_>>() {
            instance.tell(partition, &child, told, outcome);
        }
        let failure = parents_failure(instance, &end);
        instance.tell_parent(partition, end.output.clone().filter(|_| failure.is_none()), failure, outcome);
        if kept(&end.output) {
            instance.output = Known::Is(Ended { output: end.output.clone(), failure: end.failure.clone() });
        }
        let completed = ExecutionCompletedEvent {
            orchestration_status: end.status.into(),
            result: end.output,
            failure_details: end.failure,
        };
        wire::push_new(run, wire::PAST_EVENTS, end.id, at, EventType::ExecutionCompleted(completed));
        instance.status = end.status;
        instance.completed_at = Some(at);
        instance.sticky = None;
        instance.touch(at);
        instance.drop_pending(self.id, outcome);
        instance.body.open_asks.clear();
        instance.body.poisoned = false;
        for entry in instance.take_messages(outcome) {
            if planted::is(Plant::RecordedAfterEnd) {
                wire::push_event(run, wire::PAST_EVENTS, &entry.message.event);
            }
        }
    }

    /// Appends a turn's events to the history, and keeps them at hand for a worker that replays.
    pub(crate) fn record_turn(&mut self, iid: Iid, run: Bytes, outcome: &mut Outcome) {
        let room = self.limits.history_cache_bytes / crate::ids::PARTITIONS;
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let count = u32::try_from(wire::Events(&run).count()).expect("a turn's events are counted in thousands");
        outcome.writes.push(Write::AppendHistory(HistoryRow {
            iid,
            turn: instance.turn(),
            count,
            events: run.clone(),
        }));
        instance.body.turn += 1;
        instance.body.events += count;
        instance.body.history_bytes += run.len() as u64;
        let keep = instance.sticky.is_none()
            && !instance.is_terminal()
            && instance.body.history_bytes <= self.limits.history_cache_instance_bytes as u64
            && self.history_cached + run.len() <= room;
        if !keep {
            if instance.history.is_some() && instance.sticky.is_none() && !instance.is_terminal() {
                let long = instance.body.history_bytes > self.limits.history_cache_instance_bytes as u64;
                reach(if long { Corner::HistoryTooLongToCache } else { Corner::HistoryUncached });
            }
            self.history_cached -= instance.history_bytes();
            instance.history = None;
        } else if let Some(runs) = &mut instance.history {
            self.history_cached += run.len();
            runs.push(run);
        }
    }
}

impl Instance {
    /// As its children's histories tell of it.
    pub(super) fn as_parent(&self, task_scheduled_id: i32) -> ParentInstanceInfo {
        ParentInstanceInfo {
            task_scheduled_id,
            name: Some((*self.name).to_owned()),
            version: self.body.version.clone(),
            orchestration_instance: Some(self.orchestration_instance()),
        }
    }

    /// Makes a child's start complete, and waits for its result, if anybody does.
    fn begin_child(&mut self, to: &str, start: &mut ChildStart, waits: bool, outcome: &mut Outcome) {
        let seq = self.next_seq();
        start.execution_id = execution_id_from(&format!("{}/{}/{seq}", self.body.execution_id, self.iid));
        if !waits || start.tags.contains_key(FIRE_AND_FORGET) {
            return;
        }
        start.parent_seq = Some(seq.0);
        let task_id = start.parent.as_ref().map_or(0, |parent| parent.task_scheduled_id);
        let (name, child, scheduled_at) = (start.name.clone(), Some(to.to_owned()), Some(self.last_time.0));
        let pending = PendingActivity { task_id, name, child, scheduled_at, ..PendingActivity::default() };
        let data = pending.encode_to_vec().into();
        outcome.writes.push(Write::PutActivity(ActivityRow { iid: self.iid, seq, data }));
        self.push_pending(seq, pending);
    }
}

/// Which of the messages the worker processed: all, unless it says that it stopped before the end
/// (PROTOCOL.md §6.8). The first event, `orchestratorStarted`, is no message.
fn processed(messages: usize, events_processed: Option<i32>, nudged: bool) -> usize {
    match events_processed.and_then(|count| usize::try_from(count).ok()) {
        // A nudge is none of the events.
        Some(count) if count > 0 => (count - 1 + usize::from(nudged)).min(messages),
        _ => messages,
    }
}

/// What a message takes beside what it says, and the child that it starts.
const MESSAGE_BYTES: usize = 512;

/// What stands before the messages of a turn takes less.
const TURN_STARTED_LEN: usize = 64;

/// Sorts a turn's actions and writes their confirmations, in their order.
fn plan(instance: &Instance, at: Timestamp, actions: Vec<OrchestratorAction>) -> Plan {
    let mut plan = Plan::default();
    if let Some(unsupported) = actions.iter().find_map(unsupported) {
        plan.next = Next::Ends(not_implemented(unsupported));
        return plan;
    }
    for action in actions {
        let id = action.id;
        match action.orchestrator_action_type {
            Some(Action::ScheduleTask(task)) => {
                plan.confirm(id, at, EventType::TaskScheduled(task_scheduled(&task)));
                plan.activities.push(pending_activity(id, at, task));
            }
            Some(Action::CreateTimer(timer)) => {
                plan.confirm(id, at, EventType::TimerCreated(TimerCreatedEvent { fire_at: timer.fire_at }));
                plan.timers.push((id, timer.fire_at.unwrap_or_default()));
            }
            Some(Action::CreateSubOrchestration(child)) => {
                let child = named(instance, id, child);
                plan.confirm(id, at, EventType::SubOrchestrationInstanceCreated(child_created(&child)));
                plan.messages.push(child_start(instance, id, child));
            }
            Some(Action::SendEvent(event)) => {
                let to = event.instance.unwrap_or_default().instance_id;
                let (name, input) = (event.name, event.data);
                let sent = EventSentEvent { instance_id: to.clone(), name: name.clone(), input: input.clone() };
                plan.confirm(id, at, EventType::EventSent(sent));
                let told = Told::Event(EventRaisedEvent { name, input, ..EventRaisedEvent::default() });
                plan.messages.push(Outgoing { to, told: Some(told) });
            }
            Some(Action::TerminateOrchestration(terminate)) => {
                let event = ExecutionTerminatedEvent { input: terminate.reason, recurse: terminate.recurse };
                plan.messages.push(Outgoing { to: terminate.instance_id, told: Some(Told::Terminate(event)) });
            }
            Some(Action::CompleteOrchestration(complete)) => plan.next = next(id, complete),
            None => {}
            Some(Action::RewindOrchestration(rewind)) => plan.next = Next::Rewinds(rewind.new_history),
            Some(Action::SendEntityMessage(_)) => unreachable!("refused above"),
        }
    }
    plan
}

impl Plan {
    fn does_something(&self) -> bool {
        !self.confirmations.is_empty() || !self.messages.is_empty() || !matches!(self.next, Next::Waits)
    }

    /// How much memory its messages take until they are sent, and the children until they end.
    fn message_bytes(&self) -> usize {
        self.messages.iter().map(|message| MESSAGE_BYTES + message.encoded_len()).sum()
    }

    fn confirm(&mut self, id: i32, at: Timestamp, event: EventType) {
        wire::push_new(&mut self.confirmations, wire::PAST_EVENTS, id, at, event);
    }
}

fn next(id: i32, complete: CompleteOrchestrationAction) -> Next {
    match complete.orchestration_status() {
        OrchestrationStatus::ContinuedAsNew => Next::ContinuesAsNew(complete),
        status @ (OrchestrationStatus::Completed
        | OrchestrationStatus::Failed
        | OrchestrationStatus::Canceled
        | OrchestrationStatus::Terminated) => {
            Next::Ends(End { id, status, output: complete.result, failure: complete.failure_details.map(readable) })
        }
        // A completion that is none: what the worker meant cannot be told, so nothing is lost by saying so.
        OrchestrationStatus::Running | OrchestrationStatus::Pending | OrchestrationStatus::Suspended => {
            let failure = failure("InvalidCompletion", "the worker completed it with a status that is no end");
            Next::Ends(End { id, status: OrchestrationStatus::Failed, output: None, failure: Some(failure) })
        }
    }
}

fn task_scheduled(task: &ScheduleTaskAction) -> TaskScheduledEvent {
    TaskScheduledEvent {
        name: task.name.clone(),
        version: task.version.clone(),
        input: task.input.clone(),
        parent_trace_context: task.parent_trace_context.clone(),
        tags: task.tags.clone(),
    }
}

pub(super) fn pending_activity(id: i32, at: Timestamp, task: ScheduleTaskAction) -> PendingActivity {
    PendingActivity {
        task_id: id,
        name: task.name,
        version: task.version,
        input: task.input,
        tags: task.tags,
        trace: task.parent_trace_context,
        poisoned: false,
        child: None,
        scheduled_at: Some(at.0),
    }
}

/// A child that its action gave no id has one that follows from its parent's.
fn named(instance: &Instance, id: i32, mut child: CreateSubOrchestrationAction) -> CreateSubOrchestrationAction {
    if child.instance_id.is_empty() {
        child.instance_id = format!("{}:{id:04x}", instance.key.id.as_str());
    }
    child
}

fn child_created(child: &CreateSubOrchestrationAction) -> SubOrchestrationInstanceCreatedEvent {
    SubOrchestrationInstanceCreatedEvent {
        instance_id: child.instance_id.clone(),
        name: child.name.clone(),
        version: child.version.clone(),
        input: child.input.clone(),
        parent_trace_context: child.parent_trace_context.clone(),
        tags: child.tags.clone(),
    }
}

fn child_start(instance: &Instance, id: i32, child: CreateSubOrchestrationAction) -> Outgoing {
    let parent = instance.as_parent(id);
    let start = ChildStart {
        name: child.name,
        version: child.version,
        input: child.input,
        tags: child.tags,
        trace: child.parent_trace_context,
        execution_id: String::new(),
        parent: Some(parent),
        parent_seq: None,
    };
    Outgoing { to: child.instance_id, told: Some(Told::Start(start)) }
}

/// What is told to what was to be approved for an instance: that does not wait for it any more. Whether this concerns it, its own code
/// says: one turn of an orphan's, at most.
pub(super) fn nobody_waits(parent: &str) -> Told {
    // An id has no letters that JSON would have to escape but these.
    let id = parent.replace('\\', "\\\\").replace('"', "\\\"");
    let name = PARENT_ENDED_EVENT.to_owned();
    let stamp = Stamp { proof: BY_SCHEDULER.to_owned(), ..Stamp::default() };
    Told::Event(EventRaisedEvent { name, input: Some(format!("\"{id}\"")), stamp: stamp.encode_to_vec().into() })
}

/// What the children of an instance are told that ends by this termination: nothing, unless it is for them, too.
pub(super) fn told_to_children(message: &InboxMessage) -> Option<ExecutionTerminatedEvent> {
    let event = HistoryEvent::decode(message.event.clone()).ok()?;
    match event.event_type {
        Some(EventType::ExecutionTerminated(terminated)) if terminated.recurse => Some(terminated),
        _ => None,
    }
}

/// How an instance failed, as its parent is told: unchanged, if it says so itself (PROTOCOL.md §6.6).
fn parents_failure(instance: &Instance, end: &End) -> Option<TaskFailureDetails> {
    let (error_type, what) = match end.status {
        OrchestrationStatus::Completed => return None,
        OrchestrationStatus::Terminated => ("OrchestrationTerminated", "was terminated"),
        OrchestrationStatus::Canceled => ("OrchestrationCanceled", "was canceled"),
        _ => ("OrchestrationFailed", "failed"),
    };
    let told = || passing_failure(error_type, &format!("instance {} {what}", instance.key));
    Some(end.failure.clone().unwrap_or_else(told))
}

/// What an action that the server cannot carry out yet is called.
fn unsupported(action: &OrchestratorAction) -> Option<&'static str> {
    match action.orchestrator_action_type.as_ref()? {
        Action::SendEntityMessage(_) => Some("entities are"),
        Action::ScheduleTask(_)
        | Action::RewindOrchestration(_)
        | Action::CreateSubOrchestration(_)
        | Action::CreateTimer(_)
        | Action::SendEvent(_)
        | Action::TerminateOrchestration(_)
        | Action::CompleteOrchestration(_) => None,
    }
}

fn not_implemented(what: &str) -> End {
    fails("NotImplemented", &format!("{what} not implemented by this server yet"))
}

/// Why a turn cannot stand: what it asks for, or what its next turn would go on from, is more than one instance may have.
/// Its worker would do it again, so that to refuse it would not help.
fn too_much(
    instance: &Instance,
    plan: &Plan,
    messages: usize,
    replies: Option<&[AskReply]>,
    limits: &Limits,
) -> Option<End> {
    let answers: usize = replies.unwrap_or_default().iter().map(bytes_of_reply).sum();
    let ends = matches!(plan.next, Next::Ends(_));
    let (kind, message) = if answers > limits.reply_bytes {
        let (bytes, most) = (answers, limits.reply_bytes);
        let what = format!("this turn answers its asks with {bytes} bytes, {most} at most: answer with less");
        ("AnswersTooLong", what)
    } else if let Next::ContinuesAsNew(action) = &plan.next {
        // It leaves all else behind.
        let (bytes, most) = (action.new_version.as_ref().map_or(0, String::len), limits::START_BYTES_MAX);
        if bytes <= most {
            return None;
        }
        ("VersionTooLong", format!("the new version has {bytes} bytes, {most} at most"))
    } else if let Some(bytes) = instance.pending_with(&plan.activities, plan.timers.len(), plan.message_bytes(), limits)
    {
        reach(Corner::TooMuchPending);
        let (activities, timers, messages) = (plan.activities.len(), plan.timers.len(), plan.messages.len());
        let most = 2 * limits.pending_bytes;
        let what = format!(
            "this turn begins {activities} activities and {timers} timers and sends {messages} messages: with what waits already"
        );
        ("TooMuchPending", format!("{what} {bytes} bytes, and {most} at most are kept for one instance"))
    } else if !ends && !plan.timers.is_empty() && instance.body.timers.len() + plan.timers.len() > limits::TIMERS_MAX {
        reach(Corner::TooMuchPending);
        let (waiting, more, most) = (instance.body.timers.len(), plan.timers.len(), limits::TIMERS_MAX);
        let what = format!("{waiting} timers wait, and this turn makes {more} more: {most} at most for one instance");
        ("TooMuchPending", what)
    } else {
        let bytes = instance.past_bytes() + instance.messages_len(messages) + plan.confirmations.len();
        let most = limits.history_bytes;
        if bytes <= most || ends {
            return None;
        }
        ("HistoryTooLong", format!("the history has {bytes} bytes, {most} at most: continue as new before that"))
    };
    Some(fails(kind, &message))
}

fn bytes_of_reply(reply: &AskReply) -> usize {
    reply_bytes(&reply.ask_id, reply.answer.as_deref())
}

/// What is told with the state of an instance each time, and written with its row, is short.
fn long_status(status: Option<&str>) -> Option<End> {
    let (bytes, most) = (status.map_or(0, str::len), limits::CUSTOM_STATUS_BYTES_MAX);
    (bytes > most)
        .then(|| fails("CustomStatusTooLong", &format!("the custom status has {bytes} bytes, {most} at most")))
}

/// The server fails the instance.
fn fails(kind: &str, message: &str) -> End {
    let failure = Some(failure(kind, message));
    End { id: -1, status: OrchestrationStatus::Failed, output: None, failure }
}

/// Only the built-in orchestrations publish, and not without measure (DESIGN.md §6, "Publishing").
fn check_published(instance: &Instance, completion: &CompleteTurn) -> Result<(), Refusal> {
    if completion.publish.is_empty() {
        return Ok(());
    }
    if !instance.name.starts_with(RESERVED_PREFIX) {
        let what = format!("publish: only orchestrations named {RESERVED_PREFIX}* may publish rows");
        return Err(Refusal::InvalidArgument(what));
    }
    let most = limits::PUBLISHED_BYTES_MAX;
    let of_terms = |row: &v1::PublishedRow| row.terms.iter().map(|term| term.text.len()).sum::<usize>();
    let of_row = |row: &v1::PublishedRow| row.key.len() + row.body.as_ref().map_or(0, Bytes::len) + of_terms(row);
    let bytes: usize = completion.publish.iter().map(of_row).sum();
    if bytes > most {
        return Err(Refusal::InvalidArgument(format!("publish: {bytes} bytes, {most} at most in this turn")));
    }
    let is_none = |row: &v1::PublishedRow| Said::decode(row.body.clone().unwrap_or_default()).err();
    let mut entries = completion.publish.iter().filter(|row| row.kind == ENTRIES);
    if let Some(error) = entries.find_map(is_none) {
        return Err(Refusal::InvalidArgument(format!("publish: {error}")));
    }
    let (terms, most) = (completion.publish.iter().map(|row| row.terms.len()).sum::<usize>(), limits::TERMS_MAX);
    if terms > most {
        return Err(Refusal::InvalidArgument(format!("publish: {terms} terms, {most} at most in this turn")));
    }
    Ok(())
}

fn publish(instance: &Instance, rows: Vec<v1::PublishedRow>, outcome: &mut Outcome) {
    outcome.writes.extend(rows.into_iter().map(|row| {
        if row.kind == ENTRIES {
            let said = Said::decode(row.body.unwrap_or_default()).expect("it was checked");
            return Write::Enter(EntryRow { hub: instance.key.hub.clone(), owner: instance.key.id.clone(), said });
        }
        Write::Publish(PublishedRow {
            hub: instance.key.hub.clone(),
            kind: row.kind.into(),
            key: row.key.into(),
            owner: instance.key.id.clone(),
            body: row.body,
            terms: row.terms.into_iter().map(|term| Term { text: term.text, order: term.order }).collect(),
        })
    }));
}
