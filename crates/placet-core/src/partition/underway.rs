//! Decisions whose rows are being written ahead ([`crate::shard`]): what else concerns their instances waits behind them, since it would be
//! decided from what is not in the batch before it.

use crate::command::Command;
use crate::ids::{Hub, Iid, InstanceKey};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Lookup;

use super::Partition;

/// What a decision that waits for its rows concerns here.
#[derive(Debug)]
pub(crate) struct Underway {
    /// The decision.
    pub(crate) number: u64,
    /// The instances that it changes or deletes.
    pub(crate) iids: Vec<Iid>,
    /// How clients name those of them that it deletes.
    pub(crate) keys: Vec<InstanceKey>,
    /// What waits for it.
    pub(crate) commands: Vec<Command>,
}

impl Partition {
    /// Behind which decision a command has to wait, if something that concerns its instance is underway.
    #[inline]
    pub(super) fn waits_behind(&self, command: &Command) -> Option<usize> {
        if self.underway.is_empty() || planted::is(Plant::UnderwayOvertaken) {
            return None;
        }
        self.underway_at(&command.target)
    }

    /// It waits there.
    pub(super) fn wait_behind(&mut self, at: usize, command: Command) {
        reach(Corner::WaitedForAhead);
        self.underway[at].commands.push(command);
    }

    /// The decision underway that concerns this instance.
    pub(crate) fn underway_of(&self, target: &Lookup) -> Option<u64> {
        Some(self.underway[self.underway_at(target)?].number)
    }

    fn underway_at(&self, target: &Lookup) -> Option<usize> {
        if self.underway.is_empty() {
            return None;
        }
        let (iid, key) = match target {
            Lookup::Key(key) => (self.keys.get(key), Some(key)),
            Lookup::Iid(iid) => (Some(iid), None),
        };
        let is_meant = |underway: &Underway| {
            iid.is_some_and(|iid| underway.iids.contains(iid)) || key.is_some_and(|key| underway.keys.contains(key))
        };
        self.underway.iter().position(is_meant)
    }

    /// A decision waits for its rows. `gone`: how clients name one that it may delete.
    pub(crate) fn goes_underway(&mut self, number: u64, iids: impl Iterator<Item = Iid>, gone: Option<InstanceKey>) {
        let at = self.underway.iter().position(|underway| underway.number == number).unwrap_or_else(|| {
            self.underway.push(Underway { number, iids: Vec::new(), keys: Vec::new(), commands: Vec::new() });
            self.underway.len() - 1
        });
        let underway = &mut self.underway[at];
        underway.keys.extend(gone);
        for iid in iids {
            if !underway.iids.contains(&iid) {
                underway.iids.push(iid);
            }
        }
    }

    /// It is underway no longer: what waited for it, in order.
    pub(crate) fn arrives(&mut self, number: u64) -> Vec<Command> {
        let at = self.underway.iter().position(|underway| underway.number == number);
        at.map(|at| self.underway.remove(at).commands).unwrap_or_default()
    }

    /// The hub of the first of these instances that is in memory.
    pub(crate) fn hub_of_any(&self, mut iids: impl Iterator<Item = Iid>) -> Option<Hub> {
        iids.find_map(|iid| self.hub_of(iid))
    }
}
