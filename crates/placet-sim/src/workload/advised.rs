//! Instances whose clients know nothing of them but what they are told when they ask why they wait.

use super::{HUB, Step, Workload, many, pause, small, start};
use crate::chance::Chance;
use crate::expectations::Program;
use crate::facts::What;
use crate::plan::{MILLISECOND, Plan};
use crate::programs::{ADVISED_EVENTS, Advised, Child, Need};

/// The most that one needs.
const NEEDS: u64 = 6;

/// The longest nap, in milliseconds.
const NAP_MS: u64 = 20_000;

impl Workload {
    /// One that a client brings to its end by doing what he is told, while others let it rest and never resume it.
    pub(super) fn add_advised(&mut self, plan: &Plan, chance: &mut Chance) {
        let slot = self.slot(HUB, Program::Advised(Advised { needs: Vec::new() }));
        let needs = self.draw_needs(plan, chance, slot, true);
        let work = needs.len() as u64;
        self.slots[slot].program = Program::Advised(Advised { needs });
        let delay = if chance.one_in(4) { chance.skewed(MILLISECOND, NAP_MS * MILLISECOND) } else { 0 };
        self.actor(plan, slot, vec![pause(plan, chance), start(0, delay), Step::Follow]);
        if chance.one_in(3) {
            self.actor(plan, slot, vec![pause(plan, chance), Step::Call(What::Suspend)]);
        }
        self.least += work;
    }

    fn draw_needs(&mut self, plan: &Plan, chance: &mut Chance, slot: usize, may_have_child: bool) -> Vec<Need> {
        let mut needs = Vec::new();
        for _ in 0..chance.between(1, NEEDS.min(many(plan))) {
            let nap = chance.skewed(1, NAP_MS);
            let name = |chance: &mut Chance| (*chance.pick(&ADVISED_EVENTS)).to_owned();
            needs.push(match chance.below(if may_have_child { 7 } else { 6 }) {
                0 | 1 => Need::Event(name(chance)),
                2 => Need::OneOf(name(chance), name(chance)),
                3 => Need::EventWithin(name(chance), nap),
                4 => Need::Nap(nap),
                5 => Need::Activity,
                _ => Need::Child(self.advised_child(plan, chance, slot)),
            });
            self.longest = self.longest.max(small(needs.len() as u64) as u64 * NAP_MS * MILLISECOND);
        }
        needs
    }

    fn advised_child(&mut self, plan: &Plan, chance: &mut Chance, parent: usize) -> Child {
        let child = self.child(parent, Program::Advised(Advised { needs: Vec::new() }));
        let input = Advised { needs: self.draw_needs(plan, chance, child, false) };
        self.slots[child].program = Program::Advised(input.clone());
        let id = self.slots[child].id.clone();
        let name = self.slots[child].program.name().to_owned();
        Child { id, name, input: serde_json::to_value(input).expect("plain fields") }
    }
}
