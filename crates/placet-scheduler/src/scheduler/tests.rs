//! What the handle itself answers for: names of hubs, places to wait, whole generations.

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use placet_core::command::{StartInstance, Terminate, WaitFor};
use placet_core::ids::InstanceId;
use placet_proto::durabletask::{GetInstanceRequest, OrchestrationStatus};
use placet_store::model::ModelStore;

use super::*;

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
async fn a_page_of_a_generation_that_is_over_is_refused() {
    let scheduler = scheduler();
    start(&scheduler, key("default", "i"), "").await.unwrap();
    let of = scheduler.generation(Hub::new("default"), "i").await.unwrap().unwrap();
    assert_eq!(scheduler.history(&of, Turn(0)).await.unwrap(), []);
    let over = scheduler.history(&Generation { first: Turn(3), ..of }, Turn(4)).await;
    assert!(matches!(over, Err(CallError::ContinuedAsNew)), "{over:?}");
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
    let again = tokio::time::timeout(Duration::from_millis(50), wait()).await;
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
        scheduler.wait_for_instance(Hub::new("default"), request, WaitFor::Completion)
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
