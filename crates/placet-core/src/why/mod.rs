//! Why an instance waits, and what lets it go on: a pure function of what the core knows of it, in one sentence.
//!
//! `explain` decides, `sentence.rs` says it, `kept.rs` is what is kept of a turn for it. Nothing here is ever looked at
//! for a decision, no history is read, and what is looked at is bounded (`limits::WHY_*`): the question is for people, and
//! whoever asks it holds up nobody.
//!
//! Which events an orchestration awaits only its SDK knows. Ours tells with each turn ([`crate::body::Waits`]); of code that
//! runs on another one it is said what can be seen from outside, and that it is no more than that.

mod explain;
mod kept;
mod sentence;

use placet_proto::durabletask::OrchestrationStatus;

use crate::clock::Doubt;
use crate::dispatch::Kind;
pub use crate::dispatch::Stage;
use crate::ids::{Hub, InstanceId};
use crate::time::Timestamp;
pub(crate) use explain::{Around, explain};
pub(crate) use kept::{suspension, waits_told};

/// Why an instance waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The instance …
    pub id: InstanceId,
    /// … of this hub.
    pub hub: Hub,
    /// Its status.
    pub status: OrchestrationStatus,
    /// As of when.
    pub now: Timestamp,
    /// What it waits for; of several things, what most wants something to be done.
    pub cause: Cause,
    /// Since when, as far as that is known. On virtual time, of what workers do: as long before `now` as it has lasted in
    /// real time.
    pub since: Option<Timestamp>,
    /// Until when at the longest, if time alone ends it.
    pub until: Option<Timestamp>,
    /// What else is known.
    pub evidence: Vec<Evidence>,
    /// What lets it go on.
    pub remedy: Remedy,
}

/// What an instance waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Nothing: it has ended, at `since`.
    Ended,
    /// The time at which it is to start.
    ScheduledStart,
    /// To be resumed.
    Suspended {
        /// Why it was suspended, if that was said, and not at length.
        reason: Option<String>,
        /// So many messages wait with it.
        messages: usize,
    },
    /// One of these events: its SDK told so.
    Events {
        /// Some of the names, as its code wrote them.
        names: Vec<String>,
        /// So many more.
        more: u32,
        /// An event that came and is unread, and whose name is nearly one of these; and when it came.
        near: Option<(String, Timestamp)>,
    },
    /// An event, as it seems: nothing else could come, and its SDK does not tell.
    SomeEvent,
    /// A timer.
    Timer {
        /// … or an event before then: its SDK does not tell.
        or_event: bool,
    },
    /// A timer, after which it tries something again.
    Retry {
        /// The activity or child; empty if its SDK does not tell.
        name: String,
        /// Which attempt comes then; 0 if its SDK does not tell.
        attempt: u32,
        /// … of how many.
        attempts_max: u32,
        /// What the last attempt failed with.
        error: String,
    },
    /// A timer, which is held since the clock is not believed.
    Clock(Doubt),
    /// Its own turn.
    Turn(Stage),
    /// An activity.
    Activity {
        /// Its name.
        name: String,
        /// Its version; without one of its own, its orchestration's.
        version: Option<String>,
        /// The action that scheduled it.
        task_id: i32,
        /// How it is with it.
        stage: Stage,
        /// So many more activities are open.
        more: usize,
    },
    /// A child.
    Child {
        /// Its id.
        id: InstanceId,
        /// Its name.
        name: String,
        /// Why that one waits, without its children.
        child: ChildWait,
        /// So many more children are open.
        more: usize,
    },
    /// To tell another instance something.
    Telling(InstanceId),
    /// Room on the disk.
    DiskFull,
    /// Nothing that could come, as far as its SDK told.
    Nothing,
}

/// Why a child waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildWait {
    /// Nobody has looked.
    Unasked,
    /// There is no such instance: it is yet to be started, or it was purged.
    Absent,
    /// It cannot be read.
    Unreadable(String),
    /// So.
    Known(Box<Explanation>),
}

/// What else is known of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// An event came that its code does not await.
    Unread {
        /// Its name.
        name: String,
        /// When it came.
        at: Timestamp,
    },
    /// An event came, and its code did nothing then.
    NothingDone {
        /// Its name.
        name: String,
        /// When it came.
        at: Timestamp,
    },
    /// So many messages wait for its next turn, among them events of these names.
    Messages {
        /// How many.
        count: usize,
        /// Some of the events' names, and when they came.
        events: Vec<(String, Timestamp)>,
    },
    /// It awaits these events, too.
    AlsoEvents(Vec<String>),
    /// It awaits a timer, too.
    AlsoTimer(Timestamp),
    /// It awaits this activity, too.
    AlsoActivity {
        /// The name of one of them.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// It awaits a child, too.
    AlsoChild {
        /// The id of one of them.
        id: InstanceId,
        /// How many there are.
        count: usize,
    },
    /// So many activities, children and timers are open that its code does not wait for.
    Unawaited {
        /// Activities and children.
        tasks: usize,
        /// Timers.
        timers: usize,
    },
    /// Its SDK does not tell what it awaits.
    Untold,
    /// These versions of it are taken by some worker; "" stands for none.
    Versions(Vec<String>),
    /// The clock is not believed: timers are held.
    TimersHeld(Doubt),
    /// The disk is full.
    DiskFull,
    /// The server's time is virtual: it stands until it is advanced.
    VirtualTime,
}

/// What lets an instance go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing can or need be done.
    Nothing,
    /// Time brings it.
    Wait,
    /// Time brings it, which stands until it is advanced.
    AdvanceTime,
    /// An event of one of these names; without names, its SDK does not tell which.
    RaiseEvent(Vec<String>),
    /// A worker, or one more, that takes this.
    ConnectWorker {
        /// What.
        kind: Kind,
        /// Of which name.
        name: String,
        /// At which version.
        version: Option<String>,
    },
    /// The end of its suspension.
    Resume,
    /// To put back to work what was set aside.
    RetryPoisoned,
    /// That somebody says that the clock is right, or sets it right.
    AcceptTime,
    /// Room on the disk.
    FreeDisk,
    /// To end it.
    Terminate,
}

impl Explanation {
    /// What it waits for, in one sentence. Times of day are UTC.
    pub fn sentence(&self) -> String {
        sentence::of(self)
    }

    /// What lets it go on, and which instance that is about: it, or its child.
    pub fn remedy(&self) -> (&InstanceId, &Remedy) {
        match &self.cause {
            // Of a child that has ended the result is on its way.
            Cause::Child { child: ChildWait::Known(child), .. } if child.cause != Cause::Ended => child.remedy(),
            _ => (&self.id, &self.remedy),
        }
    }

    /// The same with what is known of the child that it waits for.
    #[must_use]
    pub(crate) fn with_child(mut self, known: ChildWait) -> Explanation {
        if let Cause::Child { child, .. } = &mut self.cause {
            *child = known;
        }
        self
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        sentence::evidence(self, f)
    }
}
