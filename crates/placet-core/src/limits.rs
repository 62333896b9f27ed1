//! Every limit of the core, each with the reason for its number.

use std::time::Duration;

use crate::time::Timestamp;

/// Ids longer than this are refused (PROTOCOL.md §1, rule 19).
pub const INSTANCE_ID_CHARS_MAX: usize = 100;

/// Bytes of a turn's completion that comes in several pieces: as many as one message may hold.
pub const TURN_PIECES_BYTES_MAX: usize = 64 << 20;

/// Rows published by one turn, in bytes: a request whose payload of a mebibyte was changed by whoever approved it, which is shown
/// as it was proposed and as it is, stands in the outcome, and is in the record as it was sent and as it was approved; and as much
/// again of what others sent, who are heard in the same turn.
pub const PUBLISHED_BYTES_MAX: usize = 8 << 20;

/// Terms of the rows that one turn publishes: each is a row of an index.
pub const TERMS_MAX: usize = 16_384;

/// Bytes of a record row's body (DESIGN.md §4): what is longer is several rows.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

/// Bytes of a record row's kind and key together: they stand in an index.
pub const RECORD_NAME_BYTES_MAX: usize = 1 << 10;

/// How often record rows that have expired are looked for: nobody waits for it, since they count as absent already.
pub const EXPIRY_EVERY: Duration = Duration::from_secs(60);

/// So many are deleted at a time: each is read once more, and none of that is to be felt.
pub const EXPIRED_AT_ONCE: usize = 128;

/// If there were as many, others are looked for after so long.
pub const EXPIRY_GOES_ON_AFTER: Duration = Duration::from_secs(1);

/// Items outstanding on a stream whose worker stated no limit (PROTOCOL.md §1, rule 3: 0 is "no stated limit").
pub const STREAM_ITEMS_DEFAULT: usize = 256;

/// Hubs that one stream may name.
pub const STREAM_HUBS_MAX: usize = 1_000;

/// Names and versions that one stream's filters may have for a kind: they are compared for every item that waits.
pub const STREAM_FILTERS_MAX: usize = 1_000;

/// Asks that one instance was handed and whose answer it owes: their ids stand in its row. Of more, the oldest count as taken
/// without an answer.
pub const OPEN_ASKS_MAX: usize = 1_000;

/// Bytes of an ask's id.
pub const ASK_ID_BYTES_MAX: usize = 256;

/// Bytes of whom an ask is for and by what he is known, groups that hold him included.
pub const PRINCIPAL_BYTES_MAX: usize = 64 << 10;

/// Bytes of a custom status: it is written with the instance's row each time, and told to everybody who asks. Azure's
/// limit is 16 KiB of UTF-16.
pub const CUSTOM_STATUS_BYTES_MAX: usize = 64 << 10;

/// Bytes of an instance's tags, name and version together, for the same reason.
pub const START_BYTES_MAX: usize = 64 << 10;

/// Bytes of a trace context beyond which it is dropped: W3C's `tracestate` is to be kept up to 512 characters.
pub const TRACE_BYTES_MAX: usize = 4 << 10;

/// Timers that one instance waits for: they stand in its row, which is written for each that fires.
pub const TIMERS_MAX: usize = 10_000;

/// An orchestrator turn that is out longer than this goes to another worker: turns have no side effects.
pub const TURN_LEASE: Duration = Duration::from_secs(300);

/// How long an activity may be without its stream before it is ready again: the same worker may come back, or
/// complete it by a unary call.
pub const ACTIVITY_GRACE: Duration = Duration::from_secs(30);

/// A stream that breaks so soon after it was sent a long item is taken to have broken on it.
pub const BREAKS_WITHIN: Duration = Duration::from_secs(10);

/// Streams that broke on a long item before it is given up: no worker can take it, and each try costs all else that its
/// stream held.
pub const BREAKS_MAX: u32 = 3;

/// Failed deliveries after which an item is set aside.
pub const DELIVERIES_MAX: u32 = 10;

/// The delay before the first redelivery of an abandoned or failed item; it doubles each time.
pub const REDELIVERY_DELAY_MIN: Duration = Duration::from_millis(100);

/// The longest delay before a redelivery.
pub const REDELIVERY_DELAY_MAX: Duration = Duration::from_secs(30);

/// An idle stream is pinged this often; Python and .NET declare a silent one dead after 120 s (PROTOCOL.md §7.1).
pub const PING_EVERY: Duration = Duration::from_secs(25);

/// A message whose turn is out waits this long to share its commit, or as long as the last sync took.
pub const HOLD_MIN: Duration = Duration::from_millis(1);

/// … but never longer than this.
pub const HOLD_MAX: Duration = Duration::from_millis(5);

/// Wall-clock time that is behind the newest committed time by more than this at start is not believed.
pub const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(5);

/// A step of the wall clock against the monotonic one beyond this is not believed.
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(60);

/// A virtual clock goes no further than 9999-12-31T23:59:59Z: beyond it neither the protocol's times nor most languages' go.
pub const VIRTUAL_TIME_MAX: Timestamp = Timestamp(253_402_300_799_000_000);

/// On virtual time every timer is at hand, as the clock goes from one to the next.
pub const VIRTUAL_TIMER_WINDOW: Duration = Duration::from_micros(i64::MAX as u64);

/// How long a virtual clock on its way stops for workers if its caller does not say.
pub const ADVANCE_PATIENCE_DEFAULT: Duration = Duration::from_secs(10);

/// A virtual clock on its way stops at most so long, in real time, for what the server itself has to do: a store that does
/// not answer must not keep it for ever.
pub const VIRTUAL_TIME_INSIDE: Duration = Duration::from_secs(30);

/// After a full disk, new work is refused for this long before it is tried again.
pub const REFUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// A stream's reading is told in steps of at least this, so that small items cost no message each.
pub const STREAM_READ_STEP: usize = 512 << 10;

/// A longer item waits while all workers together have as much to read, or as many turns to answer, as they may.
pub const SMALL_ITEM_BYTES: usize = 64 << 10;

/// A turn that is longer goes out after the commit of its messages, and not beside it: both at once would take twice the
/// memory, and what so much costs is not the wait for a sync.
pub const TURN_AT_ONCE_BYTES: usize = 4 << 20;

/// Longer inputs and outputs are not kept beside the history, but read from it when somebody wants them.
pub const PAYLOAD_KEPT_BYTES: usize = 64 << 10;

/// What a command's rows take beside its payload, as far as room is counted before they are made.
pub const COMMAND_BYTES: usize = 512;

/// While memory is full, what might leave is looked at this often.
pub const SPILL_EVERY: Duration = Duration::from_millis(50);

/// What a caller waits for an answer to an ask if he does not say.
pub const ASK_WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// Names of awaited events that are kept of what a worker tells with a turn: they stand in the instance's row, and are for
/// people, who read no more.
pub const WAITS_EVENTS_MAX: usize = 8;

/// … of events that came and that nobody awaits: the last ones.
pub const WAITS_UNREAD_MAX: usize = 4;

/// … ids of actions whose results are awaited. Of one that awaits more, any may be.
pub const WAITS_TASKS_MAX: usize = 16;

/// … and timers of retries.
pub const WAITS_RETRIES_MAX: usize = 4;

/// Bytes of each name of those. A longer one is left out, since a part of it is another name.
pub const WAITS_NAME_BYTES_MAX: usize = 128;

/// Bytes that are kept of all that as they came: more than our SDK ever tells. Of what is longer, what may be kept is written anew.
pub const WAITS_BYTES_MAX: usize = 4 << 10;

/// Bytes of the reason of a suspension that are kept.
pub const REASON_BYTES_MAX: usize = 256;

/// Activities and messages that are looked at to tell why an instance waits, so that the question costs others nothing.
pub const WHY_LOOKED_AT_MAX: usize = 1_000;

/// … names and versions of activities for which its workers are looked for, which looks at every stream.
pub const WHY_KINDS_MAX: usize = 16;

/// Names and versions that such an answer lists of each kind.
pub const WHY_NAMED_MAX: usize = 5;

/// What one shard may hold and do at once. A value, so that the simulator can make it small: what happens at a
/// limit must happen in the simulator, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages in one turn: a worker's answer to more would exceed what clients may receive, and one instance
    /// would hold the committer for long.
    pub turn_messages: usize,
    /// Bytes of messages in one turn, the first message excepted.
    pub turn_bytes: usize,
    /// A batch that holds this many commands waits for no turn; past some 256 turns the throughput stays flat and
    /// the latency grows (STORAGE.md, "Embedded design"). What arrives while another batch syncs is not cut: it
    /// would only wait for one sync more.
    pub batch_commands: usize,
    /// A batch that carries so many bytes takes no more commands, of which the next one takes care: what many bring together
    /// is not to hold up one of them.
    pub batch_bytes: usize,
    /// A row with a longer payload is written ahead: in pieces of so many bytes, between the commits of others, which would
    /// all wait while one batch carried it. A piece of half a mebibyte takes as long as some small commits on most disks; of
    /// shorter ones a payload of 64 MiB has too many to be there in time.
    pub ahead_from: usize,
    /// Bytes waiting to be committed beyond which new work is refused until a commit has gone through.
    pub uncommitted_bytes: usize,
    /// … of large work. Small commands are taken until they hold this many bytes beyond it.
    pub uncommitted_reserve: usize,
    /// Timers due within this are held in memory; the store holds the rest.
    pub timer_window: Duration,
    /// Timers taken from the store at once.
    pub timer_page: usize,
    /// Timers fired in one step, so that a wave of them does not starve the rest.
    pub timers_per_step: usize,
    /// Instances that are being read at a time for timers, beyond which no timer fires: what a wave of them asks for must
    /// not stand in the way of what callers ask for.
    pub timer_loads: usize,
    /// Instances with work held in memory; the store holds the rest, and they are read back as room comes.
    pub active_instances: usize,
    /// Bytes of instances held in memory: their messages, activities and payloads. Beyond it those that can leave do,
    /// beyond twice as much new work is refused.
    pub hot_bytes: usize,
    /// Bytes of messages that wait in one instance's inbox. Beyond it events are refused, and from twice as much
    /// activities' results: all of an instance must be in memory for its next turn.
    pub inbox_bytes: usize,
    /// Bytes of activities that one instance waits for. Beyond it its next turn waits until some of them are done; a turn
    /// that brings them, together with its timers, beyond twice as much fails its orchestration.
    pub pending_bytes: usize,
    /// What became of so many asks of one instance is kept, of up to twice as many until the oldest are dropped: whoever
    /// repeats an ask is told the same.
    pub replies_kept: usize,
    /// … and so many bytes of it. A turn that answers with more fails its orchestration.
    pub reply_bytes: usize,
    /// Bytes of one generation's history: all of it must fit into a message. A turn that goes beyond it and does not end
    /// its generation fails its orchestration.
    pub history_bytes: usize,
    /// A longer history is left to be read by workers that can, in chunks; Microsoft's own test server does so from the
    /// same length on.
    pub history_streamed_from: usize,
    /// Bytes of work items that a stream was sent and has not read, beyond which it is sent no more: a worker that
    /// never reads costs no more than this and one item.
    pub stream_unread_bytes: usize,
    /// The same for all streams together. Beyond it a stream is sent something only once it has read nearly all that it
    /// was sent, and nothing that is long.
    pub unread_bytes: usize,
    /// Bytes of the turns that a stream's worker has and has not answered, beyond which it gets no more of them: what a
    /// turn was given stays in memory until its answer.
    pub stream_turn_bytes: usize,
    /// The same for all streams together. Beyond it no worker gets a turn that is long.
    pub turns_out_bytes: usize,
    /// Bytes that a gRPC client takes in one message, unless its program says otherwise: what is longer may break its stream
    /// each time. Our own SDK takes whatever there is.
    pub client_message_bytes: usize,
    /// Active instances taken from the store at once.
    pub recover_page: usize,
    /// … and bytes of them, the first one excepted.
    pub recover_page_bytes: usize,
    /// Items in the dispatch's queues beyond twice what the last look left there, and so many: then those that nobody
    /// wants any more are looked for.
    pub sweep_from: usize,
    /// Parked instances kept in memory for a short while, so that the next event finds them.
    pub parked_instances: usize,
    /// How long a parked instance is kept.
    pub parked_idle: Duration,
    /// History bytes of hot instances kept for workers that replay.
    pub history_cache_bytes: usize,
    /// The history of one instance is cached up to here; longer ones are read from the store when a worker replays.
    pub history_cache_instance_bytes: usize,
}

impl Limits {
    /// Whether all that is asked of them can be had at once.
    ///
    /// # Errors
    /// What contradicts what, or stands in the way of everything.
    pub fn check(&self) -> Result<(), &'static str> {
        let quarter = self.active_instances / 4;
        let rules = [
            (self.turn_messages > 0, "a turn has at least one message"),
            (self.batch_commands > 0, "a batch has at least one command"),
            (self.batch_bytes > 0, "a batch carries something"),
            (self.ahead_from > 0, "a piece has at least one byte"),
            (self.timer_page > 0, "a page has at least one timer"),
            (self.timers_per_step > 0, "a step fires at least one timer"),
            (self.timer_loads > 0, "a timer fires while nothing is read"),
            (!self.timer_window.is_zero(), "timers that are due are within the window"),
            (self.recover_page > 0, "a page has at least one active instance"),
            (self.replies_kept > 0, "who asks twice is told the same"),
            (self.inbox_bytes > 0, "an inbox has room for a message"),
            (self.uncommitted_bytes > 1, "something may wait to be written while workers get more"),
            (self.hot_bytes > 1, "memory has room for an instance"),
            // Recovery reads while less than half of the active ones and the parked ones are there, and from
            // `active_instances` on some leave: what one page brings must not be what makes others leave, or memory is
            // emptied and filled for ever.
            (self.parked_instances < quarter, "parked instances fill less than a quarter of the room for active ones"),
            (self.recover_page <= quarter, "a page of active instances fills at most a quarter of the room for them"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            turn_messages: 1_000,
            turn_bytes: 1 << 20,
            batch_commands: 1_024,
            batch_bytes: 2 << 20,
            ahead_from: 512 << 10,
            uncommitted_bytes: 96 << 20,
            uncommitted_reserve: 8 << 20,
            timer_window: Duration::from_secs(60),
            timer_page: 4_096,
            timers_per_step: 16,
            timer_loads: 32,
            active_instances: 50_000,
            hot_bytes: 96 << 20,
            inbox_bytes: 32 << 20,
            pending_bytes: 48 << 20,
            replies_kept: 5_000,
            reply_bytes: 48 << 20,
            history_bytes: 192 << 20,
            history_streamed_from: 1 << 20,
            stream_unread_bytes: 4 << 20,
            unread_bytes: 48 << 20,
            stream_turn_bytes: 16 << 20,
            turns_out_bytes: 96 << 20,
            client_message_bytes: 4 << 20,
            recover_page: 1_000,
            recover_page_bytes: 16 << 20,
            sweep_from: 1_024,
            parked_instances: 2_000,
            parked_idle: Duration::from_secs(30),
            history_cache_bytes: 32 << 20,
            history_cache_instance_bytes: 1 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        let well = Limits::default();
        assert_eq!(well.check(), Ok(()));
        let zero = Duration::ZERO;
        let contradictions = [
            Limits { turn_messages: 0, ..well },
            Limits { batch_commands: 0, ..well },
            Limits { batch_bytes: 0, ..well },
            Limits { ahead_from: 0, ..well },
            Limits { timer_page: 0, ..well },
            Limits { timers_per_step: 0, ..well },
            Limits { timer_loads: 0, ..well },
            Limits { timer_window: zero, ..well },
            Limits { recover_page: 0, ..well },
            Limits { replies_kept: 0, ..well },
            Limits { inbox_bytes: 0, ..well },
            Limits { uncommitted_bytes: 0, ..well },
            Limits { hot_bytes: 0, ..well },
            Limits { parked_instances: well.active_instances / 4, ..well },
            Limits { recover_page: well.active_instances / 4 + 1, ..well },
        ];
        let why: std::collections::BTreeSet<_> =
            contradictions.iter().filter_map(|limits| limits.check().err()).collect();
        assert_eq!(why.len(), contradictions.len(), "each for a reason of its own: {why:?}");
    }
}
