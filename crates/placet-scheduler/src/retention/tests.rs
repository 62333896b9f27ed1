//! With the clock in hand: what goes when, and what stays.

use std::sync::Arc;

use placet_core::command::{CommandKind, Reply, StartInstance};
use placet_core::ids::{InstanceId, InstanceKey};
use placet_core::rows::Batch;
use placet_proto::placet::v1::AdvanceTimeRequest;
use placet_store::Store;
use placet_store::model::ModelStore;
use tokio::time::timeout;

use super::*;
use crate::test_store::TestStore;
use crate::{Options, Scheduler, Time};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn scope(hub: Option<&str>, status: Option<OrchestrationStatus>) -> Scope {
    Scope { hub: hub.map(Hub::new), status }
}

#[test]
fn what_is_said_most_exactly_counts_and_nothing_said_is_for_ever() {
    use OrchestrationStatus::{Completed, Failed};
    let retention = Retention::of_all(30 * DAY)
        .with(scope(None, Some(Failed)), Some(90 * DAY))
        .with(scope(Some("billing"), None), None)
        .with(scope(Some("billing"), Some(Completed)), Some(365 * DAY));
    let kept_for = |hub, status| retention.kept_for(&Hub::new(hub), status);
    assert_eq!(kept_for("any", Completed), Some(30 * DAY));
    assert_eq!(kept_for("any", Failed), Some(90 * DAY));
    assert_eq!(kept_for("Billing", Completed), Some(365 * DAY));
    assert_eq!(kept_for("billing", Failed), None);
    assert_eq!(retention.terms(&Hub::new("billing")), BTreeMap::from([(365 * DAY, vec![Completed])]));
    assert_eq!(retention.terms(&Hub::new("any")).keys().copied().collect::<Vec<_>>(), [30 * DAY, 90 * DAY]);
    assert_eq!(Retention::off().kept_for(&Hub::new("any"), Failed), None);
    assert!(Retention::off().is_off() && !retention.is_off());
    assert!(Retention::off().with(Scope::default(), None).is_off());
}

/// On virtual time, so that the test says what time it is.
fn scheduler(store: Arc<dyn Store>, retention: Retention) -> Scheduler {
    let time = Time::Virtual { auto_after: None };
    Scheduler::start_with(store, Options { time, retention, ..Options::default() }).unwrap()
}

async fn stop(scheduler: Scheduler) {
    tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
}

fn key(hub: &str, id: &str) -> InstanceKey {
    InstanceKey::new(Hub::new(hub), InstanceId::new(id))
}

async fn start(scheduler: &Scheduler, hub: &str, id: &str) {
    let start = StartInstance { name: "any".to_owned(), execution_id: id.to_owned(), ..StartInstance::default() };
    scheduler.command(key(hub, id), CommandKind::Start(Box::new(start))).await.unwrap();
}

/// Ends it by force: as terminated.
async fn end(scheduler: &Scheduler, hub: &str, id: &str) {
    let ended = scheduler.command(key(hub, id), CommandKind::End { reason: None }).await.unwrap();
    assert_eq!(ended, Reply::Done);
}

async fn advance(scheduler: &Scheduler, by: Duration) {
    let request = AdvanceTimeRequest { by: by.try_into().ok(), patience: Duration::ZERO.try_into().ok() };
    scheduler.advance_time(request).await.unwrap();
}

async fn is_there(scheduler: &Scheduler, hub: &str, id: &str) -> bool {
    scheduler.instance(key(hub, id), false).await.unwrap().value.is_some()
}

#[tokio::test]
async fn what_has_ended_goes_when_its_time_is_over_and_what_is_open_or_in_another_hub_does_not() {
    let terminated = Some(OrchestrationStatus::Terminated);
    let retention = Retention::of_all(30 * DAY)
        .with(scope(Some("slow"), terminated), Some(90 * DAY))
        .with(scope(Some("kept"), None), None);
    let scheduler = scheduler(Arc::new(ModelStore::default()), retention);
    for hub in ["quick", "slow", "kept"] {
        start(&scheduler, hub, "ended").await;
        end(&scheduler, hub, "ended").await;
    }
    start(&scheduler, "quick", "open").await;
    advance(&scheduler, DAY).await;
    start(&scheduler, "quick", "later").await;
    end(&scheduler, "quick", "later").await;
    let there = async |expected: [bool; 5]| {
        let all = [("quick", "ended"), ("quick", "later"), ("quick", "open"), ("slow", "ended"), ("kept", "ended")];
        for ((hub, id), expected) in all.into_iter().zip(expected) {
            assert_eq!(is_there(&scheduler, hub, id).await, expected, "{hub}/{id}");
        }
    };
    advance(&scheduler, 29 * DAY - Duration::from_micros(1)).await;
    there([true, true, true, true, true]).await;
    advance(&scheduler, Duration::from_micros(1)).await;
    there([false, true, true, true, true]).await;
    advance(&scheduler, DAY).await;
    there([false, false, true, true, true]).await;
    advance(&scheduler, 59 * DAY).await;
    there([false, false, true, false, true]).await;
    advance(&scheduler, 3_650 * DAY).await;
    there([false, false, true, false, true]).await;
    stop(scheduler).await;
}

#[tokio::test]
async fn more_than_a_page_goes_with_all_that_each_had_and_is_counted() {
    let store = Arc::new(ModelStore::default());
    let scheduler = scheduler(store.clone(), Retention::of_all(DAY));
    for number in 0..200 {
        start(&scheduler, "default", &format!("i-{number}")).await;
        end(&scheduler, "default", &format!("i-{number}")).await;
    }
    advance(&scheduler, DAY).await;
    for number in 0..200 {
        assert!(!is_there(&scheduler, "default", &format!("i-{number}")).await, "{number}");
    }
    scheduler.look().await;
    let told = told(&scheduler);
    assert!(told.contains("instances_expired_total{status=\"terminated\"} 200"), "{told}");
    assert!(told.contains("retention_overdue_seconds 0"), "{told}");
    stop(scheduler).await;
}

fn told(scheduler: &Scheduler) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    scheduler.metrics().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

#[tokio::test]
async fn what_was_started_over_is_kept_from_its_new_end_on() {
    let scheduler = scheduler(Arc::new(ModelStore::default()), Retention::of_all(10 * DAY));
    start(&scheduler, "default", "again").await;
    end(&scheduler, "default", "again").await;
    advance(&scheduler, 9 * DAY).await;
    start(&scheduler, "default", "again").await;
    end(&scheduler, "default", "again").await;
    advance(&scheduler, 9 * DAY).await;
    assert!(is_there(&scheduler, "default", "again").await);
    advance(&scheduler, DAY).await;
    assert!(!is_there(&scheduler, "default", "again").await);
    stop(scheduler).await;
}

#[tokio::test]
async fn what_a_failed_commit_left_goes_later() {
    let store = Arc::new(TestStore::default());
    let scheduler = scheduler(store.clone(), Retention::of_all(DAY));
    start(&scheduler, "default", "ended").await;
    end(&scheduler, "default", "ended").await;
    store.fail_commits(usize::MAX);
    advance(&scheduler, DAY).await;
    assert!(is_there(&scheduler, "default", "ended").await);
    store.fail_commits(0);
    advance(&scheduler, Duration::from_secs(1)).await;
    assert!(!is_there(&scheduler, "default", "ended").await);
    stop(scheduler).await;
}

#[tokio::test]
async fn a_server_that_starts_again_lets_go_of_what_became_over_meanwhile_by_itself() {
    let store: Arc<dyn Store> = Arc::new(ModelStore::default());
    let first = Scheduler::start(store.clone()).unwrap();
    start(&first, "default", "ended").await;
    end(&first, "default", "ended").await;
    stop(first).await;
    let retention = Retention::of_all(Duration::from_millis(1));
    let second = Scheduler::start_with(store, Options { retention, ..Options::default() }).unwrap();
    let gone = async {
        while is_there(&second, "default", "ended").await {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.unwrap();
    stop(second).await;
}

#[tokio::test]
async fn while_the_clock_is_doubted_nothing_goes_and_once_it_is_accepted_what_is_over_does() {
    let store: Arc<dyn Store> = Arc::new(ModelStore::default());
    let first = Scheduler::start(store.clone()).unwrap();
    start(&first, "default", "ended").await;
    end(&first, "default", "ended").await;
    let tomorrow = first.now().after(DAY);
    stop(first).await;
    // What was committed last says that it is tomorrow: the clock is behind.
    store.commit(&Batch { newest: tomorrow, ..Batch::default() }).unwrap();
    let retention = Retention::of_all(Duration::from_millis(1));
    let second = Scheduler::start_with(store, Options { retention, ..Options::default() }).unwrap();
    second.retention_catches_up().await;
    assert!(!second.health().reasons().is_empty());
    assert!(is_there(&second, "default", "ended").await);
    second.accept_time().await.unwrap();
    second.retention_catches_up().await;
    assert!(!is_there(&second, "default", "ended").await);
    stop(second).await;
}
