//! What each program must come to, whatever happens on the way: computed without the SDK and without a server.

use std::collections::{BTreeMap, BTreeSet};

use placet_approval::{Input, NewRequest, Outcome as Decided};
use placet_proto::durabletask::{ExecutionStartedEvent, HistoryEvent, OrchestrationStatus, history_event::EventType};
use serde::de::DeserializeOwned;

use crate::facts::{Outcome, id_of};
use crate::programs::{
    Advised, BROKEN, Became, Child, Collect, Decide, Family, FanOut, Heed, LateReply, Race, Retry, Said, Sequence,
    Sleep, Tally, Teller, step, timed_out,
};

/// What a terminated instance gives back.
pub(crate) const STOPPED: &str = "\"stopped\"";

/// So many activities at once are not too many, however little room there is.
const MAY_PEND: u32 = 40;

/// A program with its input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Program {
    Sequence(Sequence),
    FanOut(FanOut),
    Retry(Retry),
    Collect(Collect),
    Heed(Heed),
    Decide(Decide),
    Tally(Tally),
    LateReply(LateReply),
    Sleep(Sleep),
    Race(Race),
    Family(Family),
    Mend(Sequence),
    Teller(Teller),
    Advised(Advised),
    Approval(Box<NewRequest>),
}

/// What clients sent to an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    /// How often each event and question was sent, by its id.
    pub(crate) times: BTreeMap<String, u32>,
    /// What was said, by the question's id.
    pub(crate) said: BTreeMap<String, String>,
    /// Somebody terminated it.
    pub(crate) terminated: bool,
    /// Those that descend from it and that somebody terminated.
    pub(crate) terminated_children: BTreeSet<String>,
    /// It was rewound once what is brittle was repaired.
    pub(crate) rewound: bool,
}

impl Program {
    /// The orchestration's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Program::Sequence(_) => "sequence",
            Program::FanOut(_) => "fan-out",
            Program::Retry(_) => "retry",
            Program::Collect(_) => "collect",
            Program::Heed(_) => "heed",
            Program::Decide(_) => "decide",
            Program::Tally(_) => "tally",
            Program::LateReply(_) => "late-reply",
            Program::Sleep(_) => "sleep",
            Program::Race(_) => "race",
            Program::Family(_) => "family",
            Program::Mend(_) => "mend",
            Program::Teller(_) => "teller",
            Program::Advised(_) => "advised",
            Program::Approval(_) => placet_approval::ORCHESTRATION,
        }
    }

    /// Its input, in one of the instance's lives.
    ///
    /// # Panics
    /// Never: these inputs can be written.
    pub(crate) fn input(&self, life: u32) -> String {
        let text = match self {
            Program::Sequence(input) => serde_json::to_string(&input.in_life(life)),
            Program::FanOut(input) => serde_json::to_string(input),
            Program::Retry(input) => serde_json::to_string(input),
            Program::Collect(input) => serde_json::to_string(input),
            Program::Heed(input) => serde_json::to_string(input),
            Program::Decide(input) => serde_json::to_string(input),
            Program::Tally(input) => serde_json::to_string(input),
            Program::LateReply(input) => serde_json::to_string(input),
            Program::Sleep(input) => serde_json::to_string(input),
            Program::Race(input) => serde_json::to_string(input),
            Program::Family(input) => serde_json::to_string(input),
            Program::Mend(input) => serde_json::to_string(input),
            Program::Teller(input) => serde_json::to_string(input),
            Program::Advised(input) => serde_json::to_string(input),
            Program::Approval(input) => serde_json::to_string(input),
        };
        text.expect("plain fields")
    }

    /// Whether an instance may have ended so.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(
        &self,
        life: u32,
        outcome: &Outcome,
        sent: &Sent,
        history: &[HistoryEvent],
    ) -> Result<(), String> {
        if outcome.status == OrchestrationStatus::Terminated {
            return expect(sent.terminated && outcome.output.as_deref() == Some(STOPPED), "nobody terminated it so");
        }
        if let Program::Retry(input) = self
            && input.fails >= input.attempts
        {
            let failed = outcome.status == OrchestrationStatus::Failed;
            return expect(failed, "it fails more often than it is tried, and must fail");
        }
        if let Program::FanOut(input) = self
            && outcome.failure.as_ref().is_some_and(|failure| failure.contains("TooMuchPending"))
        {
            return expect(input.width > MAY_PEND, "it may wait for so few activities");
        }
        if self.is_brittle() && outcome.status == OrchestrationStatus::Failed {
            let broken = outcome.failure.as_ref().is_some_and(|failure| failure.contains(BROKEN));
            return expect(broken && !sent.rewound, "it fails of nothing else, and not once it is repaired");
        }
        expect(outcome.status == OrchestrationStatus::Completed, "it must complete")?;
        match self {
            Program::Sequence(input) => equal(&input.in_life(life).comes_to(), outcome),
            Program::FanOut(input) => equal(&(0..input.width).map(|n| step(n.into())).sum::<i64>(), outcome),
            Program::Retry(input) => equal(&i64::from(input.fails + 1), outcome),
            Program::Collect(input) => {
                let ids: Vec<String> = output(outcome)?;
                expect(ids.len() == input.want, "it has too few or too many events")?;
                none_too_often(&ids, sent)
            }
            Program::Heed(input) => {
                let (left, right): (Vec<String>, Vec<String>) = output(outcome)?;
                expect(left.len() == input.rounds && right.len() == input.rounds, "too few or too many events")?;
                none_too_often(&left, sent)?;
                none_too_often(&right, sent)
            }
            Program::Decide(input) => check_decision(input, &output(outcome)?, sent, history),
            Program::Tally(input) => {
                let ids: Vec<String> = output(outcome)?;
                expect(ids.len() == input.want, "it has too few or too many votes")?;
                let mut once = ids.clone();
                once.sort();
                once.dedup();
                expect(once.len() == ids.len(), "a vote was counted twice")?;
                none_too_often(&ids, sent)
            }
            Program::LateReply(input) => equal(&input.want, outcome),
            Program::Sleep(input) => equal(&input.naps_ms.len(), outcome),
            Program::Race(input) => {
                let laps: Vec<bool> = output(outcome)?;
                expect(laps.len() == input.laps as usize, "it ran too few or too many laps")
            }
            Program::Family(input) => input.check(&output::<Vec<Became>>(outcome)?, sent),
            Program::Mend(input) => equal(&input.comes_to(), outcome),
            Program::Teller(input) => equal(&input.ids.len(), outcome),
            Program::Advised(input) => equal(&input.needs.len(), outcome),
            Program::Approval(_) => check_approval(&output(outcome)?, sent),
        }
    }
}

impl Program {
    /// Whether it fails until it is repaired.
    fn is_brittle(&self) -> bool {
        match self {
            Program::Mend(_) => true,
            Program::Family(family) => family.strict,
            _ => false,
        }
    }
}

impl Family {
    /// Each child's result is what it comes to, or that somebody ended it.
    fn check(&self, became: &[Became], sent: &Sent) -> Result<(), String> {
        expect(became.len() == self.children.len(), "it has too few or too many results")?;
        for (child, became) in self.children.iter().zip(became) {
            let is_ended = became.as_ref().is_err_and(|failure| failure == "OrchestrationTerminated")
                && sent.terminated_children.contains(&child.id);
            if !is_ended {
                child.check(became, sent).map_err(|what| format!("{}: {what}", child.id))?;
            }
        }
        Ok(())
    }
}

impl Child {
    fn check(&self, became: &Became, sent: &Sent) -> Result<(), String> {
        if self.name == "family" {
            let output = became.clone().map_err(|failure| format!("it failed with {failure}"))?;
            let children = serde_json::from_value::<Vec<Became>>(output);
            return self.read::<Family>().check(&children.map_err(|error| error.to_string())?, sent);
        }
        let wanted = self.comes_to();
        if *became == wanted { Ok(()) } else { Err(format!("it became {became:?} instead of {wanted:?}")) }
    }

    fn comes_to(&self) -> Became {
        match self.name.as_str() {
            "sequence" | "mend" => Ok(self.read::<Sequence>().comes_to().into()),
            "retry" => {
                let retry: Retry = self.read();
                let failure = Err("ActivityError".to_owned());
                if retry.fails < retry.attempts { Ok((retry.fails + 1).into()) } else { failure }
            }
            // Its id is that of an instance that goes on.
            _ => Err("OrchestrationAlreadyExists".to_owned()),
        }
    }

    fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_value(self.input.clone()).expect("it was written from one")
    }
}

impl Sequence {
    fn in_life(&self, life: u32) -> Sequence {
        Sequence { steps: self.steps, salt: self.salt + i64::from(life) }
    }

    fn comes_to(&self) -> i64 {
        (0..self.steps).fold(self.salt, |value, _| step(value))
    }
}

/// A decision is what somebody said in time, or the timeout if nobody did.
fn check_decision(input: &Decide, decision: &Said, sent: &Sent, history: &[HistoryEvent]) -> Result<(), String> {
    if *decision != timed_out() {
        let said = sent.said.get(&decision.id);
        expect(said == Some(&decision.what) && decision.what != "comment", "nobody decided so")?;
    }
    let due = due_of(input, history).ok_or("its history has no start")?;
    let in_time = |event: &&HistoryEvent| {
        let decides = id_of(event).and_then(|id| sent.said.get(id)).is_some_and(|what| what != "comment");
        decides && event.timestamp.is_some_and(|at| micros(&at) < due)
    };
    let first = history.iter().find(in_time).and_then(id_of);
    let by = (*decision != timed_out()).then_some(decision.id.as_str());
    if by == first { Ok(()) } else { Err(format!("{by:?} decided it, and the first in time was {first:?}")) }
}

/// A request's outcome is what somebody said; whether in time and before all others, the checker of approvals tells.
fn check_approval(outcome: &Decided, sent: &Sent) -> Result<(), String> {
    let said = |id: &str| sent.said.get(id).map(String::as_str);
    match outcome {
        Decided::Approved(by) => expect(said(&by.approver) == Some("approve"), "nobody approved so"),
        Decided::Rejected(by) => expect(said(&by.approver) == Some("reject"), "nobody rejected so"),
        Decided::Withdrawn(_) => Err("nobody took it back".to_owned()),
        Decided::Timeout(_) => Ok(()),
    }
}

/// The deadline of a request, as its generation's start tells it.
pub(crate) fn due_of_request(history: &[HistoryEvent]) -> Option<i64> {
    let (started, at) = start_of(history)?;
    let accepted_at = jiff::Timestamp::from_microsecond(micros(&at)).ok()?;
    let input: Input = serde_json::from_str(started.input.as_deref()?).ok()?;
    Some(input.open(String::new(), accepted_at, true).ok()?.due.as_microsecond())
}

fn start_of(history: &[HistoryEvent]) -> Option<(&ExecutionStartedEvent, prost_types::Timestamp)> {
    history.iter().find_map(|event| match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => Some((started, event.timestamp?)),
        _ => None,
    })
}

fn due_of(input: &Decide, history: &[HistoryEvent]) -> Option<i64> {
    let (started, at) = start_of(history)?;
    let now: Decide = serde_json::from_str(started.input.as_deref()?).ok()?;
    let due = now.due.and_then(|due| i64::try_from(due).ok());
    Some(due.unwrap_or(micros(&at) + i64::try_from(input.timeout_ms).ok()? * 1_000))
}

/// The protocol's time in microseconds since 1970, rounded up.
pub(crate) fn micros(at: &prost_types::Timestamp) -> i64 {
    placet_core::time::Timestamp::from_proto(at).0
}

fn none_too_often(ids: &[String], sent: &Sent) -> Result<(), String> {
    for id in ids {
        let taken = ids.iter().filter(|other| *other == id).count();
        let times = sent.times.get(id).copied().unwrap_or(0);
        if taken > times as usize {
            return Err(format!("{id} was sent {times} times and taken {taken} times"));
        }
    }
    Ok(())
}

fn equal<T: DeserializeOwned + PartialEq + std::fmt::Debug>(wanted: &T, outcome: &Outcome) -> Result<(), String> {
    let found: T = output(outcome)?;
    if found == *wanted { Ok(()) } else { Err(format!("it gave back {found:?} instead of {wanted:?}")) }
}

fn output<T: DeserializeOwned>(outcome: &Outcome) -> Result<T, String> {
    let text = outcome.output.as_deref().unwrap_or("null");
    serde_json::from_str(text).map_err(|error| format!("its output {text} is not what it gives back: {error}"))
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
