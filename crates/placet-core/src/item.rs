//! A work item as its bytes, in as many pieces as it is made of: what is long is sent from where it lies, and not copied for that.

use std::collections::VecDeque;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

use crate::wire;

/// Bytes of this length are a piece of their own. Shorter ones are copied, which is sooner done than a piece is sent.
pub(crate) const APART_FROM: usize = 64 << 10;

/// An encoded message in pieces.
#[derive(Clone, Debug, Default)]
pub struct Item {
    first: Bytes,
    rest: VecDeque<Bytes>,
    len: usize,
}

impl Item {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its pieces, in order.
    pub fn pieces(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.first).chain(self.rest)
    }

    /// All of it in one piece: copied, if it has several.
    pub fn whole(mut self) -> Bytes {
        self.copy_to_bytes(self.len)
    }
}

impl From<Bytes> for Item {
    fn from(whole: Bytes) -> Item {
        Item { len: whole.len(), first: whole, rest: VecDeque::new() }
    }
}

impl Buf for Item {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "it ends before");
        self.len -= count;
        loop {
            let here = count.min(self.first.len());
            self.first.advance(here);
            count -= here;
            if !self.first.is_empty() {
                return;
            }
            match self.rest.pop_front() {
                Some(next) => self.first = next,
                None => return,
            }
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if count <= self.first.len() {
            let bytes = self.first.split_to(count);
            self.len -= count;
            self.advance(0); // to the next piece, if this one is at its end
            return bytes;
        }
        assert!(count <= self.len, "it ends before");
        let mut bytes = BytesMut::with_capacity(count);
        bytes.put((&mut *self).take(count));
        bytes.freeze()
    }
}

/// Where events are put, each with the tag of the field that it stands in.
pub(crate) trait Run {
    /// Puts an encoded event behind what is there.
    fn put_event(&mut self, key: u8, event: &Bytes);
}

impl Run for BytesMut {
    fn put_event(&mut self, key: u8, event: &Bytes) {
        wire::push_event(self, key, event);
    }
}

/// Makes an item.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// The bytes before the first piece that is apart, once there is one.
    before: Option<BytesMut>,
    pieces: VecDeque<Bytes>,
    /// The bytes behind the last one.
    open: BytesMut,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Writer {
        Writer { open: BytesMut::with_capacity(capacity), ..Writer::default() }
    }

    /// Where what is short is written.
    pub(crate) fn open(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    pub(crate) fn push(&mut self, bytes: &Bytes) {
        if bytes.len() < APART_FROM {
            return self.open.put_slice(bytes);
        }
        self.close();
        self.pieces.push_back(bytes.clone());
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        match self.before {
            None => self.before = Some(open),
            Some(_) if open.is_empty() => {}
            Some(_) => self.pieces.push_back(open.freeze()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        let before = self.before.as_ref().map_or(0, BytesMut::len);
        before + self.pieces.iter().map(Bytes::len).sum::<usize>() + self.open.len()
    }

    /// The item but its first bytes, in whose place `head` puts something else.
    pub(crate) fn finish(mut self, head: impl FnOnce(&mut BytesMut) -> usize) -> Item {
        let length = self.len();
        self.close();
        let mut first = self.before.expect("it was just closed");
        let cut = head(&mut first);
        Item { first: first.freeze().slice(cut..), rest: self.pieces, len: length - cut }
    }
}

impl Run for Writer {
    fn put_event(&mut self, key: u8, event: &Bytes) {
        wire::push_head(&mut self.open, key, event.len());
        self.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> (Item, Vec<u8>) {
        let long = Bytes::from((0..=255).cycle().take(3 * APART_FROM).collect::<Vec<u8>>());
        let mut writer = Writer::with_capacity(8);
        let mut bytes = b"head".to_vec();
        writer.open().put_slice(b"xxhead");
        for part in [Bytes::from_static(b"short"), long.clone(), long.slice(1..), Bytes::from_static(b"end")] {
            writer.push(&part);
            bytes.extend(part);
        }
        (writer.finish(|_| 2), bytes)
    }

    #[test]
    fn its_pieces_are_what_was_written_and_what_is_long_is_a_piece_of_its_own() {
        let (item, bytes) = item();
        assert_eq!((item.len(), item.is_empty()), (bytes.len(), false));
        assert_eq!(item.clone().pieces().collect::<Vec<_>>().concat(), bytes);
        assert_eq!(item.clone().pieces().map(|piece| piece.len()).collect::<Vec<_>>(), [9, 3 << 16, (3 << 16) - 1, 3]);
        assert_eq!(item.whole(), bytes);
        let short = Item::from(Bytes::from_static(b"ab"));
        assert_eq!(short.pieces().collect::<Vec<_>>(), [Bytes::from_static(b"ab")]);
    }

    #[test]
    fn it_is_read_in_steps_of_any_length() {
        for step in [1, 7, 9, 10, APART_FROM, 5 * APART_FROM] {
            let (mut item, bytes) = item();
            let mut read = Vec::new();
            while item.has_remaining() {
                let count = step.min(item.remaining());
                if read.len() % 2 == 0 {
                    read.extend(item.copy_to_bytes(count));
                } else {
                    let here = count.min(item.chunk().len());
                    read.extend(&item.chunk()[..here]);
                    item.advance(here);
                }
            }
            assert_eq!(read, bytes, "{step}");
        }
    }
}
