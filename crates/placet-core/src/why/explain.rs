//! What an instance waits for.

use std::collections::BTreeMap;

use super::kept::EventHead;
use super::{Cause, ChildWait, Evidence, Explanation, Remedy, Stage};
use crate::body::{KeptWaits, MessageKind, Named, PendingActivity, PendingRetry, Waits};
use crate::clock::Doubt;
use crate::dispatch::{Dispatch, ItemId, ItemSpec, Kind, Look};
use crate::ids::{InstanceId, PartitionId, Seq};
use crate::limits::{self, Limits};
use crate::partition::Instance;
use crate::time::{Mono, Now, Timestamp};

/// What is known beside the instance.
pub(crate) struct Around<'a> {
    pub(crate) now: Now,
    /// Where it lives.
    pub(crate) partition: PartitionId,
    pub(crate) limits: &'a Limits,
    pub(crate) dispatch: &'a Dispatch,
    /// Why timers are held, if they are.
    pub(crate) doubt: Option<Doubt>,
    /// The last commit found the disk full.
    pub(crate) disk_full: bool,
    /// So much waits to be written that workers get nothing.
    pub(crate) congested: bool,
    pub(crate) is_virtual: bool,
}

/// A cause, since and until when, and the remedy.
struct Found {
    cause: Cause,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    remedy: Remedy,
}

/// What an instance may go on with, as far as its code waits for it.
struct Open<'a> {
    /// The activity that most wants something to be done, and how many there are.
    activity: Option<(Seq, &'a PendingActivity, Look)>,
    activities: usize,
    child: Option<&'a PendingActivity>,
    children: usize,
    /// The next timer, and what it is for if it is known.
    timer: Option<(Timestamp, Option<&'a PendingRetry>)>,
    unawaited: (usize, usize),
}

/// Why an instance waits.
pub(crate) fn explain(instance: &Instance, around: &Around<'_>) -> Explanation {
    let mut evidence = Vec::new();
    let found = find(instance, around, &mut evidence);
    if around.disk_full && !matches!(found.cause, Cause::DiskFull | Cause::Ended) {
        evidence.push(Evidence::DiskFull);
    }
    Explanation {
        id: instance.key.id.clone(),
        hub: instance.key.hub.clone(),
        status: instance.status,
        now: around.now.wall,
        cause: found.cause,
        since: found.since,
        until: found.until,
        evidence,
        remedy: found.remedy,
    }
}

fn find(instance: &Instance, around: &Around<'_>, evidence: &mut Vec<Evidence>) -> Found {
    let body = &instance.body;
    if instance.is_terminal() {
        return Found { since: instance.completed_at, ..Found::of(Cause::Ended, Remedy::Nothing) };
    }
    if body.held {
        let due = body.timers.iter().find(|timer| timer.timer_id.is_none());
        let due = due.map(|timer| instance.timer_row(around.partition, timer).fire_at);
        evidence.extend(messages(instance, |kind| kind != MessageKind::Started));
        return by_time(Cause::ScheduledStart, instance.created_at, due, around, evidence);
    }
    if body.suspended && !instance.resuming && !instance.terminating && instance.out.is_none() && !body.poisoned {
        let suspension = body.suspension.as_ref();
        let since = suspension.map_or(instance.updated_at, |suspension| Timestamp(suspension.at));
        evidence.extend(messages(instance, |_| true));
        let reason = suspension.and_then(|suspension| suspension.reason.clone());
        let cause = Cause::Suspended { reason, messages: instance.inbox.len() };
        return Found { since: Some(since), ..Found::of(cause, Remedy::Resume) };
    }
    if instance.out.is_some() || instance.is_ready() || body.poisoned {
        evidence.extend(messages(instance, |_| true));
        return turn(instance, around, evidence);
    }
    pending(instance, around, evidence)
}

/// It waits for its own turn.
fn turn(instance: &Instance, around: &Around<'_>, evidence: &mut Vec<Evidence>) -> Found {
    let spec = instance.turn_spec(around.partition, around.limits);
    let came = instance.inbox.front().and_then(|first| EventHead::of(first).at());
    let look = if instance.body.poisoned {
        Look { stage: Stage::SetAside, since: None, until: None }
    } else if instance.out.is_none() && instance.has_too_many_activities(around.limits) {
        let stage = Stage::TooMuchOpen { activities: instance.activities.len() };
        Look { stage, since: None, until: None }
    } else {
        around.look(&spec)
    };
    let ready = if instance.body.poisoned { Some(instance.updated_at) } else { came };
    around.work(Cause::Turn, &spec, look, ready, evidence)
}

/// It waits for something that its code asked for, or for somebody outside.
fn pending(instance: &Instance, around: &Around<'_>, evidence: &mut Vec<Evidence>) -> Found {
    let waits = &instance.body.waits.as_ref().map(KeptWaits::read).unwrap_or_default();
    let open = open(instance, waits, around);
    let near = waits.told.then(|| waits.unread.iter().rev().find(|event| is_nearly_awaited(waits, event))).flatten();
    unread(waits, near, evidence);
    let found = if let Some((seq, pending, look)) = open.activity.clone() {
        activity(instance, (seq, pending, look), open.activities - 1, around, evidence)
    } else if !waits.events.is_empty() || waits.events_more > 0 {
        events(waits, near, &open, around, evidence)
    } else if let Some(child) = open.child {
        let id = InstanceId::new(child.child.as_deref().unwrap_or_default());
        let (name, more) = (child.name.clone(), open.children - 1);
        let since = scheduled(child).unwrap_or(instance.updated_at);
        let cause = Cause::Child { id, name, child: ChildWait::Unasked, more };
        Found { since: Some(since), ..Found::of(cause, Remedy::Wait) }
    } else if let Some((due, retry)) = open.timer {
        let cause = match retry {
            Some(retry) => Cause::Retry {
                name: retry.name.clone(),
                attempt: retry.attempt,
                attempts_max: retry.attempts_max,
                error: retry.error.clone(),
            },
            None => Cause::Timer { or_event: !waits.told },
        };
        by_time(cause, instance.updated_at, Some(due), around, evidence)
    } else if let Some(outbound) = instance.outbox.front() {
        Found::of(Cause::Telling(outbound.to.clone()), Remedy::Wait)
    } else if waits.told {
        Found { since: Some(instance.updated_at), ..Found::of(Cause::Nothing, Remedy::Terminate) }
    } else {
        let remedy = Remedy::RaiseEvent(Vec::new());
        Found { since: Some(instance.updated_at), ..Found::of(Cause::SomeEvent, remedy) }
    };
    also(&found.cause, waits, &open, evidence);
    found
}

/// What else it awaits.
fn also(cause: &Cause, waits: &Waits, open: &Open<'_>, evidence: &mut Vec<Evidence>) {
    if !matches!(cause, Cause::Events { .. }) && !waits.events.is_empty() {
        evidence.push(Evidence::AlsoEvents(waits.events.iter().map(|event| event.name.clone()).collect()));
    }
    if !matches!(cause, Cause::Activity { .. })
        && let Some((_, pending, _)) = &open.activity
    {
        evidence.push(Evidence::AlsoActivity { name: pending.name.clone(), count: open.activities });
    }
    if !matches!(cause, Cause::Child { .. })
        && let Some(child) = open.child.and_then(|child| child.child.as_deref())
    {
        evidence.push(Evidence::AlsoChild { id: InstanceId::new(child), count: open.children });
    }
    let tells_timer = matches!(
        cause,
        Cause::Events { .. } | Cause::Timer { .. } | Cause::Retry { .. } | Cause::Clock(_) | Cause::ScheduledStart
    );
    if let Some((due, _)) = open.timer.filter(|_| !tells_timer) {
        evidence.push(Evidence::AlsoTimer(due));
    }
    if open.unawaited != (0, 0) {
        evidence.push(Evidence::Unawaited { tasks: open.unawaited.0, timers: open.unawaited.1 });
    }
    if !waits.told {
        evidence.push(Evidence::Untold);
    }
}

/// It awaits events, and its SDK told which.
fn events(
    waits: &Waits,
    near: Option<&Named>,
    open: &Open<'_>,
    around: &Around<'_>,
    evidence: &mut Vec<Evidence>,
) -> Found {
    let names: Vec<String> = waits.events.iter().map(|event| event.name.clone()).collect();
    let since = waits.events.iter().map(|event| event.at).min().map(Timestamp);
    let until = open.timer.map(|(due, _)| due);
    if let Some(doubt) = around.doubt.filter(|_| until.is_some()) {
        evidence.push(Evidence::TimersHeld(doubt));
    }
    let remedy = Remedy::RaiseEvent(names.clone());
    let near = near.map(|event| (event.name.clone(), Timestamp(event.at)));
    Found { cause: Cause::Events { names, more: waits.events_more, near }, since, until, remedy }
}

/// It waits for an activity.
fn activity(
    instance: &Instance,
    (seq, pending, look): (Seq, &PendingActivity, Look),
    more: usize,
    around: &Around<'_>,
    evidence: &mut Vec<Evidence>,
) -> Found {
    let spec = instance.activity_spec(around.partition, seq, pending);
    let cause = |stage| Cause::Activity {
        name: pending.name.clone(),
        version: spec.version.as_deref().map(str::to_owned),
        task_id: pending.task_id,
        stage,
        more,
    };
    around.work(cause, &spec, look, scheduled(pending), evidence)
}

/// Time brings it, unless timers are held.
fn by_time(
    cause: Cause,
    since: Timestamp,
    until: Option<Timestamp>,
    around: &Around<'_>,
    evidence: &mut Vec<Evidence>,
) -> Found {
    if let Some(doubt) = around.doubt {
        return Found { since: Some(since), until, ..Found::of(Cause::Clock(doubt), Remedy::AcceptTime) };
    }
    let remedy = if around.is_virtual {
        evidence.push(Evidence::VirtualTime);
        Remedy::AdvanceTime
    } else {
        Remedy::Wait
    };
    Found { since: Some(since), until, ..Found::of(cause, remedy) }
}

/// Events that came and that its code does not await, but for this one.
fn unread(waits: &Waits, but: Option<&Named>, evidence: &mut Vec<Evidence>) {
    for event in waits.unread.iter().filter(|event| but.is_none_or(|but| !std::ptr::eq(*event, but))) {
        let (name, at) = (event.name.clone(), Timestamp(event.at));
        evidence.push(if waits.told { Evidence::Unread { name, at } } else { Evidence::NothingDone { name, at } });
    }
}

fn is_nearly_awaited(waits: &Waits, event: &Named) -> bool {
    waits.events.iter().any(|awaited| is_near(&awaited.name, &event.name))
}

/// Whether one name is probably meant to be the other: names are matched without case, so these differ by more than that.
fn is_near(awaited: &str, came: &str) -> bool {
    let (awaited, came) = (awaited.to_lowercase(), came.to_lowercase());
    // A slip in each four letters: of `go` and `no` neither is meant to be the other.
    let slips = awaited.chars().count().min(came.chars().count()) / 4;
    slips > 0 && strsim::damerau_levenshtein(&awaited, &came) <= slips
}

/// The messages that wait, of these kinds.
fn messages(instance: &Instance, kinds: impl Fn(MessageKind) -> bool) -> Option<Evidence> {
    let all = instance.inbox.iter().take(limits::WHY_LOOKED_AT_MAX);
    let events = all.filter(|entry| entry.message.kind() == MessageKind::Raised);
    let named = events.filter_map(|entry| EventHead::of(entry).named()).take(limits::WHY_NAMED_MAX);
    let events = named.map(|named| (named.name, Timestamp(named.at))).collect();
    let count = instance.inbox.iter().filter(|entry| kinds(entry.message.kind())).count();
    (count > 0).then_some(Evidence::Messages { count, events })
}

fn scheduled(pending: &PendingActivity) -> Option<Timestamp> {
    pending.scheduled_at.map(Timestamp)
}

/// What is open of an instance, and awaited as far as that is known.
fn open<'a>(instance: &'a Instance, waits: &'a Waits, around: &Around<'_>) -> Open<'a> {
    let awaits = |id: i32| !waits.told || waits.tasks_more || waits.tasks.contains(&id);
    let (mut activities, mut unawaited) = (0, (0, 0));
    let mut activity: Option<(Seq, &PendingActivity, Look)> = None;
    let mut looks: BTreeMap<(&str, Option<&str>), Look> = BTreeMap::new();
    for (at, (seq, pending)) in instance.activities.iter().enumerate() {
        if !awaits(pending.task_id) {
            unawaited.0 += 1;
            continue;
        }
        activities += 1;
        if at >= limits::WHY_LOOKED_AT_MAX {
            continue;
        }
        let spec = instance.activity_spec(around.partition, *seq, pending);
        let look = if pending.poisoned {
            Look { stage: Stage::SetAside, since: None, until: None }
        } else if around.dispatch.is_known(spec.id) {
            around.look(&spec)
        } else {
            // Those that are alike are ready for the same workers.
            let kind = (pending.name.as_str(), pending.version.as_deref());
            if looks.len() == limits::WHY_KINDS_MAX && !looks.contains_key(&kind) {
                continue;
            }
            looks.entry(kind).or_insert_with(|| around.look(&spec)).clone()
        };
        if activity.as_ref().is_none_or(|(.., worst)| urgency(&look.stage) > urgency(&worst.stage)) {
            activity = Some((*seq, pending, look));
        }
    }
    let (children, others): (Vec<_>, Vec<_>) = instance.children.values().partition(|child| awaits(child.task_id));
    unawaited.0 += others.len();
    let mut timer: Option<(Timestamp, Option<&PendingRetry>)> = None;
    for pending in &instance.body.timers {
        let Some(id) = pending.timer_id else { continue };
        if !awaits(id) {
            unawaited.1 += 1;
            continue;
        }
        let due = instance.timer_row(around.partition, pending).fire_at;
        if timer.is_none_or(|(first, _)| due < first) {
            timer = Some((due, waits.retries.iter().find(|retry| retry.timer_id == id)));
        }
    }
    Open { activity, activities, child: children.first().copied(), children: children.len(), timer, unawaited }
}

/// How much it wants something to be done.
fn urgency(stage: &Stage) -> u8 {
    match stage {
        Stage::SetAside => 9,
        Stage::NoWorker => 8,
        Stage::NoName { .. } => 7,
        Stage::NoVersion { .. } => 6,
        Stage::NoRoom { .. } => 5,
        Stage::Lost { .. } => 4,
        Stage::Delayed { .. } => 3,
        Stage::HeldUp | Stage::TooMuchOpen { .. } => 2,
        Stage::OnItsWay => 1,
        Stage::Running { .. } => 0,
    }
}

impl Around<'_> {
    /// How it is with an item that is to be done.
    fn look(&self, spec: &ItemSpec) -> Look {
        let look = self.dispatch.look(self.now.mono, spec);
        match look.stage {
            Stage::OnItsWay if self.congested => Look { stage: Stage::HeldUp, ..look },
            _ => look,
        }
    }

    /// The cause that an item is. `ready`: since when it is to be done.
    fn work(
        &self,
        cause: impl FnOnce(Stage) -> Cause,
        spec: &ItemSpec,
        Look { stage, since, until }: Look,
        ready: Option<Timestamp>,
        evidence: &mut Vec<Evidence>,
    ) -> Found {
        if let Stage::NoVersion { versions, .. } = &stage {
            evidence.push(Evidence::Versions(versions.clone()));
        }
        let remedy = match &stage {
            // Whatever comes of it cannot be written.
            _ if self.disk_full && urgency(&stage) < urgency(&Stage::NoRoom { workers: 0 }) => {
                return Found::of(Cause::DiskFull, Remedy::FreeDisk);
            }
            Stage::SetAside => Remedy::RetryPoisoned,
            Stage::NoWorker | Stage::NoName { .. } | Stage::NoVersion { .. } | Stage::NoRoom { .. } => {
                Remedy::ConnectWorker {
                    kind: if matches!(spec.id, ItemId::Turn(..)) { Kind::Turn } else { Kind::Activity },
                    name: (*spec.name).to_owned(),
                    version: spec.version.as_deref().map(str::to_owned),
                }
            }
            Stage::Running { .. }
            | Stage::Lost { .. }
            | Stage::Delayed { .. }
            | Stage::HeldUp
            | Stage::OnItsWay
            | Stage::TooMuchOpen { .. } => Remedy::Wait,
        };
        let since = since.map(|since| self.wall_of(since)).or(ready);
        Found { cause: cause(stage), since, until: until.map(|until| self.wall_of(until)), remedy }
    }

    /// When it was, or will be, by the wall clock, if that goes with the monotonic one.
    fn wall_of(&self, at: Mono) -> Timestamp {
        let Now { wall, mono } = self.now;
        let before = i64::try_from(mono.since(at).as_micros()).unwrap_or(i64::MAX);
        Timestamp(wall.after(at.since(mono)).0.saturating_sub(before))
    }
}

impl Found {
    fn of(cause: Cause, remedy: Remedy) -> Found {
        Found { cause, since: None, until: None, remedy }
    }
}
