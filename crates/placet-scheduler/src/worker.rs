//! A worker's stream, as the edges use it: items come out, completions go in, acknowledgements come out.

use bytes::Bytes;
use placet_core::command::{CompleteTurn, Refusal, Reply};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::{Hub, StreamId};
use placet_core::shard::Input;
use placet_core::token::Token;
use placet_proto::durabletask::ActivityResponse;
use placet_proto::placet::v1::{Ack, Completions, TurnCompletion};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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
        item: Bytes,
    },
    /// What became of a completion.
    Ack(Ack),
    /// A sign of life.
    Ping,
    /// The server ends the stream: it is stopping, or starts over.
    Closed,
}

/// Where a stream's items go. Unbounded, since what may be outstanding is bounded by the dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(UnboundedSender<StreamOut>);

impl Outbox {
    /// Sends, unless the stream has gone; then its end is on its way to the core.
    pub(crate) fn send(&self, out: StreamOut) {
        drop(self.0.send(out));
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

/// The receiving half of a worker's stream. Dropping it closes the stream: what it holds goes to others.
#[derive(Debug)]
pub struct WorkerStream {
    id: StreamId,
    keeps_state: bool,
    scheduler: Scheduler,
    outbox: Outbox,
    items: UnboundedReceiver<StreamOut>,
}

impl WorkerStream {
    pub(crate) fn open(scheduler: &Scheduler, id: StreamId, spec: StreamSpec) -> WorkerStream {
        let (sender, items) = unbounded_channel();
        let (outbox, keeps_state) = (Outbox(sender), spec.keeps_state);
        scheduler.tell(Message::StreamOpened(id, outbox.clone(), spec));
        WorkerStream { id, keeps_state, scheduler: scheduler.clone(), outbox, items }
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
        self.scheduler.tell(Message::Input(Input::StreamClosed(self.id, false)));
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
    /// What a worker sent at once.
    pub fn complete(&self, completions: Completions) {
        completions.turns.into_iter().for_each(|turn| self.complete_turn(turn));
        completions.activities.into_iter().for_each(|activity| self.complete_activity(activity));
        completions.abandoned.into_iter().for_each(|token| self.abandon(token));
    }

    /// A turn is finished.
    pub fn complete_turn(&self, completion: TurnCompletion) {
        let TurnCompletion { response, publish, replies } = completion;
        let response = response.unwrap_or_default();
        let text = response.completion_token.clone();
        let Ok(token) = text.parse::<Token>() else { return self.stale(text) };
        let sticky = self.keeps_state.then_some(self.stream);
        let complete = CompleteTurn { token, sticky, response, publish, replies: Some(replies) };
        self.call(text, |call| Input::TurnCompleted(call, Box::new(complete)));
    }

    /// An activity is finished.
    pub fn complete_activity(&self, response: ActivityResponse) {
        let text = response.completion_token.clone();
        let Ok(token) = text.parse::<Token>() else { return self.stale(text) };
        self.call(text, |call| Input::ActivityCompleted(call, token, Box::new(response)));
    }

    /// An item is given back.
    pub fn abandon(&self, text: String) {
        let Ok(token) = text.parse::<Token>() else { return self.stale(text) };
        self.call(text, |call| Input::Abandoned(call, token));
    }

    fn call(&self, text: String, input: impl FnOnce(placet_core::ids::CallId) -> Input) {
        let call = self.scheduler.new_call();
        let reply_to = ReplyTo::Stream(self.outbox.clone(), text);
        self.scheduler.tell(Message::Call(call, reply_to, input(call)));
    }

    /// A token that is not ours: nothing is changed by it.
    fn stale(&self, text: String) {
        self.outbox.acknowledge(text, Ok(Reply::Stale));
    }
}
