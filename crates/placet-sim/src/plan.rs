//! What a seed's run is like: how many of everything, which faults, how rare, how little memory. Drawn first, since
//! runs that all had the same mix would all find the same bugs.

use std::time::Duration;

use placet_core::limits::Limits;

use crate::chance::Chance;
use crate::struck::FaultKind;

/// A microsecond's multiples, in which the simulated time is counted.
pub(crate) const MILLISECOND: u64 = 1_000;
/// A second.
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
/// A minute.
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// A run with fewer commands than this is not counted.
pub const COMMANDS_LEAST: u64 = 500;
/// A run with fewer instances than this is not counted.
pub const INSTANCES_LEAST: u64 = 10;

/// Which of the plans a run is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything.
    Mixed,
    /// Two workers that keep their state and have little room for it, commits that fail and streams that break.
    Sticky,
}

/// How long the instances of a run live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Many instances of a few steps.
    Small,
    /// Between the two.
    Middle,
    /// Few, with histories of hundreds of events.
    Long,
}

/// Which workers say what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filtered {
    /// None does.
    None,
    /// The first takes half of what there is, and the others everything.
    First,
    /// Each takes half of what there is: together they take everything.
    Each,
}

/// The mix of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How long its instances live.
    pub(crate) size: Size,
    /// Workers that keep their state, like ours.
    pub(crate) sticky_workers: u64,
    /// Workers that replay, like Microsoft's.
    pub(crate) plain_workers: u64,
    /// How many turns and activities a worker takes at once; 0: no limit stated.
    pub(crate) items_max: u64,
    /// How many states a worker keeps, and for how long.
    pub(crate) kept: (usize, Duration),
    /// Which workers say what they take.
    filters: Filtered,
    /// Workers that complete by calls do so in several pieces, if there is more than one action.
    pub(crate) pieces: bool,
    /// Workers that replay read long histories themselves.
    pub(crate) streams_history: bool,
    /// What the shard may hold.
    pub(crate) limits: Limits,
    /// How long the faults go on.
    pub(crate) span: u64,
    /// The longest that a message is on its way.
    pub(crate) latency_max: u64,
    /// The longest that a commit takes, unless the disk hangs.
    pub(crate) commit_max: u64,
    /// The longest that an activity runs.
    pub(crate) activity_max: u64,
    /// The shortest and longest that a client waits before his next step.
    pub(crate) pace: (u64, u64),
    /// A hub is deleted with its instances, and used again.
    pub(crate) doomed_hub: bool,
    /// What goes wrong.
    pub(crate) faults: Faults,
}

/// What goes wrong, and how often: rates in a million, counts within the span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// A commit is not written, and nobody knows.
    pub(crate) commit_lost: u32,
    /// A commit is written, and nobody knows.
    pub(crate) commit_unknown: u32,
    /// A commit is not written for want of room.
    pub(crate) commit_full: u32,
    /// A piece of a long row is not written, or nobody knows.
    pub(crate) ahead_failed: u32,
    /// The disk hangs for seconds.
    pub(crate) disk_hangs: u32,
    /// A read fails.
    pub(crate) read_failed: u32,
    /// A call or its answer does not arrive.
    pub(crate) call_lost: u32,
    /// Something is sent twice, the second time up to a minute later.
    pub(crate) doubled: u32,
    /// A worker gives an item back.
    pub(crate) abandoned: u32,
    /// A worker brings a completion that is not its to bring.
    pub(crate) lied: u32,
    /// The server dies while a batch is with the disk.
    pub(crate) crash_in_commit: u32,
    /// The server dies soon after a hub was deleted.
    pub(crate) crash_after_delete: u32,
    /// The server dies and starts again.
    pub(crate) crashes: u64,
    /// The server stops in good order and starts again.
    pub(crate) stops: u64,
    /// An invariant is broken, and another shard goes on in the same process.
    pub(crate) broken_invariants: u64,
    /// A worker dies and starts again.
    pub(crate) worker_crashes: u64,
    /// A worker's stream breaks.
    pub(crate) stream_breaks: u64,
    /// A worker hangs, for up to ten minutes.
    pub(crate) worker_hangs: u64,
    /// A worker stops in good order and starts again.
    pub(crate) worker_stops: u64,
    /// The server's thread hangs for up to five seconds.
    pub(crate) server_hangs: u64,
    /// The wall clock is set.
    pub(crate) wall_steps: u64,
    /// By at most this much.
    pub(crate) wall_step_max: u64,
    /// An orchestration's turns, or its activity, break their worker's stream.
    pub(crate) bomb: bool,
}

impl Plan {
    /// For each of so many workers which half of everything it takes, if it does not take all of it.
    pub(crate) fn filtered(&self, workers: usize) -> Vec<Option<usize>> {
        let half = |at: usize| match self.filters {
            Filtered::First if at == 0 => Some(0),
            Filtered::Each => Some(at % 2),
            Filtered::First | Filtered::None => None,
        };
        // Of one alone nothing may be left over.
        (0..workers).map(|at| half(at).filter(|_| workers > 1)).collect()
    }

    /// The mix of a seed.
    pub(crate) fn draw(chance: &mut Chance, kind: Option<Kind>) -> Plan {
        let drawn = if chance.one_in(12) { Kind::Sticky } else { Kind::Mixed };
        let mut plan = match kind.unwrap_or(drawn) {
            Kind::Mixed => Plan::mixed(chance),
            Kind::Sticky => Plan::sticky(chance),
        };
        if chance.one_in(3) {
            plan.limits.ahead_from = usize::try_from(chance.skewed(40, 800)).expect("it is small");
            plan.faults.ahead_failed = rate(chance) / 4;
        }
        if chance.one_in(4) {
            plan.limits.batch_bytes = usize::try_from(chance.skewed(500, 20_000)).expect("it is small");
        }
        plan
    }

    /// Whether what is decided may wait for other rows than its batch's: its own are written ahead, or others' batches go first.
    pub(crate) fn waits_for_rows(&self) -> bool {
        let Limits { ahead_from, batch_bytes, .. } = Limits::default();
        self.limits.ahead_from < ahead_from || self.limits.batch_bytes < batch_bytes
    }

    fn mixed(chance: &mut Chance) -> Plan {
        let span = chance.skewed(5 * SECOND, 8 * MINUTE);
        let sticky_workers = chance.below(3);
        let plain_workers = if sticky_workers == 0 { chance.between(1, 2) } else { chance.below(3) };
        let faults = if chance.one_in(8) { Faults::default() } else { Faults::draw(chance) };
        // What is set aside only after many failures, and leases that run out, need their time.
        let lasts = (faults.bomb || faults.worker_hangs > 0) && chance.one_in(3);
        let span = if lasts { chance.between(6 * MINUTE, 9 * MINUTE) } else { span };
        let size = *chance.pick(&[Size::Small, Size::Small, Size::Middle, Size::Middle, Size::Middle, Size::Long]);
        let activity_max = match size {
            Size::Small => 40 * SECOND,
            Size::Middle => 10 * SECOND,
            Size::Long => SECOND,
        };
        Plan {
            size,
            sticky_workers,
            plain_workers,
            items_max: *chance.pick(&[0, 0, 1, 2, 5]),
            kept: kept(chance),
            filters: *chance.pick(&[Filtered::None, Filtered::None, Filtered::None, Filtered::First, Filtered::Each]),
            pieces: chance.one_in(3),
            streams_history: chance.one_in(2),
            limits: if chance.one_in(2) { limits(chance) } else { Limits::default() },
            span,
            latency_max: chance.skewed(100, 200 * MILLISECOND),
            commit_max: chance.skewed(200, 20 * MILLISECOND),
            activity_max: chance.skewed(MILLISECOND, activity_max),
            pace: (chance.skewed(100, 50 * MILLISECOND), chance.skewed(100 * MILLISECOND, span / 4)),
            doomed_hub: chance.one_in(4),
            faults,
        }
    }

    /// For the states that workers keep between turns: what makes them miss, and little else.
    fn sticky(chance: &mut Chance) -> Plan {
        let faults = Faults {
            commit_lost: rate(chance),
            commit_unknown: rate(chance),
            commit_full: rate(chance),
            doubled: rate(chance),
            call_lost: rate(chance),
            stream_breaks: chance.between(2, 20),
            worker_hangs: count(chance, 2),
            ..Faults::default()
        };
        Plan {
            sticky_workers: 2,
            plain_workers: 0,
            items_max: *chance.pick(&[1, 1, 2, 5]),
            kept: (
                usize::try_from(chance.between(1, 4)).expect("it is small"),
                Duration::from_millis(chance.skewed(100, 30_000)),
            ),
            activity_max: chance.skewed(MILLISECOND, 2 * SECOND),
            doomed_hub: false,
            faults,
            ..Plan::mixed(chance)
        }
    }
}

/// How much a worker keeps: as much as in truth, or nearly nothing.
fn kept(chance: &mut Chance) -> (usize, Duration) {
    if chance.one_in(3) {
        let most = usize::try_from(chance.between(1, 6)).expect("it is small");
        (most, Duration::from_millis(chance.skewed(100, 30_000)))
    } else {
        (1_000, Duration::from_secs(30))
    }
}

/// Little room: what happens at a limit happens all the time.
fn limits(chance: &mut Chance) -> Limits {
    let mut small = Limits::default();
    let some = |chance: &mut Chance, most: u64| usize::try_from(chance.skewed(1, most)).expect("it is small");
    let mut maybe = |set: &mut dyn FnMut(&mut Limits, &mut Chance)| {
        if chance.one_in(2) {
            set(&mut small, chance);
        }
    };
    maybe(&mut |small, chance| small.turn_messages = some(chance, 6));
    maybe(&mut |small, chance| small.turn_bytes = 100 + some(chance, 2_000));
    maybe(&mut |small, chance| small.batch_commands = some(chance, 8));
    maybe(&mut |small, chance| small.uncommitted_bytes = 1_000 + some(chance, 50_000));
    maybe(&mut |small, chance| small.uncommitted_reserve = some(chance, 20_000));
    maybe(&mut |small, chance| small.timer_window = Duration::from_millis(chance.skewed(4_000, 40_000)));
    maybe(&mut |small, chance| small.timer_page = some(chance, 6));
    maybe(&mut |small, chance| small.timers_per_step = some(chance, 3));
    maybe(&mut |small, chance| {
        small.parked_instances = some(chance, 5) - 1;
        small.parked_idle = Duration::from_millis(chance.skewed(10, 30_000));
    });
    maybe(&mut |small, chance| {
        // What fills memory must be less than what spills it, or it is emptied and filled for ever.
        small.active_instances = 8 + some(chance, 16);
        small.parked_instances = small.parked_instances.min(small.active_instances / 4 - 1);
        small.recover_page = some(chance, small.active_instances as u64 / 4);
    });
    maybe(&mut |small, chance| small.recover_page = small.recover_page.min(some(chance, 6)));
    // Not so little that the timers of a race, which stay until they are due, are too many.
    maybe(&mut |small, chance| small.pending_bytes = 7_500 + some(chance, 10_000));
    maybe(&mut |small, chance| small.inbox_bytes = 400 + some(chance, 8_000));
    maybe(&mut |small, chance| small.history_streamed_from = some(chance, 4_000));
    maybe(&mut |small, chance| small.recover_page_bytes = some(chance, 20_000));
    maybe(&mut |small, chance| {
        // As with their number: a page must bring less than what makes others leave.
        small.hot_bytes = 16_000 + some(chance, 150_000);
        small.recover_page_bytes = small.recover_page_bytes.min(small.hot_bytes / 8);
        small.recover_page = small.recover_page.min(small.hot_bytes / 8_000);
    });
    maybe(&mut |small, chance| small.stream_unread_bytes = some(chance, 20_000));
    maybe(&mut |small, chance| small.unread_bytes = some(chance, 50_000));
    maybe(&mut |small, chance| small.stream_turn_bytes = some(chance, 20_000));
    maybe(&mut |small, chance| small.turns_out_bytes = some(chance, 50_000));
    maybe(&mut |small, chance| small.history_cache_bytes = placet_core::ids::PARTITIONS * some(chance, 2_000));
    maybe(&mut |small, chance| small.history_cache_instance_bytes = 100 + some(chance, 4_000));
    // Queues are looked through as soon as a page could have filled them.
    small.sweep_from = small.recover_page;
    small.timer_loads = small.timers_per_step;
    small
}

impl Faults {
    /// How often a kind of fault strikes of those that may at any time, in a million.
    pub(crate) fn rate(&self, kind: FaultKind) -> u32 {
        match kind {
            FaultKind::CommitLost => self.commit_lost,
            FaultKind::CommitUnknown => self.commit_unknown,
            FaultKind::CommitFull => self.commit_full,
            FaultKind::AheadFailed => self.ahead_failed,
            FaultKind::DiskHangs => self.disk_hangs,
            FaultKind::ReadFailed => self.read_failed,
            FaultKind::CallLost => self.call_lost,
            FaultKind::Doubled => self.doubled,
            FaultKind::Abandoned => self.abandoned,
            FaultKind::Lied => self.lied,
            FaultKind::CrashInCommit => self.crash_in_commit,
            FaultKind::CrashAfterDelete => self.crash_after_delete,
            FaultKind::Crash
            | FaultKind::Stop
            | FaultKind::InvariantBroken
            | FaultKind::WorkerCrash
            | FaultKind::StreamBreak
            | FaultKind::WorkerHang
            | FaultKind::WorkerStop
            | FaultKind::ServerHang
            | FaultKind::WallStep
            | FaultKind::Bomb => 0,
        }
    }

    fn draw(chance: &mut Chance) -> Faults {
        Faults {
            commit_lost: rate(chance),
            commit_unknown: rate(chance),
            commit_full: rate(chance),
            ahead_failed: 0,
            disk_hangs: rate(chance) / 4,
            read_failed: rate(chance),
            call_lost: rate(chance),
            doubled: rate(chance),
            abandoned: rate(chance),
            lied: rate(chance),
            crash_in_commit: rate(chance) / 3,
            crash_after_delete: if chance.one_in(2) { 500_000 } else { 0 },
            crashes: count(chance, 6),
            stops: count(chance, 3),
            broken_invariants: count(chance, 4),
            worker_crashes: count(chance, 8),
            stream_breaks: count(chance, 15),
            worker_hangs: count(chance, 3),
            worker_stops: count(chance, 3),
            server_hangs: count(chance, 4),
            wall_steps: count(chance, 4),
            wall_step_max: chance.skewed(SECOND, 60 * MINUTE),
            bomb: chance.one_in(12),
        }
    }
}

/// None in half of all runs, else up to one in twelve.
fn rate(chance: &mut Chance) -> u32 {
    if chance.one_in(2) { 0 } else { u32::try_from(chance.skewed(1_000, 80_000)).expect("it is small") }
}

fn count(chance: &mut Chance, most: u64) -> u64 {
    if chance.one_in(2) { 0 } else { chance.between(1, most) }
}
