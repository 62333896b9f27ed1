//! What must hold of every history, whoever wrote it and however often the server died meanwhile.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use placet_proto::durabletask::HistoryEvent;
use placet_proto::durabletask::history_event::EventType;
use placet_sdk::{Client, InstanceState};
use tokio::time::timeout;

use super::findings::Findings;

/// How long an instance may take to its end once all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// The instance ends, once; its state then.
pub(super) async fn check_ended(client: &Client, id: &str, findings: &Findings) -> Option<InstanceState> {
    let state = match timeout(PATIENCE, client.wait_for_completion(id)).await {
        Err(_) => {
            findings.lost(format!("{id} does not end"));
            return None;
        }
        Ok(Err(error)) => {
            findings.lost(format!("{id}: {error}"));
            return None;
        }
        Ok(Ok(state)) => state,
    };
    check_once(id, &client.history(id).await.unwrap(), findings);
    Some(state)
}

/// The history of an instance that has ended: it ends once, and whatever was scheduled in it has come to one result.
pub(super) fn check_once(id: &str, history: &[HistoryEvent], findings: &Findings) {
    let (mut ends, mut scheduled) = (0, 0);
    let (mut results, mut fired, mut raised) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for event in history.iter().filter_map(|event| event.event_type.as_ref()) {
        match event {
            EventType::ExecutionCompleted(_) => ends += 1,
            EventType::TaskScheduled(_) => scheduled += 1,
            EventType::TaskCompleted(task) => *results.entry(task.task_scheduled_id).or_default() += 1,
            EventType::TimerFired(timer) => *fired.entry(timer.timer_id).or_default() += 1,
            // Nobody sends the same twice: a number, or a name, is in it.
            EventType::EventRaised(event) => *raised.entry((&event.name, &event.input)).or_default() += 1,
            _ => {}
        }
    }
    if ends > 1 {
        findings.doubled(format!("{id} has ended {ends} times"));
    }
    if ends == 0 || results.len() < scheduled {
        findings.lost(format!("{id} has {ends} ends, and {} results of {scheduled} activities", results.len()));
    }
    check_each_once(id, "results of activity", &results, findings);
    check_each_once(id, "firings of timer", &fired, findings);
    check_each_once(id, "deliveries of event", &raised, findings);
}

fn check_each_once<K: Debug>(id: &str, what: &str, counts: &BTreeMap<K, usize>, findings: &Findings) {
    for (key, count) in counts.iter().filter(|(_, count)| **count > 1) {
        findings.doubled(format!("{id}: {count} {what} {key:?}"));
    }
}
