//! Approve, reject and the deadline at once: one wins, and everybody is told that one (P2).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use placet_proto::durabletask::history_event::EventType;
use placet_sdk::Client;
use placet_testkit::{Answer, Http};
use serde_json::{Value, json};

use crate::requests::{ask, decide, id, look};
use crate::time_of;

/// Requests that are raced for, at once.
const REQUESTS: u32 = 500;

/// Who races for each, the deadline among them: the least and the most.
const CONTENDERS: (u32, u32) = (3, 8);

/// How long the first of them can be answered: enough for all to be made, on a machine that has nothing else to do.
const LEAD_MS: u32 = 500;

/// How often the races are run anew with twice the time, if it was not enough.
const ROUNDS: u32 = 5;

/// Of the requests of all rounds, how many each kind of contender must win, or it was no race.
const WON_MIN: u32 = 20;

/// All that came of one race.
struct Race {
    id: String,
    answers: Vec<(Contender, Answer)>,
    /// What those who raised an event have read.
    read: Vec<Value>,
}

/// Somebody who decides.
#[derive(Debug, Clone)]
struct Contender {
    name: String,
    approves: bool,
    is_raw: bool,
    /// How many milliseconds after the deadline, or before it.
    off_by_ms: i64,
}

/// Those who race for a request besides its deadline: each time others, in another order, between 12 ms before and
/// 12 ms after it is due. At least one decides over HTTP.
fn contenders(number: u32) -> Vec<Contender> {
    let count = CONTENDERS.0 - 1 + number % (CONTENDERS.1 - CONTENDERS.0 + 1);
    let raw = 1 + number / 7 % (count - 1).min(3);
    let offset = |salt: u32| i64::from((number * 7 + salt * 11) % 25) - 12;
    let contender = |salt: u32| Contender {
        name: format!("{} {salt}", if salt < raw { "Raw" } else { "Person" }),
        approves: (number + salt).is_multiple_of(2),
        is_raw: salt < raw,
        off_by_ms: offset(salt),
    };
    (0..count).map(contender).collect()
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
    let running = contenders(number).into_iter().map(|contender| {
        let (http, client, id, due) = (http.clone(), client.clone(), id.clone(), due.clone());
        tokio::spawn(async move {
            near(&due, contender.off_by_ms).await;
            if contender.is_raw {
                let payload = json!({"is_approved": contender.approves, "approver": contender.name});
                client.raise_event(&id, "approval_response", &payload).await.unwrap();
                let state = client.wait_for_completion(&id).await.unwrap();
                assert_eq!(state.custom_status::<Value>().unwrap().unwrap()["request_id"], id);
                Err(state.output::<Value>().unwrap().unwrap())
            } else {
                let answer = decide(&http, &id, contender.approves, &contender.name).await;
                Ok((contender, answer))
            }
        })
    });
    let running: Vec<_> = running.collect();
    let mut race = Race { id, answers: Vec::new(), read: Vec::new() };
    for contender in running {
        match contender.await.unwrap() {
            Ok(answered) => race.answers.push(answered),
            Err(read) => race.read.push(read),
        }
    }
    race
}

/// Who won, by the answers and by the state alike.
async fn winner(http: &Http, client: &Client, race: &Race) -> String {
    client.wait_for_completion(&race.id).await.unwrap();
    let shown = look(http, &race.id).await;
    let output = &shown["output"];
    let status = output["status"].as_str().unwrap();
    assert_eq!((&shown["status"], &shown["details"]["status"]), (&output["status"], &output["status"]));
    let winner = output["approver"].as_str().unwrap_or("nobody");
    assert_eq!(winner == "nobody", status == "Timeout", "{output}");
    for (Contender { name, approves, .. }, answer) in &race.answers {
        if winner == name {
            let verb = if *approves { "approved" } else { "rejected" };
            assert_eq!(status.to_lowercase(), verb);
            assert_eq!(answer.status, 200, "{name} won and is told {answer:?}");
            assert_eq!(answer.json()["message"], format!("Request {verb} by {name}"));
        } else {
            assert_eq!(answer.status, 409, "{name} lost to {output} and is told {answer:?}");
            assert_eq!(&answer.json()["outcome"], output, "{name} is told of another winner");
        }
    }
    for read in &race.read {
        assert_eq!(read, output, "{}: who raised an event has read of another winner", race.id);
    }
    assert_recorded_once(client, &race.id, output).await;
    // Whoever says it again in the winner's words is told that it is so, in others' what has won; and so is whoever looks.
    for (approves, said) in [(true, "Approved"), (false, "Rejected")] {
        let again = decide(http, &race.id, approves, winner).await;
        if status == said {
            assert_eq!(
                (again.status, &again.json()["message"]),
                (200, &json!(format!("Request {} by {winner}", said.to_lowercase())))
            );
        } else {
            assert_eq!((again.status, &again.json()["outcome"]), (409, output));
        }
    }
    assert_eq!(look(http, &race.id).await, shown);
    winner.to_owned()
}

/// The history ends once, with this outcome; and the answer that won is the first that it tells of.
async fn assert_recorded_once(client: &Client, id: &str, output: &Value) {
    let history = client.history(id).await.unwrap();
    let (mut ends, mut first) = (Vec::new(), None);
    for event in history.iter().filter_map(|event| event.event_type.as_ref()) {
        match event {
            EventType::ExecutionCompleted(end) => ends.push(end.result.clone().unwrap()),
            EventType::EventRaised(raised) if first.is_none() => first = Some(raised.input.clone().unwrap()),
            _ => {}
        }
    }
    let read = |text: &String| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(ends.iter().map(read).collect::<Vec<_>>(), std::slice::from_ref(output), "{id}");
    if output["status"] != "Timeout" {
        assert_eq!(first.as_ref().map(read).unwrap()["approver"], output["approver"], "{id}");
    }
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
            let winner = winner(&http, &client, &race.await.unwrap()).await;
            *won.entry(winner.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
        }
        println!("won so far: {won:?}");
        // The deadline, people and raw events: else it was no race, and the machine was busy with something else.
        if won.len() == 3 && won.values().all(|count| *count >= WON_MIN) {
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
