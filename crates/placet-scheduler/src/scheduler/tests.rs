//! What the handle itself answers for: names of hubs, places to wait, whole generations.

use std::pin::Pin;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use placet_core::command::{Caller, RaiseEvent, StartInstance, Terminate, WaitFor};
use placet_core::ids::InstanceId;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    CompleteOrchestrationAction, CreateInstanceRequest, GetInstanceRequest, OrchestrationIdReusePolicy,
    OrchestrationStatus, OrchestratorAction, OrchestratorResponse, ScheduleTaskAction, WorkItem, work_item::Request,
};
use placet_proto::placet::v1::{AskReply, AskRequest, ask_response::Outcome};
use placet_store::model::ModelStore;
use tokio::time::timeout;

use super::*;
use crate::test_store::TestStore;
use crate::worker::StreamOut;

fn scheduler() -> Scheduler {
    Scheduler::start(Arc::new(ModelStore::default())).unwrap()
}

async fn stop(scheduler: Scheduler) {
    tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
}

fn key(hub: &str, id: &str) -> InstanceKey {
    InstanceKey::new(Hub::new(hub), InstanceId::new(id))
}

async fn start(scheduler: &Scheduler, key: InstanceKey, input: &str) -> Result<Reply, CallError> {
    let start = StartInstance {
        name: "any".to_owned(),
        input: Some(input.to_owned()),
        execution_id: "e".to_owned(),
        ..StartInstance::default()
    };
    scheduler.command(key, CommandKind::Start(Box::new(start))).await
}

fn open_stream(scheduler: &Scheduler) -> WorkerStream {
    scheduler.open_stream(StreamSpec { keeps_state: true, ..StreamSpec::default() }).unwrap()
}

/// Takes a turn, and completes it without doing anything.
async fn take_a_turn(scheduler: &Scheduler, stream: &mut WorkerStream) {
    take_a_turn_and_reply(scheduler, stream, None).await;
}

/// … but for what it answers.
async fn take_a_turn_and_reply(scheduler: &Scheduler, stream: &mut WorkerStream, replies: Option<Vec<AskReply>>) {
    let mut out = Vec::new();
    while !matches!(out[..], [StreamOut::Item { .. }]) {
        out.clear();
        assert_eq!(stream.recv_many(&mut out, 1).await, 1);
    }
    drop(stream.unread(&out[0]));
    let [StreamOut::Item { item, .. }] = &out[..] else { unreachable!() };
    let completion_token = WorkItem::decode(item.clone()).unwrap().completion_token;
    let token = completion_token.parse().unwrap();
    let response = OrchestratorResponse { completion_token, ..OrchestratorResponse::default() };
    let completion = CompleteTurn { token, sticky: None, response, publish: Vec::new(), replies, waits: None };
    scheduler.complete_turn(completion).await.unwrap();
}

#[tokio::test]
async fn hubs_that_workers_only_name_keep_nobody_from_making_one() {
    let scheduler = scheduler();
    let mut streams = Vec::new();
    for number in 0..1_500 {
        let hubs = HubSet::Of(vec![Hub::new(format!("hub-{number}").as_str())]);
        let spec = StreamSpec { hubs, ..StreamSpec::default() };
        streams.push(scheduler.open_stream(spec).unwrap());
    }
    start(&scheduler, key("another", "i"), "").await.unwrap();
    drop(streams);
    stop(scheduler).await;
}

#[tokio::test]
async fn a_hub_whose_deletion_failed_still_counts_as_one() {
    let store = Arc::new(TestStore::default());
    let scheduler = Scheduler::start(store.clone()).unwrap();
    start(&scheduler, key("stays", "i"), "").await.unwrap();
    store.fail_commits(1);
    let refused = scheduler.delete_hub(Hub::new("stays")).await;
    assert!(matches!(refused, Err(CallError::Refused(Refusal::Unknown))), "{refused:?}");
    assert_eq!(scheduler.0.hubs.admits(&Hub::new("stays")), Ok(true), "it is in the store");
    scheduler.delete_hub(Hub::new("stays")).await.unwrap();
    assert_eq!(scheduler.0.hubs.admits(&Hub::new("stays")), Ok(false));
    stop(scheduler).await;
}

#[tokio::test]
async fn hubs_count_as_what_becomes_of_them_though_the_caller_has_gone() {
    let store = Arc::new(TestStore::default());
    let scheduler = Scheduler::start(store.clone()).unwrap();
    let hub = |name| Hub::new(name);
    // Gives up when its commit is under way; the commit is let go afterwards.
    let give_up = async |mut call: Pin<Box<dyn Future<Output = bool> + '_>>| {
        store.close();
        assert!(timeout(Duration::from_millis(50), &mut call).await.is_err(), "it waits for its commit");
        store.await_commit();
        drop(call);
        store.open();
    };
    let until = async |name, counts| {
        while scheduler.0.hubs.admits(&hub(name)) != Ok(counts) {
            tokio::task::yield_now().await;
        }
    };
    let counts = async |name, counts| timeout(Duration::from_secs(5), until(name, counts)).await.expect(name);

    give_up(Box::pin(async { start(&scheduler, key("started", "i"), "").await.is_ok() })).await;
    counts("started", true).await;
    give_up(Box::pin(async { scheduler.create_hub(hub("created"), false).await.is_ok() })).await;
    counts("created", true).await;
    store.fail_commits(1);
    give_up(Box::pin(async { scheduler.delete_hub(hub("started")).await.is_ok() })).await;
    counts("started", true).await;
    give_up(Box::pin(async { scheduler.delete_hub(hub("created")).await.is_ok() })).await;
    counts("created", false).await;
    stop(scheduler).await;
}

#[tokio::test]
async fn an_input_is_found_though_its_first_turn_is_recorded_while_it_is_looked_for() {
    let store = Arc::new(TestStore::default());
    let scheduler = Scheduler::start(store.clone()).unwrap();
    start(&scheduler, key("default", "i"), "the input").await.unwrap();
    let mut stream = open_stream(&scheduler);
    take_a_turn(&scheduler, &mut stream).await;

    store.read_histories_early(1);
    let state = scheduler.instance(key("default", "i"), true).await.unwrap().value.unwrap();
    assert_eq!(state.input.as_deref(), Some("the input"));
    stop(scheduler).await;
}

#[tokio::test]
async fn nobody_is_told_of_an_end_whose_payloads_were_purged_before_they_were_read() {
    let scheduler = scheduler();
    start(&scheduler, key("default", "i"), "the input").await.unwrap();
    let terminate = Terminate { output: Some("the output".to_owned()), recurse: false };
    scheduler.command(key("default", "i"), CommandKind::Terminate(terminate)).await.unwrap();
    let view = Arc::new(view_of_row(&scheduler.row(key("default", "i")).await.unwrap().unwrap()).unwrap());
    let before = scheduler.complete_view(view.clone(), true).await.unwrap().unwrap().value;
    assert_eq!(before.output.as_deref(), Some("the output"));

    scheduler.command(key("default", "i"), CommandKind::Purge).await.unwrap();
    assert!(scheduler.complete_view(view, true).await.unwrap().is_none());
    stop(scheduler).await;
}

#[tokio::test]
async fn a_page_of_a_generation_that_is_over_is_refused() {
    let scheduler = scheduler();
    start(&scheduler, key("default", "i"), "").await.unwrap();
    let of = scheduler.generation(Hub::new("default"), "i").await.unwrap().unwrap();
    assert_eq!(scheduler.history(&of, Turn(0)).await.unwrap().rows, []);
    let over = scheduler.history(&Generation { first: Turn(3), ..of }, Turn(4)).await;
    assert!(matches!(over, Err(CallError::ContinuedAsNew)), "{over:?}");
    stop(scheduler).await;
}

#[tokio::test]
async fn a_turn_that_is_long_waits_for_its_room_and_what_is_short_of_the_same_history_does_not() {
    const LONG: usize = 3 << 20;
    let scheduler = scheduler();
    start(&scheduler, key("default", "i"), "the input").await.unwrap();
    let mut stream = open_stream(&scheduler);
    take_a_turn(&scheduler, &mut stream).await;
    let event = RaiseEvent { name: "e".to_owned(), input: Some("x".repeat(LONG)), stamp: Caller::default() };
    scheduler.command(key("default", "i"), CommandKind::RaiseEvent(event)).await.unwrap();
    take_a_turn(&scheduler, &mut stream).await;
    drop(stream);
    let of = scheduler.generation(Hub::new("default"), "i").await.unwrap().unwrap();

    let in_flight = || scheduler.budget().in_flight();
    let all = scheduler.budget().claim(usize::MAX).unwrap();
    let full = in_flight();
    let short = scheduler.history(&of, Turn(0)).await.unwrap();
    assert_eq!(short.rows.len(), 1);
    assert_eq!(in_flight(), full, "it takes a page's place and no more");
    let from = short.rows[0].turn.next();
    let mut long = Box::pin(scheduler.history(&of, from));
    assert!(timeout(Duration::from_millis(200), &mut long).await.is_err(), "there is no room");
    drop(all);
    let long = long.await.unwrap();
    assert!(long.rows[0].events.len() > LONG);
    assert!(in_flight() >= SENT_COPIES * LONG, "it counts for as long as somebody has it");
    drop(long);
    assert_eq!(in_flight(), 0);
    stop(scheduler).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_turn_that_finds_no_room_is_refused_in_time() {
    let scheduler = scheduler();
    start(&scheduler, key("default", "i"), &"x".repeat(3 << 20)).await.unwrap();
    let mut stream = open_stream(&scheduler);
    take_a_turn(&scheduler, &mut stream).await;
    drop(stream);
    let of = scheduler.generation(Hub::new("default"), "i").await.unwrap().unwrap();
    let _all = scheduler.budget().claim(usize::MAX).unwrap();
    let refused = scheduler.history(&of, Turn(0)).await;
    assert!(matches!(refused, Err(CallError::Busy)), "{refused:?}");
    stop(scheduler).await;
}

#[tokio::test]
async fn a_call_that_would_be_one_too_many_to_wait_is_refused_and_has_a_place_once_another_is_gone() {
    let scheduler = scheduler();
    start(&scheduler, key("default", "i"), "").await.unwrap();
    let wait = || scheduler.command(key("default", "i"), CommandKind::Wait(WaitFor::Completion));
    let mut waits: FuturesUnordered<_> = (0..=WAITS_MAX).map(|_| wait()).collect();
    let refused = waits.next().await;
    assert!(matches!(refused, Some(Err(CallError::TooManyWait))), "{refused:?}");
    assert_eq!(waits.len(), WAITS_MAX);
    drop(waits);
    let again = timeout(Duration::from_millis(50), wait()).await;
    assert!(again.is_err(), "it waits: {again:?}");
    stop(scheduler).await;
}

#[tokio::test]
async fn all_who_wait_are_told_the_payloads_however_many_they_are() {
    let scheduler = scheduler();
    let (input, output) = ("i".repeat(20_000), "o".repeat(20_000));
    start(&scheduler, key("default", "i"), &input).await.unwrap();
    let wait = || {
        let request = GetInstanceRequest { instance_id: "i".to_owned(), get_inputs_and_outputs: true };
        scheduler.wait_for_instance(Hub::new("default"), request, WaitFor::Completion, Vec::new())
    };
    let waits: FuturesUnordered<_> = (0..40).map(|_| wait()).collect();
    let terminate = Terminate { output: Some(output.clone()), recurse: false };
    let (told, ended) = tokio::join!(waits.collect::<Vec<_>>(), async {
        tokio::task::yield_now().await;
        scheduler.command(key("default", "i"), CommandKind::Terminate(terminate)).await
    });
    ended.unwrap();
    assert_eq!(told.len(), 40);
    for told in told {
        let told = told.unwrap();
        assert!(told.share.is_some(), "it counts while it is sent");
        let state = told.value.orchestration_state.unwrap();
        assert_eq!(state.orchestration_status(), OrchestrationStatus::Terminated);
        assert_eq!((state.input.as_ref(), state.output.as_ref()), (Some(&input), Some(&output)));
    }
    stop(scheduler).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_room_to_what_was_taken_is_that_it_is_recorded_and_comes_when_it_is_asked_for_again() {
    let scheduler = scheduler();
    let ask = |id: &str| {
        let (ask_id, event_name) = (id.to_owned(), "e".to_owned());
        let request = AskRequest { instance_id: "i".to_owned(), event_name, ask_id, ..AskRequest::default() };
        let answer = scheduler.ask(Hub::new("default"), request, Caller::default(), Vec::new());
        async { answer.await.map(|answer| answer.value.outcome.unwrap()) }
    };
    start(&scheduler, key("default", "i"), &"x".repeat(3 << 20)).await.unwrap();
    let mut stream = open_stream(&scheduler);
    take_a_turn(&scheduler, &mut stream).await;

    let all = scheduler.budget().claim(usize::MAX);
    for (id, answer) in [("taken", None), ("replied", Some("y".repeat(3 << 20)))] {
        let replies = Some(vec![AskReply { ask_id: id.to_owned(), answer }]);
        let (told, ()) = tokio::join!(ask(id), take_a_turn_and_reply(&scheduler, &mut stream, replies));
        assert!(matches!(told, Ok(Outcome::Recorded(_))), "{id}");
    }
    drop(all);
    assert!(matches!(ask("taken").await, Ok(Outcome::State(_))));
    assert!(matches!(ask("replied").await, Ok(Outcome::Reply(_))));

    // What has ended takes no question: that nothing was done is true.
    let terminate = Terminate { output: None, recurse: false };
    drop(stream);
    scheduler.command(key("default", "i"), CommandKind::Terminate(terminate)).await.unwrap();
    let _all = scheduler.budget().claim(usize::MAX);
    assert!(matches!(ask("late").await, Err(CallError::Busy)));
    stop(scheduler).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_made_when_there_is_room_for_it_and_not_before() {
    let scheduler = scheduler();
    let copies = AtomicUsize::new(0);
    let weigh = || scheduler.weigh(1 << 20, || copies.fetch_add(1, Ordering::Relaxed));
    let all = scheduler.budget().claim(usize::MAX);
    let refused: Vec<_> = (0..20).map(|_| weigh()).collect::<FuturesUnordered<_>>().collect().await;
    assert!(refused.iter().all(|answer| matches!(answer, Err(CallError::Busy))));
    assert_eq!(copies.load(Ordering::Relaxed), 0);
    drop(all);
    assert!(weigh().await.is_ok());
    assert_eq!(copies.load(Ordering::Relaxed), 1);
    stop(scheduler).await;
}

#[tokio::test]
async fn what_is_read_for_a_caller_who_has_gone_counts_until_it_is_read() {
    let store = Arc::new(TestStore::default());
    let scheduler = Scheduler::start(store.clone()).unwrap();
    start(&scheduler, key("default", "i"), &"x".repeat(3 << 20)).await.unwrap();
    let mut stream = open_stream(&scheduler);
    take_a_turn(&scheduler, &mut stream).await;
    drop(stream);
    let of = scheduler.generation(Hub::new("default"), "i").await.unwrap().unwrap();
    let in_flight = || scheduler.budget().in_flight();
    let reads: [Pin<Box<dyn Future<Output = bool>>>; 2] = [
        Box::pin(async { scheduler.instance(key("default", "i"), true).await.is_ok() }),
        Box::pin(async { scheduler.history(&of, Turn(0)).await.is_ok() }),
    ];
    for mut read in reads {
        store.close_histories();
        // Until it is held up, or ends, which it does not.
        let begun = async {
            while !store.holds_up_a_history() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut read => unreachable!("it is held up"),
            () = begun => {}
        }
        drop(read);
        let counted = in_flight();
        store.open_histories();
        assert!(counted >= 3 << 20, "the thread reads on");
        while in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    }
    stop(scheduler).await;
}

/// The next item of a stream.
async fn next_item(stream: &mut WorkerStream) -> Request {
    let mut out = Vec::new();
    while !matches!(out[..], [StreamOut::Item { .. }]) {
        out.clear();
        assert_eq!(timeout(Duration::from_secs(20), stream.recv_many(&mut out, 1)).await, Ok(1));
    }
    drop(stream.unread(&out[0]));
    let [StreamOut::Item { item, .. }] = &out[..] else { unreachable!() };
    WorkItem::decode(item.clone()).unwrap().request.unwrap()
}

fn turn(id: i32, action: Action) -> OrchestratorResponse {
    let actions = vec![OrchestratorAction { id, orchestrator_action_type: Some(action) }];
    OrchestratorResponse { actions, ..OrchestratorResponse::default() }
}

#[tokio::test]
async fn a_worker_that_repeats_no_tokens_ends_the_turn_that_is_out_and_the_activity_of_its_id() {
    let scheduler = scheduler();
    let mut stream = scheduler.open_stream(StreamSpec::default()).unwrap();
    let key = || key("hub", "i");
    start(&scheduler, key(), "").await.unwrap();
    assert!(matches!(next_item(&mut stream).await, Request::OrchestratorRequest(_)));
    let call = Action::ScheduleTask(ScheduleTaskAction { name: "step".into(), ..Default::default() });
    scheduler.end_turn(key(), turn(7, call.clone())).await.unwrap();
    let Request::ActivityRequest(activity) = next_item(&mut stream).await else { panic!("an activity comes") };
    // No turn is out, and no other activity: neither changes anything.
    scheduler.end_turn(key(), turn(8, call)).await.unwrap();
    scheduler.end_activity(key(), ActivityResponse { task_id: 8, ..Default::default() }).await.unwrap();
    let result = Some("\"done\"".to_owned());
    let response = ActivityResponse { task_id: activity.task_id, result, ..Default::default() };
    scheduler.end_activity(key(), response.clone()).await.unwrap();
    scheduler.end_activity(key(), response).await.unwrap();
    assert!(matches!(next_item(&mut stream).await, Request::OrchestratorRequest(_)));
    let status = OrchestrationStatus::Completed.into();
    let end = CompleteOrchestrationAction { orchestration_status: status, ..Default::default() };
    scheduler.end_turn(key(), turn(-1, Action::CompleteOrchestration(end))).await.unwrap();
    let Ok(Reply::Instance(Some(view))) = scheduler.command(key(), CommandKind::Wait(WaitFor::Completion)).await else {
        panic!("it ends")
    };
    assert_eq!(view.state.orchestration_status(), OrchestrationStatus::Completed);
    stop(scheduler).await;
}

#[tokio::test]
async fn an_older_policy_leaves_an_instance_as_it_is_or_replaces_it() {
    let scheduler = scheduler();
    let begin = async |action, statuses: &[OrchestrationStatus], input: &str| {
        let replaceable_status = statuses.iter().map(|status| i32::from(*status)).collect();
        let request = CreateInstanceRequest {
            instance_id: "i".to_owned(),
            name: "any".to_owned(),
            input: Some(input.to_owned()),
            orchestration_id_reuse_policy: Some(OrchestrationIdReusePolicy { replaceable_status, action }),
            ..CreateInstanceRequest::default()
        };
        scheduler.start_instance(Hub::new("hub"), request).await
    };
    let input = async || scheduler.instance(key("hub", "i"), true).await.unwrap().value.unwrap().input.unwrap();
    begin(1, &[], "first").await.unwrap();
    begin(1, &[OrchestrationStatus::Pending], "second").await.unwrap();
    assert_eq!(input().await, "first");
    let refused = begin(1, &[OrchestrationStatus::Running], "third").await.unwrap_err().to_string();
    assert_eq!(refused, "orchestration instance already exists: hub/i, with status PENDING");
    begin(2, &[OrchestrationStatus::Pending], "fourth").await.unwrap();
    assert_eq!(input().await, "fourth");
    begin(2, &[OrchestrationStatus::Running], "fifth").await.unwrap_err();
    begin(0, &[], "sixth").await.unwrap_err();
    assert_eq!(input().await, "fourth");
    stop(scheduler).await;
}
