//! Power cuts: at any moment, with any part of what was not synced.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use placet_test_disk::{Event, Trace};
use rusqlite::Connection;

use super::*;

/// How many different images are opened, in all; a hundred thousand before a release.
const IMAGES: u64 = 3_000;

/// So many pieces, and every subset of them is tried.
const EXHAUSTIVE: usize = 7;

const SCRIPTS: u64 = 24;
const BATCHES: u64 = 24;

fn images_wanted() -> u64 {
    std::env::var("PLACET_IMAGES").map_or(IMAGES, |images| images.parse().unwrap())
}

/// What was done to a store, and what it was to hold after each batch.
struct Run {
    seed: u64,
    script: Script,
    trace: Trace,
    states: Vec<Dump>,
    /// Memory that the connections share, as a killed process leaves it.
    shared: Vec<u8>,
}

/// Marks: twice the number of batches acknowledged, and one more while the next is under way.
fn run(seed: u64) -> Run {
    let folder = quick_folder();
    let disk = Disk::under(folder.path());
    let mut chance = Chance::new(seed);
    let mut script = Script::new(seed);
    let mut store = open(folder.path()).unwrap();
    disk.record();
    let mut states = vec![script.dump()];
    for number in 0..BATCHES {
        let mut batch = script.batch();
        // Some runs do: each piece is a transaction more.
        if seed.is_multiple_of(2) {
            script.ahead(&mut batch).iter().for_each(|piece| store.write_ahead(piece).unwrap());
        }
        disk.mark(2 * number + 1);
        thread::scope(|scope| {
            let reader = scope.spawn(|| chance_to_read(&store, &script, seed + number));
            store.commit(&batch).unwrap();
            reader.join().unwrap();
        });
        disk.mark(2 * number + 2);
        script.apply(&batch);
        states.push(script.dump());
        for _ in 0..chance.below(4) {
            store.sweep().unwrap();
        }
        match chance.below(12) {
            0 => checkpoint(folder.path(), ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][chance.index(4)]),
            1 => {
                drop(store);
                store = open(folder.path()).unwrap();
            }
            _ => {}
        }
    }
    let shared = disk.contents().remove("placet.db-shm").unwrap();
    Run { seed, script, trace: disk.recorded(), states, shared }
}

/// Some reads beside a commit: a reader of an old snapshot keeps a checkpoint from copying all.
fn chance_to_read(store: &SqliteStore, script: &Script, seed: u64) {
    if Chance::new(seed).one_in(2) {
        script.read(store).unwrap();
    }
}

/// An operator's own connection.
fn checkpoint(folder: &Path, mode: &str) {
    let connection = Connection::open(folder.join("placet.db")).unwrap();
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
}

/// Images of a run that differ from each other.
struct Images<'a> {
    run: &'a Run,
    chance: Chance,
    seen: HashSet<u64>,
    /// Each with the number of batches acknowledged, and whether another was under way.
    found: Vec<(Image, usize, bool)>,
    pieces_max: usize,
}

impl<'a> Images<'a> {
    /// So many, as well as can be spread over the run, of a trace like the run's own.
    fn of(run: &'a Run, trace: &Trace, wanted: u64) -> Images<'a> {
        let mut images =
            Images { run, chance: Chance::new(!run.seed), seen: HashSet::new(), found: Vec::new(), pieces_max: 0 };
        let changes = trace.events.iter().filter(|event| is_change(event)).count() as u64;
        let mut at = 0;
        trace.walk(|event, moment| {
            if is_change(event) {
                at += 1;
                // As many as are due by now.
                let due = wanted * at / changes;
                images.add(moment, usize::try_from(due).unwrap());
            }
        });
        images
    }

    fn add(&mut self, moment: &Moment, due: usize) {
        self.pieces_max = self.pieces_max.max(moment.pieces(512));
        let pieces = moment.pieces(4_096);
        if pieces > 2 && pieces <= EXHAUSTIVE && self.chance.one_in(120) {
            for subset in 0..1_u32 << pieces {
                let kept: Vec<bool> = (0..pieces).map(|piece| subset & 1 << piece != 0).collect();
                let image = moment.image(4_096, &Choice { kept: &kept, grown: false, filled_with: 0 });
                self.keep(image, moment);
            }
        }
        for _ in 0..20 {
            if self.found.len() >= due {
                return;
            }
            let image = self.chance.image(moment);
            self.keep(image, moment);
        }
    }

    fn keep(&mut self, mut image: Image, moment: &Moment) {
        match self.chance.below(3) {
            0 => drop(image.files().insert("placet.db-shm".to_owned(), self.run.shared.clone())),
            1 => drop(image.files().insert("placet.db-shm".to_owned(), vec![0x5A; 32_768])),
            _ => {}
        }
        let mut hasher = DefaultHasher::new();
        (&image, moment.mark).hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            let acknowledged = usize::try_from(moment.mark / 2).unwrap();
            self.found.push((image, acknowledged, moment.mark % 2 == 1));
        }
    }

    /// What is wrong with them, each in words.
    fn faults(&self) -> Vec<String> {
        let states = &self.run.states;
        let examined = self.found.iter().filter_map(|(image, acknowledged, under_way)| {
            let allowed = &states[*acknowledged..=acknowledged + usize::from(*under_way)];
            let fault = examine(image, &self.run.script, allowed).err()?;
            Some(format!("seed {}, after batch {acknowledged}: {fault}", self.run.seed))
        });
        examined.collect()
    }
}

fn is_change(event: &Event) -> bool {
    !matches!(event, Event::Mark(_))
}

#[test]
fn a_power_cut_at_any_moment_takes_nothing_that_was_acknowledged_and_leaves_nothing_half_done() {
    let wanted = images_wanted();
    // Longer runs tell no more than more of them.
    let seeds = SCRIPTS.max(wanted / 500);
    let (opened, pieces_max, faults) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    for_each_of(seeds, |seed| {
        let run = run(seed);
        let images = Images::of(&run, &run.trace, wanted.div_ceil(seeds) + 10);
        opened.fetch_add(images.found.len() as u64, Ordering::Relaxed);
        pieces_max.fetch_max(images.pieces_max as u64, Ordering::Relaxed);
        faults.lock().unwrap().extend(images.faults());
    });
    let (opened, pieces_max, faults) = (opened.into_inner(), pieces_max.into_inner(), faults.into_inner().unwrap());
    println!("{opened} images of {seeds} runs (seeds 0 to {}), up to {pieces_max} pieces unsynced", seeds - 1);
    assert!(faults.is_empty(), "{} of {opened}, the first:\n{}", faults.len(), faults[0]);
    assert!(opened >= wanted, "only {opened} images");
}

/// What the test above is worth: on disks that lie it finds what is lost.
#[test]
fn a_disk_that_does_not_sync_what_it_says_it_synced_is_found_out() {
    type Lie = fn(&str) -> bool;
    let lies: [(&str, Lie); 3] = [
        ("about everything", |_| true),
        ("about the log, as with synchronous=NORMAL", |file| file.ends_with("-wal")),
        ("about the file, when the log is copied into it", |file| file.ends_with(".db")),
    ];
    for (what, lie) in lies {
        let found = Mutex::new(Vec::new());
        for_each_of(2, |seed| {
            let run = run(seed);
            let trace = run.trace.without_syncs(lie);
            let images = Images::of(&run, &trace, 60);
            found.lock().unwrap().extend(images.faults());
        });
        let found = found.into_inner().unwrap();
        println!("of a disk that lies {what}, {} images show it", found.len());
        assert!(!found.is_empty(), "{what}");
    }
}
