//! A broken invariant, while the store is at work.

use std::sync::Arc;
use std::time::Duration;

use placet_core::command::{Command, CommandKind, Refusal, StartInstance};
use placet_core::dispatch::StreamSpec;
use placet_core::ids::{CallId, Hub, Iid, InstanceId, InstanceKey};
use placet_core::rows::Lookup;
use placet_core::shard::Input;

use super::{Message, ReplyTo};
use crate::health::NotReady;
use crate::scheduler::{CallError, Scheduler};
use crate::test_store::TestStore;
use crate::worker::{StreamOut, WorkerStream};

fn key(id: &str) -> InstanceKey {
    InstanceKey::new(Hub::new("default"), InstanceId::new(id))
}

async fn start(scheduler: Scheduler, id: &'static str) -> Result<(), CallError> {
    let start = StartInstance { name: "any".to_owned(), execution_id: "e".to_owned(), ..StartInstance::default() };
    scheduler.command(key(id), CommandKind::Start(Box::new(start))).await.map(drop)
}

/// A call as no edge makes it: the shard stops short.
fn break_an_invariant(scheduler: &Scheduler) {
    let (sender, _) = tokio::sync::oneshot::channel();
    let call = CallId(u64::MAX);
    let command = Command { target: Lookup::Iid(Iid(1)), kind: CommandKind::RetryPoisoned, call: Some(call) };
    scheduler.tell(Message::Call(call, ReplyTo::Caller(sender), Input::Call(call, command)));
}

fn open_stream(scheduler: &Scheduler) -> WorkerStream {
    scheduler.open_stream(StreamSpec::default()).unwrap()
}

/// The next thing that a stream is sent, signs of life apart.
async fn next(stream: &mut WorkerStream) -> Option<StreamOut> {
    loop {
        let mut buffer = Vec::new();
        let next = tokio::time::timeout(Duration::from_secs(20), stream.recv_many(&mut buffer, 1));
        if next.await.unwrap() == 0 {
            return None;
        }
        let out = buffer.pop();
        if !matches!(out, Some(StreamOut::Ping)) {
            return out;
        }
    }
}

#[tokio::test]
async fn what_breaks_invariants_again_and_again_is_told_of_and_work_goes_on() {
    let scheduler = Scheduler::start(Arc::new(TestStore::default())).unwrap();
    for _ in 0..2 {
        break_an_invariant(&scheduler);
    }
    start(scheduler.clone(), "after-two").await.unwrap();
    assert_eq!(scheduler.health().reasons(), []);
    break_an_invariant(&scheduler);
    start(scheduler.clone(), "after-three").await.unwrap();
    assert_eq!(scheduler.health().reasons(), [NotReady::InvariantsBreak { times: 3 }]);
    tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
}

#[tokio::test]
async fn a_broken_invariant_makes_nothing_untrue_and_work_goes_on() {
    let store = Arc::new(TestStore::default());
    let scheduler = Scheduler::start(store.clone()).unwrap();
    start(scheduler.clone(), "before").await.unwrap();
    let mut old = open_stream(&scheduler);
    assert!(matches!(next(&mut old).await, Some(StreamOut::Item { .. })));

    store.close();
    let in_flight = tokio::spawn(start(scheduler.clone(), "in-flight"));
    let held = store.clone();
    tokio::task::spawn_blocking(move || held.await_commit()).await.unwrap();
    let decided = tokio::spawn(start(scheduler.clone(), "decided"));
    break_an_invariant(&scheduler);
    let meanwhile = tokio::spawn(start(scheduler.clone(), "meanwhile"));
    // sleep: what it waits for is that the core waits for the store, which nothing tells
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!in_flight.is_finished() && !meanwhile.is_finished(), "nobody is told before the store has answered");
    store.open();

    // Nobody knows, is what all three are told; of the first it came to be.
    for call in [in_flight, decided, meanwhile] {
        let told = call.await.unwrap();
        assert!(matches!(told, Err(CallError::Refused(Refusal::Unknown))), "{told:?}");
    }
    // A turn may have been handed out before its start was durable; it changes nothing until it is completed.
    while let Some(StreamOut::Item { .. }) = next(&mut old).await {}
    for (id, is_there) in [("before", true), ("in-flight", true), ("decided", false), ("meanwhile", false)] {
        assert_eq!(scheduler.row(key(id)).await.unwrap().is_some(), is_there, "{id}");
    }

    // The successor hands out what is there, and takes what comes.
    start(scheduler.clone(), "after").await.unwrap();
    let mut new = open_stream(&scheduler);
    for _ in ["before", "in-flight", "after"] {
        assert!(matches!(next(&mut new).await, Some(StreamOut::Item { .. })));
    }
    let again = scheduler.clone();
    tokio::task::spawn_blocking(move || again.stop()).await.unwrap();
}

#[tokio::test]
async fn what_deleted_hubs_have_left_is_cleared_away_after_a_start_and_after_a_deletion() {
    let store = Arc::new(TestStore::default());
    store.leave_to_sweep(3);
    let scheduler = Scheduler::start(store.clone()).unwrap();
    let swept = async || {
        while store.left_to_sweep() > 0 {
            // sleep: the committer clears away by itself and tells nobody
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swept()).await.unwrap();
    start(scheduler.clone(), "one").await.unwrap();
    store.leave_to_sweep(3);
    scheduler.delete_hub(Hub::new("default")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), swept()).await.unwrap();
    tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
}

/// More than there are threads that read.
#[tokio::test]
async fn a_panic_of_the_store_in_a_read_is_told_to_who_waits_for_it_and_others_are_read_for() {
    let store = Arc::new(TestStore::default());
    let scheduler = Scheduler::start(store.clone()).unwrap();
    store.panic_in_loads(5);
    for id in ["1", "2", "3", "4", "5"] {
        let told = tokio::time::timeout(Duration::from_secs(20), start(scheduler.clone(), id)).await.unwrap();
        assert!(matches!(told, Err(CallError::Refused(Refusal::Unreadable(_)))), "{told:?}");
    }
    tokio::time::timeout(Duration::from_secs(20), start(scheduler.clone(), "6")).await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
}
