//! I22 and I26: of a request one outcome is ever told, over every channel, and one that was decided in time is decided.
//! An answer counts if the time at which it was recorded lies before the deadline, and if it was the first.

use std::collections::BTreeMap;

use placet_approval::{Outcome as Decided, Reply};
use placet_proto::durabletask::{HistoryEvent, OrchestrationStatus};

use super::Check;
use crate::expectations::{Program, due_of_request, micros};
use crate::facts::{Answer, Call, Fact, Outcome, Stored, What, id_of};
use crate::programs::{DECISION, decided_in};
use crate::workload::Slot;

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Approval {
    /// What was told of a request, by anybody, in words that can be compared.
    told: BTreeMap<usize, String>,
    /// Decisions that were recorded before the deadline, as far as somebody was told that they are recorded.
    in_time: BTreeMap<usize, String>,
}

impl Approval {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        match fact {
            Fact::Shown(slot, Some(outcome)) => self.tell(*slot, outcome),
            Fact::Shown(slot, None) if self.told.contains_key(slot) => {
                Err("a list shows it as pending again".to_owned())
            }
            Fact::Released(call, answer, stored) => self.released(call, answer, *stored),
            _ => Ok(()),
        }
    }

    fn released(&mut self, call: &Call, answer: &Answer, stored: Option<&Stored>) -> Check {
        let (What::Ask { name, id, .. } | What::Raise { name, id }) = &call.what else { return Ok(()) };
        if *name != DECISION {
            return Ok(());
        }
        if let Some(stored) = stored
            && matches!(answer, Answer::Done | Answer::Recorded | Answer::Reply(_))
            && decided_in(id) != Some("odd")
        {
            let mut events = stored.inbox.iter().chain(stored.history.iter());
            let event = events.find(|event| id_of(event) == Some(id));
            if let (Some(event), Some(due)) = (event, due_of_request(&stored.history))
                && recorded(event).is_some_and(|at| at < due)
            {
                self.in_time.entry(call.slot).or_insert_with(|| id.clone());
            }
        }
        let Answer::Reply(reply) = answer else { return Ok(()) };
        match serde_json::from_str::<Reply>(reply).map_err(|error| format!("the reply {reply}: {error}"))? {
            Reply::Accepted { outcome } => {
                let by = match &outcome {
                    Decided::Approved(decided) | Decided::Rejected(decided) => decided.approver.as_str(),
                    Decided::Withdrawn(withdrawn) => withdrawn.by.as_str(),
                    Decided::Timeout(_) => "nobody",
                };
                if by != id {
                    return Err(format!("{id} was told that it won, and {by} did"));
                }
                self.tell(call.slot, &in_words(&outcome))
            }
            Reply::Lost { outcome } => self.tell(call.slot, &in_words(&outcome)),
            Reply::Refused { why, .. } if decided_in(id) != Some("odd") => Err(format!("{id} was refused: {why}")),
            Reply::Refused { .. } => Ok(()),
            Reply::Recorded { .. } => Err(format!("{id} was told that more are needed, and one decides")),
        }
    }

    fn tell(&mut self, slot: usize, outcome: &str) -> Check {
        let told = self.told.entry(slot).or_insert_with(|| outcome.to_owned());
        if told == outcome { Ok(()) } else { Err(format!("somebody was told {told}, another {outcome}")) }
    }

    pub(super) fn at_end(&mut self, at: usize, slot: &Slot, stored: &Stored) -> Check {
        let (Program::Approval(_), Some(outcome)) = (&slot.program, &stored.outcome) else { return Ok(()) };
        if outcome.status != OrchestrationStatus::Completed {
            // Terminated by somebody: it is withdrawn, and that may be told.
            return match self.told.get(&at).filter(|told| !told.starts_with("Withdrawn")) {
                Some(told) => Err(format!("somebody was told {told}, and it ended as {:?}", outcome.status)),
                None => Ok(()),
            };
        }
        let decided = outcome_of(outcome)?;
        self.tell(at, &in_words(&decided))?;
        first_in_time(&decided, &stored.history)?;
        match (&decided, self.in_time.get(&at)) {
            (Decided::Timeout(_), Some(id)) => Err(format!("it timed out, and {id} was recorded in time")),
            _ => Ok(()),
        }
    }
}

/// Whoever decided it did so before the deadline, and nobody else did before him.
fn first_in_time(decided: &Decided, history: &[HistoryEvent]) -> Check {
    let due = due_of_request(history).ok_or("its history has no start")?;
    let in_time = |event: &&HistoryEvent| {
        let decides = id_of(event).and_then(decided_in).is_some_and(|what| what != "odd");
        decides && recorded(event).is_some_and(|at| at < due)
    };
    let first = history.iter().find(in_time).and_then(id_of);
    match decided {
        Decided::Approved(by) | Decided::Rejected(by) if first != Some(&by.approver) => {
            Err(format!("{} decided it, and the first in time was {first:?}", by.approver))
        }
        Decided::Timeout(_) if first.is_some() => Err(format!("it timed out, and {first:?} came in time")),
        _ => Ok(()),
    }
}

/// How a request ended.
pub(super) fn outcome_of(outcome: &Outcome) -> Result<Decided, String> {
    let text = outcome.output.as_deref().unwrap_or("null");
    serde_json::from_str(text).map_err(|error| format!("its output {text} is no outcome: {error}"))
}

/// An outcome, so that two of them can be compared.
pub(crate) fn in_words(outcome: &Decided) -> String {
    match outcome {
        Decided::Approved(by) | Decided::Rejected(by) => format!("{} by {}", outcome.status(), by.approver),
        Decided::Withdrawn(withdrawn) => format!("{} by {}", outcome.status(), withdrawn.by),
        Decided::Timeout(_) => outcome.status().to_owned(),
    }
}

fn recorded(event: &HistoryEvent) -> Option<i64> {
    event.timestamp.as_ref().map(micros)
}

#[cfg(test)]
mod tests {
    use super::super::planted::{call, completed, raised, slot, started, stored, turn};
    use super::*;
    use placet_approval::NewRequest;

    const APPROVED: &str = r#"{"status":"Approved","request_id":"r","processed_at":"1970-01-01T00:00:02Z","approver":"a+approve","comments":""}"#;
    const TIMEOUT: &str = r#"{"status":"Timeout","request_id":"r","timed_out_at":"1970-01-01T00:00:10Z"}"#;

    fn ask(id: &str) -> Call {
        call(1, What::Ask { name: DECISION, id: id.into(), what: "approve".into() })
    }

    fn told(kind: &str, outcome: &str) -> Answer {
        Answer::Reply(format!(r#"{{"reply":"{kind}","outcome":{outcome}}}"#))
    }

    /// A request due at second 10 that ended so, and what was recorded of it.
    fn ended(output: &str, events: &[(i64, &str)]) -> Stored {
        let input = r#"{"requester":"a","item":"b","due":"1970-01-01T00:00:10Z"}"#;
        let begin = [turn(1), started(1, "placet.approval", input)];
        let events = events.iter().map(|(at, id)| raised(*at, DECISION, id));
        Stored {
            history: begin.into_iter().chain(events).collect::<Vec<_>>().into(),
            ..stored(Some(completed(output)))
        }
    }

    fn request() -> Slot {
        slot(Program::Approval(Box::new(NewRequest::new("somebody", "something"))))
    }

    #[test]
    fn two_outcomes_told_over_any_two_channels_are_found() {
        let accepted = || {
            let mut approval = Approval::default();
            approval.see(&Fact::Released(&ask("a+approve"), &told("accepted", APPROVED), None)).unwrap();
            approval
        };
        assert!(accepted().see(&Fact::Released(&ask("b+reject"), &told("lost", APPROVED), None)).is_ok());
        assert!(accepted().see(&Fact::Released(&ask("b+reject"), &told("lost", TIMEOUT), None)).is_err());
        assert!(accepted().see(&Fact::Shown(0, Some("Approved by a+approve"))).is_ok());
        assert!(accepted().see(&Fact::Shown(0, Some("Timeout"))).is_err());
        assert!(accepted().see(&Fact::Shown(0, None)).is_err());
        assert!(accepted().at_end(0, &request(), &ended(APPROVED, &[(2, "a+approve")])).is_ok());
        assert!(accepted().at_end(0, &request(), &ended(TIMEOUT, &[])).is_err());
    }

    #[test]
    fn an_outcome_that_is_not_the_first_in_time_is_found() {
        let at_end = |output, events: &[_]| Approval::default().at_end(0, &request(), &ended(output, events));
        assert!(at_end(APPROVED, &[(2, "b+odd"), (2, "a+approve"), (2, "b+reject")]).is_ok());
        assert!(at_end(APPROVED, &[(2, "b+reject"), (2, "a+approve")]).is_err(), "somebody was before him");
        assert!(at_end(APPROVED, &[(10, "a+approve")]).is_err(), "he came too late");
        assert!(at_end(TIMEOUT, &[(10, "a+approve"), (9, "b+odd")]).is_ok());
        assert!(at_end(TIMEOUT, &[(9, "a+approve")]).is_err(), "he was in time");
    }

    #[test]
    fn a_request_that_times_out_though_it_was_decided_in_time_is_found() {
        let mut approval = Approval::default();
        let history = ended(TIMEOUT, &[]).history;
        let mut answer = raised(9, DECISION, "a+approve");
        let waits = Stored { history, inbox: vec![answer.clone()], ..stored(None) };
        let raise = call(1, What::Raise { name: DECISION, id: "a+approve".into() });
        approval.see(&Fact::Released(&raise, &Answer::Done, Some(&waits))).unwrap();
        assert!(approval.at_end(0, &request(), &ended(TIMEOUT, &[])).is_err());

        let mut late = Approval::default();
        answer.timestamp = Some(prost_types::Timestamp { seconds: 10, nanos: 0 });
        let waits = Stored { inbox: vec![answer], ..waits };
        late.see(&Fact::Released(&raise, &Answer::Done, Some(&waits))).unwrap();
        assert!(late.at_end(0, &request(), &ended(TIMEOUT, &[])).is_ok());
    }
}
