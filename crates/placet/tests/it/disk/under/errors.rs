//! The k-th write, sync or opening fails, once or for ever, while there is work. Nothing is acknowledged that is not
//! there afterwards, and once the disk is well the scheduler goes on by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use placet_test_disk::{Call, Chance, Disk, Fault, Kind};
use tokio::time::sleep;

use super::load::{Ledger, check};
use super::*;

/// How many points are tried; PLACET_ERRORS says otherwise.
const POINTS: u64 = 48;

/// How many of a call come before the one that fails, at most: work of half a second has more.
const AFTER_MAX: u64 = 250;

/// How long the work may take to come to the point, and how long it goes on after it.
const TO_THE_POINT: Duration = Duration::from_secs(5);
const BEYOND: Duration = Duration::from_millis(100);

const ROUNDS: usize = 10_000;

/// The ways of failing, the commonest first.
const WAYS: [(Call, Kind); 6] = [
    (Call::Write, Kind::Broken),
    (Call::Sync, Kind::Broken),
    (Call::Write, Kind::Full),
    (Call::Sync, Kind::Full),
    (Call::Write, Kind::Short),
    (Call::Open, Kind::Broken),
];

/// So many points, all ways of failing in their turn.
fn points(count: u64) -> Vec<Fault> {
    let mut chance = Chance::new(count);
    let ways = WAYS.len() as u64;
    let point = |number: u64| {
        let (call, kind) = WAYS[usize::try_from(number % ways).unwrap()];
        let after = chance.below(if call == Call::Open { 8 } else { AFTER_MAX });
        Fault { call, of: "", after, kind, for_ever: number / ways % 2 == 1 }
    };
    (0..count).map(point).collect()
}

/// What became of a point: whether it was reached, how much was told, and how many calls were refused.
#[derive(Debug, Default)]
struct Tried {
    reached: bool,
    told: usize,
    refused: usize,
}

fn try_point(fault: Fault) -> Result<Tried, String> {
    let folder = quick_folder();
    let disk = Arc::new(Disk::under(folder.path()));
    let opens = fault.call == Call::Open;
    if opens {
        disk.fail(fault);
    }
    // An opening that fails may be tried again, once the disk is well.
    let store = open(folder.path()).or_else(|_| {
        if fault.for_ever {
            disk.heal();
        }
        open(folder.path())
    })?;
    let ledger = Ledger::new(disk.clone());
    let reached = live(store, async |client| {
        if !opens {
            disk.fail(fault);
        }
        let ((), lived) = tokio::join!(ledger.load(client, ROUNDS), meets_its_fault(client, &disk, fault, &ledger));
        let reached = lived?;
        check(client, &ledger.told()).await?;
        Ok(reached)
    })?;
    drop(disk);
    live(open(folder.path())?, async |client| check(client, &ledger.told()).await)?;
    Ok(Tried { reached, told: ledger.told().len(), refused: ledger.refused() })
}

/// While others work: waits for the failure, lets it last, and sees that all goes on when it is over.
async fn meets_its_fault(client: &Client, disk: &Disk, fault: Fault, ledger: &Ledger) -> Result<bool, String> {
    let since = Instant::now();
    while disk.failed() == 0 && fault.call != Call::Open && since.elapsed() < TO_THE_POINT {
        // sleep: between two looks at the disk
        sleep(Duration::from_millis(2)).await;
    }
    let reached = disk.failed() > 0;
    // sleep: what fails for ever does so for a while, and others find out
    sleep(BEYOND).await;
    if fault.for_ever {
        disk.heal();
    }
    let goes_on = goes_on(client, ledger).await;
    ledger.stop();
    goes_on.map(|()| reached)
}

/// New work is taken and done, before long.
async fn goes_on(client: &Client, ledger: &Ledger) -> Result<(), String> {
    let since = Instant::now();
    while !(ledger.ask_and_decide(client, 0).await && ledger.run_sequence(client).await) {
        if since.elapsed() > PATIENCE {
            return Err("it does not go on".to_owned());
        }
    }
    Ok(())
}

#[test]
fn what_a_scheduler_acknowledged_outlives_errors_of_its_disk_and_it_goes_on_by_itself() {
    let (since, points) = (Instant::now(), points(figure("PLACET_ERRORS", POINTS)));
    let tried = with_each(&points, |fault| try_point(*fault).map_err(|wrong| format!("{fault:?}: {wrong}")));
    let (tried, wrong): (Vec<_>, Vec<_>) = tried.into_iter().partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    let tried: Vec<Tried> = tried.into_iter().filter_map(Result::ok).collect();
    let reached = tried.iter().filter(|tried| tried.reached).count();
    let sum = |figure: fn(&Tried) -> usize| tried.iter().map(figure).sum::<usize>();
    let (told, refused) = (sum(|tried| tried.told), sum(|tried| tried.refused));
    println!(
        "{reached} of {} points failed in {:.0?}: {told} answers, {refused} refusals",
        points.len(),
        since.elapsed()
    );
    assert_none(&wrong, since);
    assert!(reached * 4 >= points.len() * 3, "only {reached}");
    assert!(refused > 0, "nobody was refused anything");
}
