//! Operations in a scheduler without workers: what is pending is terminated by the server itself, and events wait.

use placet_core::command::{Ask, CommandKind, RaiseEvent, StartInstance, Terminate};
use placet_core::ids::{InstanceId, InstanceKey};
use placet_core::rows::Lookup;
use placet_proto::durabletask::OrchestrationStatus;
use placet_proto::placet::v1::{
    BulkFilter, BulkOutcome, BulkPurge, BulkRaiseEvent, BulkRestart, BulkResult, BulkRewind, BulkSuspend, BulkTerminate,
};
use placet_store::Store;
use placet_store::model::ModelStore;

use super::stored::Item;
use super::*;

struct World {
    store: Arc<ModelStore>,
    scheduler: Scheduler,
}

impl World {
    fn new() -> World {
        World::on(Arc::default())
    }

    fn on(store: Arc<ModelStore>) -> World {
        World { scheduler: Scheduler::start(store.clone()).unwrap(), store }
    }

    async fn stop(self) -> Arc<ModelStore> {
        let scheduler = self.scheduler;
        tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
        self.store
    }

    async fn start(&self, id: &str, name: &str) {
        let start = StartInstance { name: name.to_owned(), execution_id: "e".to_owned(), ..StartInstance::default() };
        self.scheduler.command(key(id), CommandKind::Start(Box::new(start))).await.unwrap();
    }

    async fn terminate(&self, id: &str) {
        let terminate = Terminate { output: None, recurse: false };
        self.scheduler.command(key(id), CommandKind::Terminate(terminate)).await.unwrap();
    }

    async fn begin(&self, filter: BulkFilter, action: Action) -> String {
        let request = StartBulkRequest { filter: Some(filter), action: Some(said(action)), ..Default::default() };
        let answer = self.scheduler.start_bulk(hub(), request, Caller::default()).await.unwrap();
        answer.operation.unwrap().id
    }

    /// As it stands when it has ended.
    async fn end_of(&self, id: &str) -> BulkOperation {
        let mut known_version = 0;
        loop {
            let request = GetBulkRequest { operation_id: id.to_owned(), known_version, wait_ms: 60_000 };
            let operation = self.scheduler.get_bulk(hub(), request).await.unwrap();
            if !is_unended(&operation) {
                return operation;
            }
            known_version = operation.version;
        }
    }

    /// Does it to its end: how many it was done to, was nothing to be done to, and that refused it.
    async fn does(&self, filter: BulkFilter, action: Action) -> (u64, u64, u64) {
        let id = self.begin(filter, action).await;
        let BulkOperation { done, skipped, failed, status, .. } = self.end_of(&id).await;
        assert_eq!(status, i32::from(BulkStatus::Completed));
        (done, skipped, failed)
    }

    async fn results(&self, id: &str) -> Vec<BulkResult> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = BulkResultsRequest { operation_id: id.to_owned(), page_token };
            let page = self.scheduler.bulk_results(hub(), request).await.unwrap().value;
            all.extend(page.results);
            if page.next_page_token.is_empty() {
                return all;
            }
            page_token = page.next_page_token;
        }
    }

    fn status(&self, id: &str) -> Option<OrchestrationStatus> {
        let found = self.store.load(&[Lookup::Key(key(id))]).unwrap().pop().flatten();
        found.map(|found| found.row.status)
    }

    fn messages(&self, id: &str) -> usize {
        self.store.load(&[Lookup::Key(key(id))]).unwrap().pop().flatten().map_or(0, |found| found.inbox.len())
    }
}

fn said(action: Action) -> BulkAction {
    BulkAction { action: Some(action) }
}

fn hub() -> Hub {
    Hub::new("default")
}

fn key(id: &str) -> InstanceKey {
    InstanceKey::new(hub(), InstanceId::new(id))
}

fn all() -> BulkFilter {
    BulkFilter { all: true, ..BulkFilter::default() }
}

fn terminate() -> Action {
    Action::Terminate(BulkTerminate { output: Some("\"given up\"".into()), recursive: false })
}

fn event() -> Action {
    Action::RaiseEvent(BulkRaiseEvent { name: "go".into(), input: Some("1".into()) })
}

#[tokio::test]
async fn all_that_a_filter_means_is_done_to_and_each_is_told_of_once() {
    let world = World::new();
    for number in 0..250 {
        world.start(&format!("a-{number:03}"), if number % 2 == 0 { "even" } else { "odd" }).await;
    }
    world.start("b-1", "even").await;
    let filter = BulkFilter { id_prefix: "a-".into(), name: "even".into(), ..BulkFilter::default() };
    let id = world.begin(filter, terminate()).await;
    let operation = world.end_of(&id).await;
    assert_eq!((operation.total, operation.done, operation.skipped, operation.failed), (125, 125, 0, 0));
    assert!(operation.ended_at.is_some() && !operation.total_is_least);
    let results = world.results(&id).await;
    let expected: Vec<String> = (0..250).step_by(2).map(|number| format!("a-{number:03}")).collect();
    assert_eq!(results.iter().map(|result| &*result.instance_id).collect::<Vec<_>>(), expected);
    assert!(results.iter().all(|result| result.outcome() == BulkOutcome::Done));
    let statuses = ["a-000", "a-001", "b-1"].map(|id| world.status(id).unwrap());
    assert_eq!(statuses, [OrchestrationStatus::Terminated, OrchestrationStatus::Pending, OrchestrationStatus::Pending]);
    world.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_how_many_and_the_first_and_does_nothing() {
    let world = World::new();
    for number in 0..30 {
        world.start(&format!("i-{number:02}"), "any").await;
    }
    world.terminate("i-00").await;
    let pending = vec![OrchestrationStatus::Pending.into()];
    for (filter, count) in [
        (BulkFilter { statuses: pending.clone(), ..BulkFilter::default() }, 29),
        (BulkFilter { statuses: pending, name: "any".into(), ..BulkFilter::default() }, 29),
        (BulkFilter { name: "an".into(), ..BulkFilter::default() }, 0),
        (BulkFilter { id_prefix: "i-1".into(), ..BulkFilter::default() }, 10),
        (all(), 30),
    ] {
        let action = Some(said(terminate()));
        let request = StartBulkRequest { filter: Some(filter), action, dry_run: true, ..StartBulkRequest::default() };
        let answer = world.scheduler.start_bulk(hub(), request, Caller::default()).await.unwrap();
        assert_eq!((answer.operation, answer.matched, answer.matched_is_least), (None, count, false));
        assert_eq!(answer.first_instance_ids.len() as u64, count.min(20));
    }
    assert_eq!(world.status("i-01"), Some(OrchestrationStatus::Pending));
    assert_eq!(world.scheduler.list_bulks(hub()).await.unwrap().value.operations, []);
    world.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let world = World::new();
    world.start("a", "any").await;
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let named = |name: &str| Action::RaiseEvent(BulkRaiseEvent { name: name.into(), input: Some(long.clone()) });
    let wrong_status = BulkFilter { statuses: vec![77], ..BulkFilter::default() };
    let table = [
        (Some(BulkFilter::default()), Some(terminate()), "", "filter: says nothing"),
        (None, Some(terminate()), "", "filter: says nothing"),
        (Some(all()), None, "", "action: says nothing"),
        (Some(wrong_status), Some(terminate()), "", "filter.statuses: 77"),
        (Some(BulkFilter { name: long.clone(), ..all() }), Some(terminate()), "", "filter: 16385 bytes"),
        (Some(all()), Some(named("")), "", "action.raise_event.name: "),
        (Some(all()), Some(named("go")), "", "action: 16387 bytes"),
        (Some(all()), Some(terminate()), "a/b", "operation_id: "),
    ];
    for (filter, action, id, expected) in table {
        let action = action.map(said);
        let request = StartBulkRequest { filter, action, operation_id: id.into(), ..StartBulkRequest::default() };
        let refused = world.scheduler.start_bulk(hub(), request, Caller::default()).await.unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
    let nowhere = StartBulkRequest { filter: Some(all()), action: Some(said(terminate())), ..Default::default() };
    let refused = world.scheduler.start_bulk(Hub::new("nowhere"), nowhere, Caller::default()).await.unwrap_err();
    assert!(matches!(refused, CallError::Hub(_)), "{refused}");
    let unknown = GetBulkRequest { operation_id: "unknown".into(), ..GetBulkRequest::default() };
    assert!(matches!(world.scheduler.get_bulk(hub(), unknown).await, Err(CallError::NoOperation(_))));
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_operation_ends_after_what_is_under_way_and_tells_of_no_more() {
    let world = World::new();
    for number in 0..600 {
        world.start(&format!("i-{number:03}"), "any").await;
    }
    let id = world.begin(all(), event()).await;
    let request = CancelBulkRequest { operation_id: id.clone() };
    let ended = world.scheduler.cancel_bulk(hub(), request.clone()).await.unwrap();
    assert_eq!(ended.status(), BulkStatus::Cancelled);
    let results = world.results(&id).await;
    assert_eq!(results.len() as u64, ended.done);
    assert!(results.len() < 600, "it came to all of them before it was cancelled");
    let heard = (0..600).filter(|number| world.messages(&format!("i-{number:03}")) == 2).count();
    assert_eq!(heard, results.len(), "an event beside the start");
    assert_eq!(world.scheduler.cancel_bulk(hub(), request).await.unwrap(), ended, "it stays as it ended");
    world.stop().await;
}

#[tokio::test]
async fn an_operation_that_is_begun_twice_under_one_id_is_one() {
    let world = World::new();
    world.start("a", "any").await;
    let request = |action: Action| StartBulkRequest {
        filter: Some(all()),
        action: Some(said(action)),
        operation_id: "mine".into(),
        ..StartBulkRequest::default()
    };
    let begin = |action| world.scheduler.start_bulk(hub(), request(action), Caller::default());
    begin(event()).await.unwrap();
    world.end_of("mine").await;
    let again = begin(event()).await.unwrap().operation.unwrap();
    assert_eq!((again.status(), again.done), (BulkStatus::Completed, 1));
    assert_eq!(world.messages("a"), 2);
    let other = begin(terminate()).await.unwrap_err();
    assert!(other.to_string().contains("another operation"), "{other}");
    world.stop().await;
}

#[tokio::test]
async fn restarts_touch_none_of_those_that_they_start() {
    let world = World::new();
    for number in 0..120 {
        world.start(&format!("i-{number:03}"), "any").await;
    }
    assert_eq!(world.does(all(), terminate()).await, (120, 0, 0));
    assert_eq!(world.does(all(), terminate()).await, (0, 120, 0), "they have ended");
    let id = world.begin(all(), Action::Restart(BulkRestart { new_instance_ids: true })).await;
    assert_eq!(world.end_of(&id).await.done, 120);
    for result in world.results(&id).await {
        assert_eq!(world.status(&result.new_instance_id), Some(OrchestrationStatus::Pending));
    }
    let ended = BulkFilter { statuses: vec![OrchestrationStatus::Terminated.into()], ..BulkFilter::default() };
    let restart = Action::Restart(BulkRestart { new_instance_ids: false });
    assert_eq!(world.does(ended, restart).await, (120, 0, 0));
    assert_eq!(world.status("i-000"), Some(OrchestrationStatus::Pending));
    assert_eq!(world.does(all(), Action::Purge(BulkPurge { recursive: false })).await, (0, 240, 0), "none has ended");
    assert_eq!(world.does(all(), terminate()).await, (240, 0, 0));
    assert_eq!(world.does(all(), Action::Purge(BulkPurge { recursive: true })).await, (240, 0, 0));
    assert_eq!(world.status("i-000"), None);
    world.stop().await;
}

#[tokio::test]
async fn what_is_reserved_is_neither_rewound_nor_restarted_under_its_id() {
    let world = World::new();
    world.start("a", "placet.approval").await;
    world.terminate("a").await;
    let restart = Action::Restart(BulkRestart { new_instance_ids: false });
    let id = world.begin(all(), restart).await;
    assert_eq!(world.end_of(&id).await.failed, 1);
    let results = world.results(&id).await;
    assert_eq!(results[0].reason, "an instance of placet.approval cannot be restarted under its own id");
    assert_eq!(world.does(all(), Action::Rewind(BulkRewind { reason: None })).await, (0, 1, 0), "it has not failed");
    world.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_to_an_instance_is_skipped_with_the_reason() {
    let world = World::new();
    world.start("a", "any").await;
    world.start("b", "any").await;
    world.terminate("b").await;
    let id = world.begin(all(), Action::Suspend(BulkSuspend { reason: Some("audit".into()) })).await;
    let ended = world.end_of(&id).await;
    assert_eq!((ended.done, ended.skipped), (1, 1));
    let told = world.results(&id).await.into_iter().map(|result| (result.instance_id, result.reason));
    let expected = [("a".to_owned(), String::new()), ("b".to_owned(), "it has ended: TERMINATED".to_owned())];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    world.stop().await;
}

/// An operation as a process that was killed leaves it: it was about to act on these, and had done so to some.
async fn left_behind(world: &World, action: Action, ids: &[&str]) -> String {
    let iid = |id: &str| world.store.load(&[Lookup::Key(key(id))]).unwrap().pop().flatten().unwrap().row.iid.0;
    let pending = ids.iter().map(|id| Item { id: (*id).to_owned(), iid: iid(id) }).collect();
    let operation = BulkOperation {
        id: "left".into(),
        status: BulkStatus::Running.into(),
        filter: Some(all()),
        action: Some(said(action)),
        began_at: Some(world.scheduler.now().to_proto()),
        total: ids.len() as u64,
        ..BulkOperation::default()
    };
    let iid_last = world.scheduler.iid_last().await.unwrap().0;
    let seed = 7_u128.to_le_bytes().to_vec();
    let stored = Stored { operation, iid_last, pending, is_exhausted: true, seed, ..Stored::default() };
    let create = RecordChange::Create(stored.content(world.scheduler.now()));
    world.scheduler.change_record(key_of(&hub(), "left"), create).await.unwrap();
    "left".to_owned()
}

#[tokio::test]
async fn an_event_that_was_raised_before_the_process_was_killed_is_not_raised_again() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        world.start(id, "any").await;
    }
    let id = left_behind(&world, event(), &["a", "b", "c"]).await;
    for heard in ["a", "b"] {
        let ask = Ask {
            ask_id: format!("bulk {id}").into(),
            event_name: "go".into(),
            payload: Some("1".into()),
            wait: Duration::ZERO,
            stamp: Caller::default(),
        };
        world.scheduler.command(key(heard), CommandKind::Ask(Arc::new(ask))).await.unwrap();
    }
    // What somebody else sends is another event.
    let other = RaiseEvent { name: "go".into(), input: None, stamp: Caller::default() };
    world.scheduler.command(key("b"), CommandKind::RaiseEvent(other)).await.unwrap();
    let world = World::on(world.stop().await);
    world.scheduler.resume_bulks().await.unwrap();
    assert_eq!(world.end_of(&id).await.done, 3);
    assert_eq!(["a", "b", "c"].map(|id| world.messages(id)), [2, 3, 2]);
    assert_eq!(world.results(&id).await.len(), 3);
    world.stop().await;
}

#[tokio::test]
async fn what_was_done_before_the_process_was_killed_counts_as_done_by_what_it_came_to() {
    for (action, ended) in [
        (terminate(), true),
        (Action::Restart(BulkRestart { new_instance_ids: true }), false),
        (Action::Restart(BulkRestart { new_instance_ids: false }), false),
        (Action::Purge(BulkPurge { recursive: false }), false),
    ] {
        let world = World::new();
        for id in ["a", "b"] {
            world.start(id, "any").await;
            if !ended {
                world.terminate(id).await;
            }
        }
        let id = left_behind(&world, action.clone(), &["a", "b"]).await;
        // To the one, as it would have been done.
        let first = world.store.load(&[Lookup::Key(key("a"))]).unwrap().pop().flatten().unwrap().row;
        match &action {
            Action::Terminate(_) => world.terminate("a").await,
            Action::Restart(BulkRestart { new_instance_ids: true }) => {
                let new = Uuid::from_u128(7 ^ u128::from(first.iid.0)).simple().to_string();
                world.start(&new, "any").await;
            }
            Action::Restart(_) => world.start("a", "any").await,
            _ => drop(world.scheduler.purge(&hub(), vec!["a".to_owned()], false).await.unwrap()),
        }
        let before = world.store.dump().instances.len();
        let world = World::on(world.stop().await);
        world.scheduler.resume_bulks().await.unwrap();
        let operation = world.end_of(&id).await;
        assert_eq!((operation.done, operation.skipped, operation.failed), (2, 0, 0), "{action:?}");
        let more = world.store.dump().instances.len() as i64 - before as i64;
        let expected = match &action {
            Action::Restart(BulkRestart { new_instance_ids: true }) => 1,
            Action::Purge(_) => -1,
            _ => 0,
        };
        assert_eq!(more, expected, "{action:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn an_operation_goes_with_its_hub() {
    let world = World::new();
    world.start("a", "any").await;
    let id = world.begin(all(), event()).await;
    world.end_of(&id).await;
    world.scheduler.delete_hub(hub()).await.unwrap();
    let request = GetBulkRequest { operation_id: id, ..GetBulkRequest::default() };
    assert!(matches!(world.scheduler.get_bulk(hub(), request).await, Err(CallError::NoOperation(_))));
    world.stop().await;
}
