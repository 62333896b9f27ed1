//! Virtual time: a wall clock that stands until it is told to go on, or that goes on by itself to the next timer when
//! nothing else is left to happen (DESIGN.md §3, "Two times"). Leases, pings and waits go by the other clock, as ever.
//!
//! The shard reads this clock as little as any other: it is told the time with each input, and says when it is to be
//! another ([`Output::SetClock`]). The clock never passes a timer: it stops at each, the timer fires at its own time, and
//! what follows from it comes to rest before the clock goes on. So a history is the same as if the time had been waited
//! for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::ClockGuard;
use crate::command::{Refusal, Reply};
use crate::dispatch::Kind;
use crate::ids::CallId;
use crate::limits;
use crate::rows::Write;
use crate::time::{Mono, Now, Timestamp};
use crate::timers::Timers;

use super::{Output, Shard};

/// How far a clock that stands is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// By how much.
    pub by: Duration,
    /// How long it stops for a work item that a worker has, in real time: one that takes longer is left to go on
    /// while the clock does. As long it waits, all in all, for workers of items that nobody has taken.
    pub patience: Duration,
}

/// Where the clock has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// What it says now.
    pub now: Timestamp,
    /// How many timers have fired on the way.
    pub timers_fired: u64,
    /// Items that workers have, and were not waited for any longer.
    pub items_out: usize,
    /// Items that no worker has taken.
    pub items_ready: usize,
}

/// What the clock has to wait for, and how far it can go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Something is left to do that needs no worker: to be written, to be read, to be told, or to fire now.
    pub(super) inside: bool,
    /// Items that workers have, those of lost ones included.
    pub(super) out: usize,
    /// When the last one of them was handed out.
    pub(super) last_out: Option<Mono>,
    /// Items that wait for a worker, or for their next delivery.
    pub(super) ready: usize,
    /// When the next timer is due, if not now.
    pub(super) next: Option<Timestamp>,
    /// A worker is connected that can take what this timer wakes.
    pub(super) is_served: bool,
}

/// What the clock is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It stands: until something happens, or until then.
    Stand(Option<Mono>),
    /// It goes there.
    Go(Timestamp),
    /// It has gone as far as this caller asked for.
    Arrived(CallId),
}

/// What keeps the clock.
#[derive(Debug, Clone)]
pub(super) struct VirtualTime {
    /// It goes on by itself when all has been quiet for so long.
    auto_after: Option<Duration>,
    /// Since when nothing is left to happen but the next timer.
    quiet_since: Option<Mono>,
    /// Calls under way that do not wait for something to happen.
    open_calls: usize,
    /// Who wants it to go on, one after another.
    ways: VecDeque<Way>,
    /// To be asked again then, though nothing happens.
    wake_at: Option<Mono>,
}

/// On the way to where a caller wants the clock.
#[derive(Debug, Clone, Copy)]
struct Way {
    call: CallId,
    advance: Advance,
    begun: Option<Begun>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Mono,
    target: Timestamp,
    /// Since when the clock says what it says.
    stopped: Mono,
    /// Timers that had fired before.
    fired_before: u64,
}

impl VirtualTime {
    pub(super) fn new(auto_after: Option<Duration>) -> VirtualTime {
        VirtualTime { auto_after, quiet_since: None, open_calls: 0, ways: VecDeque::new(), wake_at: None }
    }

    /// The clock's keeper of the next shard: its callers have been told that nobody knows.
    pub(super) fn successor(&self) -> VirtualTime {
        VirtualTime { open_calls: self.open_calls, ..VirtualTime::new(self.auto_after) }
    }

    /// When it is to be asked again though nothing happens.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.wake_at
    }

    pub(super) fn call_opened(&mut self) {
        self.open_calls += 1;
    }

    pub(super) fn call_closed(&mut self) {
        self.open_calls = self.open_calls.saturating_sub(1);
    }

    fn forget(&mut self, call: CallId) {
        self.ways.retain(|way| way.call != call);
    }

    /// What the clock is to do. Asked whenever something has happened, and at [`VirtualTime::next_due`].
    pub(super) fn decide(&mut self, now: Now, fired: u64, work: &Work) -> Decision {
        let decision = match self.ways.front_mut() {
            Some(way) => {
                self.quiet_since = None;
                way.decide(now, fired, work)
            }
            None => self.decide_alone(now, work),
        };
        self.wake_at = match decision {
            Decision::Stand(until) => until,
            Decision::Go(_) | Decision::Arrived(_) => Some(now.mono),
        };
        decision
    }

    fn decide_alone(&mut self, now: Now, work: &Work) -> Decision {
        let Some(auto_after) = self.auto_after else { return Decision::Stand(None) };
        let only_the_timer_is_left = !work.inside && work.out == 0 && work.ready == 0 && work.is_served;
        let next = work.next.filter(|next| only_the_timer_is_left && *next <= limits::VIRTUAL_TIME_MAX);
        let Some(next) = next else {
            self.quiet_since = None;
            return Decision::Stand(None);
        };
        let due = self.quiet_since.get_or_insert(now.mono).after(auto_after);
        if self.open_calls > 0 {
            return Decision::Stand(None); // until it is closed: then we are asked
        }
        if now.mono < due {
            return Decision::Stand(Some(due));
        }
        self.quiet_since = None;
        Decision::Go(next)
    }

    /// Where a caller's way has led to, who is told.
    fn arrived(&mut self, now: Now, fired: u64, work: &Work) -> Option<Arrival> {
        let begun = self.ways.pop_front()?.begun?;
        let timers_fired = fired - begun.fired_before;
        Some(Arrival { now: now.wall, timers_fired, items_out: work.out, items_ready: work.ready })
    }
}

impl Way {
    fn decide(&mut self, now: Now, fired: u64, work: &Work) -> Decision {
        let Advance { by, patience } = self.advance;
        let begun = self.begun.get_or_insert_with(|| Begun {
            at: now.mono,
            target: now.wall.after(by),
            stopped: now.mono,
            fired_before: fired,
        });
        let waits = [
            work.inside.then(|| begun.stopped.after(limits::VIRTUAL_TIME_INSIDE)),
            work.last_out.map(|since| since.after(patience)),
            (work.ready > 0).then(|| begun.at.after(patience)),
        ];
        let until = waits.into_iter().flatten().max();
        if until.is_some_and(|until| now.mono < until) {
            return Decision::Stand(until);
        }
        if now.wall >= begun.target {
            return Decision::Arrived(self.call);
        }
        begun.stopped = now.mono;
        Decision::Go(work.next.map_or(begun.target, |next| next.min(begun.target)))
    }
}

impl Shard {
    /// The same on virtual time: the clock that it is told stands, unless it says otherwise.
    /// With `auto_after` it goes on by itself to the next timer when nothing else has been left to happen for so long.
    #[must_use]
    pub fn on_virtual_time(mut self, auto_after: Option<Duration>) -> Shard {
        // However far away the next timer is, it is the one that the clock goes to: all of them are at hand. So are the
        // instances that they wake, as it is to be known who could take them.
        self.limits.timer_window = limits::VIRTUAL_TIMER_WINDOW;
        self.limits.parked_idle = Duration::MAX;
        self.timers = Timers::new(self.limits, 0);
        self.clock = ClockGuard::unwatched();
        self.virtual_time = Some(VirtualTime::new(auto_after));
        self
    }

    pub(super) fn advance_time(&mut self, now: Now, call: CallId, advance: Advance, outputs: &mut Vec<Output>) {
        let refusal = match &mut self.virtual_time {
            None => Refusal::FailedPrecondition(
                "this server's time is real and cannot be advanced; start one with --ephemeral --virtual-time".into(),
            ),
            Some(_) if now.wall.after(advance.by) > limits::VIRTUAL_TIME_MAX => {
                Refusal::InvalidArgument("by: the clock would go beyond the year 9999".into())
            }
            Some(time) => return time.ways.push_back(Way { call, advance, begun: None }),
        };
        outputs.push(Output::Reply(call, Err(refusal)));
    }

    pub(super) fn advance_cancelled(&mut self, call: CallId) {
        if let Some(time) = &mut self.virtual_time {
            time.forget(call);
        }
    }

    /// Timers that nobody waits for any more are none to go to.
    pub(super) fn forget_timers_deleted_by(&mut self, writes: &[Write]) {
        if self.virtual_time.is_none() {
            return;
        }
        for write in writes {
            match write {
                Write::DeleteTimer(row) => self.timers.remove(row),
                Write::DropInstance(_, rows) => rows.iter().for_each(|row| self.timers.remove(row)),
                _ => {}
            }
        }
    }

    /// Lets a virtual clock go on if it is time to.
    pub(super) fn keep_time(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let Some(mut time) = self.virtual_time.take() else { return };
        if !self.stopping {
            let (fired, work) = (self.timers_late.counts.iter().sum(), self.work(now));
            match time.decide(now, fired, &work) {
                Decision::Stand(_) => {}
                Decision::Go(at) => outputs.push(Output::SetClock(at)),
                Decision::Arrived(call) => {
                    let arrival = time.arrived(now, fired, &work).expect("somebody's way leads there");
                    outputs.push(Output::Reply(call, Ok(Reply::Arrived(arrival))));
                }
            }
        }
        self.virtual_time = Some(time);
    }

    /// What is left to happen. Looks at every partition: for a clock that is virtual, and no other.
    fn work(&mut self, now: Now) -> Work {
        let first = self.timers.first();
        let is_due = first.is_some_and(|timer| timer.fire_at <= now.wall);
        let inside = is_due
            || !self.is_settled()
            || self.recovery.is_wanted()
            || !self.tells_due.is_empty()
            || self.timers.read().is_some()
            || self.partitions.iter().any(crate::partition::Partition::is_loading);
        if inside {
            return Work { inside, ..Work::default() };
        }
        if self.dispatch.held_count() == 0 && self.dispatch.queued() > 0 {
            self.sweep(); // what nobody wants any more is not ready
        }
        let (out, last_out) = self.dispatch.held_since();
        let unserved = usize::from(self.recovery.has_unserved());
        let ready = self.dispatch.backlog(Kind::Turn) + self.dispatch.backlog(Kind::Activity) + unserved;
        let is_served = first.is_some_and(|timer| {
            let woken = self.partitions[timer.partition.index()].turn_of(timer.iid);
            woken.map_or(self.dispatch.stream_count() > 0, |turn| self.dispatch.has_taker(&turn))
        });
        Work { inside, out, last_out, ready, next: first.map(|timer| timer.fire_at), is_served }
    }
}
