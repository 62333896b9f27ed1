//! What a server holds and reads (I32, I35): no more than its limits say, nothing for what is parked, and at its start
//! no more than there is work.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use placet_core::body::InboxMessage;
use placet_core::ids::{Iid, Seq};
use placet_core::limits::Limits;
use placet_core::shard::Input;
use placet_core::time::Timestamp;
use placet_proto::durabletask::{HistoryEvent, history_event::EventType};
use placet_store::Store as _;
use prost::Message as _;

use super::ledger::Life;
use super::{Event, Mark, SECOND, Violation, World};
use crate::expectations::micros;
use crate::facts::{Fact, Idle, What, id_of};
use crate::programs::is_told;

use super::server::ReplyTo;

/// The server was so long without anything to do that what is parked must have left memory.
const IDLE: u64 = 40 * SECOND;

/// So long memory may be fuller than it may, each time that it is looked at: longer than the server sleeps at most.
const CROWDED: u64 = 7 * SECOND;

/// How long a timer that is wanted no longer may stay in memory: as long as the window is.
const GONE: u64 = 61 * SECOND;

/// How the finding of the work after a start goes.
#[derive(Debug, Default)]
pub(super) struct Finding {
    /// The number of its first reading.
    first: u64,
    /// Pages read, but for those that ended by their bytes: such a page may hold a single instance.
    pages: usize,
    read: usize,
    /// Something failed, so that it is read again.
    disturbed: bool,
    over: bool,
    told: bool,
    /// Instances with work when the server started, and those that have had some since.
    active: BTreeSet<Iid>,
}

impl Finding {
    /// That of the shard which began after so many others of its process; readings of those do not count.
    pub(super) fn of_shard(resets: u32) -> Finding {
        Finding { first: u64::from(resets) << 32, ..Finding::default() }
    }

    /// Something is taken by the server.
    pub(super) fn take(&mut self, input: &Input) {
        match input {
            Input::CommitFailed(..) | Input::WrittenAhead(_, Err(_)) | Input::Recovered(_, Err(_)) => {
                self.disturbed = true
            }
            Input::Recovered(read, Ok((found, next))) if !self.over && read.generation >= self.first => {
                let ended_by_bytes = found.len() < read.limit && next.is_some();
                self.pages += usize::from(!ended_by_bytes);
                self.read += found.len();
                self.over = next.is_none();
            }
            _ => {}
        }
    }

    /// Once all is found, and nothing was in the way: how many instances were read, on how many pages, and how many
    /// had work.
    pub(super) fn found(&mut self) -> Option<(usize, usize, usize)> {
        if !self.over || std::mem::replace(&mut self.told, true) || self.disturbed {
            return None;
        }
        Some((self.read, self.pages, std::mem::take(&mut self.active).len()))
    }
}

/// What an instance takes beside its payloads, as the core counts it, and what a message, an activity or a timer does.
const INSTANCE_BYTES: usize = 1 << 10;
const ENTRY_BYTES: usize = 160;

impl Life {
    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let messages = self.inbox.values().chain(self.outbox.values());
        let rows = messages.chain(self.activities.values()).chain(self.children.values());
        let rows: usize = rows.map(|data| 2 * ENTRY_BYTES + data.len()).sum();
        // Its input and its output are kept beside it: they stand in its first events and its last one.
        let payloads = self.history.iter().take(2).chain(self.history.last()).map(|event| event.encoded_len());
        let timers = self.body.timers.len() * ENTRY_BYTES;
        let replies = self.replies.values();
        let replies = replies.map(|row| ENTRY_BYTES + row.ask_id.len() + row.answer.as_ref().map_or(0, |a| a.len()));
        INSTANCE_BYTES + rows + self.row.body.len() + timers + payloads.sum::<usize>() + replies.sum::<usize>()
    }
}

fn bounded(what: &str, there: usize, most: usize) -> Result<(), Violation> {
    if there <= most {
        return Ok(());
    }
    Err(Violation { promise: "bounds", what: format!("{there} {what}, {most} may be") })
}

/// What waits for one instance, or what it waits for, is no more than what one may have, and the message that goes beyond
/// it: events up to the limit, results and what other instances send up to twice as much.
fn look_at_life(life: &Life, limits: &Limits) -> Result<(), Violation> {
    let in_rows = |rows: &BTreeMap<Seq, Bytes>, each: usize| rows.values().map(|data| each + data.len()).sum::<usize>();
    let pending = in_rows(&life.activities, 2 * ENTRY_BYTES) + in_rows(&life.children, 2 * ENTRY_BYTES);
    bounded("bytes of activities wait of one instance", pending, 2 * limits.pending_bytes)?;
    if in_rows(&life.inbox, ENTRY_BYTES) <= limits.inbox_bytes {
        return Ok(());
    }
    // What a generation was handed on by the one before it has no limit of its own.
    let began = life.history.get(1).and_then(|event| event.timestamp);
    let (mut events, mut results) = (Vec::new(), Vec::new());
    for data in life.inbox.values() {
        let Ok(message) = InboxMessage::decode(data.clone()) else { continue };
        let bytes = ENTRY_BYTES + message.event.len();
        let Ok(event) = HistoryEvent::decode(message.event) else { continue };
        // What was handed on is as old as the generation, when the clock stood still or was set back.
        let is_new = began.is_some() && event.timestamp.map(|at| micros(&at)) > began.map(|at| micros(&at));
        match event.event_type {
            // What other instances send waits with them, and not with a client.
            Some(EventType::EventRaised(_)) if id_of(&event).is_some_and(is_told) => results.push(bytes),
            Some(EventType::EventRaised(_)) if is_new => events.push(bytes),
            Some(
                EventType::TaskCompleted(_)
                | EventType::TaskFailed(_)
                | EventType::SubOrchestrationInstanceCompleted(_)
                | EventType::SubOrchestrationInstanceFailed(_),
            ) => results.push(bytes),
            _ => {}
        }
    }
    let all = |of: &[usize]| of.iter().sum::<usize>() - of.last().copied().unwrap_or(0);
    bounded("bytes of events wait for one instance", all(&events), limits.inbox_bytes)?;
    bounded("bytes of results wait for one instance", all(&results), 2 * limits.inbox_bytes)
}

impl World {
    /// Those that have work when a server begins to find it.
    pub(super) fn note_all_active(&mut self) {
        // Not as the rows say it: those decide what is read.
        let active = self.ledger.lives.iter().filter(|(_, life)| life.has_work()).map(|(iid, _)| *iid);
        let active: Vec<_> = active.collect();
        self.note_active(active.into_iter());
    }

    /// Instances that have work, for the server that is finding it.
    pub(super) fn note_active(&mut self, iids: impl Iterator<Item = Iid>) {
        if let Some(server) = self.process.as_mut().filter(|server| !server.recovery.over) {
            server.recovery.active.extend(iids);
        }
    }

    /// What is in memory is bounded by what may be there, and what must.
    pub(super) fn look_at_memory(&mut self) -> Result<(), Violation> {
        let limits = &self.plan.limits;
        let Some(server) = self.process.as_ref().filter(|server| server.shard.is_settled()) else { return Ok(()) };
        let status = server.shard.status();
        // What a worker has cannot leave.
        let busy = status.held_items + server.calls.len();
        let most = limits.active_instances + limits.parked_instances + limits.recover_page + busy;
        bounded("instances are in memory", status.hot_instances, most)?;
        for life in self.ledger.lives.values() {
            look_at_life(life, limits)?;
        }
        if self.crowded_since.is_none() {
            return self.look_at_bytes();
        }
        Ok(())
    }

    /// Bytes beyond what may be there leave: what comes between two times that is looked for what may leave may be more, but
    /// not again and again.
    pub(super) fn look_at_bytes(&mut self) -> Result<(), Violation> {
        let Some(server) = &self.process else {
            self.crowded_since = None;
            return Ok(());
        };
        if server.shard.is_settled() {
            let status = server.shard.status();
            let room = self.plan.limits.hot_bytes;
            // What stays is summed up only if it matters.
            let is_full = status.hot_bytes > room;
            let most = room + if is_full { self.bytes_that_stay(status.held_items) } else { 0 };
            if status.hot_bytes <= most {
                self.crowded_since = None;
                return Ok(());
            }
            // A server that stands still lets nothing go.
            let since = (*self.crowded_since.get_or_insert(self.now)).max(server.hung_until);
            if self.now > since + CROWDED {
                bounded("bytes of instances stay in memory", status.hot_bytes, most)?;
            }
        }
        if self.crowded_since.is_some() {
            self.after(CROWDED / 20, Event::LookAtBytes);
        }
        Ok(())
    }

    /// One instance stays whatever it takes, and those stay that workers have: at most the largest there are.
    fn bytes_that_stay(&self, held: usize) -> usize {
        let mut sizes: Vec<usize> = self.ledger.lives.values().map(Life::bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.iter().take(held + 1).sum()
    }

    /// A server that has had nothing to do keeps nothing that is parked.
    pub(super) fn look_at_idle(&mut self) -> Result<(), Violation> {
        let since = self.traffic_at.max(self.trouble_until);
        if self.now < since + IDLE {
            return Ok(());
        }
        self.traffic_at = self.now;
        let Some(server) = &self.process else { return Ok(()) };
        let status = server.shard.status();
        let asks = |(reply_to, _): &&(ReplyTo, u64)| matches!(reply_to, ReplyTo::Client(_, call, _) if matches!(call.what, What::Ask { .. }));
        let window = i64::try_from(self.plan.limits.timer_window.as_micros()).expect("a minute");
        let until = Timestamp(self.wall() + window);
        let due = self.disk.store.due(&|_| true, None, until, usize::MAX).map_or(0, |rows| rows.len());
        // What was near by a clock that was set back since stays.
        let near_before = if self.wall_was_stepped { status.near_timers } else { 0 };
        let idle = Idle {
            hot: status.hot_instances,
            active: self.ledger.lives.values().filter(|life| life.has_work()).count(),
            timers: status.near_timers,
            timers_near: near_before + due + self.timers_gone.iter().filter(|at| **at + GONE > self.now).count(),
            asks: status.waiting_asks,
            calls: server.calls.values().filter(asks).count(),
            bytes: status.uncommitted_bytes,
        };
        self.reach(if self.is_over() { Mark::IdleAtTheEnd } else { Mark::IdleBetween });
        self.see(&Fact::Idle(&idle))
    }
}
