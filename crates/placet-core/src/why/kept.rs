//! What is kept of a turn for those who ask why its instance waits: what its worker tells, or what can be seen from outside.

use placet_proto::durabletask::ExecutionSuspendedEvent;
use placet_proto::placet::v1;
use prost::Message as _;

use super::Timestamp;
use crate::body::{KeptWaits, MessageKind, Named, PendingRetry, Suspension, ToldWaits, Waits};
use crate::limits;
use crate::partition::{Instance, Message};
use crate::wire::Events;

/// Of a history event what tells people of it: of all else in it no value is made.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EventHead {
    #[prost(message, optional, tag = "2")]
    timestamp: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "8")]
    task_failed: Option<FailedHead>,
    #[prost(message, optional, tag = "11")]
    child_failed: Option<FailedHead>,
    #[prost(message, optional, tag = "17")]
    raised: Option<RaisedHead>,
    #[prost(message, optional, tag = "21")]
    suspended: Option<ExecutionSuspendedEvent>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RaisedHead {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FailedHead {
    #[prost(message, optional, tag = "2")]
    details: Option<FailureHead>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FailureHead {
    #[prost(string, tag = "1")]
    error_type: String,
}

impl EventHead {
    /// Of a message; of one that is no event, nothing.
    pub(super) fn of(message: &Message) -> EventHead {
        prost::Message::decode(message.message.event.clone()).unwrap_or_default()
    }

    /// When it was recorded.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.timestamp.as_ref().map(Timestamp::from_proto)
    }

    /// The event's name, if it is an external one whose name can be kept.
    pub(super) fn named(self) -> Option<Named> {
        let at = self.at().unwrap_or_default().0;
        self.raised.map(|raised| raised.name).filter(|name| is_kept(name)).map(|name| Named { name, at })
    }

    fn error(self) -> Option<String> {
        let failed = self.task_failed.or(self.child_failed)?;
        Some(cut(failed.details.unwrap_or_default().error_type, limits::WAITS_NAME_BYTES_MAX))
    }
}

fn is_kept(name: &str) -> bool {
    name.len() <= limits::WAITS_NAME_BYTES_MAX
}

/// The beginning of a text.
fn cut(mut text: String, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}

/// What is kept of the beginning of a suspension.
pub(crate) fn suspension(message: &Message) -> Suspension {
    let head = EventHead::of(message);
    let at = head.at().unwrap_or_default().0;
    let reason = head.suspended.and_then(|suspended| suspended.input).filter(|reason| !reason.is_empty());
    Suspension { at, reason: reason.map(|reason| cut(reason, limits::REASON_BYTES_MAX)) }
}

/// What is kept of what a worker told with a turn that took the first `messages`, at this time. Next to nothing of it is read.
pub(crate) fn waits_told(instance: &Instance, messages: usize, mut told: Vec<u8>, at: Timestamp) -> KeptWaits {
    if told.len() > limits::WAITS_BYTES_MAX {
        told = bounded(decode(&told)).encode_to_vec();
    }
    let before = match &instance.body.waits {
        Some(KeptWaits::Told(before)) if events(&before.waits).next().is_some() => Some(before),
        _ => None,
    };
    let since = before.map(|before| since(before, &events_of(instance, messages), &told, at.0)).unwrap_or_default();
    KeptWaits::Told(ToldWaits { waits: told, at: at.0, since })
}

/// Since when each of the events is awaited that a worker tells of now; nothing if all are since now.
fn since(before: &ToldWaits, came: &[Named], told: &[u8], now: i64) -> Vec<i64> {
    let since = |name: &str| {
        // One that came now was taken: another one is awaited since.
        let before = (!came.iter().any(|event| is_same(&event.name, name))).then_some(before)?;
        awaited(before).find(|(awaited, _)| is_same(awaited, name)).map(|(_, at)| at)
    };
    let since: Vec<i64> = events(told).map(|name| since(name).unwrap_or(now)).collect();
    if since.iter().all(|at| *at == now) { Vec::new() } else { since }
}

/// The events that a worker told of, each since when.
fn awaited(told: &ToldWaits) -> impl Iterator<Item = (&str, i64)> {
    let since = told.since.iter().copied().chain(std::iter::repeat(told.at));
    events(&told.waits).zip(since)
}

/// `placet.v1.Waits.events`, which can be kept. They stand first, since fields are written in the order of their numbers, and
/// nothing else is looked at.
fn events(told: &[u8]) -> impl Iterator<Item = &str> {
    const EVENT: u8 = 1 << 3 | 2;
    let mut fields = Events(told);
    let events = std::iter::from_fn(move || fields.0.starts_with(&[EVENT]).then(|| fields.next()?.ok()).flatten());
    let names = events.filter_map(|name| str::from_utf8(name).ok());
    names.filter(|name| is_kept(name)).take(limits::WAITS_EVENTS_MAX)
}

/// Names are matched without case.
fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || (!one.is_ascii() && one.to_lowercase() == other.to_lowercase())
}

fn decode(told: &[u8]) -> v1::Waits {
    // Of what cannot be read nothing is known, so that anything may be awaited.
    v1::Waits::decode(told).unwrap_or_else(|_| v1::Waits { tasks_more: true, ..v1::Waits::default() })
}

/// As much of what a worker told as people read.
fn bounded(mut told: v1::Waits) -> v1::Waits {
    let all = told.events.len();
    told.events.retain(|name| is_kept(name));
    told.events.truncate(limits::WAITS_EVENTS_MAX);
    let left_out = u32::try_from(all - told.events.len()).unwrap_or(u32::MAX);
    told.events_more = told.events_more.saturating_add(left_out);
    told.unread.retain(|event| is_kept(&event.name));
    told.unread = last(told.unread, limits::WAITS_UNREAD_MAX);
    if told.tasks_more || told.tasks.len() > limits::WAITS_TASKS_MAX {
        (told.tasks_more, told.tasks) = (true, Vec::new());
    }
    told.retries.retain(|retry| is_kept(&retry.name));
    told.retries.truncate(limits::WAITS_RETRIES_MAX);
    for retry in &mut told.retries {
        retry.error_type = cut(std::mem::take(&mut retry.error_type), limits::WAITS_NAME_BYTES_MAX);
    }
    told
}

impl KeptWaits {
    /// For somebody who asks.
    pub fn read(&self) -> Waits {
        let told = match self {
            KeptWaits::Seen(waits) => return waits.clone(),
            KeptWaits::Told(told) => told,
        };
        let v1::Waits { events_more, unread, tasks, tasks_more, retries, .. } = bounded(decode(&told.waits));
        let unread = unread.into_iter().map(|event| {
            let at = event.received_at.as_ref().map_or(told.at, |at| Timestamp::from_proto(at).0);
            Named { name: event.name, at }
        });
        let retries = retries.into_iter().map(|retry| PendingRetry {
            timer_id: retry.timer_id,
            name: retry.name,
            attempt: retry.attempt,
            attempts_max: retry.attempts_max,
            error: retry.error_type,
        });
        Waits {
            told: true,
            events: awaited(told).map(|(name, at)| Named { name: name.to_owned(), at }).collect(),
            events_more,
            unread: unread.collect(),
            tasks,
            tasks_more,
            retries: retries.collect(),
        }
    }
}

impl Waits {
    /// What can be seen from outside of a turn that took the first `messages`: with which events its code did nothing, and
    /// that it set a timer when something had failed. `timer`: the first one that it set.
    pub(crate) fn seen(
        instance: &Instance,
        messages: usize,
        did_nothing: bool,
        timer: Option<i32>,
    ) -> Option<KeptWaits> {
        let mut waits = Waits::default();
        if did_nothing {
            if let Some(KeptWaits::Seen(before)) = &instance.body.waits {
                (waits.unread, waits.retries) = (before.unread.clone(), before.retries.clone());
            }
            waits.unread.append(&mut events_of(instance, messages));
            waits.unread = last(std::mem::take(&mut waits.unread), limits::WAITS_UNREAD_MAX);
        }
        if let Some(timer_id) = timer {
            let mut taken = instance.inbox.iter().take(messages.min(limits::WHY_LOOKED_AT_MAX));
            let failed = taken.find_map(|entry| match entry.message.kind() {
                MessageKind::Result => EventHead::of(entry).error(),
                _ => None,
            });
            waits.retries.extend(failed.map(|error| PendingRetry { timer_id, error, ..PendingRetry::default() }));
        }
        Some(waits).filter(|waits| *waits != Waits::default()).map(KeptWaits::Seen)
    }
}

/// The external events among the first messages, as far as they are looked at.
fn events_of(instance: &Instance, messages: usize) -> Vec<Named> {
    let taken = instance.inbox.iter().take(messages.min(limits::WHY_LOOKED_AT_MAX));
    let raised = taken.filter(|entry| entry.message.kind() == MessageKind::Raised);
    raised.filter_map(|entry| EventHead::of(entry).named()).collect()
}

fn last<T>(mut list: Vec<T>, most: usize) -> Vec<T> {
    list.drain(..list.len().saturating_sub(most));
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::InstanceBody;
    use crate::ids::{Hub, Iid, InstanceId, InstanceKey};

    fn kept(told: &v1::Waits) -> KeptWaits {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new("i"));
        let instance = Instance::new(Iid(1), key, "n", Timestamp(0), InstanceBody::default());
        waits_told(&instance, 0, told.encode_to_vec(), Timestamp(1_780_000_000_000_000))
    }

    #[test]
    fn what_is_kept_of_an_event_against_a_timer_takes_36_bytes_of_its_row() {
        let told = v1::Waits { events: vec!["approval_response".into()], tasks: vec![2], ..v1::Waits::default() };
        let body = |waits| InstanceBody { waits, ..InstanceBody::default() }.encoded_len();
        assert_eq!(body(Some(kept(&told))) - body(None), 36);
    }

    #[test]
    fn of_what_a_worker_tells_no_more_is_kept_than_may_be() {
        let long = "é".repeat(limits::WAITS_NAME_BYTES_MAX);
        let names = |many: usize| (0..many).map(|n| format!("event-{n}")).chain([long.clone()]).collect::<Vec<_>>();
        let unread = names(9).into_iter().map(|name| v1::UnreadEvent { name, received_at: None });
        let retry = v1::Retry { error_type: long.clone(), ..v1::Retry::default() };
        let told = v1::Waits {
            events: names(1_000),
            events_more: u32::MAX,
            unread: unread.collect(),
            tasks: (0..17).collect(),
            tasks_more: false,
            retries: vec![retry; 9],
        };
        let kept = kept(&told);
        let KeptWaits::Told(told) = &kept else { panic!("{kept:?}") };
        assert!(told.waits.len() <= limits::WAITS_BYTES_MAX, "{}", told.waits.len());
        let kept = kept.read();
        assert_eq!((kept.events.len(), kept.events_more), (limits::WAITS_EVENTS_MAX, u32::MAX));
        let unread: Vec<&str> = kept.unread.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(unread, ["event-5", "event-6", "event-7", "event-8"], "the last ones");
        assert_eq!((kept.tasks.len(), kept.tasks_more), (0, true), "any may be awaited");
        assert_eq!((kept.retries.len(), kept.retries[0].error.len()), (4, limits::WAITS_NAME_BYTES_MAX));
    }

    #[test]
    fn what_nobody_can_read_is_known_of_nothing() {
        let waits = KeptWaits::Told(ToldWaits { waits: vec![0xFF], ..ToldWaits::default() }).read();
        assert_eq!(waits, Waits { told: true, tasks_more: true, ..Waits::default() });
    }
}
