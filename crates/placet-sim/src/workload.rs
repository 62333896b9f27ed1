//! What clients do in a run: instances of all programs, and for each the clients that start it, wait for it, ask
//! it, and get in its way. As many as make a run that counts.

mod advised;
mod relatives;

use std::collections::{BTreeSet, VecDeque};

use placet_approval::NewRequest;

use crate::chance::Chance;
use crate::checkers::fades;
use crate::expectations::Program;
use crate::facts::{RowChange, What};
use crate::overrides::Overrides;
use crate::plan::{INSTANCES_LEAST, MILLISECOND, Plan, SECOND, Size};
use crate::programs::{
    Collect, DECISION, Decide, FanOut, Heed, LateReply, Race, Retry, Sequence, Sleep, Tally, decision_id,
};

/// An instance's place: its name, and what it runs. It may have several lives.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// The hub.
    pub(crate) hub: String,
    /// The instance's id.
    pub(crate) id: String,
    /// What it runs.
    pub(crate) program: Program,
    /// Its hub is deleted by somebody else.
    pub(crate) doomed: bool,
    /// It may be purged, or never come to be.
    pub(crate) fades: bool,
    /// What of it breaks its worker's stream, as long as faults last.
    pub(crate) bomb: Option<Bomb>,
    /// The instance that starts it, if no client does.
    pub(crate) parent: Option<usize>,
    /// The events that other instances send it.
    pub(crate) hears: Vec<String>,
}

impl Slot {
    /// One that a client starts, and that nobody gets in the way of.
    pub(crate) fn new(hub: &str, id: String, program: Program) -> Slot {
        let (doomed, fades, bomb, parent) = (false, false, None, None);
        Slot { hub: hub.to_owned(), id, program, doomed, fades, bomb, parent, hears: Vec::new() }
    }
}

/// Work that its workers do not survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bomb {
    /// Each turn.
    Turn,
    /// Each activity.
    Activity,
}

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits.
    Pause(u64),
    /// Calls, again and again until there is an answer.
    Call(What),
    /// The same about another instance.
    CallAbout(usize, What),
    /// Asks why it waits, and does what lets it go on, until it has ended.
    Follow,
}

/// A client: one step after the other.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// Whom it is about.
    pub(crate) slot: usize,
    /// What is left to be done.
    pub(crate) steps: VecDeque<Step>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workload {
    /// The instances.
    pub(crate) slots: Vec<Slot>,
    /// The clients.
    pub(crate) actors: Vec<Actor>,
    /// How long the slowest program takes by itself.
    pub(crate) longest: u64,
    /// At least so many commands reach the server, whatever happens.
    least: u64,
}

/// So many commands that are certain make a run that has enough of them: most of a worker's are not.
const ENOUGH: u64 = 400;

/// The hub of nearly everything.
pub(crate) const HUB: &str = "default";
/// The hub that is deleted.
pub(crate) const DOOMED: &str = "doomed";
/// Record rows that clients change; those with an odd number may be deleted, and expire.
pub(crate) const ROWS: u8 = 4;

impl Workload {
    /// The workload of a plan.
    pub(crate) fn draw(plan: &Plan, overrides: &Overrides, chance: &mut Chance) -> Workload {
        let mut workload = Workload::default();
        if plan.faults.bomb {
            let slot = workload.slot(HUB, Program::Sequence(Sequence { steps: 1, salt: 5 }));
            let bomb = if chance.one_in(2) { Bomb::Turn } else { Bomb::Activity };
            workload.slots[slot].bomb = Some(bomb);
            workload.starter(plan, chance, slot, false);
            workload.add_noise(plan, chance, slot);
            if chance.one_in(2) {
                // Somebody gives it up, maybe once it is set aside.
                let late = Step::Pause(chance.between(plan.span / 4, plan.span));
                let steps = [late, Step::Call(What::Terminate { recurse: false })].into();
                workload.actors.push(Actor { slot, steps });
            }
        }
        if plan.doomed_hub {
            workload.add_doomed(plan, &mut chance.fork());
        }
        while workload.least < ENOUGH || (workload.slots.len() as u64) < INSTANCES_LEAST {
            workload.add_instance(plan, &mut chance.fork());
        }
        workload.add_records(plan, &mut chance.fork());
        if let Some(kept) = &overrides.instances {
            // Whoever belongs to one that is kept is kept.
            let slots = &workload.slots;
            let root = |slot| std::iter::successors(Some(slot), |at: &usize| slots[*at].parent).last();
            let roots: BTreeSet<_> = kept.iter().filter(|at| **at < slots.len()).map(|at| root(*at)).collect();
            workload.actors.retain(|actor| roots.contains(&root(actor.slot)));
        }
        workload
    }

    /// Events that nobody waits for. That they may fail to be written makes the server forget what it has of their
    /// instance.
    fn add_noise(&mut self, plan: &Plan, chance: &mut Chance, slot: usize) {
        let mut steps = Vec::new();
        for number in 0..chance.between(0, 40) {
            steps.push(Step::Pause(chance.skewed(SECOND / 10, 5 * SECOND)));
            steps.push(Step::Call(What::Raise { name: "noise", id: format!("{slot}-0-{number}") }));
        }
        self.actor(plan, slot, steps);
    }

    /// Clients that change record rows, all of them the same few.
    fn add_records(&mut self, plan: &Plan, chance: &mut Chance) {
        for _ in 0..chance.below(4) {
            let mut steps = Vec::new();
            for _ in 0..chance.between(1, 12) {
                let row = u8::try_from(chance.below(ROWS.into())).expect("they are few");
                let change = match chance.below(5) {
                    0 | 1 => RowChange::Create,
                    2 if fades(row) => RowChange::Delete,
                    _ => RowChange::Replace,
                };
                steps.extend([pause(plan, chance), Step::Call(What::Record { row, change, version: 0 })]);
            }
            self.actor(plan, 0, steps);
        }
    }

    fn slot(&mut self, hub: &str, program: Program) -> usize {
        let at = self.slots.len();
        let id = format!("{}-{at}", program.name());
        self.slots.push(Slot::new(hub, id, program));
        at
    }

    fn add_instance(&mut self, plan: &Plan, chance: &mut Chance) {
        match chance.below(19) {
            0 => self.add_sequence(plan, chance),
            1 => {
                let width = small(chance.skewed(1, 2 * many(plan)));
                let slot = self.slot(HUB, Program::FanOut(FanOut { width }));
                self.runs(plan, chance, slot, u64::from(width) + 2);
            }
            2 => {
                let (fails, attempts) = (small(chance.below(4)), small(chance.between(1, 4)));
                let slot = self.slot(HUB, Program::Retry(Retry { fails, attempts }));
                self.runs(plan, chance, slot, u64::from(attempts.min(fails + 1)) + 2);
            }
            3 | 4 => self.add_collect(plan, chance),
            5 => self.add_heed(plan, chance),
            6 => self.add_decide(plan, chance),
            7..=9 => self.add_approval(plan, chance),
            10 => self.add_tally(plan, chance),
            11 => self.add_late_reply(plan, chance),
            12 => self.add_sleep(plan, chance),
            13 | 14 => self.add_family(plan, chance),
            15 => self.add_mend(plan, chance),
            16 => self.add_teller(plan, chance),
            17 => self.add_advised(plan, chance),
            _ => {
                let timer_ms = chance.skewed(1, plan.activity_max * 2 / MILLISECOND);
                let laps = small(chance.skewed(1, many(plan) / 4));
                let slot = self.slot(HUB, Program::Race(Race { timer_ms, laps }));
                self.runs(plan, chance, slot, u64::from(laps));
            }
        }
    }

    /// One that may be started over when it has ended, while late completions of its last life come in.
    fn add_sequence(&mut self, plan: &Plan, chance: &mut Chance) {
        let program = Sequence { steps: small(chance.skewed(1, many(plan))), salt: 100 };
        let work = u64::from(program.steps) * 2;
        let slot = self.slot(HUB, Program::Sequence(program));
        let lives = if chance.one_in(2) { small(chance.between(1, 3)) } else { 1 };
        let mut steps = vec![pause(plan, chance)];
        let mut is_stopped = false;
        for life in 0..lives {
            let over_running = life > 0 && chance.one_in(2);
            steps.push(Step::Call(What::Start { life, execution: String::new(), delay: 0, over_running }));
            is_stopped = chance.one_in(3);
            if is_stopped {
                steps.extend([pause(plan, chance), Step::Call(What::Terminate { recurse: false })]);
            }
            let waits = life + 1 == lives || chance.one_in(2);
            steps.push(if waits { Step::Call(What::Wait) } else { pause(plan, chance) });
            if chance.one_in(6) {
                steps.push(Step::Call(What::Purge));
            }
        }
        self.actor(plan, slot, steps);
        if !is_stopped {
            self.least += work;
        }
    }

    fn add_collect(&mut self, plan: &Plan, chance: &mut Chance) {
        let clients = chance.between(1, 3);
        let each = chance.skewed(1, many(plan));
        let want = small(clients * each) as usize;
        let every = small(chance.skewed(1, (want as u64).max(5))) as usize;
        let slot = self.slot(HUB, Program::Collect(Collect { want, every, seen: Vec::new() }));
        self.starter(plan, chance, slot, true);
        for client in 0..clients {
            let mut steps = Vec::new();
            for number in 0..each {
                steps.push(pause(plan, chance));
                steps.push(Step::Call(What::Raise { name: "item", id: format!("{slot}-{client}-{number}") }));
            }
            self.actor(plan, slot, steps);
        }
    }

    fn add_heed(&mut self, plan: &Plan, chance: &mut Chance) {
        let rounds = small(chance.skewed(1, many(plan) / 2)) as usize;
        let every = small(chance.skewed(1, rounds as u64 + 1)) as usize;
        let program = Heed { rounds, every, left: Vec::new(), right: Vec::new() };
        let slot = self.slot(HUB, Program::Heed(program));
        self.starter(plan, chance, slot, true);
        // One client says both, in an order of chance.
        let mut steps = Vec::new();
        let (mut left, mut right) = (rounds, rounds);
        while left + right > 0 {
            let (name, number) = if right == 0 || (left > 0 && chance.one_in(2)) {
                left -= 1;
                ("left", left)
            } else {
                right -= 1;
                ("right", right)
            };
            steps.push(pause(plan, chance));
            steps.push(Step::Call(What::Raise { name, id: format!("{slot}-{name}-{number}") }));
        }
        self.actor(plan, slot, steps);
    }

    fn add_decide(&mut self, plan: &Plan, chance: &mut Chance) {
        let timeout_ms = chance.skewed(10, plan.span * 2 / MILLISECOND);
        let program = Decide { timeout_ms, due: None, lingers: chance.one_in(2), comments: 0 };
        let slot = self.slot(HUB, Program::Decide(program));
        self.longest = self.longest.max(timeout_ms * MILLISECOND);
        self.starter(plan, chance, slot, true);
        for client in 0..chance.below(4) {
            let mut steps = Vec::new();
            for number in 0..chance.skewed(1, many(plan) / 3) {
                let what = *chance.pick(&["comment", "comment", "approve", "reject"]);
                let id = format!("{slot}-{client}-{number}");
                steps.extend(asks(plan, chance, "decide", &id, what));
            }
            self.actor(plan, slot, steps);
        }
    }

    /// A real approval: several people decide at once, near the deadline if there is one, by asking and by raising
    /// the event as any program could; some say nothing that could be understood.
    fn add_approval(&mut self, plan: &Plan, chance: &mut Chance) {
        let timeout = chance.skewed(10 * MILLISECOND, 2 * plan.span);
        let mut request = NewRequest::new("somebody", "something");
        request.timeout_hours = Some(timeout as f64 / (3_600.0 * SECOND as f64));
        let slot = self.slot(HUB, Program::Approval(Box::new(request)));
        self.longest = self.longest.max(timeout);
        let delay = self.starter(plan, chance, slot, true);
        let races = chance.one_in(2);
        if plan.size != Size::Small && chance.one_in(4) {
            // So much talk that it continues as new.
            let odd = |number| {
                Step::Call(What::Raise { name: DECISION, id: decision_id(&format!("{slot}-9-{number}"), "odd") })
            };
            let steps = (0..60).flat_map(|number| [pause(plan, chance), odd(number)]).collect();
            self.actor(plan, slot, steps);
        }
        for client in 0..chance.between(1, 6) {
            let mut steps = Vec::new();
            if races {
                // All at the same moment, which may be that of the deadline.
                let before = chance.below(2 * plan.latency_max + 2);
                steps.push(Step::Pause((delay + timeout).saturating_sub(before)));
            }
            for number in 0..chance.between(1, 3) {
                let what = *chance.pick(&["approve", "reject", "approve", "reject", "odd"]);
                let id = decision_id(&format!("{slot}-{client}-{number}"), what);
                if chance.one_in(3) {
                    steps.extend([pause(plan, chance), Step::Call(What::Raise { name: DECISION, id })]);
                } else if races && number == 0 {
                    steps.push(Step::Call(What::Ask { name: DECISION, id, what: what.to_owned() }));
                } else {
                    steps.extend(asks(plan, chance, DECISION, &id, what));
                }
            }
            self.count(&steps);
            self.actors.push(Actor { slot, steps: steps.into() });
        }
    }

    fn add_tally(&mut self, plan: &Plan, chance: &mut Chance) {
        let clients = chance.between(1, 3);
        let each = chance.skewed(1, many(plan) / 2);
        let want = small(clients * each) as usize;
        let every = small(chance.skewed(1, want as u64 + 1)) as usize;
        let slot = self.slot(HUB, Program::Tally(Tally { want, every, seen: Vec::new() }));
        self.starter(plan, chance, slot, true);
        for client in 0..clients {
            let mut steps = Vec::new();
            for number in 0..each {
                steps.extend(asks(plan, chance, "vote", &format!("{slot}-{client}-{number}"), "yes"));
            }
            self.actor(plan, slot, steps);
        }
    }

    fn add_late_reply(&mut self, plan: &Plan, chance: &mut Chance) {
        let want = small(chance.skewed(1, many(plan) / 4)) as usize;
        let slot = self.slot(HUB, Program::LateReply(LateReply { want }));
        self.starter(plan, chance, slot, true);
        let mut steps = Vec::new();
        for number in 0..want {
            steps.extend(asks(plan, chance, "question", &format!("{slot}-0-{number}"), "what"));
        }
        self.actor(plan, slot, steps);
    }

    fn add_sleep(&mut self, plan: &Plan, chance: &mut Chance) {
        let longest = if chance.one_in(8) { 30 * 60_000 } else { 60_000 };
        let naps = chance.skewed(1, many(plan) / 2);
        let naps_ms: Vec<u64> = (0..naps).map(|_| chance.skewed(1, longest / naps)).collect();
        self.longest = self.longest.max(naps_ms.iter().sum::<u64>() * MILLISECOND);
        let slot = self.slot(HUB, Program::Sleep(Sleep { naps_ms }));
        self.runs(plan, chance, slot, naps);
    }

    fn add_doomed(&mut self, plan: &Plan, chance: &mut Chance) {
        for _ in 0..chance.between(1, 4) {
            let program = if chance.below(3) > 0 {
                Program::Sequence(Sequence { steps: small(chance.between(1, 4)), salt: 9 })
            } else {
                Program::Sleep(Sleep { naps_ms: vec![chance.skewed(1, 30_000)] })
            };
            let slot = self.slot(DOOMED, program);
            self.slots[slot].doomed = true;
            let steps = vec![pause(plan, chance), start(0, 0), Step::Call(What::Wait)];
            self.actor(plan, slot, steps);
        }
        let slot = self.slot(DOOMED, Program::Sequence(Sequence { steps: 2, salt: 40 }));
        let delete = if chance.one_in(2) { What::DeleteHub } else { What::EmptyHub };
        let mut steps = vec![pause(plan, chance), start(0, 0), pause(plan, chance), Step::Call(delete)];
        if chance.one_in(2) {
            steps.push(pause(plan, chance));
        }
        steps.extend([start(1, 0), Step::Call(What::Wait)]);
        self.actor(plan, slot, steps);
    }

    /// Somebody lets an instance rest from time to time.
    fn rests(&mut self, plan: &Plan, chance: &mut Chance, slot: usize) {
        let mut steps = Vec::new();
        for _ in 0..chance.between(1, 4) {
            steps.extend([pause(plan, chance), Step::Call(What::Suspend)]);
            steps.extend([pause(plan, chance), Step::Call(What::Resume)]);
        }
        self.actor(plan, slot, steps);
    }

    /// Starts an instance that does so many things if nobody terminates it.
    fn runs(&mut self, plan: &Plan, chance: &mut Chance, slot: usize, work: u64) {
        let calls = self.actors.len();
        self.starter(plan, chance, slot, true);
        if chance.one_in(4) {
            self.rests(plan, chance, slot);
        }
        let is_stopped = self.actors[calls].steps.iter().any(|step| matches!(step, Step::Call(What::Terminate { .. })));
        if !is_stopped {
            self.least += work;
        }
    }

    /// Starts an instance, may terminate it, and waits for its end. Tells when it is started, about.
    fn starter(&mut self, plan: &Plan, chance: &mut Chance, slot: usize, may_stop: bool) -> u64 {
        let delay = if chance.one_in(6) { chance.skewed(MILLISECOND, plan.span) } else { 0 };
        self.longest = self.longest.max(delay);
        let begins = chance.skewed(plan.pace.0, plan.pace.1);
        let mut steps = vec![Step::Pause(begins), start(0, delay)];
        if chance.one_in(6) {
            steps.push(Step::Call(What::WaitStart));
        }
        if may_stop && chance.one_in(8) {
            steps.extend([pause(plan, chance), Step::Call(What::Terminate { recurse: chance.one_in(2) })]);
        }
        steps.push(Step::Call(What::Wait));
        if chance.one_in(4) {
            // Somebody asks again, much later: it must be as it was.
            steps.extend([Step::Pause(chance.skewed(SECOND, 2 * plan.span)), Step::Call(What::Wait)]);
        }
        self.count(&steps);
        self.actors.push(Actor { slot, steps: steps.into() });
        begins + delay
    }

    /// A client whose steps fit into the span, if nothing keeps him: what comes after it meets no faults.
    fn actor(&mut self, plan: &Plan, slot: usize, mut steps: Vec<Step>) {
        let pauses: u64 = steps.iter().map(|step| if let Step::Pause(wait) = step { *wait } else { 0 }).sum();
        if pauses > plan.span {
            for step in &mut steps {
                if let Step::Pause(wait) = step {
                    *wait = u64::try_from(u128::from(*wait) * u128::from(plan.span) / u128::from(pauses))
                        .expect("it is less than it was");
                }
            }
        }
        self.count(&steps);
        self.actors.push(Actor { slot, steps: steps.into() });
    }

    /// Each call reaches the server at least once, or its client is not done.
    fn count(&mut self, steps: &[Step]) {
        self.least += steps.iter().filter(|step| !matches!(step, Step::Pause(_))).count() as u64;
    }
}

/// How many things an instance has to do, at most.
fn many(plan: &Plan) -> u64 {
    match plan.size {
        Size::Small => 8,
        Size::Middle => 24,
        Size::Long => 120,
    }
}

/// A question, and maybe the same one again later.
fn asks(plan: &Plan, chance: &mut Chance, name: &'static str, id: &str, what: &str) -> Vec<Step> {
    let ask = Step::Call(What::Ask { name, id: id.to_owned(), what: what.to_owned() });
    let mut steps = vec![pause(plan, chance), ask.clone()];
    if chance.one_in(4) {
        steps.extend([pause(plan, chance), ask]);
    }
    steps
}

/// The same call several times, whatever comes of it.
fn again_and_again(plan: &Plan, chance: &mut Chance, what: &What) -> Vec<Step> {
    let times = chance.between(1, 12);
    (0..times).flat_map(|_| [pause(plan, chance), Step::Call(what.clone())]).collect()
}

fn start(life: u32, delay: u64) -> Step {
    Step::Call(What::Start { life, execution: String::new(), delay, over_running: false })
}

fn pause(plan: &Plan, chance: &mut Chance) -> Step {
    Step::Pause(chance.skewed(plan.pace.0, plan.pace.1))
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("it is small")
}
