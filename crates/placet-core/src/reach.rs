//! Rare branches, marked where they are taken: a batch of simulations that never took one proves nothing about it, and
//! fails. Apart from all else, since it is no part of any decision.
//!
//! Like `debug_assert!`, a mark costs nothing where debug assertions are off, and none is ever reached then.

#[cfg(debug_assertions)]
use std::cell::RefCell;

macro_rules! corners {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A rare branch of the core.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Corner {
            $($(#[$doc])* $name),+
        }

        impl Corner {
            /// All of them.
            pub const ALL: &[Corner] = &[$(Corner::$name),+];
        }
    };
}

corners! {
    /// An active instance left memory, since there were too many.
    Spilled,
    /// What had left memory with work to do was looked for again.
    SpilledReadBack,
    /// A parked instance left memory before its time, since there were too many.
    ParkedShedForRoom,
    /// The active instances did not fit into one page.
    RecoveryReadsOn,
    /// There was no room for another page of active instances.
    RecoveryWaitsForRoom,
    /// The store could not be read for active instances.
    RecoveryFailed,
    /// An instance of such a page was in memory already, or on its way there, or the page was older.
    RecoveredAlready,
    /// A timer beyond the window was left to the store.
    TimerLeftToStore,
    /// The window moved on.
    TimerWindowMoved,
    /// More timers were due within the window than were read at once: it was read on.
    TimerPageReadOn,
    /// The answer to a reading of the window from before a failed commit came too late.
    TimersReadInVain,
    /// More timers were due than may fire in one step.
    TimersCut,
    /// Timers were held, since the clock was not believed.
    TimersHeld,
    /// A child could not be started: its parent was told.
    ChildRefused,
    /// A child's result came for nobody: its parent had ended, or begun again.
    ChildResultInVain,
    /// A parent had no room for a child's result.
    InboxFullForChild,
    /// What was to be told was told already, or its sender's turn came to nothing.
    ToldInVain,
    /// A record row was not as whoever wanted to change it thought.
    RecordConflict,
    /// A record row had expired, and was deleted.
    RecordExpired,
    /// Somebody had no room for what he was told.
    ToldLater,
    /// A long history was left to be read by its worker.
    HistoryLeftToWorker,
    /// A child was rewound with its parent.
    ChildRewound,
    /// An instance that was to be deleted had something to tell first.
    PurgeWaited,
    /// More messages waited than one turn may hold.
    TurnCutByMessages,
    /// The messages that waited were larger than one turn may be.
    TurnCutByBytes,
    /// A batch waited for the turn that its messages cause.
    BatchHeld,
    /// A batch would have waited for a turn, and was full.
    BatchCut,
    /// A batch carried so much that what came next went into another one.
    BatchCutByBytes,
    /// A row was born and died between two commits, and was never written.
    RowElided,
    /// A history was kept in memory no longer, for want of room.
    HistoryUncached,
    /// A history was too long to be kept in memory.
    HistoryTooLongToCache,
    /// A history was read for a turn that was out no longer.
    HistoryReadInVain,
    /// A worker lacked the state of a turn with a long history, which waited for room then.
    LongHistoryWanted,
    /// A turn waited, since its instance waited for too much already.
    TurnWaitedForPending,
    /// A turn began more than one instance may wait for, and failed its orchestration.
    TooMuchPending,
    /// A long item waited, since all workers together had much to read.
    ItemWaitedForReaders,
    /// A long turn waited, since all workers together had many to answer.
    TurnWaitedForAnswers,
    /// A history could not be read, and its turn was given back.
    HistoryUnread,
    /// An instance was loaded that another answer had brought.
    LoadedAlready,
    /// An instance that was asked for by its key in the store was on its way by its name.
    LoadJoined,
    /// The answer to a load was older than the instance's last departure from memory.
    LoadIsOld,
    /// What was asked of a hub that was deleted since, and was not there then, is asked again.
    AbsenceIsOld,
    /// A key in the store was found to belong to another partition's instance.
    KeyGivenAgain,
    /// A load failed.
    LoadFailed,
    /// A commit failed while the active instances were being read.
    VoidedWhileRecovering,
    /// A commit failed, and what had waited for a load was asked for again.
    VoidedWhileLoading,
    /// A call came for an instance of a hub whose deletion was not durable yet: it was not there.
    GoneWithHub,
    /// A worker's state was wanted, and its stream had no room: another got the turn.
    StickyHadNoRoom,
    /// An item that became ready was still with a worker.
    ReadyThoughHeld,
    /// An item that was handed out was void, and left room for another.
    VoidItem,
    /// A turn's lease ran out.
    LeaseOver,
    /// An activity's worker did not come back, and another got it.
    GraceOver,
    /// A delivery failed for the second time: the next one waits.
    FailedAgain,
    /// A turn was set aside.
    TurnSetAside,
    /// An activity was set aside.
    ActivitySetAside,
    /// An instance that was set aside was terminated.
    PoisonedTerminated,
    /// An instance was terminated whose turn nobody could take.
    Unserved,
    /// A termination came with the turn that continued as new.
    TerminationCarried,
    /// The same question was asked while it was open.
    AskedWhileOpen,
    /// A reply came after the question was settled.
    ReplyTooLate,
    /// Code that does not know of questions did something, which answered what was open.
    OpenAsksAnswered,
    /// Nobody waited for a result any more, since the instance had ended.
    ResultAfterEnd,
    /// New work was refused, since too much waited to be written.
    RefusedUncommitted,
    /// A small command was taken beyond that, from what is kept for such.
    TookFromReserve,
    /// Timers that were due waited until some of what was being read had come.
    TimersWaitForLoads,
    /// New work was refused, since too many bytes of instances are in memory.
    RefusedMemory,
    /// An event or a question was refused, since too much waits for its instance.
    InboxFull,
    /// A result was refused for that, and its activity given back.
    InboxFullForResult,
    /// A page of active instances was cut by its bytes.
    RecoveryPageCutByBytes,
    /// Instances left memory, since they were too many bytes.
    SpilledForBytes,
    /// A piece of a turn was kept until the last one came.
    PieceKept,
    /// New work was refused for a while after the disk was full.
    RefusedFull,
    /// A long row was written ahead.
    WrittenAhead,
    /// A message's sender waited with whoever hears it for a long row.
    AheadJoined,
    /// Something waited behind a decision that waited for its long row.
    WaitedForAhead,
    /// A message was to be told by or to somebody of whom a decision waited so.
    ToldBehindAhead,
    /// An instance that the server is to end waited so.
    UnservedBehindAhead,
    /// A piece of a long row was not written.
    AheadFailed,
    /// A decision that waited for its long row came to nothing.
    AheadVoided,
    /// A piece was written of a row that never comes, or cleared away.
    AheadInVain,
    /// A hub was deleted while a decision in it waited for its long row.
    AheadGoneWithHub,
}

#[cfg(debug_assertions)]
thread_local! {
    static REACHED: RefCell<[u32; Corner::ALL.len()]> = const { RefCell::new([0; Corner::ALL.len()]) };
}

/// Notes that a rare branch was taken, on this thread.
#[inline]
pub(crate) fn reach(corner: Corner) {
    #[cfg(debug_assertions)]
    REACHED.with_borrow_mut(|reached| {
        let times = &mut reached[corner as usize];
        *times = times.saturating_add(1);
    });
    #[cfg(not(debug_assertions))]
    let _ = corner;
}

/// How often each branch was taken on this thread since this was last asked: never, where debug assertions are off.
pub fn take_reached() -> [u32; Corner::ALL.len()] {
    #[cfg(debug_assertions)]
    return REACHED.with_borrow_mut(|reached| std::mem::replace(reached, [0; Corner::ALL.len()]));
    #[cfg(not(debug_assertions))]
    [0; Corner::ALL.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(debug_assertions)]
    fn a_branch_is_counted_until_somebody_asks() {
        take_reached();
        reach(Corner::Spilled);
        reach(Corner::Spilled);
        reach(Corner::RefusedFull);
        let reached = take_reached();
        assert_eq!((reached[Corner::Spilled as usize], reached[Corner::RefusedFull as usize]), (2, 1));
        assert_eq!(take_reached().iter().sum::<u32>(), 0);
    }
}
