//! What clients do in a run: instances of all programs, and for each the clients that start it, wait for it, ask
//! it, and get in its way.

use std::collections::VecDeque;

use crate::chance::Chance;
use crate::expectations::Program;
use crate::facts::What;
use crate::plan::{MILLISECOND, Plan, SECOND};
use crate::programs::{Collect, Decide, FanOut, Heed, LateReply, Race, Retry, Sequence, Sleep, Tally};

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
    /// Its turns break their worker's stream, as long as faults last.
    pub(crate) bomb: bool,
}

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits.
    Pause(u64),
    /// Calls, again and again until there is an answer.
    Call(What),
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
}

/// The hub of nearly everything.
pub(crate) const HUB: &str = "default";
/// The hub that is deleted.
pub(crate) const DOOMED: &str = "doomed";

impl Workload {
    /// The workload of a plan.
    pub(crate) fn draw(plan: &Plan, chance: &mut Chance) -> Workload {
        let mut workload = Workload::default();
        for _ in 0..plan.instances {
            workload.add_instance(plan, chance);
        }
        if plan.faults.bomb {
            let slot = workload.slot(HUB, Program::Sequence(Sequence { steps: 1, salt: 5 }));
            workload.slots[slot].bomb = true;
            workload.starter(plan, chance, slot, false);
        }
        if plan.doomed_hub {
            workload.add_doomed(plan, chance);
        }
        workload
    }

    fn slot(&mut self, hub: &str, program: Program) -> usize {
        let at = self.slots.len();
        let id = format!("{}-{at}", program.name());
        self.slots.push(Slot { hub: hub.to_owned(), id, program, doomed: false, bomb: false });
        at
    }

    fn add_instance(&mut self, plan: &Plan, chance: &mut Chance) {
        match chance.below(11) {
            0 => self.add_sequence(plan, chance),
            1 => {
                let slot = self.slot(HUB, Program::FanOut(FanOut { width: small(chance.skewed(1, 40)) }));
                self.starter(plan, chance, slot, true);
            }
            2 => {
                let (fails, attempts) = (small(chance.below(4)), small(chance.between(1, 4)));
                let slot = self.slot(HUB, Program::Retry(Retry { fails, attempts }));
                self.starter(plan, chance, slot, true);
            }
            3 => self.add_collect(plan, chance),
            4 => self.add_heed(plan, chance),
            5 | 6 => self.add_decide(plan, chance),
            7 => self.add_tally(plan, chance),
            8 => self.add_late_reply(plan, chance),
            9 => self.add_sleep(plan, chance),
            _ => {
                let timer_ms = chance.skewed(1, plan.activity_max * 2 / MILLISECOND);
                let laps = small(chance.between(1, 4));
                let slot = self.slot(HUB, Program::Race(Race { timer_ms, laps }));
                self.starter(plan, chance, slot, true);
            }
        }
    }

    /// One that may be started over when it has ended, while late completions of its last life come in.
    fn add_sequence(&mut self, plan: &Plan, chance: &mut Chance) {
        let program = Sequence { steps: small(chance.between(1, 6)), salt: 100 };
        let slot = self.slot(HUB, Program::Sequence(program));
        let lives = if chance.one_in(2) { small(chance.between(1, 3)) } else { 1 };
        let mut steps = vec![pause(plan, chance)];
        for life in 0..lives {
            let over_running = life > 0 && chance.one_in(2);
            steps.push(Step::Call(What::Start { life, execution: String::new(), delay: 0, over_running }));
            if chance.one_in(3) {
                steps.extend([pause(plan, chance), Step::Call(What::Terminate)]);
            }
            let waits = life + 1 == lives || chance.one_in(2);
            steps.push(if waits { Step::Call(What::Wait) } else { pause(plan, chance) });
        }
        self.actor(slot, steps);
    }

    fn add_collect(&mut self, plan: &Plan, chance: &mut Chance) {
        let clients = chance.between(1, 3);
        let each = chance.between(1, 8);
        let want = small(clients * each) as usize;
        let every = small(chance.between(1, 5)) as usize;
        let slot = self.slot(HUB, Program::Collect(Collect { want, every, seen: Vec::new() }));
        self.starter(plan, chance, slot, true);
        for client in 0..clients {
            let mut steps = Vec::new();
            for number in 0..each {
                steps.push(pause(plan, chance));
                steps.push(Step::Call(What::Raise { name: "item", id: format!("{slot}-{client}-{number}") }));
            }
            self.actor(slot, steps);
        }
    }

    fn add_heed(&mut self, plan: &Plan, chance: &mut Chance) {
        let rounds = small(chance.between(1, 6)) as usize;
        let every = small(chance.between(1, 3)) as usize;
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
        self.actor(slot, steps);
    }

    fn add_decide(&mut self, plan: &Plan, chance: &mut Chance) {
        let timeout_ms = chance.skewed(10, plan.span * 2 / MILLISECOND);
        let program = Decide { timeout_ms, due: None, lingers: chance.one_in(2), comments: 0 };
        let slot = self.slot(HUB, Program::Decide(program));
        self.longest = self.longest.max(timeout_ms * MILLISECOND);
        self.starter(plan, chance, slot, true);
        for client in 0..chance.below(4) {
            let mut steps = Vec::new();
            for number in 0..chance.between(1, 3) {
                let what = *chance.pick(&["comment", "comment", "approve", "reject"]);
                let id = format!("{slot}-{client}-{number}");
                steps.extend(asks(plan, chance, "decide", &id, what));
            }
            self.actor(slot, steps);
        }
    }

    fn add_tally(&mut self, plan: &Plan, chance: &mut Chance) {
        let clients = chance.between(1, 3);
        let each = chance.between(1, 4);
        let want = small(clients * each) as usize;
        let every = small(chance.between(1, 4)) as usize;
        let slot = self.slot(HUB, Program::Tally(Tally { want, every, seen: Vec::new() }));
        self.starter(plan, chance, slot, true);
        for client in 0..clients {
            let mut steps = Vec::new();
            for number in 0..each {
                steps.extend(asks(plan, chance, "vote", &format!("{slot}-{client}-{number}"), "yes"));
            }
            self.actor(slot, steps);
        }
    }

    fn add_late_reply(&mut self, plan: &Plan, chance: &mut Chance) {
        let want = small(chance.between(1, 3)) as usize;
        let slot = self.slot(HUB, Program::LateReply(LateReply { want }));
        self.starter(plan, chance, slot, true);
        let mut steps = Vec::new();
        for number in 0..want {
            steps.extend(asks(plan, chance, "question", &format!("{slot}-0-{number}"), "what"));
        }
        self.actor(slot, steps);
    }

    fn add_sleep(&mut self, plan: &Plan, chance: &mut Chance) {
        let longest = if chance.one_in(8) { 30 * 60_000 } else { 60_000 };
        let naps_ms: Vec<u64> = (0..chance.between(1, 4)).map(|_| chance.skewed(1, longest)).collect();
        self.longest = self.longest.max(naps_ms.iter().sum::<u64>() * MILLISECOND);
        let slot = self.slot(HUB, Program::Sleep(Sleep { naps_ms }));
        self.starter(plan, chance, slot, true);
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
            self.actor(slot, steps);
        }
        let slot = self.slot(DOOMED, Program::Sequence(Sequence { steps: 2, salt: 40 }));
        let delete = if chance.one_in(2) { What::DeleteHub } else { What::EmptyHub };
        let mut steps = vec![pause(plan, chance), start(0, 0), pause(plan, chance), Step::Call(delete)];
        if chance.one_in(2) {
            steps.push(pause(plan, chance));
        }
        steps.extend([start(1, 0), Step::Call(What::Wait)]);
        self.actor(slot, steps);
    }

    /// Starts an instance, may terminate it, and waits for its end.
    fn starter(&mut self, plan: &Plan, chance: &mut Chance, slot: usize, may_stop: bool) {
        let delay = if chance.one_in(6) { chance.skewed(MILLISECOND, plan.span) } else { 0 };
        self.longest = self.longest.max(delay);
        let mut steps = vec![pause(plan, chance), start(0, delay)];
        if chance.one_in(6) {
            steps.push(Step::Call(What::WaitStart));
        }
        if may_stop && chance.one_in(8) {
            steps.extend([pause(plan, chance), Step::Call(What::Terminate)]);
        }
        steps.push(Step::Call(What::Wait));
        if chance.one_in(4) {
            // Somebody asks again, much later: it must be as it was.
            steps.extend([Step::Pause(chance.skewed(SECOND, 2 * plan.span)), Step::Call(What::Wait)]);
        }
        self.actor(slot, steps);
    }

    fn actor(&mut self, slot: usize, steps: Vec<Step>) {
        self.actors.push(Actor { slot, steps: steps.into() });
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

fn start(life: u32, delay: u64) -> Step {
    Step::Call(What::Start { life, execution: String::new(), delay, over_running: false })
}

fn pause(plan: &Plan, chance: &mut Chance) -> Step {
    Step::Pause(chance.skewed(plan.pace.0, plan.pace.1))
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("it is small")
}
