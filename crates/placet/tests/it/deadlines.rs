//! The deadline: absolute, fixed when the request is accepted, half-open, whether or not anything runs when it passes.

use std::time::{Duration, SystemTime};

use placet_testkit::Launch;
use serde_json::{Value, json};

use crate::requests::{ask, decide, decide_within, id, look};
use crate::{PLACET, time_of};

/// Hours of so many milliseconds.
fn hours(milliseconds: u32) -> f64 {
    f64::from(milliseconds) / 3_600_000.0
}

/// How far away a time is; nothing, if it is past.
fn until(time: &Value) -> Duration {
    time_of(time).duration_since(SystemTime::now()).unwrap_or_default()
}

#[tokio::test]
async fn a_fraction_of_an_hour_is_as_good_as_an_hour() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let created = ask(&http, hours(500)).await;
    assert!(until(&created["due"]) <= Duration::from_millis(500));
    client.wait_for_completion(&id(&created)).await.unwrap();
    let late = SystemTime::now().duration_since(time_of(&created["due"])).expect("not before it is due");
    assert!(late < Duration::from_secs(1), "{late:?} late");
    let done = look(&http, &id(&created)).await;
    assert_eq!((&done["runtime_status"], &done["status"]), (&json!("COMPLETED"), &json!("Timeout")));
    assert_eq!(done["details"]["status"], "Timeout");
    let output = json!({"request_id": created["request_id"], "status": "Timeout", "timed_out_at": created["due"]});
    assert_eq!(done["output"], output);
    let lost = decide(&http, &id(&created), true, "Manager").await;
    assert_eq!((lost.status, &lost.json()["outcome"]), (409, &output));
}

#[tokio::test]
async fn without_a_word_about_it_a_request_can_be_answered_for_a_day() {
    let server = crate::server().await;
    let created = server.http().post("/api/requests", &json!({"requester": "A", "item": "B"})).await.unwrap().json();
    let day = Duration::from_secs(24 * 3_600);
    let until = until(&created["due"]);
    assert!(until <= day && until > day - Duration::from_secs(60), "{until:?}");
}

#[tokio::test]
async fn a_century_is_not_too_long_and_the_deadline_survives_a_crash() {
    let server = crate::server().await;
    let created = ask(&server.http(), 876_000.0).await;
    let server = server.kill().await.unwrap().start().await.unwrap();
    let done = {
        let http = server.http();
        placet_testkit::eventually("the request is shown", async || {
            Some(look(&http, &id(&created)).await).filter(|shown| shown.get("details").is_some())
        })
        .await
    };
    assert_eq!(done["details"]["due"], created["due"]);
    assert_eq!(done["status"], "Pending");
}

#[tokio::test]
async fn what_falls_due_while_nothing_runs_has_timed_out_afterwards() {
    let server = crate::server().await;
    let created = ask(&server.http(), hours(400)).await;
    let down = server.kill().await.unwrap();
    // sleep: the deadline is to pass while the server is down
    tokio::time::sleep(until(&created["due"])).await;
    let server = down.start().await.unwrap();
    let lost = decide(&server.http(), &id(&created), true, "Manager").await;
    assert_eq!((lost.status, &lost.json()["outcome"]["status"]), (409, &json!("Timeout")), "{lost:?}");
    assert_eq!(look(&server.http(), &id(&created)).await["output"]["timed_out_at"], created["due"]);
}

#[tokio::test]
async fn an_answer_recorded_in_time_counts_though_nobody_took_it_before_the_deadline() {
    let scheduler = Launch::scheduler(PLACET).start().await.unwrap();
    let api = Launch::api(PLACET, scheduler.endpoint()).start().await.unwrap();
    let http = api.http();
    let (early, late) = (ask(&http, hours(1_500)).await, ask(&http, hours(1_500)).await);
    let recorded = decide_within(&http, &id(&early), true, "Early", 1).await;
    assert_eq!(recorded.status, 202, "{recorded:?}");
    // sleep: the deadline is to pass without a worker
    tokio::time::sleep(until(&late["due"])).await;
    let too_late = tokio::spawn({
        let (http, id) = (http.clone(), id(&late));
        async move { decide_within(&http, &id, true, "Late", 30).await }
    });
    let worker = Launch::worker(PLACET, scheduler.endpoint()).start().await.unwrap();
    let state = scheduler.client().wait_for_completion(&id(&early)).await.unwrap();
    assert_eq!(state.output::<Value>().unwrap().unwrap()["status"], "Approved");
    assert_eq!(look(&http, &id(&early)).await["output"]["approver"], "Early");
    let lost = too_late.await.unwrap();
    assert_eq!((lost.status, &lost.json()["outcome"]["status"]), (409, &json!("Timeout")), "{lost:?}");
    drop(worker);
}
