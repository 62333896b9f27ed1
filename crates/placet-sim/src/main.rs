//! `cargo xtask sim`: runs seeds on all cores, prints the line that repeats a failure, and which corners were reached.

mod plants;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use placet_core::planted::Plant;
use placet_sim::{
    COMMANDS_LEAST, CORPUS, Counts, Detail, INSTANCES_LEAST, Marks, NotAnOverride, Overrides, Run, Struck, Violation,
    run_with, shrink,
};

const USAGE: &str = "usage: cargo xtask sim [--seed N [--trace]] [--from S] [--seeds N] [--seconds T] [--jobs N]
  --seed N     runs one seed, and prints the end of its trace if it fails
  --trace      with --seed: prints the whole trace
  --from S     the first seed of a batch (a new one each time, if it is not given)
  --seeds N    how many (1000)
  --seconds T  as many as go into this time
  --jobs N     on how many threads (one a core)
  --with CHANGES  changes the plan, as a failure that was made smaller says; `plan=sticky` alone is one, too
  --keep-going tells of every seed that fails, not only of the first
  --plant NAME with one of the core's planted bugs in it
  --plants     with each of them in turn: says which seed finds it, and fails if none does";

/// Faults that a seed must have on average.
const FAULTS_MEAN: f64 = 5.0;

/// Seeds beyond which every corner must have been reached, and every kind of fault have struck often enough.
const MARKS_FROM: u64 = 15_000;

/// How often that is, over all seeds.
const STRUCK_LEAST: u32 = 100;

/// So many runs are spent to make a failure smaller.
const SHRINK_TRIES: u32 = 600;

/// One seed in this many is run twice, and must be the same run.
const TWICE_EVERY: u64 = 100;

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
    with: Overrides,
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
        Some(seed) => one(seed, &options.with, options.trace),
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
            "--with" => {
                let changes = args.next().ok_or("--with needs changes of the plan")?;
                options.with = changes.parse().map_err(|error: NotAnOverride| error.to_string())?;
            }
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

/// The line that repeats a run.
fn command(seed: u64, with: &Overrides) -> String {
    let with = with.to_string();
    if with.is_empty() {
        format!("cargo xtask sim --seed {seed}")
    } else {
        format!("cargo xtask sim --seed {seed} --with '{with}'")
    }
}

/// Whether a seed that was run twice was two runs.
fn differs(first: &Run, second: &Run) -> Option<Violation> {
    let same = (first.hash, first.steps, first.counts) == (second.hash, second.steps, second.counts);
    let what = || {
        format!("{} steps and trace {:016x}, then {} and {:016x}", first.steps, first.hash, second.steps, second.hash)
    };
    (!same).then(|| Violation { promise: "a seed is one run", what: what() })
}

/// Makes a failure smaller, and tells it.
fn smaller(seed: u64, with: &Overrides) -> ExitCode {
    let run = run_with(seed, with, Detail::Hash);
    let Some(shrunk) = shrink(&run, with, SHRINK_TRIES) else {
        say(&format!("seed {seed} does not fail again"));
        return ExitCode::FAILURE;
    };
    one(seed, &shrunk.overrides, false);
    say(&format!("after {} smaller runs, to repeat it:\n\n    {}", shrunk.tried, command(seed, &shrunk.overrides)));
    ExitCode::FAILURE
}

fn one(seed: u64, with: &Overrides, whole: bool) -> ExitCode {
    let run = run_with(seed, with, if whole { Detail::Whole } else { Detail::Tail });
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
    /// Runs that count.
    runs: u64,
    /// Runs that were too small to count.
    too_small: u64,
    steps: u64,
    counts: Counts,
    least: Option<Counts>,
    marks: Marks,
    struck: Struck,
    failed: Vec<(u64, Violation)>,
}

impl Sum {
    fn add(&mut self, run: Run) {
        let counts = counts(&run);
        self.failed.extend(run.violation.map(|violation| (run.seed, violation)));
        if !counts {
            self.too_small += 1;
            return;
        }
        self.runs += 1;
        self.steps += run.steps;
        self.marks.add(&run.marks);
        self.struck.merge(&run.struck);
        self.counts = self.counts + run.counts;
        self.least = Some(self.least.map_or(run.counts, |least| least.least(run.counts)));
    }

    fn merge(&mut self, other: Sum) {
        self.runs += other.runs;
        self.too_small += other.too_small;
        self.steps += other.steps;
        self.marks.add(&other.marks);
        self.struck.merge(&other.struck);
        self.counts = self.counts + other.counts;
        self.least = self.least.into_iter().chain(other.least).reduce(Counts::least);
        self.failed.extend(other.failed);
    }

    /// What there was too little of, for a batch of many runs to prove anything about it.
    fn lacks(&self) -> Option<String> {
        let missing = self.marks.missing();
        if !missing.is_empty() {
            return Some(format!("no seed ever reached: {missing:?}"));
        }
        let rare = self.struck.all().filter(|(_, times)| *times < STRUCK_LEAST).map(|(kind, _)| kind.name());
        let rare: Vec<&str> = rare.collect();
        if !rare.is_empty() {
            return Some(format!("these faults struck fewer than {STRUCK_LEAST} times: {rare:?}"));
        }
        let few = (self.counts.faults as f64) < FAULTS_MEAN * self.runs as f64;
        few.then(|| format!("fewer than {FAULTS_MEAN} faults a seed"))
    }
}

/// Whether a run was large enough to count.
fn counts(run: &Run) -> bool {
    run.counts.commands >= COMMANDS_LEAST && run.counts.instances >= INSTANCES_LEAST
}

fn batch(options: &Options) -> ExitCode {
    let from = options.from.unwrap_or_else(fresh);
    let until = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let most = options.seeds.unwrap_or(if until.is_some() { u64::MAX } else { 1_000 });
    let jobs = options.jobs();
    let (next, counted, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let work = || {
        let mut sum = Sum::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let over = until.is_some_and(|until| Instant::now() >= until);
            // As many as are wanted must count; but not for ever, if the plan makes them too small.
            let enough = counted.load(Ordering::Relaxed) >= most || number >= most.saturating_mul(2);
            if enough || over || stop.load(Ordering::Relaxed) {
                return sum;
            }
            let seed = from.wrapping_add(number);
            let mut run = run_with(seed, &options.with, Detail::Hash);
            if number % TWICE_EVERY == 0 && run.violation.is_none() {
                run.violation = differs(&run, &run_with(seed, &options.with, Detail::Hash));
            }
            if run.violation.is_some() && !options.keep_going {
                stop.store(true, Ordering::Relaxed);
            }
            counted.fetch_add(u64::from(counts(&run)), Ordering::Relaxed);
            sum.add(run);
        }
    };
    let mut sum = Sum::default();
    for known in CORPUS {
        let with = known.with.parse().expect("a test reads them all");
        sum.failed.extend(run_with(known.seed, &with, Detail::Hash).violation.map(|broken| (known.seed, broken)));
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            sum.merge(thread.join().expect("a run that panics is caught"));
        }
    });
    let judged = report(&sum, from, &options.with, began.elapsed(), jobs);
    if options.seeds.is_some_and(|wanted| sum.runs < wanted) && sum.failed.is_empty() {
        say(&format!("FAILED  only {} of {most} seeds were run and were large enough to count", sum.runs));
        return ExitCode::FAILURE;
    }
    judged
}

fn report(sum: &Sum, from: u64, with: &Overrides, took: Duration, jobs: usize) -> ExitCode {
    let runs = sum.runs.max(1);
    let each = |total: u64| total as f64 / runs as f64;
    let rate = sum.runs as f64 / took.as_secs_f64();
    let Counts { instances, commands, calls, turns, activities, commits, inputs, faults, simulated_seconds } =
        sum.counts;
    let least = sum.least.unwrap_or_default();
    say(&format!(
        "{} seeds from {from} in {:.1} s on {jobs} threads: {rate:.0} seeds a second",
        sum.runs,
        took.as_secs_f64()
    ));
    say(&format!(
        "each on average (least): {:.1} ({}) commands, {:.1} ({}) instances, {:.1} ({}) faults; {} too small to count",
        each(commands),
        least.commands,
        each(instances),
        least.instances,
        each(faults),
        least.faults,
        sum.too_small,
    ));
    say(&format!(
        "and {:.1} calls, {:.1} turns, {:.1} activities, {:.1} commits, {:.1} inputs, \
         {:.0} simulated seconds, {:.0} steps",
        each(calls),
        each(turns),
        each(activities),
        each(commits),
        each(inputs),
        each(simulated_seconds),
        each(sum.steps),
    ));
    let reached: Vec<String> = sum.marks.all().map(|(name, times)| format!("{name} {times}")).collect();
    say(&format!("{} corners: {}", reached.len(), reached.join(", ")));
    let struck: Vec<String> = sum.struck.all().map(|(kind, times)| format!("{} {times}", kind.name())).collect();
    say(&format!("{} kinds of faults: {}", struck.len(), struck.join(", ")));
    if !sum.failed.is_empty() {
        for (seed, violation) in &sum.failed {
            say(&format!("FAILED  {}\n        {violation}", command(*seed, with)));
        }
        say(&format!(
            "{} of {} seeds failed; the first again, made smaller, with the end of its trace:\n",
            sum.failed.len(),
            sum.runs
        ));
        return smaller(sum.failed[0].0, with);
    }
    match sum.lacks() {
        Some(what) if sum.runs >= MARKS_FROM => {
            say(&format!("FAILED  {what}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
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
