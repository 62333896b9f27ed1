//! `cargo xtask sim`: runs seeds on all cores, prints the line that repeats a failure, and which corners were reached.

mod plants;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use placet_core::planted::Plant;
use placet_sim::{Counts, Detail, Mark, Marks, Run, run};

const USAGE: &str = "usage: cargo xtask sim [--seed N [--trace]] [--from S] [--seeds N] [--seconds T] [--jobs N]
  --seed N     runs one seed, and prints the end of its trace if it fails
  --trace      with --seed: prints the whole trace
  --from S     the first seed of a batch (a new one each time, if it is not given)
  --seeds N    how many (1000)
  --seconds T  as many as go into this time
  --jobs N     on how many threads (one a core)
  --keep-going tells of every seed that fails, not only of the first
  --plant NAME with one of the core's planted bugs in it
  --plants     with each of them in turn: says which seed finds it, and fails if none does";

/// Seeds beyond which every corner must have been reached.
const MARKS_FROM: u64 = 4_000;

#[derive(Debug, Default)]
struct Options {
    seed: Option<u64>,
    trace: bool,
    from: Option<u64>,
    seeds: Option<u64>,
    seconds: Option<u64>,
    jobs: Option<usize>,
    keep_going: bool,
    plant: Option<Plant>,
    plants: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => {
            say(&format!("{what}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    // A broken invariant is told with its seed, and not twice.
    std::panic::set_hook(Box::new(|_| {}));
    if let Err(what) = plants::choose(options.plant) {
        say(&what);
        return ExitCode::from(2);
    }
    if options.plants {
        return plants::find_all(&options);
    }
    match options.seed {
        Some(seed) => one(seed, options.trace),
        None => batch(&options),
    }
}

fn options(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().ok_or(format!("{arg} needs a number"))?;
            value.parse::<u64>().map_err(|_| format!("{arg} {value}: not a number"))
        };
        match arg.as_str() {
            "--seed" => options.seed = Some(number()?),
            "--from" => options.from = Some(number()?),
            "--seeds" => options.seeds = Some(number()?),
            "--seconds" => options.seconds = Some(number()?),
            "--jobs" => options.jobs = Some(usize::try_from(number()?).map_err(|error| error.to_string())?),
            "--trace" => options.trace = true,
            "--keep-going" => options.keep_going = true,
            "--plant" => options.plant = Some(plants::named(&args.next().unwrap_or_default())?),
            "--plants" => options.plants = true,
            other => return Err(format!("{other}: not known")),
        }
    }
    Ok(options)
}

impl Options {
    /// How many threads to use.
    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

fn one(seed: u64, whole: bool) -> ExitCode {
    let run = run(seed, if whole { Detail::Whole } else { Detail::Tail });
    if whole || run.violation.is_some() {
        for line in &run.lines {
            say(line);
        }
    }
    match &run.violation {
        Some(violation) => {
            say(&format!("\nseed {seed} breaks: {violation}"));
            ExitCode::FAILURE
        }
        None => {
            say(&format!("seed {seed} holds: {} steps, trace {:016x}, {:?}", run.steps, run.hash, run.counts));
            ExitCode::SUCCESS
        }
    }
}

/// What a batch came to.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    steps: u64,
    counts: Counts,
    marks: Marks,
    failed: Vec<(u64, String)>,
}

impl Sum {
    fn add(&mut self, run: Run) {
        self.runs += 1;
        self.steps += run.steps;
        self.marks.add(&run.marks);
        self.counts = self.counts + run.counts;
        self.failed.extend(run.violation.map(|violation| (run.seed, violation)));
    }

    fn merge(&mut self, other: Sum) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.marks.add(&other.marks);
        self.counts = self.counts + other.counts;
        self.failed.extend(other.failed);
    }
}

fn batch(options: &Options) -> ExitCode {
    let from = options.from.unwrap_or_else(fresh);
    let until = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let most = options.seeds.unwrap_or(if until.is_some() { u64::MAX } else { 1_000 });
    let jobs = options.jobs();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let work = || {
        let mut sum = Sum::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let over = until.is_some_and(|until| Instant::now() >= until);
            if number >= most || over || stop.load(Ordering::Relaxed) {
                return sum;
            }
            let run = run(from.wrapping_add(number), Detail::Hash);
            if run.violation.is_some() && !options.keep_going {
                stop.store(true, Ordering::Relaxed);
            }
            sum.add(run);
        }
    };
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            sum.merge(thread.join().expect("a run that panics is caught"));
        }
    });
    report(&sum, from, began.elapsed(), jobs)
}

fn report(sum: &Sum, from: u64, took: Duration, jobs: usize) -> ExitCode {
    let runs = sum.runs.max(1);
    let each = |total: u64| total as f64 / runs as f64;
    let rate = sum.runs as f64 / took.as_secs_f64();
    let Counts { instances, calls, turns, activities, commits, inputs, faults, simulated_seconds } = sum.counts;
    say(&format!(
        "{} seeds from {from} in {:.1} s on {jobs} threads: {rate:.0} seeds a second",
        sum.runs,
        took.as_secs_f64()
    ));
    say(&format!(
        "each on average: {:.1} instances, {:.1} calls, {:.1} turns, {:.1} activities, {:.1} commits, {:.1} inputs, \
         {:.1} faults, {:.0} simulated seconds, {:.0} steps",
        each(instances),
        each(calls),
        each(turns),
        each(activities),
        each(commits),
        each(inputs),
        each(faults),
        each(simulated_seconds),
        each(sum.steps),
    ));
    let reached: Vec<String> = Mark::ALL.iter().map(|mark| format!("{mark:?} {}", sum.marks.times(*mark))).collect();
    say(&format!("corners: {}", reached.join(", ")));
    if !sum.failed.is_empty() {
        for (seed, violation) in &sum.failed {
            say(&format!("FAILED  cargo xtask sim --seed {seed}\n        {violation}"));
        }
        say(&format!(
            "{} of {} seeds failed; the first again, with the end of its trace:\n",
            sum.failed.len(),
            sum.runs
        ));
        return one(sum.failed[0].0, false);
    }
    let missing = sum.marks.missing();
    if sum.runs >= MARKS_FROM && !missing.is_empty() {
        say(&format!("FAILED  no seed ever reached: {missing:?}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A first seed that nobody has tried: from the clock, so that each batch is new.
fn fresh() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs() * 1_000_000
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(line: &str) {
    println!("{line}");
}
