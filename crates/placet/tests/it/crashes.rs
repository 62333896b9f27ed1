//! kill -9 under load, again and again: what was acknowledged is there, what was decided stays decided, and nothing is
//! decided twice (P1, P2, P3).

mod ledger;
mod load;

use std::time::Duration;

use placet_sdk::Client;
use placet_testkit::{Http, Launch};

use crate::PLACET;
use ledger::Ledger;
use load::Load;

/// Crashes in the tests that everybody runs, and in the long ones.
const CYCLES: u32 = 5;
const CYCLES_LONG: u32 = 50;

fn cycles() -> u32 {
    let asked = std::env::var("PLACET_CRASH_CYCLES").ok();
    let default = if std::env::var_os("PLACET_LONG").is_some() { CYCLES_LONG } else { CYCLES };
    asked.map_or(default, |asked| asked.parse().expect("PLACET_CRASH_CYCLES is a number"))
}

/// How long the server lives in this cycle: another time each time, so that it dies in another place.
fn lifetime(cycle: u32) -> Duration {
    Duration::from_millis(250 + u64::from(cycle * 137 % 400))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_taken_back_by_a_crash() {
    let mut server = Launch::serve(PLACET).start().await.unwrap();
    let (http, client): (Http, Client) = (server.http(), server.client());
    let ledger = Ledger::default();
    let load = Load::start(http.clone(), client.clone(), ledger.clone());
    let cycles = cycles();
    let mut longest_start = Duration::ZERO;
    for cycle in 0..cycles {
        // sleep: the load runs meanwhile, and dies at a moment that nobody has chosen
        tokio::time::sleep(lifetime(cycle)).await;
        let said = server.stderr();
        assert!(!said.contains("panicked") && !said.contains("ERROR"), "cycle {cycle}: {said}");
        load.going_down();
        server = server.kill().await.unwrap().start().await.unwrap();
        longest_start = longest_start.max(server.ready_after());
        ledger.check_news(&http).await;
        load.is_up();
    }
    load.stop().await;
    let tally = ledger.check_all(&http, &client).await;
    println!("{cycles} crashes, the slowest start after one took {longest_start:?}; {tally:?}");
    assert!(tally.unanswered > 0, "no crash has hit a call: {tally:?}");
    assert!(tally.decided > 0 && tally.timed_out > 0 && tally.sequences > 0, "{tally:?}");
    assert_eq!(server.stop().await.unwrap().code, Some(0));
}
