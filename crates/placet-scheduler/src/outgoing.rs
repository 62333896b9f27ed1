//! What goes out counts until the connection has written it.
//!
//! A transport takes all of a frame as soon as its peer lets it send any of it, and asks for the next one: what it cannot
//! send yet lies in a buffer of its own. So what an answer takes of the budget, the patience with its reader, and whether a
//! worker has read an item go with the bytes themselves, and end with them. Long frames go in pieces: the transport takes
//! no more of them than there is room for, and who reads slowly can be told from who reads nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::budget::Share;
use crate::connections::{Patience, Peer, time_for};
use crate::worker::Unread;

/// A frame that counts goes to the transport in pieces of so much: what a peer lets it send at first, as a rule.
const PIECE_BYTES: usize = 64 << 10;

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
    rest: Option<(Bytes, Tied)>,
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

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let (mut bytes, mut tied) = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => (bytes, self.ties.as_ref().map(Ties::take).unwrap_or_default()),
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            },
        };
        if tied.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let piece = if bytes.len() > PIECE_BYTES {
            let piece = Piece { bytes: bytes.split_to(PIECE_BYTES), _tied: tied.part(PIECE_BYTES) };
            self.rest = Some((bytes, tied));
            piece
        } else {
            Piece { bytes, _tied: tied }
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64));
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
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
