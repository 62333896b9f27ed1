//! kill -9 under load, again and again: what was acknowledged is there, what was decided stays decided, and nothing is
//! decided or done twice (P1, P2, P3).
//!
//! Everybody who is told something writes it down; when the last crash is over, all of it is compared with what the
//! server says.

mod findings;
mod history;
mod ledger;
mod load;
mod programs;
mod verdict;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use placet_testkit::{Launch, Server, eventually};
use tokio::sync::mpsc;

use crate::PLACET;
use ledger::Ledger;
use load::Load;
use programs::{Line, Programs};

/// Crashes of the test that everybody runs.
const CYCLES: u32 = 5;
/// And its people.
const PEOPLE: usize = 6;

/// Crashes of the test with programs in other languages, unless PLACET_CRASH_CYCLES says otherwise.
const CYCLES_IN_ALL_LANGUAGES: u32 = 150;
/// And its people, each of whom has one call or two in flight at any time.
const PEOPLE_MANY: usize = 56;

/// Writes of people alone that are in flight when the server is killed, and that were acknowledged in that cycle.
const WRITES_MIN: usize = 50;

/// The longest that the server is left under full load, in microseconds.
const UNDER_LOAD_MAX: u64 = 400_000;

/// Once in how many times it dies again when it is hardly back, and how long it lives then at most.
const DIES_AGAIN: u64 = 8;
const BACK_MAX: u64 = 100_000;

/// How long the server lives in this cycle: another time each time, so that it dies in another place.
fn lifetime(cycle: u32) -> Duration {
    Duration::from_millis(250 + u64::from(cycle * 137 % 400))
}

/// The program has not panicked and reports no error.
fn assert_sound(server: &Server, cycle: u32) {
    let said = server.stderr();
    assert!(!said.contains("panicked") && !said.contains("ERROR"), "cycle {cycle}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_taken_back_by_a_crash() {
    let mut server = Launch::serve(PLACET).start().await.unwrap();
    let (http, client, ledger) = (server.http(), server.client(), Ledger::default());
    let load = Load::start(PEOPLE, &http, &client, &ledger);
    for cycle in 0..CYCLES {
        // sleep: the load runs meanwhile, and dies at a moment that nobody has chosen
        tokio::time::sleep(lifetime(cycle)).await;
        assert_sound(&server, cycle);
        load.is_down();
        let down = server.kill().await.unwrap();
        ledger.server_died();
        server = down.start().await.unwrap();
        ledger.check_news(&http).await;
        load.is_up();
    }
    load.stop().await;
    let tally = ledger.check_all(&http, &client).await;
    println!("{CYCLES} crashes: {}; {tally:?}", ledger.findings);
    ledger.findings.assert_none("in the end");
    assert!(tally.unanswered > 0, "no crash has hit a call: {tally:?}");
    assert!(tally.decided > 0 && tally.timed_out > 0 && tally.sequences > 0, "{tally:?}");
    assert_eq!(server.stop().await.unwrap().code, Some(0));
}

/// `cargo xtask test --only crashes` installs what the programs need and says where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_by_crashes_whatever_language_the_clients_are_written_in() {
    if !Programs::are_installed() {
        if std::env::var_os("PLACET_SUITES").is_none() {
            writeln!(std::io::stdout(), "SKIPPED: crashes under other languages: `cargo xtask test --only crashes`")
                .unwrap();
        }
        return;
    }
    let (cycles, seed) =
        (figure("PLACET_CRASH_CYCLES", CYCLES_IN_ALL_LANGUAGES.into()), figure("PLACET_CRASH_SEED", now()));
    println!("PLACET_CRASH_CYCLES={cycles} PLACET_CRASH_SEED={seed}");
    let since = Instant::now();
    let mut stage = Stage::set(seed).await;
    let mut crashes = Vec::new();
    for cycle in 1..=u32::try_from(cycles).expect("so many") {
        crashes.push(stage.live_and_die(cycle).await);
        if cycle.is_multiple_of(50) {
            println!("{cycle} crashes in {:.0?}: {}", since.elapsed(), stage.ledger.findings);
        }
    }
    println!("{}", stage.end(&crashes).await);
    println!("{cycles} crashes, all checked after {:.0?}", since.elapsed());
}

/// A number from the environment.
fn figure(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Microseconds since 1970, as all programs on this computer count them.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than that");
    u64::try_from(since.as_micros()).expect("it is not that late")
}

/// A moment at which the server was killed.
#[derive(Debug)]
struct Crash {
    cycle: u32,
    at: u64,
    /// People's writes that were on their way, and those that had been answered in this cycle.
    in_flight: usize,
    acknowledged: usize,
}

/// The server and all its clients.
struct Stage {
    server: Option<Server>,
    ledger: Ledger,
    load: Load,
    programs: Programs,
    chance: u64,
    died_again: u32,
}

impl Stage {
    async fn set(seed: u64) -> Stage {
        let placet = std::env::var_os("PLACET_BIN").unwrap_or_else(|| OsString::from(PLACET));
        let launch = Launch::serve(placet);
        let folder = launch.folder().to_owned();
        let server = launch.start().await.unwrap();
        let (http, client, ledger) = (server.http(), server.client(), Ledger::default());
        let (requests, foreign) = mpsc::unbounded_channel();
        let mut load = Load::start(PEOPLE_MANY, &http, &client, &ledger);
        load.is_back();
        load.decide(foreign, &http, &ledger);
        let programs = Programs::start(server.endpoint(), &folder, requests);
        Stage { server: Some(server), ledger, load, programs, chance: seed, died_again: 0 }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it is up")
    }

    /// Waits until everybody is at it, kills the server at a moment that nobody has chosen, and starts it again.
    async fn live_and_die(&mut self, cycle: u32) -> Crash {
        self.programs.server_is_up(cycle).await;
        self.load.is_back();
        self.ledger.check_news(&self.server().http()).await;
        self.ledger.findings.assert_none(&format!("after crash {}", cycle - 1));
        self.programs.have_found_it(cycle).await;
        let before = self.ledger.acknowledged();
        self.load.is_up();
        let ledger = self.ledger.clone();
        eventually("the load is up", async || (ledger.acknowledged() - before >= WRITES_MIN).then_some(())).await;
        let lifetime = Duration::from_micros(self.chance() % UNDER_LOAD_MAX);
        // sleep: the load runs meanwhile
        tokio::time::sleep(lifetime).await;
        eventually("calls are in flight", async || (ledger.in_flight() >= WRITES_MIN).then_some(())).await;
        assert_sound(self.server(), cycle);
        let (at, in_flight, acknowledged) = (now(), ledger.in_flight(), ledger.acknowledged() - before);
        let mut down = self.server.take().expect("it is up").kill().await.unwrap();
        self.ledger.server_died();
        self.load.is_down();
        if self.chance().is_multiple_of(DIES_AGAIN) {
            let back = down.start().await.unwrap();
            // sleep: the programs find it again meanwhile
            tokio::time::sleep(Duration::from_micros(self.chance() % BACK_MAX)).await;
            down = back.kill().await.unwrap();
            self.died_again += 1;
        }
        self.server = Some(down.start().await.unwrap());
        Crash { cycle, at, in_flight, acknowledged }
    }

    /// The next of a row of numbers that the seed determines (SplitMix64).
    fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Lets all end what they have begun, and compares what they were told with what is so. What there was to tell.
    async fn end(mut self, crashes: &[Crash]) -> String {
        let (http, client) = (self.server().http(), self.server().client());
        self.programs.server_is_up(u32::try_from(crashes.len()).expect("so many") + 1).await;
        self.load.is_up();
        let told = self.programs.stop().await;
        self.load.stop().await;
        let people = self.ledger.check_all(&http, &client).await;
        let mut report = format!("{} times it died again when it was hardly back\n", self.died_again);
        report += &format!("people: {people:?}\n");
        for (name, lines) in &told {
            report += &format!("{name}: {:?}\n", verdict::check(&client, lines, &self.ledger.findings).await);
        }
        self.ledger.findings.assert_none("in the end");
        let (least, mean) = Hit::least_and_mean(&Hit::of_all(crashes, &told));
        assert!(least.writes >= WRITES_MIN && least.acknowledged >= WRITES_MIN, "{least:?}");
        assert!(least.calls_of_programs > 0, "{least:?}: a crash has hit no call of one language");
        assert!(people.decided > 0 && people.timed_out > 0 && people.sequences > 0, "{people:?}");
        assert_eq!(self.server.expect("it is up").stop().await.unwrap().code, Some(0));
        report + &format!("a crash hit at least {least:?}, on average {mean:?}\n{}", self.ledger.findings)
    }
}

/// What a crash has hit.
#[derive(Debug, Clone, Copy)]
struct Hit {
    /// Writes in flight, of all.
    writes: usize,
    /// Calls in flight of the language that had the fewest.
    calls_of_programs: usize,
    /// Writes that had been acknowledged since the crash before.
    acknowledged: usize,
}

impl Hit {
    fn of_all(crashes: &[Crash], told: &[(&str, Vec<Line>)]) -> Vec<Hit> {
        // What is in flight when the server dies has begun since it came up.
        let by_cycle: Vec<BTreeMap<u32, Vec<&Line>>> = told
            .iter()
            .map(|(_, lines)| {
                let mut cycles: BTreeMap<u32, Vec<&Line>> = BTreeMap::new();
                lines.iter().for_each(|line| cycles.entry(line.cycle).or_default().push(line));
                cycles
            })
            .collect();
        let lines_of = |cycle| by_cycle.iter().map(move |cycles| cycles.get(&cycle).map_or(&[][..], |l| l));
        crashes.iter().map(|crash| Hit::of(crash, lines_of(crash.cycle))).collect()
    }

    /// `told`: the lines of this cycle, program by program.
    fn of<'l>(crash: &Crash, told: impl Iterator<Item = &'l [&'l Line]>) -> Hit {
        let (writes, acknowledged) = (crash.in_flight, crash.acknowledged);
        let mut hit = Hit { writes, calls_of_programs: usize::MAX, acknowledged };
        for lines in told {
            let in_flight = || lines.iter().filter(|line| line.was_in_flight(crash.at));
            hit.writes += in_flight().filter(|line| line.is_write()).count();
            hit.calls_of_programs = hit.calls_of_programs.min(in_flight().count());
            hit.acknowledged += lines.iter().filter(|line| line.is_write() && line.is_ok()).count();
        }
        hit
    }

    fn least_and_mean(hits: &[Hit]) -> (Hit, Hit) {
        let of = |figure: fn(&Hit) -> usize, fold: fn(&mut dyn Iterator<Item = usize>) -> usize| {
            fold(&mut hits.iter().map(figure))
        };
        let each = |fold: fn(&mut dyn Iterator<Item = usize>) -> usize| Hit {
            writes: of(|hit| hit.writes, fold),
            calls_of_programs: of(|hit| hit.calls_of_programs, fold),
            acknowledged: of(|hit| hit.acknowledged, fold),
        };
        let mean = |figures: &mut dyn Iterator<Item = usize>| {
            let (sum, count) = figures.fold((0, 0), |(sum, count), figure| (sum + figure, count + 1));
            sum / count.max(1)
        };
        (each(|figures| figures.min().unwrap_or(0)), each(mean))
    }
}
