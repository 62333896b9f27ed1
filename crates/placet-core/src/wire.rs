//! Bytes that are passed on without being decoded: history events are encoded once, when they are recorded,
//! and from then on copied.
//!
//! A *run* of events is a sequence of length-delimited `HistoryEvent` fields, each with the tag of the field
//! that it stands in. Stored runs are `OrchestratorRequest.pastEvents`.

use bytes::{BufMut, Bytes, BytesMut};
use placet_proto::durabletask::{HistoryEvent, OrchestratorRequest, history_event::EventType};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use crate::item::{APART_FROM, Item, Writer};
use crate::time::Timestamp;

/// The key byte of field `n`, length-delimited. All fields used here are below 16: one byte.
const fn key(field: u8) -> u8 {
    field << 3 | 2
}

/// `OrchestratorRequest.pastEvents`, and so of every stored run.
pub const PAST_EVENTS: u8 = key(3);
/// `OrchestratorRequest.newEvents`.
pub const NEW_EVENTS: u8 = key(4);
/// `HistoryChunk.events`.
pub const CHUNK_EVENTS: u8 = key(1);
/// `InboxMessage.event`.
pub const MESSAGE_EVENT: u8 = key(2);
/// `WorkItem.orchestratorRequest`.
const ITEM_TURN: u8 = key(1);
/// `WorkItem.activityRequest`.
const ITEM_ACTIVITY: u8 = key(2);
/// `WorkItem.completionToken`.
const ITEM_TOKEN: u8 = key(10);

/// Whether a trace context is as short as they are: a longer one is dropped, since it is written with its instance.
pub(crate) fn is_short(trace: &impl Message) -> bool {
    trace.encoded_len() <= crate::limits::TRACE_BYTES_MAX
}

/// An event as it is stored: `id` is the action's for confirmations, -1 for all else (PROTOCOL.md §6.2).
pub fn event(id: i32, at: Timestamp, event_type: EventType) -> Bytes {
    let event = HistoryEvent { event_id: id, timestamp: Some(at.to_proto()), event_type: Some(event_type) };
    event.encode_to_vec().into()
}

/// Appends one encoded event to a run.
pub fn push_event(run: &mut BytesMut, key: u8, event: &[u8]) {
    push_head(run, key, event.len());
    run.put_slice(event);
}

/// The same of an event that is not encoded yet: it is put in place where it stays, since it may be long.
pub fn push_new(run: &mut BytesMut, key: u8, id: i32, at: Timestamp, event_type: EventType) {
    let event = HistoryEvent { event_id: id, timestamp: Some(at.to_proto()), event_type: Some(event_type) };
    let length = event.encoded_len();
    run.reserve(pushed_len(length));
    push_head(run, key, length);
    event.encode_raw(run);
}

/// What stands before bytes of this length.
pub(crate) fn push_head(run: &mut BytesMut, key: u8, length: usize) {
    run.put_u8(key);
    encode_varint(length as u64, run);
}

/// How long an event is in a run.
pub fn pushed_len(event: usize) -> usize {
    1 + encoded_len_varint(event as u64) + event
}

/// Copies a run, giving its events the tag of another field.
///
/// # Panics
/// If the run is not one.
pub fn push_run(target: &mut BytesMut, key: u8, run: &[u8]) {
    target.reserve(run.len());
    for event in Events(run) {
        push_event(target, key, event.expect("a run"));
    }
}

/// What was taken for a run is none: it breaks off within an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the events of a turn break off")]
pub struct BrokenRun;

/// The events of a run, each as encoded. A run comes from a store: where it breaks off, an error is the last.
#[derive(Debug, Clone)]
pub struct Events<'a>(pub &'a [u8]);

impl<'a> Iterator for Events<'a> {
    type Item = Result<&'a [u8], BrokenRun>;

    fn next(&mut self) -> Option<Result<&'a [u8], BrokenRun>> {
        let (_, mut rest) = self.0.split_first()?;
        let length = decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok());
        let split = length.and_then(|length| rest.split_at_checked(length));
        self.0 = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(event, _)| event).ok_or(BrokenRun))
    }
}

/// An encoded `WorkItem` that holds an orchestrator turn: `head` is the request without its events, `new` puts the new
/// ones, of which about `new_len` bytes are short. What is long of either lies where it lay: all of it may be 192 MiB.
pub(crate) fn turn_item(
    head: &OrchestratorRequest,
    past: &[Bytes],
    token: &str,
    new_len: usize,
    new: impl FnOnce(&mut Writer),
) -> Item {
    let past_len: usize = past.iter().map(Bytes::len).filter(|len| *len < APART_FROM).sum();
    let short = LENGTH_ROOM + head.encoded_len() + token.len() + 512;
    // The length stands before what it is the length of: room for it is left, and what is not used is cut off.
    let mut item = Writer::with_capacity(short + past_len + new_len);
    item.open().put_bytes(0, LENGTH_ROOM);
    head.encode_raw(item.open());
    past.iter().for_each(|run| item.push(run));
    new(&mut item);
    let length = (item.len() - LENGTH_ROOM) as u64;
    push_token(item.open(), token);
    item.finish(|first| {
        let begin = LENGTH_ROOM - encoded_len_varint(length) - 1;
        first[begin] = ITEM_TURN;
        encode_varint(length, &mut &mut first[begin + 1..LENGTH_ROOM]);
        begin
    })
}

/// A key and the longest length.
const LENGTH_ROOM: usize = 1 + 10;

/// An encoded `WorkItem` that holds an activity.
pub fn activity_item(request: &placet_proto::durabletask::ActivityRequest, token: &str) -> Bytes {
    let length = request.encoded_len();
    let mut item = BytesMut::with_capacity(length + token.len() + 8 + encoded_len_varint(length as u64));
    item.put_u8(ITEM_ACTIVITY);
    encode_varint(length as u64, &mut item);
    request.encode_raw(&mut item);
    push_token(&mut item, token);
    item.freeze()
}

/// An encoded `WorkItem` that holds a health ping.
pub fn ping_item() -> Bytes {
    const PING: [u8; 2] = [key(4), 0]; // WorkItem.healthPing, an empty message
    Bytes::from_static(&PING)
}

fn push_token(item: &mut BytesMut, token: &str) {
    item.put_u8(ITEM_TOKEN);
    encode_varint(token.len() as u64, item);
    item.put_slice(token.as_bytes());
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::work_item::Request;
    use placet_proto::durabletask::{EventRaisedEvent, WorkItem};

    use super::*;

    fn raised(name: &str) -> Bytes {
        event(-1, Timestamp(5), EventType::EventRaised(EventRaisedEvent { name: name.into(), ..Default::default() }))
    }

    #[test]
    fn a_run_that_breaks_off_ends_with_an_error_wherever_it_does() {
        let mut run = BytesMut::new();
        push_event(&mut run, PAST_EVENTS, &raised("one"));
        let whole = run.len();
        push_event(&mut run, PAST_EVENTS, &raised("two"));
        for length in 0..=run.len() {
            let events: Vec<_> = Events(&run[..length]).collect();
            let expected = usize::from(length >= whole) + usize::from(length == run.len());
            assert_eq!(events.iter().filter(|event| event.is_ok()).count(), expected, "{length}");
            let breaks_off = ![0, whole, run.len()].contains(&length);
            assert_eq!(events.last() == Some(&Err(BrokenRun)), breaks_off, "{length}");
        }
        assert_eq!(Events(&[26, 255]).next(), Some(Err(BrokenRun)));
    }

    #[test]
    fn an_item_put_together_from_bytes_decodes_as_the_message_it_is() {
        let mut past = BytesMut::new();
        push_event(&mut past, PAST_EVENTS, &raised("one"));
        push_event(&mut past, PAST_EVENTS, &raised("two"));
        let mut new = BytesMut::new();
        push_run(&mut new, NEW_EVENTS, &past);
        let head = OrchestratorRequest { instance_id: "x".into(), ..Default::default() };
        let item = turn_item(&head, &[past.freeze()], "token", new.len(), |item| item.open().put_slice(&new));
        let decoded = WorkItem::decode(item).unwrap();
        assert_eq!(decoded.completion_token, "token");
        let Some(Request::OrchestratorRequest(request)) = decoded.request else { panic!("{decoded:?}") };
        assert_eq!(request.instance_id, "x");
        assert_eq!(request.past_events.len(), 2);
        assert_eq!(request.new_events, request.past_events);
        assert_eq!(WorkItem::decode(ping_item()).unwrap().request, Some(Request::HealthPing(Default::default())));
    }
}
