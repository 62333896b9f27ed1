//! Whether all that can go on does (I36, I21, I16): while nothing is wrong, an instance that has something to do gets
//! it done within a bound, a timer that is due fires, and who asks is answered. Looked at from time to time during the
//! whole run, not only at its end, since what heals itself in the end may still have been stuck.

use std::collections::BTreeMap;
use std::time::Duration;

use placet_core::body::PendingActivity;
use placet_core::command::is_terminal;
use placet_core::ids::{Iid, Seq};
use placet_core::limits::{ACTIVITY_GRACE, REDELIVERY_DELAY_MAX, REDELIVERY_DELAY_MIN};
use placet_core::time::Timestamp;
use placet_store::Store as _;
use prost::Message as _;

use super::workers::Worker;
use super::{Event, SECOND, Violation, World};
use crate::facts::{Call, Fact, What};
use crate::workload::DOOMED;

/// How often everything is looked at.
const LOOK_EVERY: u64 = 5 * SECOND;

/// How long what can go on may take once nothing is wrong (I36), what is known to be lent out aside ([`World::lent`]).
const PROGRESS_WITHIN: u64 = 30 * SECOND;

/// How long after its time a timer may be in the store, and an end without its waiters knowing.
const KNOWN_WITHIN: u64 = 5 * SECOND;

/// What an instance was at when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    turn: u32,
    message: Option<Seq>,
    activities: usize,
}

/// What is known of progress.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When something last went wrong.
    pub(super) wrong_at: u64,
    /// When every worker last had as much as it takes.
    full_at: u64,
    /// When a batch was last written.
    pub(super) wrote_at: u64,
    instances: BTreeMap<Iid, (At, u64)>,
}

impl World {
    /// Something is wrong, or will be at that time.
    pub(super) fn wrong(&mut self, at: u64) {
        self.progress.wrong_at = self.progress.wrong_at.max(at);
    }

    /// A worker was given an activity, or is through with one.
    pub(super) fn look_at_room(&mut self) {
        let mut all = self.workers.iter().filter(|worker| !worker.built_in);
        // Where workers choose, what waits may be for the one that has no room.
        let choosy = self.workers.iter().any(Worker::chooses);
        let has_room = if choosy { all.all(Worker::has_room) } else { all.any(Worker::has_room) };
        if !has_room {
            self.progress.full_at = self.now;
        }
    }

    /// How long an instance may have to wait for what workers were lent, though nothing is wrong any more: an activity runs
    /// as long as the plan lets it, one whose stream broke is kept for its worker, and what was given back again and again
    /// comes with a delay that grows.
    fn lent(&self, iid: Iid, at: &At) -> u64 {
        let Some(life) = self.ledger.lives.get(&iid) else { return 0 };
        let turn = (iid, u64::from(life.body.turn), true);
        let activities = life.activities.keys().map(|seq| (iid, seq.0, false));
        let deliveries = activities.chain([turn]).filter_map(|item| self.deliveries.get(&item)).max();
        let delay = deliveries.map_or(Duration::ZERO, |times| {
            let doubled = REDELIVERY_DELAY_MIN.saturating_mul(1 << times.saturating_sub(1).min(16));
            doubled.min(REDELIVERY_DELAY_MAX)
        });
        let runs = Duration::from_micros(self.plan.activity_max);
        let of_activities = if at.activities > 0 { ACTIVITY_GRACE + runs } else { Duration::ZERO };
        u64::try_from((delay + of_activities).as_micros()).expect("minutes")
    }

    /// Looks at everything, and again after a while.
    pub(super) fn look_at_progress(&mut self) -> Result<(), Violation> {
        self.after(LOOK_EVERY, Event::Look);
        self.look_at_room();
        if self.workers.iter().any(|worker| worker.hangs) || self.running().is_none() {
            self.wrong(self.now);
        }
        self.look_at_timers()?;
        self.look_at_memory()?;
        self.ask_why();
        let mut seen = BTreeMap::new();
        for (iid, life) in &self.ledger.lives {
            if life.row.active && !life.body.poisoned {
                let activities = life.activities.len();
                let at = At { turn: life.body.turn, message: life.inbox.keys().next().copied(), activities };
                let before = self.progress.instances.get(iid).filter(|(before, _)| *before == at);
                seen.insert(*iid, (at, before.map_or(self.now, |(_, since)| *since)));
            }
        }
        self.progress.instances = seen;
        let calm = self.progress.wrong_at.max(self.progress.full_at);
        // Who has little memory may leave somebody waiting for long, but not everybody.
        let calm = if self.has_little_memory() { calm.max(self.progress.wrote_at) } else { calm };
        let late = |iid: Iid, at: &At, since: u64| {
            let stands = self.now.saturating_sub(calm.max(since));
            stands > PROGRESS_WITHIN && stands > PROGRESS_WITHIN + self.lent(iid, at) && !self.is_set_aside(iid)
        };
        let stuck = self.progress.instances.iter().find(|(iid, (at, since))| late(**iid, at, *since));
        match stuck {
            Some((iid, (_, since))) => {
                let (iid, since) = (*iid, *since);
                let id = self.ledger.lives.get(&iid).map(|life| life.row.id.to_string()).unwrap_or_default();
                self.see(&Fact::Stuck { id: &id, for_seconds: (self.now - since) / SECOND })
            }
            None => Ok(()),
        }
    }

    fn look_at_timers(&mut self) -> Result<(), Violation> {
        let allowed = KNOWN_WITHIN + self.timers_slack();
        if self.now < self.trouble_until + allowed || self.running().is_none() {
            return Ok(());
        }
        let until = Timestamp(self.wall() - i64::try_from(allowed).expect("some seconds"));
        let due = self.disk.store.due(&|_| true, None, until, 1).map_err(|error| error.to_string())?;
        match due.first() {
            Some(row) if self.timers_made.get(row).is_none_or(|made| self.now > made + allowed) => {
                let late = u64::try_from(until.0 - row.fire_at.0).unwrap_or(0) + allowed;
                self.see(&Fact::TimerOver { late, slack: 0 })
            }
            _ => Ok(()),
        }
    }

    /// How much later than usual timers may be, if few are read and fired at once.
    pub(super) fn timers_slack(&self) -> u64 {
        let limits = &self.plan.limits;
        let waves = (self.timers_made.len() / limits.timer_page.min(limits.timers_per_step)) as u64;
        let ahead = if self.plan.waits_for_rows() { 3 * SECOND } else { 0 };
        ahead + if waves < 2 { 0 } else { waves * (4 * self.plan.commit_max + 1_000) }
    }

    fn has_little_memory(&self) -> bool {
        self.plan.limits.active_instances < 1_000 || self.plan.limits.hot_bytes < 1 << 20
    }

    /// Whether what an instance has to do is set aside, by the operator's leave.
    fn is_set_aside(&self, iid: Iid) -> bool {
        let lookup = [placet_core::rows::Lookup::Iid(iid)];
        let found = self.disk.store.load(&lookup).ok().into_iter().flatten().flatten().next();
        found.is_some_and(|found| {
            let poisoned = |data| PendingActivity::decode(data).is_ok_and(|pending| pending.poisoned);
            found.activities.into_iter().any(|row| poisoned(row.data))
        })
    }

    /// A client waits no longer for an answer. He may have to if something was wrong since he asked; if not, there
    /// must be nothing to tell.
    pub(super) fn look_at_silence(&mut self, call: &Call, sent: u64) -> Result<(), Violation> {
        if self.slots[call.slot].hub == DOOMED || sent <= self.progress.wrong_at.max(self.trouble_until) {
            return Ok(());
        }
        let ended = self.life_of(call.slot).filter(|life| is_terminal(life.row.status)).and_then(|life| life.ended_at);
        let tells = match &call.what {
            What::Wait => ended.is_some_and(|at| at + KNOWN_WITHIN < self.now),
            What::WaitStart => false,
            _ => true,
        };
        if tells { self.see(&Fact::Silence(call)) } else { Ok(()) }
    }
}
