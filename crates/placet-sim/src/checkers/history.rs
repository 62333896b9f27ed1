//! Histories are laid out as the protocol says (PROTOCOL.md §6), and today's code comes to the same end.

use std::collections::BTreeSet;

use placet_proto::durabletask::{HistoryEvent, OrchestrationStatus, history_event::EventType};
use placet_sdk::check_history;

use super::Check;
use crate::expectations::micros;
use crate::facts::Outcome;
use crate::programs;

/// Where in a turn an event may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Begin,
    Message,
    Confirmation,
    End,
}

impl Part {
    fn of(kind: &EventType) -> Part {
        match kind {
            EventType::OrchestratorStarted(_) => Part::Begin,
            EventType::TaskScheduled(_)
            | EventType::TimerCreated(_)
            | EventType::SubOrchestrationInstanceCreated(_)
            | EventType::EventSent(_) => Part::Confirmation,
            EventType::ExecutionCompleted(_) => Part::End,
            _ => Part::Message,
        }
    }
}

/// Which step an event answers.
pub(crate) fn answers(kind: &EventType) -> Option<i32> {
    match kind {
        EventType::TaskCompleted(task) => Some(task.task_scheduled_id),
        EventType::TaskFailed(task) => Some(task.task_scheduled_id),
        EventType::TimerFired(timer) => Some(timer.timer_id),
        EventType::SubOrchestrationInstanceCompleted(child) => Some(child.task_scheduled_id),
        EventType::SubOrchestrationInstanceFailed(child) => Some(child.task_scheduled_id),
        _ => None,
    }
}

/// A history read so far.
struct Reader {
    part: Part,
    last_id: i32,
    /// Steps without an answer.
    open: BTreeSet<i32>,
    turn_at: i64,
    /// Failures and what they answered were taken out of it: turns may hold nothing.
    rewound: bool,
}

/// Whether a history is laid out as it must be.
pub(super) fn check(history: &[HistoryEvent]) -> Check {
    let rewound = history.iter().any(|event| matches!(event.event_type, Some(EventType::ExecutionRewound(_))));
    let mut reader = Reader { part: Part::End, last_id: i32::MIN, open: BTreeSet::new(), turn_at: i64::MIN, rewound };
    for (at, event) in history.iter().enumerate() {
        let is_last = at + 1 == history.len();
        reader.read(at, event, is_last).map_err(|what| format!("event {at} {what}: {event:?}"))?;
    }
    Ok(())
}

impl Reader {
    fn read(&mut self, at: usize, event: &HistoryEvent, is_last: bool) -> Result<(), &'static str> {
        let time = event.timestamp.as_ref().map(micros).ok_or("has no time")?;
        let kind = event.event_type.as_ref().ok_or("is none")?;
        let here = Part::of(kind);
        if here == Part::Begin {
            self.begin(at, time)?;
        } else if at == 0 || here < self.part {
            return Err("stands in the wrong place");
        }
        self.part = here;
        if (at == 1) != matches!(kind, EventType::ExecutionStarted(_)) {
            return Err("is no start where one belongs, or one where none does");
        }
        if here == Part::Confirmation {
            if event.event_id <= self.last_id {
                return Err("confirms a step out of order");
            }
            self.last_id = event.event_id;
            if !matches!(kind, EventType::EventSent(_)) {
                self.open.insert(event.event_id);
            }
        } else if here != Part::End && event.event_id != -1 {
            return Err("has an id");
        }
        if answers(kind).is_some_and(|step| !self.open.remove(&step)) {
            return Err("answers a step that does not wait");
        }
        if here == Part::End && !is_last { Err("is the end, and more follows") } else { Ok(()) }
    }

    fn begin(&mut self, at: usize, time: i64) -> Result<(), &'static str> {
        if at > 0 && !self.rewound && !matches!(self.part, Part::Message | Part::Confirmation) {
            return Err("begins a turn after nothing");
        }
        if time < self.turn_at {
            return Err("begins a turn before the last one");
        }
        self.turn_at = time;
        Ok(())
    }
}

/// Whether today's code makes of a history what is recorded as its end.
pub(super) fn replays(history: &[HistoryEvent]) -> Check {
    let Some(recorded) = Outcome::of_history(history) else { return Ok(()) };
    if history.last().is_some_and(|event| event.event_id == -1) {
        return Ok(()); // the server ended it: the code was not asked
    }
    let Some(EventType::ExecutionStarted(started)) = history.get(1).and_then(|event| event.event_type.as_ref()) else {
        return Err("its history has no start".to_owned());
    };
    let history = history.to_vec();
    let replayed = match started.name.as_str() {
        "sequence" => check_history(programs::sequence, history),
        "fan-out" => check_history(programs::fan_out, history),
        "retry" => check_history(programs::retry, history),
        "collect" => check_history(programs::collect, history),
        "heed" => check_history(programs::heed, history),
        "decide" => check_history(programs::decide, history),
        "tally" => check_history(programs::tally, history),
        "late-reply" => check_history(programs::late_reply, history),
        "sleep" => check_history(programs::sleep, history),
        "race" => check_history(programs::race, history),
        "family" => check_history(programs::family, history),
        "mend" => check_history(programs::mend, history),
        "teller" => check_history(programs::teller, history),
        "advised" => check_history(programs::advised, history),
        placet_approval::ORCHESTRATION => check_history(placet_worker::approval, history),
        other => return Err(format!("nobody knows an orchestration {other}")),
    };
    let replayed = match replayed {
        Ok(output) => (output, None),
        Err(failure) => (None, Some(format!("{}: {}", failure.error_type(), failure.message()))),
    };
    if recorded.status != OrchestrationStatus::Failed && replayed == (recorded.output.clone(), None) {
        return Ok(());
    }
    if recorded.status == OrchestrationStatus::Failed && replayed.1 == recorded.failure {
        return Ok(());
    }
    Err(format!("it ended with {recorded:?}, and comes to {replayed:?} now"))
}

#[cfg(test)]
mod tests {
    use super::super::planted::{ended, event, raised, started, turn};
    use super::*;
    use placet_proto::durabletask::{TaskCompletedEvent, TaskScheduledEvent};

    fn scheduled(id: i32) -> HistoryEvent {
        event(1, id, EventType::TaskScheduled(TaskScheduledEvent { name: "step".into(), ..Default::default() }))
    }

    fn result(id: i32, text: &str) -> HistoryEvent {
        let task = TaskCompletedEvent { task_scheduled_id: id, result: Some(text.into()) };
        event(2, -1, EventType::TaskCompleted(task))
    }

    fn sequence(output: &str) -> Vec<HistoryEvent> {
        let input = r#"{"steps":1,"salt":0}"#;
        let first = [turn(1), started(1, "sequence", input), scheduled(1)];
        first.into_iter().chain([turn(2), result(1, "7"), ended(2, output)]).collect()
    }

    #[test]
    fn a_history_as_the_protocol_wants_it_passes() {
        assert_eq!(check(&sequence("7")), Ok(()));
        assert_eq!(replays(&sequence("7")), Ok(()));
    }

    #[test]
    fn what_is_out_of_place_is_found() {
        let good = sequence("7");
        for (from, to) in [(0, 1), (2, 1), (4, 2), (5, 3)] {
            let mut bad = good.clone();
            let event = bad.remove(from);
            bad.insert(to, event);
            assert!(check(&bad).is_err(), "event {from} moved to {to}");
        }
        let mut twice = good.clone();
        twice.insert(5, good[4].clone());
        assert!(check(&twice).is_err(), "a result that is recorded twice");
        let mut after = good.clone();
        after.push(raised(3, "item", "a"));
        assert!(check(&after).is_err(), "an event after the end");
        let mut back = good;
        back[3] = turn(0);
        assert!(check(&back).is_err(), "a turn before the last one");
    }

    #[test]
    fn an_end_that_today_s_code_does_not_come_to_is_found() {
        assert!(replays(&sequence("8")).is_err());
    }
}
