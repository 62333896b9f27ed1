//! Names that begin with `placet.`: the built-in worker gets them and nothing else, whoever else serves the hub.

use placet_sdk::{Client, Code, OrchestrationContext, Result, StartError, Status, Worker};
use placet_testkit::Launch;
use serde_json::json;

use crate::PLACET;
use crate::requests::{approve, ask_for_id, look};

async fn double(_: OrchestrationContext, number: u32) -> Result<u32> {
    Ok(number * 2)
}

/// Somebody's own worker: without filters, so that it is sent whatever there is.
fn greedy_worker(client: Client) -> Worker {
    Worker::builder(client)
        .orchestration("double", double)
        .orchestration("placet.approval", double)
        .orchestration("borrower", async |ctx: OrchestrationContext, (): ()| {
            Ok(ctx.activity::<u32>("placet.borrowed", &()).await?)
        })
        .activity("placet.borrowed", |_, (): ()| async { Ok(7_u32) })
        .start()
}

async fn doubles(client: &Client) {
    let id = client.start("double", &21).await.unwrap();
    assert_eq!(client.wait_for_completion(&id).await.unwrap().output::<u32>().unwrap(), Some(42));
}

#[tokio::test]
async fn two_workers_share_a_hub_and_neither_takes_the_others_work() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let worker = greedy_worker(client.clone());
    for _ in 0..20 {
        let id = ask_for_id(&http).await;
        doubles(&client).await;
        approve(&http, &id).await;
    }
    // The other way round: ours comes back while the other one is there.
    let server = server.kill().await.unwrap().start().await.unwrap();
    let http = server.http();
    for _ in 0..20 {
        let id = ask_for_id(&http).await;
        doubles(&client).await;
        approve(&http, &id).await;
    }
    worker.shutdown().await;
}

#[tokio::test]
async fn a_worker_without_filters_is_not_sent_a_request_nor_a_reserved_activity() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let client = scheduler.client();
    let worker = greedy_worker(client.clone());
    let request = client.start("placet.approval", &json!({"requester": "A", "item": "B"})).await.unwrap();
    let borrower = client.start("borrower", &()).await.unwrap();
    // It has had its chance: what came later is done.
    doubles(&client).await;
    client.wait_for_start(&borrower).await.unwrap();
    doubles(&client).await;
    assert_eq!(client.get(&request).await.unwrap().unwrap().status(), Status::Pending);
    assert_eq!(client.get(&borrower).await.unwrap().unwrap().status(), Status::Running);
    // The built-in worker takes both; the activity it does not know.
    let built_in = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    client.wait_for_start(&request).await.unwrap();
    let failed = client.wait_for_completion(&borrower).await.unwrap();
    assert_eq!(failed.status(), Status::Failed);
    assert!(failed.failure().unwrap().message().contains("placet.borrowed"), "{failed:?}");
    worker.shutdown().await;
    drop(built_in);
}

#[tokio::test]
async fn the_built_in_worker_is_sent_nothing_else() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let mine = client.start("double", &21).await.unwrap();
    let id = ask_for_id(&http).await;
    approve(&http, &id).await;
    assert_eq!(client.get(&mine).await.unwrap().unwrap().status(), Status::Pending);
    let worker = greedy_worker(client.clone());
    assert_eq!(client.wait_for_completion(&mine).await.unwrap().output::<u32>().unwrap(), Some(42));
    worker.shutdown().await;
}

#[tokio::test]
async fn a_request_is_not_started_over_while_it_runs_or_after() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let id = ask_for_id(&http).await;
    let input = json!({"requester": "Mallory", "item": "Something else"});
    let again = || client.start("placet.approval", &input).id(&id);
    let refused =
        |error: &StartError| matches!(error, StartError::Call(error) if error.code == Code::FailedPrecondition);

    let running = again().await.unwrap_err();
    assert!(matches!(running, StartError::AlreadyExists(_)), "{running:?}");
    let replaced = again().replace_any().await.unwrap_err();
    assert!(refused(&replaced), "{replaced:?}");
    approve(&http, &id).await;
    for start in [again(), again().replace_any(), client.start("double", &1).id(&id)] {
        let error = start.await.unwrap_err();
        assert!(refused(&error), "{error:?}");
    }
    assert_eq!(look(&http, &id).await["output"]["approver"], "Manager");
}
