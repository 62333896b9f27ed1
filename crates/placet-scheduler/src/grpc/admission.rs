//! What comes in over gRPC is counted in the budget as it arrives, before anything is made of it.
//!
//! A small message counts from its bytes' arrival to its call's answer, or until what it asks for is done, if the answer
//! may be long and has to wait for room itself. A large one must find room for all of it: until
//! then its rest stays with its sender. Whoever claims much and sends little gets no room by that, and whoever sends too
//! slowly is refused, as is what is too large in itself. Calls themselves have a number of places, however short they are.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::messages::Messages;
use super::status;
use crate::budget::{Budget, Busy, LARGE_FROM, Share};
use crate::connections::{HeldBack, MESSAGE_TIME_MAX, Peer, time_for};
use crate::outgoing::{Outgoing, Ties};

/// What one message may hold: a payload of 64 MiB and what goes with it. (Python puts every action of a turn into one
/// message, PROTOCOL.md §2.4.)
pub(super) const MESSAGE_BYTES_MAX: usize = 65 << 20;

/// Of a message that was refused, so much is thrown away for its sender to come to its end.
const THROWN_AWAY_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// The frame before each message: whether it is compressed, and its length.
const HEADER_BYTES: usize = 5;

/// What the messages of one call have taken of the budget.
#[derive(Debug, Clone, Default)]
pub(super) struct Charges(Arc<Mutex<VecDeque<Whole>>>);

/// A message that has come.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// To be kept until it is answered.
    pub(super) shares: Vec<Share>,
    /// A large message of a stream comes here, and an empty one in its place on the stream: what reads streams keeps a
    /// buffer as long as its longest message, for as long as the stream lives.
    pub(super) large: Option<Vec<u8>>,
}

impl Charges {
    /// The first message that nobody has taken.
    pub(super) fn take(&self) -> Whole {
        self.lock().pop_front().unwrap_or_default()
    }

    fn put(&self, whole: Whole) {
        self.lock().push_back(whole);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Whole>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the message of a call that brings one has taken of the budget: from now on it is the call's own to give back.
pub(super) fn shares<T>(request: &tonic::Request<T>) -> Vec<Share> {
    request.extensions().get::<Charges>().map(|charges| charges.take().shares).unwrap_or_default()
}

/// The layer around all services.
#[derive(Debug, Clone)]
pub(crate) struct Admission(pub(crate) Budget);

impl<S> Layer<S> for Admission {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { inner, budget: self.0.clone() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Admit<S> {
    inner: S,
    budget: Budget,
}

impl<S> Service<Request<Body>> for Admit<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        // A worker's stream may be silent for as long as it likes; a single message may not.
        let streams = path.ends_with("/Work");
        let Ok(place) = self.budget.place(streams || path.ends_with("/GetWorkItems")) else {
            return Box::pin(async { Ok(status::busy().into_http()) });
        };
        if !is_grpc(request.headers()) {
            // What else comes counts its own bytes (`rest/body.rs`).
            let answer = self.inner.call(request);
            return Box::pin(
                async move { Ok(answer.await?.map(|body| Body::new(Outgoing::of_call(body, None, place)))) },
            );
        }
        let charges = Charges::default();
        let (mut head, body) = request.into_parts();
        head.extensions.insert(charges.clone());
        let peer = head.extensions.get::<Peer>().cloned().unwrap_or_default();
        let metered = Metered::new(body, self.budget.clone(), charges.clone(), streams, peer);
        let answer = self.inner.call(Request::from_parts(head, Body::new(metered)));
        Box::pin(async move {
            let mut answer = answer.await?;
            drop(charges);
            let ties = answer.extensions_mut().remove::<Ties>();
            let messages = answer.extensions_mut().remove::<Messages>().and_then(|messages| messages.take());
            Ok(answer.map(|body| match messages {
                Some(messages) => Body::new(Outgoing::of_call(messages, ties, place)),
                None => Body::new(Outgoing::of_call(body, ties, place)),
            }))
        })
    }
}

/// Whether a call is gRPC's, and not one of HTTP on the same port.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content_type.starts_with(b"application/grpc")
}

/// Where a body stands.
#[derive(Debug)]
enum Place {
    Header { bytes: [u8; HEADER_BYTES], came: usize },
    Message { length: usize, came: usize, granted: bool },
}

const BEGIN: Place = Place::Header { bytes: [0; HEADER_BYTES], came: 0 };

type Wait = BoxFuture<'static, Result<Share, Busy>>;

/// A request's body, counted.
struct Metered {
    body: Body,
    budget: Budget,
    charges: Charges,
    streams: bool,
    peer: Peer,
    place: Place,
    /// Of the message that is coming.
    shares: Vec<Share>,
    large: Option<Vec<u8>>,
    /// It was refused: so much of what its sender still sends has been thrown away.
    refused: Option<(Status, usize)>,
    /// Read, and not let through before there is room.
    held: Option<Frame<Bytes>>,
    wait: Option<(Wait, HeldBack)>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Metered {
    fn new(body: Body, budget: Budget, charges: Charges, streams: bool, peer: Peer) -> Metered {
        Metered {
            body,
            budget,
            charges,
            streams,
            peer,
            place: BEGIN,
            shares: Vec::new(),
            large: None,
            refused: None,
            held: None,
            wait: None,
            deadline: None,
        }
    }

    /// Counts what came. Tells of what must be waited for, and appends what goes on, if that is not all of it.
    fn count(&mut self, data: &[u8], through: &mut Vec<u8>) -> Result<Option<Wait>, Status> {
        let mut wait = None;
        // A large message that was given room is counted as a whole.
        let counted = matches!(self.place, Place::Message { length, granted: true, .. } if length > LARGE_FROM);
        match self.budget.small_now(if counted { 0 } else { data.len() }) {
            Some(_) if counted => {}
            Some(share) => self.shares.push(share),
            None => {
                let (budget, bytes) = (self.budget.clone(), data.len());
                wait = Some(Box::pin(async move { budget.small(bytes).await }) as Wait);
            }
        }
        let mut rest = data;
        while !rest.is_empty() {
            match &mut self.place {
                Place::Header { bytes, came } => {
                    let taken = rest.len().min(HEADER_BYTES - *came);
                    bytes[*came..*came + taken].copy_from_slice(&rest[..taken]);
                    *came += taken;
                    rest = &rest[taken..];
                    if *came == HEADER_BYTES {
                        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                        let length = usize::try_from(length).unwrap_or(usize::MAX);
                        if length > MESSAGE_BYTES_MAX {
                            return Err(status::too_large(length, MESSAGE_BYTES_MAX));
                        }
                        if self.streams && length > LARGE_FROM {
                            self.large = Some(Vec::new());
                        } else if self.streams {
                            through.extend_from_slice(bytes);
                        }
                        self.place = Place::Message { length, came: 0, granted: length <= LARGE_FROM };
                        self.end_of_message(through);
                    }
                }
                Place::Message { length, came, granted } => {
                    let taken = rest.len().min(*length - *came);
                    *came += taken;
                    let part;
                    (part, rest) = rest.split_at(taken);
                    match &mut self.large {
                        Some(large) => large.extend_from_slice(part),
                        None if self.streams => through.extend_from_slice(part),
                        None => {}
                    }
                    // Only who has sent so much gets room for all of it.
                    if !*granted && *came >= LARGE_FROM {
                        *granted = true;
                        let (budget, bytes, streams) = (self.budget.clone(), *length, self.streams);
                        wait = Some(Box::pin(async move {
                            if streams { budget.large_frame(bytes).await } else { budget.large(bytes).await }
                        }));
                    }
                    self.end_of_message(through);
                }
            }
        }
        Ok(wait)
    }

    /// There is room for what came, or for all of a large message.
    fn granted(&mut self, share: Share) {
        if let Place::Message { length, granted: true, .. } = self.place
            && length > LARGE_FROM
        {
            // What is to come was held back until now.
            self.deadline = Some(Box::pin(sleep(time_for(length))));
            if let Some(large) = &mut self.large {
                large.reserve_exact(length - large.len());
            }
        }
        let mut charges = self.charges.lock();
        match (&self.place, charges.back_mut()) {
            // Its message ended with what was held back.
            (Place::Header { .. }, Some(whole)) => whole.shares.push(share),
            _ => self.shares.push(share),
        }
    }

    fn end_of_message(&mut self, through: &mut Vec<u8>) {
        if let Place::Message { length, came, .. } = self.place
            && came == length
        {
            self.place = BEGIN;
            self.deadline = None;
            let (shares, large) = (std::mem::take(&mut self.shares), self.large.take());
            if large.is_some() {
                through.extend_from_slice(&[0; HEADER_BYTES]);
            }
            self.charges.put(Whole { shares, large });
        }
    }

    /// The call is refused. A sender that is cut off in the middle of a message may not read why: what it sends is
    /// thrown away until it has ended, within reason.
    fn refuse(&mut self, status: Status, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        (self.shares, self.wait, self.held) = (Vec::new(), None, None);
        self.refused = Some((status, 0));
        self.throw_away(cx)
    }

    fn throw_away(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        while !self.streams && self.refused.as_ref().is_some_and(|(_, bytes)| *bytes < THROWN_AWAY_MAX) {
            let came = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending if self.is_late(cx) => break,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(Some(Err(_)) | None) => break,
            };
            if let Some((_, bytes)) = &mut self.refused {
                *bytes += came;
            }
        }
        Poll::Ready(self.refused.take().map(|(status, _)| Err(status)))
    }

    /// Whether something is to come, and by when.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let begun = !matches!(self.place, Place::Header { came: 0, .. });
        if self.streams && !begun {
            return false;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(MESSAGE_TIME_MAX)));
        deadline.as_mut().poll(cx).is_ready()
    }
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.refused.is_some() {
            return this.throw_away(cx);
        }
        if let Some((wait, _)) = &mut this.wait {
            let share = ready!(wait.as_mut().poll(cx));
            this.wait = None;
            match share {
                Ok(share) => this.granted(share),
                Err(Busy) => return this.refuse(status::busy(), cx),
            }
        }
        if let Some(frame) = this.held.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let mut frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending if this.is_late(cx) => return Poll::Ready(Some(Err(status::too_slow(MESSAGE_TIME_MAX)))),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
        let data = data.clone();
        let mut through = Vec::new();
        let counted = this.count(&data, &mut through);
        if this.streams {
            frame = Frame::data(through.into());
        }
        match counted {
            Err(refused) => this.refuse(refused, cx),
            Ok(None) => Poll::Ready(Some(Ok(frame))),
            Ok(Some(mut wait)) => match wait.as_mut().poll(cx) {
                Poll::Ready(Ok(share)) => {
                    this.granted(share);
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(Err(Busy)) => this.refuse(status::busy(), cx),
                Poll::Pending => {
                    let Some(held_back) = this.peer.hold_back(this.streams) else {
                        return this.refuse(status::busy(), cx);
                    };
                    (this.held, this.wait) = (Some(frame), Some((wait, held_back)));
                    Poll::Pending
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }
}
