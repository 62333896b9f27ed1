//! Errors of the disk: the k-th read, write, sync, … fails, once or for ever. No commit is acknowledged that is not
//! durable, none is called refused that may come to light later, and when the disk is well again the store goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use placet_core::time::Timestamp;
use placet_test_disk::{Call, Event, Fault, Kind};
use rusqlite::Connection;

use super::*;

/// How many points are tried, at least; the environment's figure is for a release.
const POINTS: u64 = 780;

const BATCHES: u64 = 10;

/// A store at work on a disk, and what is known of it.
struct Run {
    folder: tempfile::TempDir,
    store: Option<SqliteStore>,
    disk: Disk,
    script: Script,
    /// Some runs do: each piece is a transaction more.
    writes_ahead: bool,
    chance: Chance,
    /// By mark: what a power cut may leave; first what was acknowledged.
    allowed: Vec<Vec<Dump>>,
    /// A program that looks at an old state, which keeps checkpoints from copying all.
    onlooker: Option<(Connection, u64)>,
    answers: BTreeMap<&'static str, u64>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let folder = quick_folder();
        let disk = Disk::under(folder.path());
        let store = open(folder.path()).unwrap();
        let script = Script::new(seed);
        let (chance, allowed, answers) = (Chance::new(seed), vec![vec![script.dump()]], BTreeMap::new());
        let writes_ahead = seed.is_multiple_of(3);
        Run { folder, store: Some(store), disk, script, writes_ahead, chance, allowed, onlooker: None, answers }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn knows(&mut self, allowed: Vec<Dump>) {
        self.disk.mark(self.allowed.len() as u64);
        self.allowed.push(allowed);
    }

    /// Commits some batches while an onlooker comes and goes. An error says what is wrong with the store.
    fn work(&mut self, batches: u64) -> Result<(), String> {
        for _ in 0..batches {
            self.commit()?;
            if self.chance.one_in(2) {
                // What comes of it is seen by what is read.
                drop(self.store().sweep());
            }
            match &mut self.onlooker {
                Some((_, 0)) => self.onlooker = None,
                Some((_, left)) => *left -= 1,
                None if self.chance.one_in(4) => {
                    let connection = Connection::open(self.folder.path().join("placet.db")).ok();
                    let looks = |found: &Connection| found.execute_batch("BEGIN; SELECT count(*) FROM hub").is_ok();
                    self.onlooker = connection.filter(looks).map(|connection| (connection, 1));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), String> {
        let mut batch = self.script.batch();
        let pieces = if self.writes_ahead { self.script.ahead(&mut batch) } else { Vec::new() };
        if pieces.iter().any(|piece| self.store().write_ahead(piece).is_err()) {
            // Its rows are written whole, over what lies there.
            batch.ahead.clear();
        }
        let (before, after) = (self.script.dump(), self.script.dump_with(&batch));
        let known = self.allowed.last().unwrap().clone();
        // What nobody knew of may come to light until something later is durable.
        let unknown = [&known[..], std::slice::from_ref(&after)].concat();
        self.knows(unknown.clone());
        // The checkpointer's are another matter: what it syncs is durable already, or somebody else's.
        let failed = self.disk.syncs_failed_here("-wal");
        let answer = match self.store().commit(&batch) {
            Ok(_) if self.disk.syncs_failed_here("-wal") > failed => {
                return Err("it is acknowledged, though the log's sync has failed".to_owned());
            }
            Ok(_) => {
                self.script.apply(&batch);
                self.knows(vec![after]);
                "acknowledged"
            }
            Err(CommitError::DiskFull { .. }) => {
                self.knows(known);
                "refused"
            }
            Err(CommitError::Unavailable(_)) => {
                self.knows(unknown);
                let read = |run: &Run| run.script.read(run.store());
                let found = read(self).or_else(|_| {
                    self.disk.heal();
                    read(self)
                });
                let found = found.map_err(|error| format!("it cannot be read: {error:?}"))?;
                if found == after {
                    self.script.apply(&batch);
                } else if found != before {
                    return Err(format!("after an error it holds\n{found}\nand before it\n{before}"));
                }
                "unknown"
            }
            Err(error) => return Err(format!("{error:?} is no answer of this store")),
        };
        *self.answers.entry(answer).or_default() += 1;
        Ok(())
    }

    /// The disk is well again: the store goes on, in a few tries.
    fn goes_on(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            let before = self.answers.get("acknowledged").copied();
            self.commit()?;
            if self.answers.get("acknowledged").copied() > before {
                let found = self.script.read(self.store()).map_err(|error| format!("it cannot be read: {error:?}"))?;
                let held = self.script.dump();
                return if found == held { Ok(()) } else { Err(format!("it holds\n{found}\nand not\n{held}")) };
            }
        }
        Err("it does not go on".to_owned())
    }

    /// Power cuts, some of them at the end, where all of the damage has been done.
    fn loses_power(&mut self, images: u64) -> Result<(), String> {
        let trace = self.disk.recorded();
        let last = trace.events.len() as u64 - 1;
        let at: Vec<u64> =
            (0..images).map(|image| if image % 2 == 0 { last } else { self.chance.below(last) }).collect();
        let (mut event, mut wrong) = (0, Ok(()));
        trace.walk(|_, moment| {
            for _ in at.iter().filter(|at| **at == event) {
                if wrong.is_ok() {
                    let allowed = &self.allowed[usize::try_from(moment.mark).unwrap()];
                    let image = self.chance.image(moment);
                    let examined = examine(&image, &self.script, allowed);
                    wrong = examined.map_err(|wrong| format!("after a power cut at event {event} of {last}: {wrong}"));
                }
            }
            event += 1;
        });
        wrong
    }
}

/// One failure, in the run with this seed. What is wrong, or what was answered; nothing if it was not reached.
fn try_point(seed: u64, fault: Fault) -> Result<Option<BTreeMap<&'static str, u64>>, String> {
    let mut run = Run::new(seed);
    run.disk.record();
    run.disk.fail(fault);
    run.work(BATCHES)?;
    if run.disk.failed() == 0 {
        return Ok(None);
    }
    run.disk.heal();
    run.goes_on()?;
    run.work(BATCHES / 2)?;
    run.onlooker = None;
    run.loses_power(4)?;
    // Closed in good order, and opened again.
    run.store = None;
    run.store = Some(open(run.folder.path()).map_err(|error| format!("it is not opened again: {error:?}"))?);
    let (found, held) = (run.script.read(run.store()).map_err(|error| format!("{error:?}"))?, run.script.dump());
    if found == held { Ok(Some(run.answers)) } else { Err(format!("opened again, it holds\n{found}\nand not\n{held}")) }
}

/// Every call of a run that can fail, in every way.
fn points(seed: u64) -> Vec<(u64, Fault)> {
    let mut run = Run::new(seed);
    run.disk.asked();
    run.work(BATCHES).unwrap();
    let asked = run.disk.asked();
    let mut points = Vec::new();
    for call in Call::ALL {
        for after in 0..asked.get(&call).copied().unwrap_or(0) {
            for kind in call.kinds() {
                points
                    .extend([false, true].map(|for_ever| (seed, Fault { call, of: "", after, kind: *kind, for_ever })));
            }
        }
    }
    points
}

/// What fails, how, and whether for ever.
type Way = (Call, Kind, bool);

fn way(fault: &Fault) -> Way {
    (fault.call, fault.kind, fault.for_ever)
}

/// As many as are wanted of the points of these seeds, all ways of failing in their turn.
fn chosen(wanted: u64, seeds: u64) -> Vec<(u64, Fault)> {
    let mut by_way: BTreeMap<Way, Vec<(u64, Fault)>> = BTreeMap::new();
    for (seed, fault) in (0..seeds).flat_map(points) {
        by_way.entry(way(&fault)).or_default().push((seed, fault));
    }
    let mut chosen = Vec::new();
    let mut left = wanted;
    let ways = by_way.len() as u64;
    // The rarest first: what they leave of their share goes to the others.
    let mut ways_left: Vec<_> = by_way.into_values().collect();
    ways_left.sort_by_key(Vec::len);
    for (number, way) in ways_left.into_iter().enumerate() {
        let share = left.div_ceil(ways - number as u64).min(way.len() as u64);
        let count = way.len() as u64;
        chosen.extend((0..share).map(|point| way[usize::try_from(point * count / share).unwrap()]));
        left -= share;
    }
    chosen
}

#[test]
fn no_error_of_the_disk_makes_an_acknowledgement_untrue_and_the_store_goes_on_after_it() {
    let wanted = std::env::var("PLACET_ERRORS").map_or(POINTS, |points| points.parse().unwrap());
    let points = chosen(wanted, (wanted / 400).max(2));
    let ways: BTreeSet<Way> = points.iter().map(|(_, fault)| way(fault)).collect();
    let tally = Mutex::new((0_u64, BTreeMap::<&str, u64>::new(), BTreeMap::<Way, u64>::new(), Vec::new()));
    for_each_of(points.len() as u64, |number| {
        let (seed, fault) = points[usize::try_from(number).unwrap()];
        let came = try_point(seed, fault);
        let mut tally = tally.lock().unwrap();
        let (reached, answers, struck, wrong) = &mut *tally;
        match came {
            Ok(None) => {}
            Ok(Some(answered)) => {
                *reached += 1;
                *struck.entry(way(&fault)).or_default() += 1;
                answered.iter().for_each(|(answer, count)| *answers.entry(answer).or_default() += count);
            }
            Err(what) => wrong.push(format!("seed {seed}, {fault:?}: {what}")),
        }
    });
    let (reached, answers, struck, wrong) = tally.into_inner().unwrap();
    println!("{reached} of {} points failed: {struck:?}; commits were answered {answers:?}", points.len());
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n").chars().take(6_000).collect::<String>()
    );
    // When the log is copied is the checkpointer's own time: some calls are made in one run and not in another.
    assert!(reached >= wanted * 10 / 13, "only {reached} points");
    let never: Vec<_> = ways.iter().filter(|way| !struck.contains_key(way)).collect();
    assert!(never.is_empty(), "never struck: {never:?}");
}

/// The k-th call of an opening fails: the store is opened, or says why not; then it is opened, and all is there.
#[test]
fn an_opening_that_fails_takes_nothing() {
    let left = quick_folder();
    let mut script = Script::new(7);
    {
        let folder = quick_folder();
        let store = open(folder.path()).unwrap();
        for _ in 0..BATCHES {
            let batch = script.batch();
            store.commit(&batch).unwrap();
            script.apply(&batch);
        }
        crate::files::copy(folder.path(), left.path());
    }
    let mut tried = 0;
    for call in Call::ALL {
        for kind in call.kinds() {
            for (after, for_ever) in (0..).flat_map(|after| [(after, false), (after, true)]) {
                let folder = quick_folder();
                crate::files::copy(left.path(), folder.path());
                let disk = Disk::under(folder.path());
                disk.fail(Fault { call, of: "", after, kind: *kind, for_ever });
                drop(open(folder.path()));
                if disk.heal() == 0 {
                    break;
                }
                tried += 1;
                let store = open(folder.path()).unwrap_or_else(|error| panic!("{call:?} {kind:?} {after}: {error:?}"));
                let found = script.read(&store).unwrap();
                assert!(
                    found == script.dump(),
                    "{call:?} {kind:?} {after}: it holds\n{found}\nand not\n{}",
                    script.dump()
                );
                store.commit(&Batch { newest: Timestamp(i64::MAX), ..Batch::default() }).unwrap();
            }
        }
    }
    println!("{tried} openings failed in some way");
    assert!(tried > 60, "only {tried}");
}

/// A copy of the log that is not complete is not synced. If the disk fails then, and only then, a page may be lost that
/// SQLite takes for copied: the next copy would leave it out, sync, and begin the log anew.
#[test]
fn what_a_failed_sync_may_have_lost_is_written_again() {
    let mut run = Run::new(3);
    let path = run.folder.path().join("placet.db");
    let beside = Connection::open(&path).unwrap();
    let copied = || {
        let count = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        beside.query_row("PRAGMA wal_checkpoint(NOOP)", [], count).unwrap()
    };
    run.disk.record();
    // It looks at a state of which a part is in the log only: all of that part is copied, and nothing that came later.
    let onlooker = (0..300).find_map(|_| {
        run.commit().unwrap();
        let onlooker = Connection::open(&path).unwrap();
        onlooker.execute_batch("BEGIN; SELECT count(*) FROM hub").unwrap();
        let (frames, copied) = copied();
        (frames > copied).then_some(onlooker)
    });
    assert!(onlooker.is_some(), "all is always copied at once");
    // From here on nothing is written but the time, so that no other page is written again by chance.
    let tick = |number: i64| {
        let newest = Timestamp(number * 1_000_000_000);
        run.store().commit(&Batch { newest, ..Batch::default() }).is_ok()
    };
    // Until a part is copied: what the onlooker does not hold back.
    let part = (1..300).find(|number| {
        assert!(tick(*number));
        let (frames, is_copied) = copied();
        0 < is_copied && is_copied < frames
    });
    assert!(part.is_some(), "nothing is copied: {:?}", copied());
    drop((onlooker, beside));
    run.disk.fail(Fault { call: Call::Sync, of: ".db", after: 0, kind: Kind::Broken, for_ever: false });
    let is_failed = (300..600).any(|number| {
        tick(number);
        run.disk.failed() > 0
    });
    assert!(is_failed, "the file is never synced");
    run.disk.heal();
    assert!((600..700).filter(|number| tick(*number)).count() > 90);
    let trace = run.disk.recorded();
    let (mut since, mut examined) = (None, 0);
    trace.walk(|event, moment| {
        if matches!(event, Event::SyncFailed(_)) {
            since = Some(0);
        }
        let Some(events) = &mut since else { return };
        *events += 1;
        if *events % 4 == 0 && *events < 400 {
            let image = moment.image(4_096, &Choice { kept: &[], grown: false, filled_with: 0 });
            let allowed = &run.allowed[usize::try_from(moment.mark).unwrap()];
            examine(&image, &run.script, allowed).unwrap_or_else(|wrong| panic!("{events} events later: {wrong}"));
            examined += 1;
        }
    });
    assert!(examined > 50, "only {examined} images");
}
