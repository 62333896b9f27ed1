//! A file that is written anew (`placet compact`) while the disk loses power or fails: it is as it was until the new one takes
//! its place, and nothing is in the way of another try.

use placet_test_disk::{Call, Event, Fault};

use super::*;

const BATCHES: u64 = 16;
const SEEDS: u64 = 2;

/// A store that was closed in good order, and what it holds.
fn filled(seed: u64) -> (tempfile::TempDir, Script) {
    let folder = quick_folder();
    let mut script = Script::new(seed);
    let store = open(folder.path()).unwrap();
    for _ in 0..BATCHES {
        let batch = script.batch();
        store.commit(&batch).unwrap();
        script.apply(&batch);
    }
    while store.sweep().unwrap() {}
    drop(store);
    (folder, script)
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("placet.db")
}

fn holds(folder: &Path, script: &Script) -> bool {
    script.read(&open(folder).unwrap()).unwrap() == script.dump()
}

#[test]
fn a_power_cut_while_a_file_is_rewritten_leaves_it_as_it_was() {
    let opened = AtomicU64::new(0);
    for_each_of(SEEDS, |seed| {
        let (folder, script) = filled(seed);
        let disk = Disk::under(folder.path());
        disk.record();
        SqliteStore::compact(&file(folder.path())).unwrap();
        let (trace, mut chance) = (disk.recorded(), Chance::new(!seed));
        let allowed = [script.dump()];
        trace.walk(|event, moment| {
            if !matches!(event, Event::Mark(_)) && chance.one_in(2) {
                let examined = examine(&chance.image(moment), &script, &allowed);
                assert_eq!(examined, Ok(()), "seed {seed}");
                opened.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(holds(folder.path(), &script), "seed {seed}: rewritten, it holds something else");
    });
    let opened = opened.into_inner();
    println!("{opened} images");
    assert!(opened >= 50, "only {opened} images");
}

#[test]
fn a_disk_that_fails_while_a_file_is_rewritten_leaves_it_as_it_was_and_another_try_succeeds() {
    let (pristine, script) = filled(7);
    let (mut refused, mut tried) = (0, 0);
    // Of memory that is shared nothing is in the file; who cannot lock it waits.
    let calls = [Call::Read, Call::Write, Call::Sync, Call::Truncate, Call::Open, Call::Delete];
    for (call, kind) in calls.into_iter().flat_map(|call| call.kinds().iter().map(move |kind| (call, *kind))) {
        // The first ones one by one, then ever further apart.
        let mut after = 0;
        loop {
            let folder = quick_folder();
            crate::files::copy(pristine.path(), folder.path());
            let disk = Disk::under(folder.path());
            disk.fail(Fault { call, of: "", after, kind, for_ever: true });
            let compacted = SqliteStore::compact(&file(folder.path()));
            if disk.heal() == 0 {
                break;
            }
            tried += 1;
            refused += usize::from(compacted.is_err());
            assert!(holds(folder.path(), &script), "{call:?} {kind:?} {after}: {compacted:?}");
            SqliteStore::compact(&file(folder.path())).unwrap();
            assert!(holds(folder.path(), &script), "{call:?} {kind:?} {after}: after another try");
            after += 1 + after / 4;
        }
    }
    println!("{tried} points, {refused} of them told");
    assert!(tried > 60 && refused > tried / 2, "{tried} points, {refused} of them told");
}
