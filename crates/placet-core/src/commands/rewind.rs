//! RewindInstance: a failed instance tries again what failed (PROTOCOL.md §6.11). A worker writes its history anew, without
//! the failures; what the rest of it still waits for is begun again, and the children that failed are rewound likewise.

use std::collections::BTreeMap;

use bytes::BytesMut;
use placet_proto::durabletask::{
    ExecutionRewoundEvent, HistoryEvent, OrchestrationInstance, OrchestrationStatus, ParentInstanceInfo,
    ScheduleTaskAction, history_event::EventType,
};
use prost::Message as _;

use super::complete_turn::pending_activity;
use super::continue_as_new::execution_id_from;
use super::failure::passing_failure;
use crate::body::{ChildRewind, ChildStart, InboxMessage, MessageKind, Outgoing, Told};
use crate::command::{FIRE_AND_FORGET, Refusal, Reply, status_name};
use crate::dispatch::RESERVED_PREFIX;
use crate::ids::{CallId, Iid, InstanceKey, Turn};
use crate::outcome::Outcome;
use crate::partition::{Instance, Known, Partition};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Write;
use crate::time::Now;
use crate::wire;

use super::tell::Heard;

/// What a rewound history still waits for.
#[derive(Default)]
struct Unfinished {
    activities: Vec<(i32, ScheduleTaskAction)>,
    timers: Vec<(i32, prost_types::Timestamp)>,
    children: Vec<Outgoing>,
}

impl Partition {
    pub(crate) fn rewind(
        &mut self,
        now: Now,
        iid: Iid,
        reason: Option<String>,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let refused = if instance.status != OrchestrationStatus::Failed {
            Some(format!(
                "instance {} is {}: only what has failed is rewound",
                instance.key,
                status_name(instance.status)
            ))
        } else if instance.name.starts_with(RESERVED_PREFIX) {
            Some(format!("instance {} is an approval request, which is not rewound", instance.key))
        } else {
            None
        };
        if let Some(what) = refused {
            outcome.reply(call, Err(Refusal::FailedPrecondition(what)));
            return;
        }
        self.begin_rewind(now, iid, ExecutionRewoundEvent { reason, ..ExecutionRewoundEvent::default() }, outcome);
        outcome.reply(call, Ok(Reply::Done));
        self.conclude(iid, outcome);
    }

    fn begin_rewind(&mut self, now: Now, iid: Iid, event: ExecutionRewoundEvent, outcome: &mut Outcome) {
        let partition = self.id;
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let at = instance.record_time(now);
        instance.drop_pending(partition, outcome);
        instance.status = OrchestrationStatus::Running;
        instance.completed_at = None;
        instance.output = Known::InHistory;
        instance.touch(at);
        instance.receive(MessageKind::Rewound, at, EventType::ExecutionRewound(event), None, outcome);
    }

    /// Whether the turn that is being recorded is that of a rewind: why, if so.
    pub(super) fn rewound_first(&self, iid: Iid) -> Option<ExecutionRewoundEvent> {
        let first = self.instances.get(&iid).filter(|instance| instance.rewinds())?.inbox.front()?;
        let event = HistoryEvent::decode(first.message.event.clone()).ok()?;
        match event.event_type {
            Some(EventType::ExecutionRewound(rewound)) => Some(rewound),
            _ => None,
        }
    }

    /// A worker has written the history anew.
    pub(super) fn record_rewind(
        &mut self,
        now: Now,
        iid: Iid,
        history: Vec<HistoryEvent>,
        rewound: Option<ExecutionRewoundEvent>,
        outcome: &mut Outcome,
    ) {
        let partition = self.id;
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let at = instance.record_time(now);
        if instance.body.turn > instance.body.turn_first {
            outcome.writes.push(Write::DropHistory(iid, Turn(instance.body.turn)));
        }
        self.history_cached -= instance.history_bytes();
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        instance.history = Some(Vec::new());
        instance.body.turn_first = instance.body.turn;
        (instance.body.events, instance.body.history_bytes, instance.body.turn_trace) = (0, 0, None);
        instance.body.execution_id = execution_id_of(&history).unwrap_or_else(|| {
            execution_id_from(&format!("{}/{iid}/{}", instance.body.execution_id, instance.body.turn))
        });
        instance.status = instance.status_between_turns();
        instance.sticky = None;
        instance.touch(at);
        let mut run = BytesMut::new();
        for event in &history {
            wire::push_event(&mut run, wire::PAST_EVENTS, &event.encode_to_vec());
        }
        let reason = rewound.and_then(|rewound| rewound.reason);
        let unfinished = unfinished(instance, history, reason);
        if instance.inbox.is_empty() {
            let nudge = InboxMessage { kind: MessageKind::Nudge.into(), ..InboxMessage::default() };
            instance.receive_encoded(nudge, outcome);
        }
        for (timer_id, fire_at) in unfinished.timers {
            instance.add_timer(partition, Some(timer_id), fire_at, outcome);
        }
        let activities = unfinished.activities.into_iter().map(|(id, task)| pending_activity(id, at, task)).collect();
        self.pend(iid, activities, Vec::new(), outcome);
        self.send_all(iid, unfinished.children, true, outcome);
        self.record_turn(iid, run.freeze(), outcome);
    }

    /// A parent was rewound and waits for this child again.
    pub(super) fn rewind_child(
        &mut self,
        now: Now,
        key: &InstanceKey,
        hot: Option<Iid>,
        rewind: ChildRewind,
        outcome: &mut Outcome,
    ) -> Heard {
        let start = rewind.start.unwrap_or_default();
        let Some(iid) = hot else { return self.start_child(now, key, None, start, outcome) };
        let partition = self.id;
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let execution_id = parents_execution(start.parent.as_ref());
        let link = |instance: &mut Instance| {
            (instance.body.parent, instance.body.parent_seq) = (start.parent.clone(), start.parent_seq);
        };
        match instance.status {
            OrchestrationStatus::Failed if !planted::is(Plant::ChildNotRewound) => {
                reach(Corner::ChildRewound);
                link(instance);
                let event = ExecutionRewoundEvent {
                    reason: rewind.reason,
                    parent_execution_id: Some(execution_id),
                    instance_id: Some(key.id.as_str().to_owned()),
                    ..ExecutionRewoundEvent::default()
                };
                self.begin_rewind(now, iid, event, outcome);
            }
            OrchestrationStatus::Terminated | OrchestrationStatus::Canceled => {
                link(instance);
                let failure = passing_failure("OrchestrationTerminated", &format!("instance {key} was terminated"));
                instance.tell_parent(partition, None, Some(failure), outcome);
            }
            // Its result was for an execution that is gone, and may be long gone itself.
            OrchestrationStatus::Completed => return self.start_child(now, key, hot, start, outcome),
            _ => {
                link(instance);
                instance.touch(now.wall);
            }
        }
        self.conclude(iid, outcome);
        Heard::Done
    }
}

impl Instance {
    /// Whether its turn is that of a rewind.
    pub(super) fn rewinds(&self) -> bool {
        self.inbox.front().is_some_and(|entry| entry.message.kind() == MessageKind::Rewound)
    }
}

pub(super) fn parents_execution(parent: Option<&ParentInstanceInfo>) -> String {
    let parent = parent.and_then(|parent| parent.orchestration_instance.as_ref());
    parent.and_then(|parent| parent.execution_id.clone()).unwrap_or_default()
}

fn execution_id_of(history: &[HistoryEvent]) -> Option<String> {
    history.iter().find_map(|event| match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => {
            let instance: &OrchestrationInstance = started.orchestration_instance.as_ref()?;
            instance.execution_id.clone().filter(|id| !id.is_empty())
        }
        _ => None,
    })
}

/// What was scheduled and has no result. Ids may be used more than once (PROTOCOL.md §1, rule 9): each result is that of
/// the oldest of its id.
fn unfinished(instance: &Instance, history: Vec<HistoryEvent>, reason: Option<String>) -> Unfinished {
    let mut open: BTreeMap<(i32, bool), Vec<EventType>> = BTreeMap::new();
    for event in history {
        let Some(event_type) = event.event_type else { continue };
        let ended = match &event_type {
            EventType::TaskCompleted(done) => Some((done.task_scheduled_id, false)),
            EventType::TaskFailed(failed) => Some((failed.task_scheduled_id, false)),
            EventType::TimerFired(fired) => Some((fired.timer_id, false)),
            EventType::SubOrchestrationInstanceCompleted(done) => Some((done.task_scheduled_id, true)),
            EventType::SubOrchestrationInstanceFailed(failed) => Some((failed.task_scheduled_id, true)),
            _ => None,
        };
        if let Some(ended) = ended {
            let begun = open.get_mut(&ended).filter(|begun| !begun.is_empty());
            begun.map(|begun| begun.remove(0));
            continue;
        }
        let is_child = matches!(event_type, EventType::SubOrchestrationInstanceCreated(_));
        let begins = is_child || matches!(event_type, EventType::TaskScheduled(_) | EventType::TimerCreated(_));
        if begins {
            open.entry((event.event_id, is_child)).or_default().push(event_type);
        }
    }
    let mut unfinished = Unfinished::default();
    for ((id, _), begun) in open {
        for event in begun {
            unfinished.add(instance, id, event, reason.clone());
        }
    }
    unfinished
}

impl Unfinished {
    fn add(&mut self, instance: &Instance, id: i32, event: EventType, reason: Option<String>) {
        match event {
            EventType::TaskScheduled(task) => self.activities.push((
                id,
                ScheduleTaskAction {
                    name: task.name,
                    version: task.version,
                    input: task.input,
                    tags: task.tags,
                    parent_trace_context: task.parent_trace_context,
                },
            )),
            EventType::TimerCreated(timer) => self.timers.push((id, timer.fire_at.unwrap_or_default())),
            // Whoever waits for nothing has nothing left to wait for.
            EventType::SubOrchestrationInstanceCreated(child) if !child.tags.contains_key(FIRE_AND_FORGET) => {
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
                let told = Told::Rewind(ChildRewind { start: Some(start), reason });
                self.children.push(Outgoing { to: child.instance_id, told: Some(told) });
            }
            _ => {}
        }
    }
}
