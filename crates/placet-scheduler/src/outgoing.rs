//! What goes out counts until the connection has written it.
//!
//! A transport takes all of a frame as soon as its peer lets it send any of it, and asks for the next one: what it cannot
//! send yet lies in a buffer of its own. So what an answer takes of the budget, the patience with its reader, and whether a
//! worker has read an item go with the bytes themselves, and end with them. Long frames go in pieces: the transport takes
//! no more of them than there is room for, and who reads slowly can be told from who reads nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use crate::budget::Share;
use crate::connections::{Patience, Peer, time_for};
use crate::worker::Unread;

/// A frame that counts goes to the transport in pieces of so much: what a peer lets it send at first, as a rule.
const PIECE_BYTES: usize = 64 << 10;

/// Of what is put together from parts, a part that is longer is sent as it lies.
const COPIED_MAX: usize = 16 << 10;

/// Bytes in several parts: the long ones are shared, not copied.
#[derive(Debug, Default)]
pub struct Parts {
    /// None is empty.
    closed: VecDeque<Bytes>,
    open: BytesMut,
    closed_len: usize,
}

impl Parts {
    /// Where short ones are written, behind all that is there.
    pub(crate) fn open(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    /// These come behind all that is there.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED_MAX {
            return self.open.extend_from_slice(&bytes);
        }
        self.close();
        self.closed_len += bytes.len();
        self.closed.push_back(bytes);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.closed_len += self.open.len();
            self.closed.push_back(self.open.split().freeze());
        }
    }

    /// The first of its bytes, as many as lie together, up to `most`.
    pub(crate) fn split_to(&mut self, most: usize) -> Bytes {
        if self.closed.is_empty() {
            self.close();
        }
        let Some(first) = self.closed.front_mut() else { return Bytes::new() };
        let bytes = first.split_to(most.min(first.len()));
        if first.is_empty() {
            self.closed.pop_front();
        }
        self.closed_len -= bytes.len();
        bytes
    }
}

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.closed_len + self.open.len()
    }

    fn chunk(&self) -> &[u8] {
        self.closed.front().map_or(&self.open, |first| first)
    }

    fn advance(&mut self, count: usize) {
        let after = self.remaining().checked_sub(count).expect("so many bytes are there");
        while self.remaining() > after {
            self.split_to(self.remaining() - after);
        }
    }
}

impl From<Bytes> for Parts {
    fn from(bytes: Bytes) -> Parts {
        let mut parts = Parts { closed_len: bytes.len(), ..Parts::default() };
        if !bytes.is_empty() {
            parts.closed.push_back(bytes);
        }
        parts
    }
}

/// What an answer has taken of somebody's room, and how long its reader may take.
#[derive(Clone)]
pub struct Lent {
    _kept: Arc<(Box<dyn Send + Sync>, Option<Patience>)>,
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

impl Lent {
    /// For an answer of about so many bytes. The room is given back when the last of these is dropped.
    pub fn new(room: impl Send + Sync + 'static, bytes: usize, peer: Option<&Peer>) -> Lent {
        Lent { _kept: Arc::new((Box::new(room), peer.map(|peer| peer.cut_after(time_for(bytes))))) }
    }
}

/// What is tied to the next bytes of an answer. Clones are the same one: whoever makes the answer puts it in, and
/// [`Outgoing`] takes it out with the bytes that were made meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Ties(Arc<Mutex<Tied>>);

#[derive(Debug, Default)]
struct Tied {
    lent: Vec<Lent>,
    unread: Option<Unread>,
}

impl Ties {
    /// This is given back when the next bytes are written.
    pub fn lend(&self, lent: Lent) {
        self.lock().lent.push(lent);
    }

    /// This is read when the next bytes are written.
    pub(crate) fn unread(&self, more: Unread) {
        match &mut self.lock().unread {
            Some(unread) => unread.add(more),
            unread => *unread = Some(more),
        }
    }

    fn take(&self) -> Tied {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Tied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tied {
    fn is_empty(&self) -> bool {
        self.lent.is_empty() && self.unread.is_none()
    }

    /// What goes with the first so many bytes.
    fn part(&mut self, bytes: usize) -> Tied {
        Tied { lent: self.lent.clone(), unread: self.unread.as_mut().map(|unread| unread.split(bytes)) }
    }
}

/// An answer's body, whose bytes carry what is tied to them.
#[derive(Debug)]
pub struct Outgoing<B> {
    body: B,
    ties: Option<Ties>,
    /// Of a frame that goes in pieces.
    rest: Option<(Parts, Tied)>,
    /// Of its call, which ends with it.
    _place: Option<Share>,
}

impl<B> Outgoing<B> {
    /// A body, and where that is put which is tied to it.
    pub fn new(body: B, ties: Ties) -> Outgoing<B> {
        Outgoing { body, ties: Some(ties), rest: None, _place: None }
    }

    /// The body of a call that has this place.
    pub(crate) fn of_call(body: B, ties: Option<Ties>, place: Share) -> Outgoing<B> {
        Outgoing { body, ties, rest: None, _place: Some(place) }
    }
}

impl<B: Body<Data: Into<Parts>> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let (mut parts, mut tied) = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(parts_of) {
                Some(Ok(Ok(parts))) => (parts, self.ties.as_ref().map(Ties::take).unwrap_or_default()),
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            },
        };
        let counts = !tied.is_empty();
        let mut bytes = parts.split_to(if counts { PIECE_BYTES } else { usize::MAX });
        if counts {
            let _tied = if !parts.has_remaining() { std::mem::take(&mut tied) } else { tied.part(bytes.len()) };
            bytes = Bytes::from_owner(Piece { bytes, _tied });
        }
        self.rest = parts.has_remaining().then_some((parts, tied));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.as_ref().map_or(0, |(parts, _)| parts.remaining() as u64));
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}

/// What a frame holds, if it is no other.
fn parts_of<D: Into<Parts>, E>(frame: Result<Frame<D>, E>) -> Result<Result<Parts, Frame<Bytes>>, E> {
    Ok(frame?.into_data().map(D::into).map_err(|other| other.map_data(|_| Bytes::new())))
}

/// Bytes, and what ends with them.
struct Piece {
    bytes: Bytes,
    _tied: Tied,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
