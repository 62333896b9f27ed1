//! Bugs that somebody might have made, each behind a name: to show that the simulator finds them
//! (`cargo xtask sim --plants`). They are here only with the feature `planted`, which nothing but the simulator
//! turns on; without it `is` is `false` for the compiler, too, and nothing of them remains. Each stands in the
//! code where the right thing is done, in one line, so that a change there cannot miss it.

/// Whether this build has the bugs in it. What is shipped asserts that it has not.
pub const BUILT_IN: bool = cfg!(feature = "planted");

macro_rules! plants {
    ($(#[doc = $doc:literal] $plant:ident = $name:literal),+ $(,)?) => {
        /// A bug, put in on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Plant {
            $(#[doc = $doc] $plant),+
        }

        impl Plant {
            /// All of them.
            pub const ALL: &[Plant] = &[$(Plant::$plant),+];

            /// What it is called on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Plant::$plant => $name),+
                }
            }

            /// What goes wrong, in a line.
            pub fn what(self) -> &'static str {
                match self {
                    $(Plant::$plant => $doc.trim_ascii()),+
                }
            }
        }
    };
}

plants! {
    /// A call is answered before what it did is durable.
    AcknowledgeBeforeSync = "acknowledge-before-sync",
    /// An activity is handed out before its scheduling is durable.
    ActivityBeforeCommit = "activity-before-commit",
    /// A history is read before its latest turn is durable.
    HistoryBeforeCommit = "history-before-commit",
    /// After a failed commit the partitions go on in the old epoch.
    EpochNotBumped = "epoch-not-bumped",
    /// A completion is taken for the turn that is out, whatever its token.
    StaleTokenAccepted = "stale-token-accepted",
    /// A timer that has fired is not taken off the list of those that wait.
    TimerFiredTwice = "timer-fired-twice",
    /// A timer is due when the second has begun in which it is.
    TimerFiredEarly = "timer-fired-early",
    /// A timer that is made while the next window is being read is left to that reading.
    TimerLostAtTheEdge = "timer-lost-at-the-edge",
    /// After a failed commit, timers that fired for nothing are not read again.
    TimersNotReset = "timers-not-reset",
    /// An instance leaves memory though its last write is not durable.
    ParkedBeforeDurable = "parked-before-durable",
    /// The answer to a load brings back what has changed and left memory since it was asked for.
    OldAnswerInstalled = "old-answer-installed",
    /// A turn's events become history, and the messages that it took stay in the store's inbox.
    TurnHalfApplied = "turn-half-applied",
    /// Of an instance whose status stays the same nothing is written.
    WriteElided = "write-elided",
    /// An instance that changes and is deleted in one batch stays in the store.
    DeletionElided = "deletion-elided",
    /// An activity that has its result is not taken off the list of those that wait.
    ResultRecordedTwice = "result-recorded-twice",
    /// An id is given to a new life, and its old life is loaded before its deletion is durable.
    OldLifeLoaded = "old-life-loaded",
    /// After a reload the numbers of messages that came since the last turn are given again.
    NumberGivenAgain = "number-given-again",
    /// A failed commit makes the server forget how often items have broken their workers.
    PoisonCountReset = "poison-count-reset",
    /// After a restart, turns are handed out again and activities are not.
    RecoveryForgetsActivities = "recovery-forgets-activities",
    /// Instances with work that leave memory for want of room are not read back.
    SpilledForgotten = "spilled-forgotten",
    /// Streams that have room after a failed commit are not given what waits.
    StreamsNotRefilled = "streams-not-refilled",
    /// A turn whose history was to be read when a commit failed waits for it for ever.
    HistoryReadForgotten = "history-read-forgotten",
    /// After a failed commit, what was decided since the batch was sealed is not taken back.
    LaterDecisionsKept = "later-decisions-kept",
    /// An instance that was loaded and did not change stays in memory.
    ParkedKeptInMemory = "parked-kept-in-memory",
    /// A message that may share its turn's commit waits for the turn however long that takes.
    HeldTooLong = "held-too-long",
    /// A second answer to a question overwrites the first.
    AnswerOverwritten = "answer-overwritten",
    /// Events that come while an instance continues as new go over in the wrong order.
    EventsReordered = "events-reordered",
    /// A worker that lacks a state is sent the same turn without its history again.
    HistoryNotSentAgain = "history-not-sent-again",
    /// An event for a request is acknowledged, and nothing is done.
    EventDropped = "event-dropped",
    /// Whoever waits for a commit that may have been written is told that nothing was done.
    UnknownCalledRefused = "unknown-called-refused",
    /// Messages that come while an instance ends are recorded after its end.
    RecordedAfterEnd = "recorded-after-end",
    /// An answer to a request that has its outcome overwrites it (in `placet-approval`).
    OutcomeOverwritten = "outcome-overwritten",
    /// An answer in the last second before the deadline comes too late (in `placet-approval`).
    AnsweredInTimeExpires = "answered-in-time-expires",
    /// An instance that parks stays marked as one that has work: each start reads it.
    ParkedMarkedActive = "parked-marked-active",
    /// What one instance told another stays with it, to be told again.
    ToldTwice = "told-twice",
    /// What an instance has yet to tell others is not told after it is read back.
    ToldForgotten = "told-forgotten",
    /// A child that failed is not rewound with its parent.
    ChildNotRewound = "child-not-rewound",
    /// An instance is deleted though it has yet to tell its parent how it ended.
    PurgedUntold = "purged-untold",
    /// A record row is made though it is there already.
    RecordMadeTwice = "record-made-twice",
    /// What an instance's code awaits is forgotten when the instance leaves memory.
    WaitsForgotten = "waits-forgotten",
    /// A decision goes on though only a piece of its long row is in the store.
    AheadNotAwaited = "ahead-not-awaited",
    /// What concerns an instance is decided though an earlier decision about it waits for its long row.
    UnderwayOvertaken = "underway-overtaken",
    /// Of what an instance enters in the record in one batch only the first is written.
    EntryForgotten = "entry-forgotten",
    /// A request that expires leaves no entry of it (in `placet-approval`).
    EndNotEntered = "end-not-entered",
}

#[cfg(feature = "planted")]
pub use chosen::choose;
#[cfg(feature = "planted")]
pub(crate) use chosen::is;

#[cfg(feature = "planted")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Plant;

    /// None, or one more than the plant's number.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// From now on this bug is there, in the whole process, and no other.
    pub fn choose(plant: Option<Plant>) {
        CHOSEN.store(plant.map_or(0, |plant| plant as u8 + 1), Ordering::Relaxed);
    }

    /// Whether this bug is there.
    pub(crate) fn is(plant: Plant) -> bool {
        CHOSEN.load(Ordering::Relaxed) == plant as u8 + 1
    }
}

/// Whether this bug is there: it is not.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Plant) -> bool {
    false
}
