//! Rare corners, marked where the run is seen to have been in one. A batch of runs that never was in some of them
//! proves nothing about it, and fails.

use placet_core::reach::Corner;

/// A set of marks with how often each was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks([u32; ALL]);

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A rare corner.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mark {
            $($(#[$doc])* $name),+
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Mark] = &[$(Mark::$name),+];
        }
    };
}

marks! {
    /// A completion of a turn that was out no longer changed nothing.
    StaleTurnIgnored,
    /// A completion of an activity that had its result, or was wanted no longer, changed nothing.
    StaleActivityIgnored,
    /// It was told that an instance waits for an event.
    WaitsForEvent,
    /// … for a retry.
    WaitsForRetry,
    /// … for a child.
    WaitsForChild,
    /// … for a turn or an activity.
    WaitsForWork,
    /// … for anything else.
    WaitsForElse,
    /// Somebody did what lets an instance go on, and knew it from nowhere else.
    AdviceFollowed,
    /// A worker was sent a turn without its history, and had the state.
    PresumedStateFound,
    /// A worker was presumed to have a state that it had not.
    PresumedStateMissed,
    /// A question was carried over into the next generation.
    AskCarriedOver,
    /// A question was recorded, not taken in time, and answered when it was asked again.
    AskRecordedThenAnswered,
    /// The same question was asked again after its answer.
    AskRepeated,
    /// A question's orchestration ended without taking it.
    AskEnded,
    /// The server died while a batch was with the disk, which was written.
    CrashWithBatchWritten,
    /// The server died while a batch was with the disk, which was not written.
    CrashWithBatchLost,
    /// An invariant was broken, and another shard went on.
    BeganAnew,
    /// A commit was written, and nobody knew.
    CommitUnknownWritten,
    /// A commit was not written, and nobody knew.
    CommitUnknownLost,
    /// A commit was refused for want of room.
    CommitFull,
    /// The server died while a part of a long row was there, and the row was not.
    CrashWithRowAhead,
    /// A read failed.
    ReadFailed,
    /// An activity was handed out again.
    ActivityRedelivered,
    /// An activity's completion counted though the server had died since it was handed out.
    CompletionAcrossCrash,
    /// A turn was handed out again.
    TurnRedelivered,
    /// A worker hung for longer than a turn's lease.
    WorkerHungLong,
    /// Something was set aside as poisoned.
    Poisoned,
    /// The wall clock was set by more than is believed.
    ClockDoubted,
    /// The wall clock was set back.
    ClockSetBack,
    /// The server ended an instance that was terminated.
    TerminatedByServer,
    /// A worker ended an instance that was terminated.
    TerminatedByWorker,
    /// An id was given a new life.
    StartedOver,
    /// A history was read from the store for a worker that replays.
    HistoryRead,
    /// A hub was deleted while it held an instance that had not ended.
    HubDeletedAlive,
    /// An instance continued as new.
    ContinuedAsNew,
    /// An event was acknowledged while its instance's worker hung.
    AcknowledgedThoughHung,
    /// The server had nothing to do for a while, and instances were parked.
    IdleBetween,
    /// The same when everything had ended.
    IdleAtTheEnd,
    /// A decision timed out though somebody had asked something.
    TimedOutThoughAsked,
    /// The server stopped in good order.
    StoppedInGoodOrder,
    /// It was told to while something waited to be written.
    StoppedWhileWriting,
    /// Several people decided a request, and one of them was told that another had won before.
    DecisionLost,
    /// A request timed out, and somebody had decided too late.
    DecidedTooLate,
    /// A request continued as new.
    ApprovalContinued,
    /// A decision that is none was refused.
    DecisionRefused,
    /// A piece of a turn came when the turn was out no longer.
    PieceInVain,
    /// A piece of a turn was sent again, since a commit had failed.
    PieceSentAgain,
    /// A worker lied about an item that it had, and was refused.
    LieRefused,
    /// A worker lied about an item that it had not, and nothing happened.
    LieIgnored,
    /// A worker had no state for a turn at all.
    StateUnknown,
    /// A worker's state was that of an earlier generation or life.
    StateOfAnother,
    /// A worker's state was after more or fewer events.
    StateAtOtherEvents,
    /// A worker dropped a state for want of room.
    StateEvicted,
    /// A worker dropped a state that nobody had asked for in a while.
    StateIdle,
    /// A worker dropped a state whose completion had not counted.
    StateRefused,
    /// A turn came again in a later epoch to the worker that had its state.
    StateOfEarlierEpoch,
    /// A turn came to a worker, and another one kept its state.
    StateElsewhere,
}

/// The corners of the simulation, and those that the core marks itself.
const ALL: usize = Mark::ALL.len() + Corner::ALL.len();

impl Marks {
    /// Notes that a corner was reached.
    pub fn reach(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// How often it was.
    pub fn times(&self, mark: Mark) -> u32 {
        self.0[mark as usize]
    }

    /// Adds what the core marked.
    pub(crate) fn add_corners(&mut self, reached: &[u32]) {
        for (sum, times) in self.0[Mark::ALL.len()..].iter_mut().zip(reached) {
            *sum = sum.saturating_add(*times);
        }
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Marks) {
        for (sum, times) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(times);
        }
    }

    /// All of them by name, with how often each was reached.
    pub fn all(&self) -> impl Iterator<Item = (String, u32)> {
        let ours = Mark::ALL.iter().map(|mark| format!("{mark:?}"));
        let names = ours.chain(Corner::ALL.iter().map(|corner| format!("{corner:?}")));
        names.zip(self.0)
    }

    /// Those never reached.
    pub fn missing(&self) -> Vec<String> {
        self.all().filter(|(_, times)| *times == 0).map(|(name, _)| name).collect()
    }
}

impl Default for Marks {
    fn default() -> Marks {
        Marks([0; ALL])
    }
}
