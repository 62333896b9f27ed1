//! What a worker makes of orchestrator turns, without IO: apart from the session, which has the stream and the
//! clock, so that the simulator drives the same code with a stream and a clock of its own.

use std::sync::Arc;
use std::time::Duration;

use placet_proto::durabletask::{OrchestratorRequest, OrchestratorResponse, history_event::EventType};
use placet_proto::placet::v1::{Ack, TurnCompletion};

use super::cache::{Cache, CacheCounts, Miss};
use super::registry::Registry;
use crate::replay::{Orchestration, TurnResult};

/// Runs turns, and keeps live state between them. The time that it is told is the caller's: how long ago he
/// started, by a clock that only goes on.
pub struct Turns {
    registry: Arc<Registry>,
    cache: Cache,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").field("kept", &self.cache.len()).finish_non_exhaustive()
    }
}

impl Turns {
    /// For the orchestrations of this registry.
    pub fn new(registry: Arc<Registry>) -> Turns {
        Turns { registry, cache: Cache::default() }
    }

    /// The same with other room for states: how many are kept, and for how long.
    pub fn with_room(registry: Arc<Registry>, kept_max: usize, idle_max: Duration) -> Turns {
        Turns { registry, cache: Cache::new(kept_max, idle_max) }
    }

    /// Runs a turn of an instance of this hub. If its state is presumed to be here and is not, the completion
    /// asks for the history.
    pub fn turn(&mut self, now: Duration, hub: String, request: OrchestratorRequest, token: String) -> TurnCompletion {
        let execution_id = request.execution_id.clone().unwrap_or_default();
        let key = (hub, request.instance_id.clone());
        let head = Head::of(&token);
        let kept = head.map(|head| self.cache.take(&key, &execution_id, head.events));
        if let (Some(Err(Miss::Unknown)), Some(Head { presumed: true, .. })) = (&kept, head) {
            self.cache.counts.missed_unknown += 1;
        }
        let kept = kept.and_then(Result::ok);
        let orchestration = match (kept, head) {
            (Some(kept), Some(Head { presumed: true, .. })) => Some(kept),
            (None, Some(Head { presumed: true, .. })) => None,
            _ => Some(self.begin(&request)),
        };
        let Some(mut orchestration) = orchestration else {
            // The state is not here any more: the same turn again, with its history.
            let response = OrchestratorResponse {
                instance_id: request.instance_id,
                completion_token: token,
                requires_history: true,
                ..OrchestratorResponse::default()
            };
            return TurnCompletion { response: Some(response), ..TurnCompletion::default() };
        };
        let OrchestratorRequest { instance_id, past_events, new_events, .. } = request;
        let result = orchestration.turn(past_events, new_events);
        if !result.ended && head.is_some() {
            self.cache.keep(now, key, execution_id, orchestration, token.clone());
        }
        completion(instance_id, token, result)
    }

    /// Runs a turn from its history alone and keeps nothing, as Microsoft's SDKs do.
    pub fn replay(&self, request: OrchestratorRequest, token: String) -> TurnCompletion {
        let mut orchestration = self.begin(&request);
        let OrchestratorRequest { instance_id, past_events, new_events, .. } = request;
        completion(instance_id, token, orchestration.turn(past_events, new_events))
    }

    /// The scheduler says what became of a completion.
    pub fn acknowledged(&mut self, ack: &Ack) {
        self.cache.acknowledged(&ack.completion_token, !ack.stale && ack.refused.is_empty());
    }

    /// Drops what nobody asked for in a while.
    pub fn sweep(&mut self, now: Duration) {
        self.cache.sweep(now);
    }

    /// The stream broke: the scheduler presumes nothing any more.
    pub fn disconnected(&mut self) {
        self.cache.clear();
    }

    /// How often states were missed, and dropped.
    pub fn counts(&self) -> CacheCounts {
        self.cache.counts
    }

    /// Whether a live state of this instance is kept.
    pub fn keeps(&self, hub: &str, instance_id: &str) -> bool {
        self.cache.keeps(&(hub.to_owned(), instance_id.to_owned()))
    }

    /// How many live states are kept.
    pub fn kept(&self) -> usize {
        self.cache.len()
    }

    /// An orchestration that knows nothing yet.
    fn begin(&self, request: &OrchestratorRequest) -> Orchestration {
        let name = name_of(&request.past_events).or_else(|| name_of(&request.new_events));
        Orchestration::new(self.registry.orchestration(name.unwrap_or_default()))
    }
}

fn completion(instance_id: String, completion_token: String, result: TurnResult) -> TurnCompletion {
    let response = OrchestratorResponse {
        instance_id,
        actions: result.actions,
        custom_status: result.custom_status,
        completion_token,
        ..OrchestratorResponse::default()
    };
    TurnCompletion {
        response: Some(response),
        publish: result.publish,
        replies: result.replies,
        waits: result.waits.map(|waits| prost::Message::encode_to_vec(&waits).into()),
    }
}

/// What a token of ours says of the state that the scheduler presumes (DESIGN.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    events: u32,
    presumed: bool,
}

impl Head {
    fn of(token: &str) -> Option<Head> {
        let mut parts = token.strip_prefix("pl1.")?.split('.');
        let events = parts.next()?.parse().ok()?;
        Some(Head { events, presumed: parts.next()? == "1" })
    }
}

fn name_of(events: &[placet_proto::durabletask::HistoryEvent]) -> Option<&str> {
    events.iter().find_map(|event| match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => Some(started.name.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
    use placet_proto::durabletask::{
        EventRaisedEvent, ExecutionStartedEvent, HistoryEvent, OrchestratorStartedEvent, TaskFailedEvent,
        TaskFailureDetails, TaskScheduledEvent, TimerCreatedEvent,
    };
    use placet_proto::placet::v1::{Retry, UnreadEvent, Waits};

    use super::*;
    use crate::context::{OrchestrationContext, RetryPolicy};
    use crate::error::Result;

    async fn echo(ctx: OrchestrationContext, _: ()) -> Result<String> {
        Ok(ctx.external_event("said").await?)
    }

    fn worker() -> Turns {
        let mut registry = Registry::default();
        registry.register("echo", echo);
        Turns::new(registry.into())
    }

    fn request(event: EventType) -> OrchestratorRequest {
        let started = EventType::OrchestratorStarted(OrchestratorStartedEvent {});
        let new = [started, event].map(|kind| HistoryEvent { event_id: -1, timestamp: None, event_type: Some(kind) });
        OrchestratorRequest {
            instance_id: "echo-1".into(),
            execution_id: Some("e".into()),
            new_events: new.into(),
            ..OrchestratorRequest::default()
        }
    }

    fn first() -> OrchestratorRequest {
        request(EventType::ExecutionStarted(ExecutionStartedEvent { name: "echo".into(), ..Default::default() }))
    }

    fn second() -> OrchestratorRequest {
        let input = Some("\"hello\"".into());
        request(EventType::EventRaised(EventRaisedEvent { name: "said".into(), input, ..Default::default() }))
    }

    fn turn(worker: &mut Turns, request: OrchestratorRequest, token: &str) -> OrchestratorResponse {
        let completion = worker.turn(Duration::ZERO, "default".into(), request, token.into());
        completion.response.expect("a turn is answered")
    }

    fn output(response: &OrchestratorResponse) -> Option<&str> {
        response.actions.iter().find_map(|action| match &action.orchestrator_action_type {
            Some(Action::CompleteOrchestration(complete)) => complete.result.as_deref(),
            _ => None,
        })
    }

    fn told(completion: TurnCompletion) -> Option<Waits> {
        completion.waits.map(|waits| prost::Message::decode(waits).unwrap())
    }

    #[test]
    fn a_state_serves_the_turn_after_the_events_that_it_has_seen_and_no_other() {
        let mut worker = worker();
        assert_eq!(output(&turn(&mut worker, first(), "pl1.0.0.t.1")), None);
        assert_eq!(output(&turn(&mut worker, second(), "pl1.2.1.t.2")), Some("\"hello\""));
        turn(&mut worker, first(), "pl1.0.0.t.3");
        assert!(turn(&mut worker, second(), "pl1.3.1.t.4").requires_history);
    }

    #[test]
    fn a_turn_tells_which_events_its_code_awaits_and_which_came_and_are_unread() {
        let mut worker = worker();
        let turn = |worker: &mut Turns, request, token: &str| {
            told(worker.turn(Duration::ZERO, "default".into(), request, token.into()))
        };
        let said = Waits { events: vec!["said".into()], ..Waits::default() };
        assert_eq!(turn(&mut worker, first(), "pl1.0.0.t.1"), Some(said.clone()));
        let other = request(EventType::EventRaised(EventRaisedEvent { name: "Siad".into(), ..Default::default() }));
        let unread = vec![UnreadEvent { name: "Siad".into(), received_at: None }];
        assert_eq!(turn(&mut worker, other, "pl1.2.1.t.2"), Some(Waits { unread, ..said }));
        assert_eq!(turn(&mut worker, second(), "pl1.4.1.t.3"), None, "it has ended");
    }

    #[test]
    fn a_turn_tells_which_of_how_many_attempts_comes_when_its_timer_has_fired() {
        let mut registry = Registry::default();
        registry.register("tries", |ctx: OrchestrationContext, (): ()| async move {
            let lost = ctx.timer(Duration::from_secs(60));
            let tries = ctx.activity::<()>("charge", &()).retry(RetryPolicy::attempts(3));
            drop(ctx.first(tries, lost).await);
            Ok(())
        });
        let event = |event_id, kind| HistoryEvent { event_id, timestamp: None, event_type: Some(kind) };
        let started = || event(-1, EventType::OrchestratorStarted(OrchestratorStartedEvent {}));
        let begins = ExecutionStartedEvent { name: "tries".into(), ..ExecutionStartedEvent::default() };
        let scheduled = TaskScheduledEvent { name: "charge".into(), ..TaskScheduledEvent::default() };
        let details = TaskFailureDetails { error_type: "TimeoutError".into(), ..TaskFailureDetails::default() };
        let failed = TaskFailedEvent { task_scheduled_id: 1, failure_details: Some(details) };
        let request = OrchestratorRequest {
            past_events: vec![
                started(),
                event(-1, EventType::ExecutionStarted(begins)),
                event(1, EventType::TaskScheduled(scheduled)),
                event(2, EventType::TimerCreated(TimerCreatedEvent::default())),
            ],
            new_events: vec![started(), event(-1, EventType::TaskFailed(failed))],
            ..OrchestratorRequest::default()
        };
        let waits = told(Turns::new(registry.into()).replay(request, String::new())).expect("it goes on");
        assert_eq!(waits.tasks, [2, 3]);
        let (name, error_type) = ("charge".to_owned(), "TimeoutError".to_owned());
        assert_eq!(waits.retries, [Retry { timer_id: 3, name, attempt: 2, attempts_max: 3, error_type }]);
    }

    #[test]
    fn the_state_after_a_completion_that_did_not_count_is_not_kept() {
        for (stale, refused) in [(true, ""), (false, "the commit failed")] {
            let mut worker = worker();
            turn(&mut worker, first(), "pl1.0.0.t.1");
            assert_eq!(worker.kept(), 1);
            let ack = Ack { completion_token: "pl1.0.0.t.1".into(), stale, refused: refused.into() };
            worker.acknowledged(&ack);
            assert!(turn(&mut worker, second(), "pl1.2.1.t.2").requires_history);
        }
    }

    #[test]
    fn a_state_is_kept_for_a_while_and_only_as_long_as_the_stream_lives() {
        let mut worker = worker();
        turn(&mut worker, first(), "pl1.0.0.t.1");
        worker.sweep(Duration::from_secs(29));
        assert_eq!(worker.kept(), 1);
        worker.sweep(Duration::from_secs(31));
        assert_eq!(worker.kept(), 0);
        turn(&mut worker, first(), "pl1.0.0.t.2");
        worker.disconnected();
        assert_eq!(worker.kept(), 0);
    }

    /// A start of an instance that is given so much.
    fn started(id: usize, bytes: usize) -> OrchestratorRequest {
        let input = Some(format!("null{}", " ".repeat(bytes)));
        let started = ExecutionStartedEvent { name: "echo".into(), input, ..Default::default() };
        let request = request(EventType::ExecutionStarted(started));
        OrchestratorRequest { instance_id: id.to_string(), ..request }
    }

    #[test]
    fn the_oldest_states_leave_when_all_hold_too_much_and_the_last_one_stays() {
        let mut worker = worker();
        let mut turn = |at: usize, bytes| {
            let now = Duration::from_millis(at as u64);
            worker.turn(now, "default".into(), started(at, bytes), format!("pl1.0.0.t.{at}"));
            (0..=at).filter(|id| worker.keeps("default", &id.to_string())).collect::<Vec<_>>()
        };
        let most = 64 << 20;
        assert_eq!(turn(0, most / 2), [0]);
        assert_eq!(turn(1, 10), [0, 1]);
        assert_eq!(turn(2, most / 3), [0, 1, 2]);
        assert_eq!(turn(3, most / 3), [1, 2, 3]);
        assert_eq!(turn(4, 2 * most), [4]);
        assert_eq!(turn(5, most - (1 << 20)), [5]);
    }

    #[test]
    fn what_is_not_kept_any_more_takes_no_room() {
        let mut worker = worker();
        let most = (64 << 20) - (1 << 20);
        let start = |worker: &mut Turns, token: &str| {
            worker.turn(Duration::ZERO, "default".into(), started(1, most), token.into());
            assert_eq!(worker.kept(), 1);
        };
        let ways: [fn(&mut Turns); 4] = [
            |worker| worker.disconnected(),
            |worker| worker.sweep(Duration::from_secs(60)),
            |worker| {
                worker.acknowledged(&Ack {
                    completion_token: "pl1.0.0.t.1".into(),
                    stale: true,
                    refused: String::new(),
                });
            },
            |_| {}, // the next turn of the same instance takes its place
        ];
        for way in ways {
            start(&mut worker, "pl1.0.0.t.1");
            way(&mut worker);
        }
        start(&mut worker, "pl1.0.0.t.2");
    }

    #[test]
    fn only_tokens_of_ours_say_what_is_presumed() {
        assert_eq!(Head::of("pl1.12.1.t.3.4"), Some(Head { events: 12, presumed: true }));
        assert_eq!(Head::of("pl1.0.0.a.3.4"), Some(Head { events: 0, presumed: false }));
        assert_eq!(Head::of("0f5c-some-other-token"), None);
    }
}
