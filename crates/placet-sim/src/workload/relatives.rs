//! Instances that have to do with each other: families, and those that send events.

use serde_json::Value;

use super::{HUB, Slot, Step, Workload, again_and_again, many, pause, small};
use crate::chance::Chance;
use crate::expectations::Program;
use crate::facts::What;
use crate::plan::Plan;
use crate::programs::{Child, Collect, Family, Retry, Sequence, Teller, told_id};

/// So deep children may have children.
const GENERATIONS: u32 = 2;

/// The most children at a time.
const CHILDREN: u64 = 8;

/// The most events that one instance sends: all of them may have to wait with it.
const TOLD: u64 = 10;

/// What an instance would run that cannot be.
const BUSY: &str = "busy";

impl Workload {
    /// A parent whose children end, fail, or cannot be started; some of them are deleted or ended by others.
    pub(super) fn add_family(&mut self, plan: &Plan, chance: &mut Chance) {
        let slot = self.slot(HUB, Program::Family(Family { children: Vec::new(), at_once: false, strict: false }));
        let mut family = self.draw_family(plan, chance, slot, GENERATIONS);
        let work = family.children.len() as u64;
        // Nobody ends it then: its child would take its place.
        let has_itself = chance.one_in(4);
        if has_itself {
            family.children.insert(0, self.itself(slot));
        }
        self.slots[slot].program = Program::Family(family);
        if has_itself {
            self.starter(plan, chance, slot, false);
            self.least += work;
        } else {
            self.runs(plan, chance, slot, work);
        }
    }

    fn draw_family(&mut self, plan: &Plan, chance: &mut Chance, parent: usize, generations: u32) -> Family {
        let mut children = Vec::new();
        for _ in 0..chance.skewed(1, CHILDREN) {
            let child = self.draw_child(plan, chance, parent, generations);
            children.push(child);
        }
        let at_once = chance.one_in(2);
        if !at_once && chance.one_in(4) {
            // The same again, in the place of the one that has ended. (Its own children may go on if somebody ended it.)
            children.extend(children.last().filter(|child| child.name != "family").cloned());
        }
        Family { children, at_once, strict: false }
    }

    /// A child with the id of its parent: it cannot be.
    fn itself(&self, parent: usize) -> Child {
        Child { id: self.slots[parent].id.clone(), name: BUSY.to_owned(), input: Value::Null }
    }

    fn draw_child(&mut self, plan: &Plan, chance: &mut Chance, parent: usize, generations: u32) -> Child {
        let (program, input) = match chance.below(if generations > 1 { 5 } else { 4 }) {
            0..=2 => {
                let input = Sequence { steps: small(chance.skewed(1, many(plan) / 4)), salt: 7 };
                (Program::Sequence(input.clone()), serde_json::to_value(input))
            }
            3 => {
                let input = Retry { fails: small(chance.below(3)), attempts: small(chance.between(1, 3)) };
                (Program::Retry(input.clone()), serde_json::to_value(input))
            }
            _ => {
                let slot =
                    self.child(parent, Program::Family(Family { children: Vec::new(), at_once: true, strict: false }));
                let family = self.draw_family(plan, chance, slot, generations - 1);
                self.slots[slot].program = Program::Family(family.clone());
                return self.as_child(plan, chance, slot, serde_json::to_value(family).expect("plain fields"));
            }
        };
        let slot = self.child(parent, program);
        self.as_child(plan, chance, slot, input.expect("plain fields"))
    }

    fn as_child(&mut self, plan: &Plan, chance: &mut Chance, slot: usize, input: Value) -> Child {
        let steps = match chance.below(6) {
            0 => again_and_again(plan, chance, &What::Purge),
            1 => vec![pause(plan, chance), Step::Call(What::Terminate { recurse: chance.one_in(2) })],
            _ => Vec::new(),
        };
        self.actor(plan, slot, steps);
        if chance.one_in(8) {
            self.rests(plan, chance, slot);
        }
        let Slot { id, program, .. } = &self.slots[slot];
        Child { id: id.clone(), name: program.name().to_owned(), input }
    }

    pub(super) fn child(&mut self, parent: usize, program: Program) -> usize {
        let slot = self.slot(HUB, program);
        self.slots[slot].parent = Some(parent);
        self.slots[slot].fades = true;
        slot
    }

    /// Something that fails, alone or as somebody's child, is repaired, and tries again.
    pub(super) fn add_mend(&mut self, plan: &Plan, chance: &mut Chance) {
        let mend = |chance: &mut Chance| Sequence { steps: small(chance.skewed(1, many(plan) / 4)), salt: 3 };
        let slot = if chance.one_in(2) {
            let program = Program::Mend(mend(chance));
            self.slot(HUB, program)
        } else {
            let slot = self.slot(HUB, Program::Family(Family { children: Vec::new(), at_once: false, strict: true }));
            let mut children = Vec::new();
            for _ in 0..chance.between(1, 4) {
                let input = mend(chance);
                let child = self.child(slot, Program::Mend(input.clone()));
                let id = self.slots[child].id.clone();
                let input = serde_json::to_value(input).expect("plain fields");
                children.push(Child { id, name: "mend".to_owned(), input });
            }
            let at_once = chance.one_in(2);
            self.slots[slot].program = Program::Family(Family { children, at_once, strict: true });
            slot
        };
        self.starter(plan, chance, slot, false);
        let steps = [pause(plan, chance), Step::Call(What::Rewind), Step::Call(What::Wait)];
        // After he has seen that it failed.
        let client = self.actors.last_mut().expect("it was just added");
        client.steps.extend(steps);
        self.least += 2;
    }

    /// One that starts another and tells it things.
    pub(super) fn add_teller(&mut self, plan: &Plan, chance: &mut Chance) {
        let told = chance.skewed(1, TOLD);
        let said = chance.below(3);
        let slot = self.slot(
            HUB,
            Program::Teller(Teller {
                to: String::new(),
                listener: Collect { want: 0, every: 0, seen: Vec::new() },
                ids: Vec::new(),
                at_once: 0,
            }),
        );
        let want = small(told + said) as usize;
        let every = small(chance.skewed(1, (want as u64).max(5))) as usize;
        let collect = Collect { want, every, seen: Vec::new() };
        let listener = self.child(slot, Program::Collect(collect.clone()));
        let ids: Vec<String> = (0..told).map(|number| told_id(listener, number)).collect();
        // What is said to it before it is there is said again.
        self.slots[listener].fades = false;
        self.slots[listener].hears.clone_from(&ids);
        let at_once = small(chance.skewed(1, told)) as usize;
        let to = self.slots[listener].id.clone();
        self.slots[slot].program = Program::Teller(Teller { to, listener: collect, ids, at_once });
        self.starter(plan, chance, slot, false);
        let mut steps = Vec::new();
        for number in 0..said {
            steps.push(pause(plan, chance));
            steps.push(Step::Call(What::Raise { name: "item", id: format!("{listener}-0-{number}") }));
        }
        self.actor(plan, listener, steps);
    }
}
