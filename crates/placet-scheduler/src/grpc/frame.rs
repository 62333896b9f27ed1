//! Messages that are sent without being put together: their bytes exist already, and are copied once.

use bytes::{Buf, BufMut, Bytes};
use placet_core::ids::Hub;
use placet_core::wire;
use placet_proto::placet::v1::Ack;
use prost::encoding::{DecodeContext, WireType, encode_varint, encoded_len_varint, skip_field};
use prost::{DecodeError, Message};

/// The key byte of field `n`, length-delimited.
const fn key(field: u8) -> u8 {
    field << 3 | 2
}

macro_rules! send_only {
    ($name:ident) => {
        /// Sent, never received: what is decoded into it is skipped.
        fn merge_field(
            &mut self,
            tag: u32,
            wire_type: WireType,
            buf: &mut impl Buf,
            context: DecodeContext,
        ) -> Result<(), DecodeError> {
            skip_field(wire_type, tag, buf, context)
        }

        fn clear(&mut self) {
            *self = $name::default();
        }
    };
}

/// An encoded `WorkItem`.
#[derive(Debug, Clone, Default)]
pub struct WorkItemFrame(pub Bytes);

impl Message for WorkItemFrame {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    send_only!(WorkItemFrame);
}

/// A `HistoryChunk`, encoded from stored runs of events.
#[derive(Debug, Clone, Default)]
pub struct HistoryChunkFrame(pub Bytes);

impl HistoryChunkFrame {
    /// A chunk of these events.
    pub fn of_events<'a>(events: impl Iterator<Item = &'a [u8]>) -> HistoryChunkFrame {
        let mut chunk = bytes::BytesMut::new();
        for event in events {
            wire::push_event(&mut chunk, wire::CHUNK_EVENTS, event);
        }
        HistoryChunkFrame(chunk.freeze())
    }
}

impl Message for HistoryChunkFrame {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    send_only!(HistoryChunkFrame);
}

/// A `placet.v1.SchedulerFrame`: work items as their bytes, and acknowledgements.
#[derive(Debug, Clone, Default)]
pub struct SchedulerFrameOut {
    /// Encoded `WorkItem`s, each with its hub.
    pub work: Vec<(Hub, Bytes)>,
    /// What became of completions.
    pub acks: Vec<Ack>,
}

/// `SchedulerFrame.work` and `.acks`, `WorkEnvelope.item` and `.hub`.
const WORK: u8 = key(1);
const ACKS: u8 = key(2);
const ITEM: u8 = key(1);
const HUB: u8 = key(2);

impl SchedulerFrameOut {
    fn envelope_len(hub: &Hub, item: &Bytes) -> usize {
        delimited_len(item.len()) + delimited_len(hub.as_str().len())
    }
}

impl Message for SchedulerFrameOut {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for (hub, item) in &self.work {
            buf.put_u8(WORK);
            encode_varint(SchedulerFrameOut::envelope_len(hub, item) as u64, buf);
            put_delimited(buf, ITEM, item);
            put_delimited(buf, HUB, hub.as_str().as_bytes());
        }
        for ack in &self.acks {
            buf.put_u8(ACKS);
            encode_varint(ack.encoded_len() as u64, buf);
            ack.encode_raw(buf);
        }
    }

    fn encoded_len(&self) -> usize {
        let work = self.work.iter().map(|(hub, item)| delimited_len(SchedulerFrameOut::envelope_len(hub, item)));
        let acks = self.acks.iter().map(|ack| delimited_len(ack.encoded_len()));
        work.sum::<usize>() + acks.sum::<usize>()
    }

    send_only!(SchedulerFrameOut);
}

fn put_delimited(buf: &mut impl BufMut, key: u8, bytes: &[u8]) {
    buf.put_u8(key);
    encode_varint(bytes.len() as u64, buf);
    buf.put_slice(bytes);
}

fn delimited_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::WorkItem;
    use placet_proto::placet::v1::{SchedulerFrame, WorkEnvelope};

    use super::*;

    #[test]
    fn a_frame_put_together_from_bytes_decodes_as_the_message_it_is() {
        let item = WorkItem { completion_token: "token".into(), ..WorkItem::default() };
        let ack = Ack { completion_token: "t".into(), stale: true, refused: "no".into() };
        let frame = SchedulerFrameOut {
            work: vec![(Hub::new("default"), item.encode_to_vec().into()), (Hub::new("other"), Bytes::new())],
            acks: vec![ack.clone()],
        };
        let decoded = SchedulerFrame::decode(frame.encode_to_vec().as_slice()).unwrap();
        let envelope = |item, hub: &str| WorkEnvelope { item: Some(item), hub: hub.into() };
        assert_eq!(decoded.work, [envelope(item, "default"), envelope(WorkItem::default(), "other")]);
        assert_eq!(decoded.acks, [ack]);
    }
}
