//! The three roles as three processes, joined by `ENDPOINT` and `TASKHUB`, each killed and started again in turn.

use placet_testkit::{Launch, Server, eventually};
use serde_json::json;

use crate::PLACET;
use crate::requests::{approve, ask_for_id, decide_within, look};

struct Roles {
    scheduler: Server,
    worker: Server,
    api: Server,
}

async fn roles() -> Roles {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    Roles { scheduler, worker, api }
}

#[tokio::test]
async fn three_processes_do_what_one_does() {
    let Roles { scheduler, worker, api } = roles().await;
    let http = api.http();
    let id = ask_for_id(&http).await;
    approve(&http, &id).await;
    assert_eq!(look(&http, &id).await["status"], "Approved");
    assert_eq!(http.get("/readyz").await.unwrap().status, 200);
    for (role, server) in [("api", api), ("worker", worker), ("scheduler", scheduler)] {
        let ended = server.stop().await.unwrap();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{role}: {ended:?}");
    }
}

#[tokio::test]
async fn each_role_may_be_killed_and_come_back() {
    let Roles { scheduler, worker, api } = roles().await;
    let http = api.http();
    let before = ask_for_id(&http).await;

    let scheduler = scheduler.kill().await.unwrap();
    let down = http.get(&format!("/api/requests/{before}")).await.unwrap();
    assert_eq!((down.status, down.content_type()), (503, "application/problem+json"), "{down:?}");
    assert!(down.headers.contains_key("retry-after"));
    assert_eq!(http.get("/readyz").await.unwrap().status, 503);
    assert_eq!(http.get("/healthz").await.unwrap().status, 204);
    let scheduler = scheduler.start().await.unwrap();
    eventually("the API has found the scheduler again", async || {
        (http.get("/readyz").await.unwrap().status == 200).then_some(())
    })
    .await;
    // The worker finds it again by itself.
    let answer = decide_within(&http, &before, true, "Manager", 30).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let worker = worker.kill().await.unwrap();
    let between = ask_for_id(&http).await;
    let deciding = tokio::spawn({
        let (http, id) = (http.clone(), between.clone());
        async move { decide_within(&http, &id, false, "Manager", 30).await }
    });
    let worker = worker.start().await.unwrap();
    assert_eq!(deciding.await.unwrap().status, 200);

    let open = ask_for_id(&http).await;
    let api = api.kill().await.unwrap().start().await.unwrap();
    let http = api.http();
    approve(&http, &open).await;
    for (id, status) in [(before, "Approved"), (between, "Rejected"), (open, "Approved")] {
        assert_eq!(look(&http, &id).await["status"], status);
    }
    drop((scheduler, worker));
}

#[tokio::test]
async fn the_variables_of_the_mission_join_them() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let with = |command: &[&str]| {
        let launch = Launch::new(PLACET).args(command);
        launch.variable("ENDPOINT", scheduler.endpoint()).variable("TASKHUB", "finance")
    };
    let worker = with(&["worker"]).start().await.unwrap();
    let api = with(&["api", "--http-addr=127.0.0.1:0"]).start().await.unwrap();
    assert_eq!(worker.announced().taskhub.as_deref(), Some("finance"));
    let id = ask_for_id(&api.http()).await;
    approve(&api.http(), &id).await;
    let client = scheduler.client();
    assert!(client.get(&id).await.unwrap().is_none(), "it is in the hub `default`");
    let state = client.with_hub("finance").get(&id).await.unwrap().unwrap();
    assert_eq!(state.status(), placet_sdk::Status::Completed);
}

#[tokio::test]
async fn without_a_worker_a_decision_is_recorded_and_counts_when_one_comes() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let http = api.http();
    let id = ask_for_id(&http).await;
    assert_eq!(look(&http, &id).await["runtime_status"], "PENDING");
    let recorded = decide_within(&http, &id, true, "Manager", 1).await;
    assert_eq!(recorded.status, 202, "{recorded:?}");
    assert_eq!(recorded.json()["message"], "Recorded, not yet decided: no worker has taken it");
    assert_eq!(recorded.json()["status_url"], format!("{}/api/requests/{id}", http.base()));
    assert_eq!(look(&http, &id).await["status"], "Pending");

    let worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    scheduler.client().wait_for_completion(&id).await.unwrap();
    let done = look(&http, &id).await;
    assert_eq!((&done["status"], &done["output"]["approver"]), (&json!("Approved"), &json!("Manager")));
    drop(worker);
}

#[tokio::test]
async fn a_worker_and_an_api_may_start_before_their_scheduler() {
    // A port that is free for sure: the one of a scheduler that has just gone.
    let (_, scheduler) = Launch::scheduler(PLACET).start().await.unwrap().stop_to_restart().await.unwrap();
    let endpoint = scheduler.endpoint().unwrap();
    let worker = Launch::worker(PLACET, &endpoint).start().await.unwrap();
    let api = Launch::api(PLACET, &endpoint).start().await.unwrap();
    assert_eq!(api.http().get("/readyz").await.unwrap().status, 503);
    let scheduler = scheduler.start().await.unwrap();
    let http = api.http();
    eventually("the API has found its scheduler", async || {
        (http.get("/readyz").await.unwrap().status == 200).then_some(())
    })
    .await;
    let id = ask_for_id(&http).await;
    let answer = decide_within(&http, &id, true, "Manager", 30).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop((worker, scheduler));
}
