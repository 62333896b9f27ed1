//! What is kept of a turn for those who ask why its instance waits: what its worker tells, or what can be seen from outside.

use placet_proto::durabletask::ExecutionSuspendedEvent;
use placet_proto::placet::v1;

use super::Timestamp;
use crate::body::{MessageKind, Named, PendingRetry, Suspension, Waits};
use crate::limits;
use crate::partition::{Instance, Message};

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

/// What a worker told with a turn that took the first `messages`, at this time.
pub(crate) fn waits_told(instance: &Instance, messages: usize, told: v1::Waits, at: Timestamp) -> Waits {
    let before = instance.body.waits.as_ref();
    let came = events_of(instance, messages);
    let since = |name: &str| {
        // Names are matched without case. One that came now was taken: another one is awaited since.
        let is = |named: &&Named| named.name.to_lowercase() == name.to_lowercase();
        let waited = before.filter(|_| came.iter().find(is).is_none());
        waited.and_then(|before| before.events.iter().find(is)).map_or(at.0, |named| named.at)
    };
    let all = told.events.len();
    let names = told.events.into_iter().filter(|name| is_kept(name)).take(limits::WAITS_EVENTS_MAX);
    let events: Vec<Named> = names.map(|name| Named { at: since(&name), name }).collect();
    let left_out = u32::try_from(all - events.len()).unwrap_or(u32::MAX);
    let unread = told.unread.into_iter().filter(|event| is_kept(&event.name)).map(|event| {
        let at = event.received_at.as_ref().map_or(at, Timestamp::from_proto);
        Named { name: event.name, at: at.0 }
    });
    let tasks_more = told.tasks_more || told.tasks.len() > limits::WAITS_TASKS_MAX;
    let retries = told.retries.into_iter().filter(|retry| is_kept(&retry.name)).take(limits::WAITS_RETRIES_MAX);
    Waits {
        told: true,
        events,
        events_more: told.events_more.saturating_add(left_out),
        unread: last(unread.collect(), limits::WAITS_UNREAD_MAX),
        tasks: if tasks_more { Vec::new() } else { told.tasks },
        tasks_more,
        retries: retries
            .map(|retry| PendingRetry {
                timer_id: retry.timer_id,
                name: retry.name,
                attempt: retry.attempt,
                attempts_max: retry.attempts_max,
                error: cut(retry.error_type, limits::WAITS_NAME_BYTES_MAX),
            })
            .collect(),
    }
}

impl Waits {
    /// What can be seen from outside of a turn that took the first `messages`: with which events its code did nothing, and
    /// that it set a timer when something had failed. `timer`: the first one that it set.
    pub(crate) fn seen(instance: &Instance, messages: usize, did_nothing: bool, timer: Option<i32>) -> Option<Waits> {
        let mut waits = Waits::default();
        if did_nothing {
            let before = instance.body.waits.as_ref().filter(|before| !before.told);
            (waits.unread, waits.retries) =
                before.map(|before| (before.unread.clone(), before.retries.clone())).unwrap_or_default();
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
        Some(waits).filter(|waits| *waits != Waits::default())
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
    use prost::Message as _;

    use super::*;
    use crate::body::InstanceBody;
    use crate::ids::{Hub, Iid, InstanceId, InstanceKey};

    fn kept(told: v1::Waits) -> Waits {
        let key = InstanceKey::new(Hub::new("default"), InstanceId::new("i"));
        let instance = Instance::new(Iid(1), key, "n", Timestamp(0), InstanceBody::default());
        waits_told(&instance, 0, told, Timestamp(1_780_000_000_000_000))
    }

    #[test]
    fn what_is_kept_of_an_event_against_a_timer_takes_38_bytes_of_its_row() {
        let told = v1::Waits { events: vec!["approval_response".into()], tasks: vec![2], ..v1::Waits::default() };
        let body = |waits| InstanceBody { waits, ..InstanceBody::default() }.encoded_len();
        assert_eq!(body(Some(kept(told))) - body(None), 38);
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
        let kept = kept(told);
        assert_eq!((kept.events.len(), kept.events_more), (limits::WAITS_EVENTS_MAX, u32::MAX));
        let unread: Vec<&str> = kept.unread.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(unread, ["event-5", "event-6", "event-7", "event-8"], "the last ones");
        assert_eq!((kept.tasks.len(), kept.tasks_more), (0, true), "any may be awaited");
        assert_eq!((kept.retries.len(), kept.retries[0].error.len()), (4, limits::WAITS_NAME_BYTES_MAX));
    }
}
