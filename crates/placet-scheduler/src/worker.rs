//! A worker's stream, as the edges use it: items come out, completions go in, acknowledgements come out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use placet_core::command::{CompleteTurn, Refusal, Reply};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::{Hub, StreamId};
use placet_core::item::Item;
use placet_core::limits;
use placet_core::shard::Input;
use placet_core::token::Token;
use placet_proto::durabletask::ActivityResponse;
use placet_proto::placet::v1::{Ack, Completions, TurnCompletion};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use crate::budget::Share;
use crate::connections::Peer;
use crate::driver::{Message, ReplyTo};
use crate::scheduler::Scheduler;

/// What comes out of a worker's stream.
#[derive(Debug)]
pub enum StreamOut {
    /// A work item, encoded.
    Item {
        /// Its hub.
        hub: Hub,
        /// An encoded `WorkItem`.
        item: Item,
        /// Its share of the budget, if it is long.
        share: Option<Share>,
    },
    /// What became of a completion.
    Ack(Ack),
    /// A sign of life.
    Ping,
    /// The server ends the stream: it is stopping, or starts over.
    Closed,
}

/// A worker that takes nothing of what was sent to it for so long is cut off: others may have its work.
const STALLED: Duration = Duration::from_secs(60);

/// Bytes that wait to be read beyond which the worker's completions wait: each is answered on the stream.
const BACKLOG_BYTES_MAX: usize = 8 << 20;

/// Where a stream's items go. Items are bounded by the dispatch, which is told what was read; acknowledgements by the
/// completions that cause them, which are not taken while too much waits to be read.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    items: UnboundedSender<StreamOut>,
    progress: Arc<Progress>,
}

/// How much a stream was sent and has read, in bytes.
#[derive(Debug, Default)]
struct Progress {
    sent: AtomicUsize,
    read: AtomicUsize,
    has_read: Notify,
}

impl Progress {
    fn backlog(&self) -> usize {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.read.load(Ordering::Relaxed))
    }
}

impl StreamOut {
    /// What it counts for until it is read.
    pub fn bytes(&self) -> usize {
        match self {
            StreamOut::Item { item, .. } => item.len(),
            StreamOut::Ack(ack) => ack.completion_token.len() + ack.refused.len(),
            StreamOut::Ping | StreamOut::Closed => 0,
        }
    }
}

impl Outbox {
    /// Sends, unless the stream has gone; then its end is on its way to the core.
    pub(crate) fn send(&self, out: StreamOut) {
        self.progress.sent.fetch_add(out.bytes(), Ordering::Relaxed);
        drop(self.items.send(out));
    }

    pub(crate) fn acknowledge(&self, completion_token: String, reply: Result<Reply, Refusal>) {
        let (stale, refused) = match reply {
            Ok(Reply::Stale) => (true, String::new()),
            Ok(_) => (false, String::new()),
            Err(refusal) => (false, refusal.to_string()),
        };
        self.send(StreamOut::Ack(Ack { completion_token, stale, refused }));
    }
}

/// Who tells that a stream's worker has read.
#[derive(Debug)]
struct Reader {
    stream: StreamId,
    scheduler: Scheduler,
    progress: Arc<Progress>,
    /// Bytes of items that were read, and of which the core was not told yet.
    untold: AtomicUsize,
}

impl Reader {
    fn has_read(&self, bytes: usize, of_items: usize) {
        self.progress.read.fetch_add(bytes, Ordering::Relaxed);
        self.progress.has_read.notify_waiters();
        if self.untold.fetch_add(of_items, Ordering::Relaxed) + of_items >= limits::STREAM_READ_STEP {
            let read = self.untold.swap(0, Ordering::Relaxed);
            self.scheduler.tell(Message::Input(Input::ItemsRead(self.stream, read)));
        }
    }
}

/// What a worker was sent and has not read. It has when this is dropped: then there is room for more.
#[derive(Debug)]
pub struct Unread {
    reader: Arc<Reader>,
    bytes: usize,
    /// Of these.
    of_items: usize,
}

impl Unread {
    /// The first so many bytes.
    pub(crate) fn split(&mut self, bytes: usize) -> Unread {
        let (bytes, of_items) = (bytes.min(self.bytes), bytes.min(self.of_items));
        self.bytes -= bytes;
        self.of_items -= of_items;
        Unread { reader: self.reader.clone(), bytes, of_items }
    }

    /// This of the same stream is read when that is.
    pub(crate) fn add(&mut self, mut more: Unread) {
        self.bytes += std::mem::take(&mut more.bytes);
        self.of_items += std::mem::take(&mut more.of_items);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.reader.has_read(self.bytes, self.of_items);
        }
    }
}

/// The receiving half of a worker's stream. Dropping it closes the stream: what it holds goes to others.
#[derive(Debug)]
pub struct WorkerStream {
    id: StreamId,
    keeps_state: bool,
    scheduler: Scheduler,
    outbox: Outbox,
    items: UnboundedReceiver<StreamOut>,
    reader: Arc<Reader>,
    watch: Option<AbortOnDropHandle<()>>,
    in_good_order: bool,
}

impl WorkerStream {
    pub(crate) fn open(scheduler: &Scheduler, id: StreamId, spec: StreamSpec) -> WorkerStream {
        let (sender, items) = unbounded_channel();
        let (outbox, keeps_state) = (Outbox { items: sender, progress: Arc::default() }, spec.keeps_state);
        scheduler.tell(Message::StreamOpened(id, outbox.clone(), spec));
        let (scheduler, progress, untold) = (scheduler.clone(), outbox.progress.clone(), AtomicUsize::new(0));
        let reader = Arc::new(Reader { stream: id, scheduler: scheduler.clone(), progress, untold });
        WorkerStream { id, keeps_state, scheduler, outbox, items, reader, watch: None, in_good_order: false }
    }

    /// Cuts the worker off if it takes nothing of what it was sent for long.
    pub(crate) fn cut_if_stalled(&mut self, peer: Peer) {
        let progress = self.outbox.progress.clone();
        self.watch = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let look = || (progress.sent.load(Ordering::Relaxed), progress.read.load(Ordering::Relaxed));
            let (mut sent, mut read) = look();
            loop {
                tokio::time::sleep(STALLED).await;
                let now = look();
                if now.1 == read && sent > read {
                    tracing::warn!("a worker reads nothing of what it is sent: it is cut off");
                    return peer.cut();
                }
                (sent, read) = now;
            }
        })));
    }

    /// The stream ends by no fault of its worker: what that holds has not failed.
    pub(crate) fn close_in_good_order(mut self) {
        self.in_good_order = true;
    }

    /// What came out of the stream is on its way to where the worker reads.
    pub fn unread(&self, out: &StreamOut) -> Unread {
        let bytes = out.bytes();
        let of_items = if matches!(out, StreamOut::Item { .. }) { bytes } else { 0 };
        Unread { reader: self.reader.clone(), bytes, of_items }
    }

    /// What comes next: at least one thing, and up to `limit` that are there already. None if the stream is
    /// closed.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn recv_many(&mut self, buffer: &mut Vec<StreamOut>, limit: usize) -> usize {
        self.items.recv_many(buffer, limit).await
    }

    /// The sending half.
    pub fn sender(&self) -> WorkerSender {
        WorkerSender {
            stream: self.id,
            keeps_state: self.keeps_state,
            scheduler: self.scheduler.clone(),
            outbox: self.outbox.clone(),
        }
    }
}

impl Drop for WorkerStream {
    fn drop(&mut self) {
        self.scheduler.tell(Message::Input(Input::StreamClosed(self.id, self.in_good_order)));
    }
}

/// The sending half of a worker's stream: each completion is acknowledged on the stream.
#[derive(Debug, Clone)]
pub struct WorkerSender {
    stream: StreamId,
    keeps_state: bool,
    scheduler: Scheduler,
    outbox: Outbox,
}

impl WorkerSender {
    /// What a worker sent at once. It keeps these shares of the budget until all of it is answered.
    pub fn complete(&self, completions: Completions, shares: Vec<Share>) {
        let shares = Arc::new(shares);
        completions.turns.into_iter().for_each(|turn| self.complete_turn(turn, &shares));
        completions.activities.into_iter().for_each(|activity| self.complete_activity(activity, &shares));
        completions.abandoned.into_iter().for_each(|token| self.abandon(token, &shares));
    }

    /// Ready when the worker has read so much of its answers that more may come.
    pub(crate) async fn room(&self) {
        let progress = &self.outbox.progress;
        loop {
            let has_read = progress.has_read.notified();
            if progress.backlog() <= BACKLOG_BYTES_MAX {
                return;
            }
            has_read.await;
        }
    }

    /// A turn is finished.
    fn complete_turn(&self, completion: TurnCompletion, shares: &Arc<Vec<Share>>) {
        let TurnCompletion { response, publish, replies, waits } = completion;
        let response = response.unwrap_or_default();
        let text = response.completion_token.clone();
        let Ok(token) = text.parse::<Token>() else { return self.stale(text) };
        let sticky = self.keeps_state.then_some(self.stream);
        let complete =
            CompleteTurn { token, sticky, response, publish, replies: Some(replies), waits: waits.map(Vec::from) };
        self.call(text, shares, |call| Input::TurnCompleted(call, Box::new(complete)));
    }

    /// An activity is finished.
    fn complete_activity(&self, response: ActivityResponse, shares: &Arc<Vec<Share>>) {
        let text = response.completion_token.clone();
        let Ok(token) = text.parse::<Token>() else { return self.stale(text) };
        self.call(text, shares, |call| Input::ActivityCompleted(call, token, Box::new(response)));
    }

    /// An item is given back.
    fn abandon(&self, text: String, shares: &Arc<Vec<Share>>) {
        let Ok(token) = text.parse::<Token>() else { return self.stale(text) };
        self.call(text, shares, |call| Input::Abandoned(call, token));
    }

    fn call(&self, text: String, shares: &Arc<Vec<Share>>, input: impl FnOnce(placet_core::ids::CallId) -> Input) {
        let call = self.scheduler.new_call();
        let reply_to = ReplyTo::Stream(self.outbox.clone(), text, shares.clone());
        self.scheduler.tell(Message::Call(call, reply_to, input(call)));
    }

    /// A token that is not ours: nothing is changed by it.
    fn stale(&self, text: String) {
        self.outbox.acknowledge(text, Ok(Reply::Stale));
    }
}
