//! StreamInstanceHistory: the committed history, in chunks of copied bytes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use placet_core::ids::Turn;
use placet_core::wire::{self, Events};
use placet_proto::durabletask::{HistoryChunk, StreamInstanceHistoryRequest};
use tonic::{Request, Response, Status};

use super::messages::{Elsewhere, Messages, Outbound};
use super::metadata;
use super::status::status_of;
use crate::connections::Peer;
use crate::outgoing::{Lent, Ties};
use crate::payloads::damaged;
use crate::scheduler::{CallError, Generation, Page, Scheduler};

/// A chunk is closed at this size: well under what every client accepts (PROTOCOL.md §2.4).
const CHUNK_BYTES: usize = 256 << 10;

pub(super) type Chunks = Elsewhere<HistoryChunk>;

struct Cursor {
    scheduler: Scheduler,
    of: Generation,
    /// Where to read on; absent at the end.
    next: Option<Turn>,
    /// Encoded `HistoryChunk`s.
    chunks: VecDeque<Bytes>,
    peer: Option<Peer>,
    /// Of the page whose chunks are there.
    lent: Option<Lent>,
    ties: Ties,
}

/// An unknown instance, and an execution that is not the current one, have an empty history and no error.
pub(super) async fn stream(
    scheduler: &Scheduler,
    request: Request<StreamInstanceHistoryRequest>,
) -> Result<Response<Chunks>, Status> {
    let (hub, peer) = (metadata::hub(scheduler, &request)?, metadata::peer(&request));
    let request = request.into_inner();
    let wanted = request.execution_id.filter(|id| !id.is_empty());
    let found = scheduler.first_page(hub, &request.instance_id, wanted.as_deref()).await.map_err(|e| status_of(&e))?;
    let Some((of, page)) = found else { return Ok(Response::new(stream::empty())) };
    let ties = Ties::default();
    let (scheduler, chunks) = (scheduler.clone(), VecDeque::new());
    let mut cursor = Cursor { scheduler, of, next: None, chunks, peer, lent: None, ties: ties.clone() };
    cursor.take(page)?;
    let chunks = stream::unfold(cursor, |mut cursor| async move { Some((cursor.next().await?, cursor)) });
    Ok(Messages::answer(chunks, ties))
}

impl Cursor {
    async fn next(&mut self) -> Option<Result<Outbound, Status>> {
        if self.chunks.is_empty()
            && let Some(from) = self.next.take()
            && let Err(status) = self.read(from).await
        {
            return Some(Err(status));
        }
        let chunk = self.chunks.pop_front()?;
        if let Some(lent) = &self.lent {
            self.ties.lend(lent.clone());
        }
        if self.chunks.is_empty() {
            self.lent = None;
        }
        Some(Ok(Outbound::Whole(chunk.into())))
    }

    async fn read(&mut self, from: Turn) -> Result<(), Status> {
        let page = self.scheduler.history(&self.of, from).await.map_err(|e| status_of(&e))?;
        self.take(page)
    }

    fn take(&mut self, Page { rows, share }: Page) -> Result<(), Status> {
        self.next = rows.last().map(|row| row.turn.next());
        let mut chunk = BytesMut::new();
        for event in rows.iter().flat_map(|row| Events(&row.events)) {
            let event = event.map_err(|error| status_of(&CallError::Read(damaged(error))))?;
            if !chunk.is_empty() && chunk.len() + event.len() > CHUNK_BYTES {
                self.chunks.push_back(chunk.split().freeze());
            }
            wire::push_event(&mut chunk, wire::CHUNK_EVENTS, event);
        }
        let bytes = rows.iter().map(|row| row.events.len()).sum();
        self.lent = Some(Lent::new(share, bytes, self.peer.as_ref()));
        if !chunk.is_empty() {
            self.chunks.push_back(chunk.freeze());
        }
        Ok(())
    }
}
