//! What one command causes.

use std::time::Duration;

use crate::command::{Refusal, Reply, Tell};
use crate::dispatch::{ItemId, ItemSpec};
use crate::ids::{CallId, Hub, Iid, InstanceKey, PartitionId, RecordKey, Turn};
use crate::rows::{Lookup, PayloadKey, TimerRow, Write};
use crate::time::Mono;
use crate::token::Token;
use crate::why::Explanation;

/// What one command causes. The shard owns it, empties it and uses it again.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows that must be durable before an effect below is let go.
    pub writes: Vec<Write>,
    /// Payloads of these rows that lie in the store already.
    pub ahead: Vec<PayloadKey>,
    /// What the world is told once they are.
    pub effects: Vec<Effect>,
    /// Turns that may be dispatched at once: a turn has no side effects, and its own result can only commit
    /// after what caused it.
    pub ready: Vec<ItemSpec>,
    /// Instances that must be in memory before a command can be decided.
    pub loads: Vec<Lookup>,
    /// Timers that may fall into the window that is held in memory.
    pub timers: Vec<TimerRow>,
    /// Items that were completed: their stream has room.
    pub done: Vec<ItemId>,
    /// The worker lacks the state that it was presumed to have: its turn is sent again with the history.
    pub resend: Option<Iid>,
    /// Items whose completion was refused: they are given to somebody else, later.
    pub given_back: Vec<ItemId>,
    /// What instances have to tell others.
    pub tells: Vec<Tell>,
    /// … and could not be told now: how long to wait.
    pub tells_later: Vec<(Tell, Duration)>,
    /// What can be heard now: the other one is in memory, or known not to exist (the flag says which).
    pub heard: Vec<(Tell, bool)>,
    /// Asks whose callers stop waiting at this time.
    pub ask_deadlines: Vec<(Mono, CallId, Iid)>,
    /// Asks whose callers are told, and would have waited until then.
    pub asks_told: Vec<(Mono, CallId)>,
    /// Why instances of this partition wait, as calls ask.
    pub questions: Vec<Question>,
    /// The highest key given to an instance so far.
    pub iid_last: Iid,
}

impl Outcome {
    /// A key for a new instance.
    pub fn new_iid(&mut self) -> Iid {
        self.iid_last = self.iid_last.next();
        self.iid_last
    }

    /// Answers a call once all that was decided so far is durable.
    pub fn reply(&mut self, call: Option<CallId>, reply: Result<Reply, Refusal>) {
        if let Some(call) = call {
            self.effects.push(Effect::Reply(call, reply));
        }
    }
}

/// A call that asks why an instance waits.
#[derive(Debug)]
pub struct Question {
    /// The call.
    pub call: CallId,
    /// The instance.
    pub iid: Iid,
    /// What its parent waits for, if the call asks about that one.
    pub parent: Option<Box<Explanation>>,
}

/// Something that must not happen before the writes decided up to then are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A call is answered.
    Reply(CallId, Result<Reply, Refusal>),
    /// An item may go to a worker: an activity, which has side effects, or a turn that is too long to go out beside its
    /// commit.
    Offer(ItemSpec),
    /// A write of this instance is durable.
    Settled(PartitionId, Iid),
    /// A write of this record row is durable.
    RecordSettled(PartitionId, Box<RecordKey>),
    /// That this item is set aside is durable.
    SetAside(ItemId),
    /// The deletion of this instance is durable.
    Deleted(PartitionId, Iid),
    /// The history of an instance may be read: all turns before the one that is out are in the store.
    ReadHistory(HistoryRead),
    /// A hub is gone: commands for it may be handled again.
    HubDeleted(Hub),
    /// The timers due until then may be read: those created before are in the store.
    ReadTimers,
    /// Why an instance waits is to be told with what one of its children does: of what may still come to nothing, the child's
    /// partition would know nothing.
    AskChild(Box<ChildQuestion>),
}

/// A child to be looked at for a call that asks about its parent.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildQuestion {
    /// The call.
    pub call: CallId,
    /// The child.
    pub child: InstanceKey,
    /// What the parent was explained to wait for.
    pub parent: Explanation,
}

/// A turn that waits for its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRead {
    /// The delivery that waits.
    pub token: Token,
    /// Whose history.
    pub iid: Iid,
    /// From which turn on: the first of the generation.
    pub from: Turn,
    /// Its worker reads it by a call: nothing is to be read for the turn, but what the call finds must be all of it.
    pub by_worker: bool,
}
