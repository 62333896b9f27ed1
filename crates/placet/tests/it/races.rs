//! Approve, reject and the deadline at once: one wins, and everybody is told that one (P2).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use placet_sdk::Client;
use placet_testkit::{Answer, Http};
use serde_json::{Value, json};

use crate::requests::{ask, decide, id, look};
use crate::time_of;

/// Requests that are raced for, at once.
const REQUESTS: u32 = 100;

/// How long the first of them can be answered: enough for all to be made, on a machine that has nothing else to do.
const LEAD_MS: u32 = 250;

/// How often the races are run anew with twice the time, if it was not enough.
const ROUNDS: u32 = 5;

/// All that came of one race.
struct Race {
    answers: Vec<(bool, String, Answer)>,
    shown: Value,
}

/// Waits until so long before or after a request is due.
async fn near(due: &Value, off_by_ms: i64) {
    let at = time_of(due);
    let off_by = Duration::from_millis(off_by_ms.unsigned_abs());
    let at = if off_by_ms < 0 { at - off_by } else { at + off_by };
    // sleep: the race is one against the clock
    tokio::time::sleep(at.duration_since(SystemTime::now()).unwrap_or_default()).await;
}

async fn race(http: Http, client: Client, lead_ms: u32, number: u32) -> Race {
    // One after another, so that the deadlines of some lie among the calls of others.
    let created = ask(&http, f64::from(lead_ms + 5 * number) / 3_600_000.0).await;
    let (id, due) = (id(&created), created["due"].clone());
    // Each request meets another order: the callers come between 12 ms before and 12 ms after its deadline.
    let number = i64::from(number);
    let offset = |salt: i64| (number * 7 + salt * 11) % 25 - 12;
    let decider = |approves: bool, name: &str, off_by: i64| {
        let (http, id, due, name) = (http.clone(), id.clone(), due.clone(), name.to_owned());
        async move {
            near(&due, off_by).await;
            let answer = decide(&http, &id, approves, &name).await;
            (approves, name, answer)
        }
    };
    let raw = async {
        near(&due, offset(3)).await;
        let payload = json!({"is_approved": number % 2 == 0, "approver": "Raw"});
        client.raise_event(&id, "approval_response", &payload).await.unwrap();
    };
    let (yes, no, another, ()) = tokio::join!(
        decider(true, "Yes", offset(1)),
        decider(false, "No", offset(2)),
        decider(true, "Another", offset(4)),
        raw
    );
    client.wait_for_completion(&id).await.unwrap();
    Race { answers: vec![yes, no, another], shown: look(&http, &id).await }
}

/// Who won, by the answers and by the state alike.
fn winner(race: &Race) -> &str {
    let output = &race.shown["output"];
    let status = output["status"].as_str().unwrap();
    assert_eq!(race.shown["status"], status);
    let winner = output["approver"].as_str().unwrap_or("nobody");
    for (approves, name, answer) in &race.answers {
        if winner == name {
            assert_eq!(status, if *approves { "Approved" } else { "Rejected" });
            assert_eq!(answer.status, 200, "{name} won and is told {answer:?}");
        } else {
            assert_eq!(answer.status, 409, "{name} lost to {output} and is told {answer:?}");
            assert_eq!(&answer.json()["outcome"], output, "{name} is told of another winner");
        }
    }
    winner
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_deciders_and_the_deadline_one_wins_and_all_are_told_the_same() {
    let server = crate::server().await;
    let (http, client) = (server.http(), server.client());
    let mut won = BTreeMap::new();
    for round in 0..ROUNDS {
        let race = |number| race(http.clone(), client.clone(), LEAD_MS << round, number);
        let races: Vec<_> = (0..REQUESTS).map(|number| tokio::spawn(race(number))).collect();
        for race in races {
            *won.entry(winner(&race.await.unwrap()).to_owned()).or_insert(0) += 1;
        }
        println!("won so far: {won:?}");
        // The deadline and two deciders at least: else it was no race, and the machine was busy with something else.
        if won.len() >= 3 && won.contains_key("nobody") {
            return;
        }
    }
    panic!("the races were none: {won:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_decide_at_once_one_is_told_that_he_won() {
    let server = crate::server().await;
    let http = server.http();
    let id = id(&ask(&http, 1.0).await);
    let deciders: Vec<_> = (0..50)
        .map(|number| {
            let (http, id) = (http.clone(), id.clone());
            tokio::spawn(async move { decide(&http, &id, number % 2 == 0, &format!("Decider {number}")).await })
        })
        .collect();
    let mut answers = Vec::new();
    for decider in deciders {
        answers.push(decider.await.unwrap());
    }
    let output = look(&http, &id).await["output"].clone();
    let told = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((told(200), told(409)), (1, 49), "{answers:?}");
    let won = answers.iter().find(|answer| answer.status == 200).unwrap().json();
    let verb = if output["status"] == "Approved" { "approved" } else { "rejected" };
    assert_eq!(won["message"], format!("Request {verb} by {}", output["approver"].as_str().unwrap()));
    for lost in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(lost.json()["outcome"], output);
    }
}
