//! Answers of many messages whose bytes exist already: they are sent as they lie, and the long ones are not copied.
//!
//! The transport's own encoder puts each message together in a buffer: an item of 192 MiB a second time. So a service
//! answers with a stream of nothing, and its messages go with that as an extension ([`Messages`]), of which the layer
//! around the services makes the body.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _};
use futures_util::stream::{self, BoxStream, Fuse, Stream, StreamExt as _};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use placet_core::ids::Hub;
use placet_core::item::Item;
use placet_proto::placet::v1::Ack;
use prost::Message as _;
use prost::encoding::{encode_varint, encoded_len_varint};
use tonic::{Code, Response, Status};

use crate::outgoing::{Parts, Ties};

/// Messages that are there together go out together, up to about so many bytes.
const TOGETHER_BYTES: usize = 32 << 10;

/// A message to be sent.
#[derive(Debug)]
pub(super) enum Outbound {
    /// Encoded.
    Whole(Item),
    /// Of a worker's stream.
    Frame(SchedulerFrameOut),
}

impl Outbound {
    fn len(&self) -> usize {
        match self {
            Outbound::Whole(item) => item.len(),
            Outbound::Frame(frame) => frame.len(),
        }
    }

    /// Puts it behind what is there, after its head: that it is not compressed, and its length (gRPC over HTTP/2,
    /// "Length-Prefixed-Message").
    ///
    /// # Errors
    /// If it is too long for any message.
    fn put(self, parts: &mut Parts) -> Result<(), Status> {
        let length = u32::try_from(self.len()).map_err(|_| Status::out_of_range("the answer is longer than 4 GiB"))?;
        parts.open().put_u8(0);
        parts.open().put_u32(length);
        match self {
            Outbound::Whole(item) => put(item, parts),
            Outbound::Frame(frame) => frame.put(parts),
        }
        Ok(())
    }
}

/// The stream that stands for [`Messages`].
pub(super) type Elsewhere<T> = stream::Empty<Result<T, Status>>;

/// An answer's messages, until the layer around the services takes them. Clones are the same one: an extension must have
/// them.
#[derive(Clone)]
pub(super) struct Messages(Arc<Mutex<Option<MessagesBody>>>);

impl Messages {
    /// The answer that stands for these. What is tied to a message is put into `ties` when it is made.
    pub(super) fn answer<T>(
        messages: impl Stream<Item = Result<Outbound, Status>> + Send + 'static,
        ties: Ties,
    ) -> Response<Elsewhere<T>> {
        let body = MessagesBody { messages: messages.boxed().fuse(), end: Some(Status::new(Code::Ok, "")) };
        let mut answer = Response::new(stream::empty());
        answer.extensions_mut().insert(Messages(Arc::new(Mutex::new(Some(body)))));
        answer.extensions_mut().insert(ties);
        answer
    }

    /// The body, for who asks first.
    pub(super) fn take(&self) -> Option<MessagesBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body that they make.
pub(super) struct MessagesBody {
    messages: Fuse<BoxStream<'static, Result<Outbound, Status>>>,
    /// How it ends, until that is told.
    end: Option<Status>,
}

impl Body for MessagesBody {
    type Data = Parts;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Parts>, Status>>> {
        let mut parts = Parts::default();
        while parts.remaining() < TOGETHER_BYTES {
            match self.messages.poll_next_unpin(cx) {
                Poll::Pending if !parts.has_remaining() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Some(message)) => {
                    if let Err(status) = message.and_then(|message| message.put(&mut parts)) {
                        (self.messages, self.end) = (stream::empty().boxed().fuse(), Some(status));
                    }
                }
                Poll::Ready(None) if !parts.has_remaining() => {
                    let Some(end) = self.end.take() else { return Poll::Ready(None) };
                    let mut trailers = HeaderMap::new();
                    end.add_header(&mut trailers)?;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Poll::Ready(None) => break,
            }
        }
        Poll::Ready(Some(Ok(Frame::data(parts))))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A `placet.v1.SchedulerFrame`: work items as their bytes, and acknowledgements.
#[derive(Debug, Default)]
pub(super) struct SchedulerFrameOut {
    /// Encoded `WorkItem`s, each with its hub.
    pub(super) work: Vec<(Hub, Item)>,
    /// What became of completions.
    pub(super) acks: Vec<Ack>,
}

/// The key byte of field `n`, length-delimited.
const fn key(field: u8) -> u8 {
    field << 3 | 2
}

/// `SchedulerFrame.work` and `.acks`, `WorkEnvelope.item` and `.hub`.
const WORK: u8 = key(1);
const ACKS: u8 = key(2);
const ITEM: u8 = key(1);
const HUB: u8 = key(2);

impl SchedulerFrameOut {
    fn len(&self) -> usize {
        let work = self.work.iter().map(|(hub, item)| delimited_len(envelope_len(hub, item)));
        let acks = self.acks.iter().map(|ack| delimited_len(ack.encoded_len()));
        work.sum::<usize>() + acks.sum::<usize>()
    }

    fn put(self, parts: &mut Parts) {
        for (hub, item) in self.work {
            put_head(parts, WORK, envelope_len(&hub, &item));
            put_head(parts, ITEM, item.len());
            put(item, parts);
            put_head(parts, HUB, hub.as_str().len());
            parts.open().put_slice(hub.as_str().as_bytes());
        }
        for ack in self.acks {
            put_head(parts, ACKS, ack.encoded_len());
            ack.encode_raw(parts.open());
        }
    }
}

fn put(item: Item, parts: &mut Parts) {
    item.pieces().for_each(|piece| parts.push(piece));
}

fn envelope_len(hub: &Hub, item: &Item) -> usize {
    delimited_len(item.len()) + delimited_len(hub.as_str().len())
}

fn put_head(parts: &mut Parts, key: u8, length: usize) {
    parts.open().put_u8(key);
    encode_varint(length as u64, parts.open());
}

fn delimited_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use placet_proto::durabletask::WorkItem;
    use placet_proto::placet::v1::{SchedulerFrame, WorkEnvelope};

    use super::*;

    #[test]
    fn a_frame_put_together_from_bytes_decodes_as_the_message_it_is() {
        let short = WorkItem { completion_token: "token".into(), ..WorkItem::default() };
        let long = WorkItem { completion_token: "token".repeat(100_000), ..WorkItem::default() };
        let ack = Ack { completion_token: "t".into(), stale: true, refused: "no".into() };
        let items = [&short, &long, &WorkItem::default()]
            .map(|item| (Hub::new("hub"), Bytes::from(item.encode_to_vec()).into()));
        let frame = SchedulerFrameOut { work: items.into(), acks: vec![ack.clone()] };
        let length = frame.len();

        let mut parts = Parts::default();
        Outbound::Frame(frame).put(&mut parts).unwrap();
        let mut sent = Vec::new();
        while parts.has_remaining() {
            sent.extend(parts.split_to(100));
        }
        let (head, message) = sent.split_at(5);
        assert_eq!(head[0], 0, "not compressed");
        assert_eq!(head[1..], u32::try_from(length).unwrap().to_be_bytes());
        let decoded = SchedulerFrame::decode(message).unwrap();
        let envelope = |item| WorkEnvelope { item: Some(item), hub: "hub".into() };
        assert_eq!(decoded.work, [envelope(short), envelope(long), envelope(WorkItem::default())]);
        assert_eq!(decoded.acks, [ack]);
    }
}
