//! The simulated world: one thread, one queue of what is to come, one source of chance. The scheduler's machines,
//! the SDK's replay and its worker's turns are the real ones; clock, network, disk, workers' lives and clients are
//! made here.

mod ahead;
mod answers;
mod bounds;
mod clients;
mod contain;
mod disk;
mod faults;
mod finale;
mod items;
mod ledger;
mod lies;
mod pieces;
mod progress;
mod queue;
mod records;
mod relatives;
mod server;
mod stopping;
mod turns;
mod why;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use placet_core::ids::{Iid, StreamId};
use placet_core::rows::TimerRow;

use crate::chance::Chance;
use crate::checkers::Checkers;
use crate::facts::Fact;
use crate::marks::{Mark, Marks};
use crate::overrides::Overrides;
use crate::plan::{MINUTE, Plan, SECOND};
use crate::struck::{FaultKind, Struck};
use crate::trace::{Detail, Trace};
use crate::workload::{Slot, Workload};
use ahead::AheadStep;
use clients::Client;
use disk::{Disk, DiskStep, ReadAsk};
use faults::Fault;
use ledger::Ledger;
use progress::Progress;
use queue::Queue;
use server::{Arrival, Process};
use workers::{ToWorker, Worker, WorkerStep};

/// An item: its instance's key in the store, and the turn or activity.
type Item = (Iid, u64, bool);

/// What is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise, or the run itself.
    pub promise: &'static str,
    /// How.
    pub what: String,
}

impl From<String> for Violation {
    fn from(what: String) -> Violation {
        Violation { promise: "the world holds together", what }
    }
}

impl From<&str> for Violation {
    fn from(what: &str) -> Violation {
        what.to_owned().into()
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// A server's process, numbered over its restarts.
pub(crate) type ProcessId = u64;

/// The wall clock when the world begins: some day in 2026.
const WALL_BEGIN: i64 = 1_780_000_000_000_000;

/// How long after the faults everything that can end must have ended, beside what its programs wait for.
const PATIENCE: u64 = 30 * MINUTE;

/// How long the world goes on when every client has what it wanted: what is parked has to leave memory.
const AFTERWARDS: u64 = 100 * SECOND;

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// Something reaches the server.
    Arrive(ProcessId, Box<Arrival>),
    /// The server takes what waits.
    Step(ProcessId),
    /// The server's sleep is over; only the last one set counts.
    Wake(ProcessId, u64),
    /// The disk goes on with a batch.
    Disk(ProcessId, DiskStep),
    /// The disk is through with a piece of a long row.
    Ahead(ProcessId, AheadStep),
    /// The store looks up what was asked for.
    Read(ProcessId, ReadAsk),
    /// Something reaches a worker, in its n-th life.
    Worker(usize, u64, WorkerStep),
    /// A client goes on.
    Client(usize),
    /// A client hears what became of a call.
    Told(usize, u64, crate::facts::Answer),
    /// A client waits no longer.
    GivesUp(usize, u64),
    /// Something goes wrong.
    Fault(Fault),
    /// It is looked at whether all goes on.
    Look,
    /// It is looked at whether what is too much leaves memory.
    LookAtBytes,
    /// Nothing goes wrong any more.
    Heal,
    /// The operator says that the wall clock is right, and puts back to work what was set aside.
    Operator,
}

/// A worker's stream.
#[derive(Debug)]
struct Stream {
    worker: usize,
    process: ProcessId,
    /// When the server hears of it.
    opened_at: u64,
    /// When the last thing sent to the server arrives: the next one arrives later.
    to_server_at: u64,
    to_worker_at: u64,
    /// It is cut: nothing more is sent on it.
    broken: bool,
}

/// How much happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named for what they count")]
pub struct Counts {
    pub instances: u64,
    /// What the core was asked: clients' calls, workers' completions of turns and activities, and refusals of them.
    pub commands: u64,
    pub calls: u64,
    pub turns: u64,
    pub activities: u64,
    pub commits: u64,
    pub inputs: u64,
    pub faults: u64,
    pub simulated_seconds: u64,
}

pub(crate) struct World {
    pub(crate) trace: Trace,
    pub(crate) marks: Marks,
    pub(crate) counts: Counts,
    pub(crate) struck: Struck,
    plan: Plan,
    chance: Chance,
    now: u64,
    queue: Queue<Event>,
    wall_offset: i64,
    wall_was_stepped: bool,
    /// The latest time that any server has seen.
    wall_newest: i64,
    /// Until then timers may be late: something is, or just was, wrong.
    trouble_until: u64,
    /// When something other than the passing of time last happened.
    traffic_at: u64,
    healed: bool,
    disk: Disk,
    ledger: Ledger,
    progress: Progress,
    process: Option<Box<Process>>,
    processes: u64,
    streams: BTreeMap<StreamId, Stream>,
    next_stream: u64,
    workers: Vec<Worker>,
    slots: Vec<Slot>,
    slot_of: BTreeMap<(String, String), usize>,
    clients: Vec<Client>,
    next_call: u64,
    longest: u64,
    checkers: Checkers,
    /// How often each item was handed out.
    deliveries: BTreeMap<Item, u32>,
    /// Which worker was last sent a turn of a slot.
    turn_with: BTreeMap<usize, usize>,
    commits_failed: u32,
    /// Since when memory was too full whenever it was looked at.
    crowded_since: Option<u64>,
    /// How often items have broken streams, by the process and the item; and how many commits had failed when they were
    /// first handed out.
    broke: BTreeMap<(ProcessId, Item), (u32, u32)>,
    /// When timers were stored.
    timers_made: BTreeMap<TimerRow, u64>,
    /// When timers were deleted.
    timers_gone: VecDeque<u64>,
    /// Whose turns were sent, by the instance's key in the store and the turn.
    executions: BTreeMap<(u64, u32), (usize, String)>,
    /// In which process an activity was first handed out.
    handed_out: BTreeMap<(u64, u64), ProcessId>,
    told_recorded: BTreeSet<(usize, String)>,
    /// The version of each record row that somebody was told last.
    versions_told: BTreeMap<u8, u64>,
    told_answer: BTreeSet<(usize, String)>,
    /// About whom it was last asked why he waits, and when that reached the server. In every other run nobody looks, since who
    /// is asked about is brought into memory: what was forgotten there would be found again.
    asked_why: Option<(Iid, u64)>,
    /// What was brittle for these and their children is so no longer.
    repaired: BTreeSet<usize>,
}

impl World {
    pub(crate) fn new(seed: u64, overrides: &Overrides, detail: Detail) -> World {
        let mut chance = Chance::from_seed(seed);
        let mut plan = Plan::draw(&mut chance.fork(), overrides.kind);
        let workload = Workload::draw(&plan, overrides, &mut chance.fork());
        overrides.apply(&mut plan);
        for _ in 0..overrides.course {
            chance.any();
        }
        let started = workload.actors.iter().map(|actor| actor.slot).collect::<BTreeSet<_>>().len() as u64;
        let slots = workload.slots;
        let slot_of = slots.iter().enumerate().map(|(at, slot)| ((slot.hub.clone(), slot.id.clone()), at)).collect();
        let workers = workers::crew(&plan);
        let mut world = World {
            trace: Trace::new(detail),
            marks: Marks::default(),
            counts: Counts { instances: started, ..Counts::default() },
            struck: Struck::default(),
            chance,
            now: 0,
            queue: Queue::default(),
            wall_offset: 0,
            wall_was_stepped: false,
            wall_newest: 0,
            commits_failed: 0,
            crowded_since: None,
            broke: BTreeMap::new(),
            trouble_until: 0,
            traffic_at: 0,
            healed: false,
            disk: Disk::default(),
            ledger: Ledger::default(),
            progress: Progress::default(),
            process: None,
            processes: 0,
            streams: BTreeMap::new(),
            next_stream: 0,
            workers,
            checkers: Checkers::new(&slots, plan.limits == placet_core::limits::Limits::default()),
            slots,
            slot_of,
            clients: workload.actors.into_iter().map(Client::new).collect(),
            next_call: 0,
            // A deadline that was fixed before the clock was set back is that much farther away.
            longest: workload.longest + plan.faults.wall_steps * plan.faults.wall_step_max,
            deliveries: BTreeMap::new(),
            turn_with: BTreeMap::new(),
            timers_made: BTreeMap::new(),
            timers_gone: VecDeque::new(),
            executions: BTreeMap::new(),
            handed_out: BTreeMap::new(),
            told_recorded: BTreeSet::new(),
            versions_told: BTreeMap::new(),
            told_answer: BTreeSet::new(),
            asked_why: (seed % 2 == 1).then_some((Iid(0), 0)),
            repaired: BTreeSet::new(),
            plan,
        };
        world.trace.note(0, &[seed], || format!("seed {seed}: {:?}", world.plan));
        world
    }

    fn begin(&mut self) -> Result<(), Violation> {
        self.start_server()?;
        for worker in 0..self.workers.len() {
            let at = self.chance.below(self.plan.latency_max + 1);
            self.after(at, Event::Worker(worker, 0, WorkerStep::Connect));
        }
        for client in 0..self.clients.len() {
            self.after(0, Event::Client(client));
        }
        self.plan_faults();
        self.after(self.plan.span, Event::Heal);
        self.after(SECOND, Event::Look);
        Ok(())
    }

    /// How many instances there are, those that nobody starts included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How long the faults go on.
    pub(crate) fn span_ms(&self) -> u64 {
        self.plan.span / crate::plan::MILLISECOND
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        self.begin()?;
        let deadline = self.plan.span + self.longest + PATIENCE;
        let mut over_at = None;
        while let Some((at, event)) = self.queue.pop() {
            self.now = at;
            if at > deadline {
                return Err(self.unfinished());
            }
            self.happen(event)?;
            if self.healed && over_at.is_none() && self.is_over() {
                over_at = Some(self.now + AFTERWARDS);
            }
            if over_at.is_some_and(|over_at| self.now >= over_at) {
                break;
            }
        }
        self.counts.simulated_seconds = self.now / SECOND;
        self.finale()
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive(process, arrival) => self.arrive(process, *arrival),
            Event::Step(process) => return self.step(process),
            Event::Wake(process, number) => return self.wake(process, number),
            Event::Disk(process, step) => return self.disk_goes_on(process, step),
            Event::Ahead(process, step) => return self.ahead_goes_on(process, step),
            Event::Read(process, ask) => self.read(process, ask),
            Event::Worker(worker, life, step) => return self.worker_goes_on(worker, life, step),
            Event::Client(client) => return self.client_goes_on(client),
            Event::Told(client, number, answer) => return self.told(client, number, answer),
            Event::GivesUp(client, number) => return self.gives_up(client, number),
            Event::Fault(fault) => return self.go_wrong(fault),
            Event::Look => return self.look_at_progress(),
            Event::LookAtBytes => return self.look_at_bytes(),
            Event::Heal => return self.heal(),
            Event::Operator => self.operate(),
        }
        Ok(())
    }

    fn after(&mut self, wait: u64, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, at: u64, event: Event) {
        let tie = self.chance.any();
        self.queue.push(at, tie, event);
    }

    /// How long a message is on its way this time.
    fn latency(&mut self) -> u64 {
        self.chance.skewed(20, self.plan.latency_max)
    }

    /// Whether something of this kind goes wrong now.
    fn goes_wrong(&mut self, kind: FaultKind) -> bool {
        let wrong = !self.healed && self.chance.happens(self.plan.faults.rate(kind));
        if wrong {
            self.strikes(kind);
        }
        wrong
    }

    /// Something goes wrong now.
    fn strikes(&mut self, kind: FaultKind) {
        self.wrong(self.now);
        self.counts.faults += 1;
        self.struck.add(kind);
    }

    fn wall(&self) -> i64 {
        WALL_BEGIN + i64::try_from(self.now).expect("some hours") + self.wall_offset
    }

    fn trouble(&mut self, lasts: u64) {
        self.trouble_until = self.trouble_until.max(self.now + lasts);
    }

    fn reach(&mut self, mark: Mark) {
        self.marks.reach(mark);
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.checkers.see(fact)
    }

    /// Sends something to a worker's server, in the order of the stream.
    fn on_stream(&mut self, stream: StreamId, extra: u64, arrival: Arrival) {
        let latency = self.latency();
        let Some(wire) = self.streams.get_mut(&stream) else { return };
        if wire.broken {
            return;
        }
        wire.to_server_at = (self.now + latency + extra).max(wire.to_server_at + 1);
        let (at, process) = (wire.to_server_at, wire.process);
        self.at(at, Event::Arrive(process, Box::new(arrival)));
    }

    /// Sends something to a worker, in the order of the stream.
    fn send_to_worker(&mut self, stream: StreamId, what: ToWorker) {
        let latency = self.latency();
        let Some(wire) = self.streams.get_mut(&stream) else { return };
        if wire.broken {
            return;
        }
        wire.to_worker_at = (self.now + latency).max(wire.to_worker_at + 1);
        let (at, worker) = (wire.to_worker_at, wire.worker);
        let life = self.workers[worker].life;
        self.at(at, Event::Worker(worker, life, WorkerStep::Stream(stream, what)));
    }
}

impl Counts {
    /// The lesser of each.
    #[must_use]
    pub fn least(self, other: Counts) -> Counts {
        Counts {
            instances: self.instances.min(other.instances),
            commands: self.commands.min(other.commands),
            calls: self.calls.min(other.calls),
            turns: self.turns.min(other.turns),
            activities: self.activities.min(other.activities),
            commits: self.commits.min(other.commits),
            inputs: self.inputs.min(other.inputs),
            faults: self.faults.min(other.faults),
            simulated_seconds: self.simulated_seconds.min(other.simulated_seconds),
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts {
            instances: self.instances + other.instances,
            commands: self.commands + other.commands,
            calls: self.calls + other.calls,
            turns: self.turns + other.turns,
            activities: self.activities + other.activities,
            commits: self.commits + other.commits,
            inputs: self.inputs + other.inputs,
            faults: self.faults + other.faults,
            simulated_seconds: self.simulated_seconds + other.simulated_seconds,
        }
    }
}
