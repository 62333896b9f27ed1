//! Power cuts at any moment, with any part of what was not synced: a scheduler on what is left has all that was
//! acknowledged before, and brings it to its end.

use std::sync::Arc;
use std::time::Instant;

use placet_test_disk::{Chance, Disk, Image};

use super::load::{Ledger, Told, check};
use super::*;

/// How many images are looked at; PLACET_IMAGES says otherwise.
const IMAGES: u64 = 64;

/// What each of the people and the program does.
const ROUNDS: usize = 12;

/// Images of one run, at most: another run is another load.
const IMAGES_OF_A_RUN: u64 = 64;

/// An image, and what had been told by then.
struct Left {
    image: Image,
    told: Vec<Told>,
}

/// A run of the scheduler, and so many images of it; a disk that lies does not sync its log.
fn left_by_a_run(images: u64, lies: bool, chance: &mut Chance) -> Result<Vec<Left>, String> {
    let folder = quick_folder();
    let disk = Arc::new(Disk::under(folder.path()));
    let ledger = Ledger::new(disk.clone());
    let store = open(folder.path())?;
    disk.record();
    live(store, async |client| {
        ledger.load(client, ROUNDS).await;
        Ok(())
    })?;
    let (trace, told) = (disk.recorded(), ledger.told());
    let trace = trace.without_syncs(|file| lies && file.ends_with("-wal"));
    let mut at: Vec<u64> = (0..images).map(|_| chance.below(trace.events.len() as u64)).collect();
    at.sort_unstable();
    let (mut event, mut left) = (0, Vec::new());
    trace.walk(|_, moment| {
        for _ in at.iter().filter(|at| **at == event) {
            let told = told[..usize::try_from(moment.mark).unwrap()].to_vec();
            left.push(Left { image: chance.image(moment), told });
        }
        event += 1;
    });
    Ok(left)
}

fn look_at(left: &Left) -> Result<(), String> {
    let folder = quick_folder();
    left.image.put(folder.path());
    // Of this disk nothing is recorded; what is new there is told of like anything else.
    let ledger = Ledger::new(Arc::new(Disk::under(folder.path())));
    live(open(folder.path())?, async |client| {
        check(client, &left.told).await?;
        ledger.run_again(client).await
    })
}

#[test]
fn what_a_scheduler_acknowledged_outlives_a_power_cut_and_is_brought_to_its_end() {
    let (since, wanted) = (Instant::now(), figure("PLACET_IMAGES", IMAGES));
    let (mut chance, mut looked_at, mut told, mut wrong) = (Chance::new(wanted), 0, 0, Vec::new());
    while looked_at < wanted {
        let left = left_by_a_run((wanted - looked_at).min(IMAGES_OF_A_RUN), false, &mut chance).unwrap();
        looked_at += left.len() as u64;
        told += left.iter().map(|left| left.told.len()).sum::<usize>();
        wrong.extend(with_each(&left, look_at).into_iter().filter_map(Result::err));
    }
    println!("{looked_at} images in {:.0?}, {told} answers looked at", since.elapsed());
    assert_none(&wrong, since);
    assert!(told > 0, "nobody was told anything");
}

/// The test of the test.
#[test]
fn a_disk_that_does_not_sync_the_log_is_found_out() {
    let left = left_by_a_run(32, true, &mut Chance::new(32)).unwrap();
    let wrong = with_each(&left, look_at).into_iter().filter(Result::is_err).count();
    println!("{wrong} of {} images are wrong", left.len());
    assert!(wrong > 0);
}
