//! Every open instance is told why it waits, and that is so: what it is said to wait for is what it has in the store, and what
//! its code awaits if its history is replayed.

use placet_core::body::{KeptWaits, Waits};
use placet_core::command::is_terminal;
use placet_core::why::{Cause, Explanation, Stage};
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::{HistoryEvent, OrchestratorRequest, OrchestratorStartedEvent};
use placet_proto::placet::v1;
use placet_sdk::sans_io::Turns;
use prost::Message as _;

use super::Check;
use crate::facts::{Fact, Standing};
use crate::programs;

/// Longer histories are not replayed for it: each is once at its end.
const REPLAYED_MAX: usize = 40;

/// The checker.
#[derive(Debug)]
pub(super) struct Why {
    turns: [Turns; 2],
}

impl Default for Why {
    fn default() -> Why {
        Why { turns: [Turns::new(programs::registry()), Turns::new(programs::built_in())] }
    }
}

impl Why {
    pub(super) fn see(&mut self, fact: &Fact<'_>) -> Check {
        let Fact::Explained(why, stood) = fact else { return Ok(()) };
        if why.sentence().is_empty() {
            return Err(format!("{} waits, and nothing is said of it", why.id));
        }
        if !fits(why, stood) {
            return Err(format!("{} is said so: {}; and it stands so: {stood:?}", why.id, why.sentence()));
        }
        match &stood.body.waits {
            Some(kept @ KeptWaits::Told(_)) if !is_terminal(stood.status) => {
                self.is_what_the_code_awaits(&kept.read(), stood)
            }
            _ => Ok(()),
        }
    }

    /// What was kept of what a worker told is what today's code awaits after all that is recorded.
    fn is_what_the_code_awaits(&self, kept: &Waits, stood: &Standing) -> Check {
        let replayed = stood.history.len() <= REPLAYED_MAX && !stood.body.suspended;
        let Some(started) = stood.history.iter().find_map(started).filter(|_| replayed) else { return Ok(()) };
        let built_in = started == placet_approval::ORCHESTRATION;
        let next = EventType::OrchestratorStarted(OrchestratorStartedEvent {});
        let request = OrchestratorRequest {
            past_events: stood.history.to_vec(),
            new_events: vec![HistoryEvent { event_id: -1, timestamp: None, event_type: Some(next) }],
            ..OrchestratorRequest::default()
        };
        let completion = self.turns[usize::from(built_in)].replay(request, String::new());
        let Some(awaits) = completion.waits.map(v1::Waits::decode) else {
            return Err(format!("a {started} awaits nothing: it has ended"));
        };
        let awaits = awaits.map_err(|error| error.to_string())?;
        let names: Vec<&str> = kept.events.iter().map(|event| event.name.as_str()).collect();
        if names == awaits.events && kept.tasks == awaits.tasks {
            return Ok(());
        }
        let (events, tasks) = (awaits.events, awaits.tasks);
        Err(format!("a {started} awaits {events:?} and {tasks:?}, and is said to await {names:?} and {:?}", kept.tasks))
    }
}

fn started(event: &HistoryEvent) -> Option<&str> {
    match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => Some(&started.name),
        _ => None,
    }
}

/// Whether an instance that stands so may be said to wait for this.
fn fits(why: &Explanation, stood: &Standing) -> bool {
    let Standing { body, .. } = stood;
    let waits = body.waits.as_ref().map(KeptWaits::read).unwrap_or_default();
    let awaits = |id: &i32| !waits.told || waits.tasks_more || waits.tasks.contains(id);
    let has_timer = body.timers.iter().any(|timer| timer.timer_id.is_some_and(|id| awaits(&id)));
    let rests = body.suspended && !stood.ends_rest;
    let is_open = !is_terminal(stood.status) && !body.held;
    let is_quiet = is_open && !rests && stood.messages == 0 && !body.poisoned;
    let has_activity = stood.activities.iter().any(awaits);
    let has_child = stood.children.iter().any(awaits);
    let told_events = !waits.events.is_empty();
    match &why.cause {
        Cause::Ended => is_terminal(stood.status),
        Cause::ScheduledStart => body.held,
        Cause::Suspended { messages, .. } => is_open && rests && *messages == stood.messages,
        Cause::Turn(Stage::SetAside) => is_open && body.poisoned,
        Cause::Turn(_) => is_open && !body.poisoned && stood.messages > 0,
        Cause::Activity { task_id, .. } => is_quiet && stood.activities.contains(task_id) && awaits(task_id),
        Cause::Events { names, .. } => {
            is_quiet && !has_activity && names.iter().eq(waits.events.iter().map(|event| &event.name)) && told_events
        }
        Cause::Child { .. } => is_quiet && !has_activity && has_child,
        Cause::Timer { .. } | Cause::Retry { .. } => is_quiet && !has_activity && !has_child && has_timer,
        Cause::Clock(_) => body.held || (is_quiet && has_timer),
        Cause::Telling(_) => is_quiet && stood.outbox > 0,
        Cause::SomeEvent => is_quiet && !has_activity && !has_child && !has_timer && !waits.told,
        // No program is without anything to come.
        Cause::Nothing => false,
        Cause::DiskFull => is_open,
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use placet_core::body::{InstanceBody, ToldWaits};
    use placet_core::ids::{Hub, Iid, InstanceId};
    use placet_core::time::Timestamp;
    use placet_core::why::Remedy;
    use placet_proto::durabletask::OrchestrationStatus;

    use super::super::planted;
    use super::*;

    fn stands(event: &str, history: Vec<HistoryEvent>) -> Standing {
        let waits = v1::Waits { events: vec![event.to_owned()], ..v1::Waits::default() }.encode_to_vec();
        let waits = KeptWaits::Told(ToldWaits { waits, ..ToldWaits::default() });
        Standing {
            iid: Iid(1),
            status: OrchestrationStatus::Running,
            body: InstanceBody { waits: Some(waits), ..InstanceBody::default() },
            messages: 0,
            ends_rest: false,
            activities: Vec::new(),
            children: Vec::new(),
            outbox: 0,
            history: Rc::new(history),
        }
    }

    fn said(cause: Cause) -> Explanation {
        Explanation {
            id: InstanceId::new("collect-1"),
            hub: Hub::new("default"),
            status: OrchestrationStatus::Running,
            now: Timestamp(0),
            cause,
            since: None,
            until: None,
            evidence: Vec::new(),
            remedy: Remedy::Wait,
        }
    }

    fn event(name: &str) -> Cause {
        Cause::Events { names: vec![name.to_owned()], more: 0, near: None }
    }

    #[test]
    fn another_event_than_the_one_that_is_kept_and_one_that_the_code_does_not_await_are_found() {
        let mut why = Why::default();
        let collects = r#"{"want":2,"every":5,"seen":[]}"#;
        let history = || vec![planted::turn(0), planted::started(0, "collect", collects)];
        let mut see = |cause, stood: &Standing| why.see(&Fact::Explained(&said(cause), stood));
        assert_eq!(see(event("item"), &stands("item", history())), Ok(()));
        assert!(see(event("other"), &stands("item", history())).is_err());
        assert!(see(event("other"), &stands("other", history())).is_err());
        assert!(see(Cause::SomeEvent, &stands("item", history())).is_err());
        assert!(see(Cause::Ended, &stands("item", history())).is_err());
        assert!(see(Cause::Turn(Stage::NoWorker), &stands("item", history())).is_err());
    }
}
