//! The promises, one file each. A checker is told what the world outside can see, and says what breaks its promise.

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

pub(crate) use approval::in_words;

use crate::facts::{Fact, Stored};
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
}

impl Checkers {
    /// For a run about these instances.
    pub(crate) fn new(slots: &[Slot]) -> Checkers {
        Checkers {
            durable: durable::Durable::new(slots),
            decision: decision::Decision::default(),
            once: once::Once::default(),
            order: order::Order::default(),
            deliveries: deliveries::Deliveries::default(),
            parked: parked::Parked,
            bounds: bounds::Bounds,
            progress: progress::Progress,
            approval: approval::Approval::default(),
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
        told("approvals", self.approval.see(fact))
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
        Slot { hub: "default".into(), id: format!("{}-0", program.name()), program, doomed: false, bomb: false }
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
