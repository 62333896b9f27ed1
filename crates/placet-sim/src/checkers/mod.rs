//! The promises, one file each. A checker is told what the world outside can see, and says what breaks its promise.
//!
//! Which of them proves which invariant of the design (I1 to I36):
//!
//! | invariant | broken if | found by |
//! | --- | --- | --- |
//! | I1 | an acknowledged write is missing | [`durable`], [`records`] |
//! | I2 | a turn is half applied | `world/ledger.rs`, after each batch; the published row: `world/disk.rs` |
//! | I3 | a caller is told "failed" of what shows up later | [`once`] (what was refused is not there) |
//! | I4 | an effect comes before its commit | [`durable`] (answers), [`once`] (activities, completions) |
//! | I5 | rows are missing after a restart | `world/ledger.rs`, at each start and at the end |
//! | I11 | two executions of an instance live | [`once`] |
//! | I12 | an event after the end, or a status that is not the history's | [`history`], `world/answers.rs` |
//! | I13 | what is recorded changes | `world/ledger.rs` (the store), `world/items.rs` (what workers are sent) |
//! | I14 | a result is recorded twice, or for another execution | [`history`], [`once`] |
//! | I15 | an event is lost, doubled or out of order | [`durable`] (from its acknowledgement to the turn that takes it), [`once`], [`order`] |
//! | I16 | a timer fires early, twice or late | [`parked`], [`history`], `world/progress.rs` |
//! | I17 | a child is lost, started or heard of twice | `world/relatives.rs`, [`once`] (what its parent and it come to) |
//! | I18 | today's code comes to another end | [`history`] |
//! | I21 | an item that fails keeps others | [`progress`], [`deliveries`] |
//! | I22 | two outcomes of a request are told, or another than the first | [`approval`] |
//! | I26 | a request expires though it was decided in time, or is decided too late | [`approval`] |
//! | I32 | memory grows with what is parked, an inbox with what is sent | [`bounds`], `world/bounds.rs` (counts and bytes) |
//! | I33 | a worker that lies is believed | `world/lies.rs`, and all that look at whom it lies about |
//! | I35 | a start reads more than what has work | [`bounds`], `world/ledger.rs` (the mark that it goes by) |
//! | I36 | what can go on does not within its time | [`progress`], `world/progress.rs` |
//!
//! Beside those, [`why`] and `world/why.rs` find that it is told why an instance waits, and that is not so, or what is named does
//! not let it go on.
//!
//! The others need what is not simulated: several nodes (I6 to I10), entities (I20), purging by filter (I19),
//! the rules of approval to come (I23 to I25, I27 to I30), hostile clients and secrets (I31, I34).

mod approval;
mod bounds;
mod decision;
mod deliveries;
mod durable;
mod history;
mod once;
mod order;
mod parked;
mod progress;
mod record;
mod records;
mod why;

pub(crate) use approval::in_words;
pub(crate) use history::answers;
pub(crate) use records::fades;

use crate::facts::{Fact, Row, Stored};
use crate::workload::Slot;
use crate::world::Violation;

/// What is wrong, if something is.
pub(crate) type Check = Result<(), String>;

/// All of them.
#[derive(Debug)]
pub(crate) struct Checkers {
    durable: durable::Durable,
    decision: decision::Decision,
    once: once::Once,
    order: order::Order,
    deliveries: deliveries::Deliveries,
    parked: parked::Parked,
    bounds: bounds::Bounds,
    progress: progress::Progress,
    approval: approval::Approval,
    record: record::Record,
    records: records::Records,
    why: why::Why,
}

impl Checkers {
    /// For a run about these instances; `roomy`: a turn holds all that waits for it.
    pub(crate) fn new(slots: &[Slot], roomy: bool) -> Checkers {
        Checkers {
            durable: durable::Durable::new(slots, roomy),
            decision: decision::Decision::default(),
            once: once::Once::new(slots),
            order: order::Order::default(),
            deliveries: deliveries::Deliveries::default(),
            parked: parked::Parked,
            bounds: bounds::Bounds,
            progress: progress::Progress,
            approval: approval::Approval::default(),
            record: record::Record::default(),
            records: records::Records::default(),
            why: why::Why::default(),
        }
    }

    /// Something was seen.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub(crate) fn see(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        told("P1, acknowledged is durable", self.durable.see(fact))?;
        told("P2, one decision", self.decision.see(fact))?;
        told("P3, effectively once", self.once.see(fact))?;
        told("P4, order", self.order.see(fact))?;
        told("deliveries", self.deliveries.see(fact))?;
        told("P5, parked costs nothing", self.parked.see(fact))?;
        told("bounds", self.bounds.see(fact))?;
        told("progress", self.progress.see(fact))?;
        told("approvals", self.approval.see(fact))?;
        told("P9, the record", self.record.see(fact))?;
        told("why it waits", self.why.see(fact))?;
        told("record rows", self.records.see(fact))
    }

    /// The run is over, and this is how a record row stands.
    ///
    /// # Errors
    /// The promise that is broken.
    pub(crate) fn row_at_end(&self, row: u8, stored: Option<Row>) -> Result<(), Violation> {
        told("record rows", self.records.at_end(row, stored))
    }

    /// The run is over, and this is how an instance stands.
    ///
    /// # Errors
    /// The promise that is broken.
    pub(crate) fn at_end(&mut self, at: usize, slot: &Slot, stored: Option<&Stored>) -> Result<(), Violation> {
        told("P1, acknowledged is durable", self.durable.at_end(at, stored))?;
        let Some(stored) = stored else { return Ok(()) };
        told("P2, one decision", self.decision.at_end(at, slot, stored))?;
        told("P3, effectively once", self.once.at_end(at, slot, stored))?;
        told("P4, order", self.order.at_end(at, stored))?;
        told("histories are well-formed", history::check(&stored.history))?;
        told("approvals", self.approval.at_end(at, slot, stored))?;
        told("P9, the record", self.record.at_end(at, slot, stored))?;
        told("today's code agrees with the history", history::replays(&stored.history))
    }
}

fn told(promise: &'static str, check: Check) -> Result<(), Violation> {
    check.map_err(|what| Violation { promise, what })
}

#[cfg(test)]
mod planted {
    //! Small worlds that never were: facts made by hand, each with something wrong in it.

    use crate::expectations::Program;
    use crate::facts::{Call, Outcome, Seen, Stored, What};
    use crate::programs::Sequence;
    use crate::workload::Slot;
    use placet_proto::durabletask::history_event::EventType;
    use placet_proto::durabletask::{
        EventRaisedEvent, ExecutionCompletedEvent, ExecutionStartedEvent, HistoryEvent, OrchestrationStatus,
        OrchestratorStartedEvent,
    };

    pub(crate) const GENERATION: &str = "00000000000000000000000000000001";

    pub(crate) fn slot(program: Program) -> Slot {
        let id = format!("{}-0", program.name());
        Slot::new("default", id, program)
    }

    pub(crate) fn sequence() -> Slot {
        slot(Program::Sequence(Sequence { steps: 0, salt: 4 }))
    }

    pub(crate) fn call(number: u64, what: What) -> Call {
        Call { number, slot: 0, what }
    }

    pub(crate) fn start(number: u64) -> Call {
        call(number, What::Start { life: 0, execution: GENERATION.into(), delay: 0, over_running: false })
    }

    pub(crate) fn raise(number: u64, id: &str) -> Call {
        call(number, What::Raise { name: "item", id: id.into() })
    }

    pub(crate) fn ask(number: u64, id: &str, what: &str) -> Call {
        call(number, What::Ask { name: "decide", id: id.into(), what: what.into() })
    }

    pub(crate) fn completed(output: &str) -> Outcome {
        Outcome { status: OrchestrationStatus::Completed, output: Some(output.into()), failure: None }
    }

    pub(crate) fn seen(outcome: Option<Outcome>) -> Seen {
        Seen { execution: GENERATION.into(), outcome }
    }

    pub(crate) fn event(seconds: i64, id: i32, event_type: EventType) -> HistoryEvent {
        let timestamp = prost_types::Timestamp { seconds, nanos: 0 };
        HistoryEvent { event_id: id, timestamp: Some(timestamp), event_type: Some(event_type) }
    }

    pub(crate) fn turn(seconds: i64) -> HistoryEvent {
        event(seconds, -1, EventType::OrchestratorStarted(OrchestratorStartedEvent {}))
    }

    pub(crate) fn started(seconds: i64, name: &str, input: &str) -> HistoryEvent {
        event(
            seconds,
            -1,
            EventType::ExecutionStarted(ExecutionStartedEvent {
                name: name.into(),
                input: Some(input.into()),
                ..ExecutionStartedEvent::default()
            }),
        )
    }

    pub(crate) fn raised(seconds: i64, name: &str, id: &str) -> HistoryEvent {
        let input = Some(format!("{id:?}"));
        let raised = EventRaisedEvent { name: name.into(), input, ..EventRaisedEvent::default() };
        event(seconds, -1, EventType::EventRaised(raised))
    }

    pub(crate) fn ended(seconds: i64, output: &str) -> HistoryEvent {
        event(
            seconds,
            1,
            EventType::ExecutionCompleted(ExecutionCompletedEvent {
                orchestration_status: OrchestrationStatus::Completed.into(),
                result: Some(output.into()),
                failure_details: None,
            }),
        )
    }

    pub(crate) fn stored(outcome: Option<Outcome>) -> Stored {
        Stored { execution: GENERATION.into(), outcome, ..Stored::default() }
    }
}
