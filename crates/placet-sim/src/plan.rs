//! What a seed's run is like: how many of everything, which faults, how rare. Drawn first, since runs that all had
//! the same mix would all find the same bugs.

use crate::chance::Chance;

/// A microsecond's multiples, in which the simulated time is counted.
pub(crate) const MILLISECOND: u64 = 1_000;
/// A second.
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
/// A minute.
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// The mix of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Instances that clients start.
    pub(crate) instances: u64,
    /// Workers that keep their state, like ours.
    pub(crate) sticky_workers: u64,
    /// Workers that replay, like Microsoft's.
    pub(crate) plain_workers: u64,
    /// How many turns and activities a worker takes at once; 0: no limit stated.
    pub(crate) items_max: u64,
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
    /// The server dies while a batch is with the disk.
    pub(crate) crash_in_commit: u32,
    /// The server dies soon after a hub was deleted.
    pub(crate) crash_after_delete: u32,
    /// The server dies and starts again.
    pub(crate) crashes: u64,
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
    /// An orchestration's turns break their worker's stream.
    pub(crate) bomb: bool,
}

impl Plan {
    /// The mix of a seed.
    pub(crate) fn draw(chance: &mut Chance) -> Plan {
        let span = chance.skewed(5 * SECOND, 8 * MINUTE);
        let sticky_workers = chance.below(3);
        let plain_workers = if sticky_workers == 0 { chance.between(1, 2) } else { chance.below(3) };
        let quiet = chance.one_in(8);
        Plan {
            instances: if chance.one_in(10) { chance.between(10, 40) } else { chance.between(1, 10) },
            sticky_workers,
            plain_workers,
            items_max: *chance.pick(&[0, 0, 1, 2, 5]),
            span,
            latency_max: chance.skewed(100, 200 * MILLISECOND),
            commit_max: chance.skewed(200, 20 * MILLISECOND),
            activity_max: chance.skewed(MILLISECOND, 40 * SECOND),
            pace: (chance.skewed(100, 50 * MILLISECOND), chance.skewed(100 * MILLISECOND, span / 4)),
            doomed_hub: chance.one_in(4),
            faults: if quiet { Faults::default() } else { Faults::draw(chance) },
        }
    }
}

impl Faults {
    fn draw(chance: &mut Chance) -> Faults {
        Faults {
            commit_lost: rate(chance),
            commit_unknown: rate(chance),
            commit_full: rate(chance),
            disk_hangs: rate(chance) / 4,
            read_failed: rate(chance),
            call_lost: rate(chance),
            doubled: rate(chance),
            abandoned: rate(chance),
            crash_in_commit: rate(chance) / 3,
            crash_after_delete: if chance.one_in(2) { 500_000 } else { 0 },
            crashes: count(chance, 6),
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

/// None in half of all runs, else up to one in six.
fn rate(chance: &mut Chance) -> u32 {
    if chance.one_in(2) { 0 } else { u32::try_from(chance.skewed(2_000, 150_000)).expect("it is small") }
}

fn count(chance: &mut Chance, most: u64) -> u64 {
    if chance.one_in(2) { 0 } else { chance.between(1, most) }
}
