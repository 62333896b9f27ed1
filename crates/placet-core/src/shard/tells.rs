//! Messages between instances: found for the one, taken from the other, in one step.

use std::time::Duration;

use crate::command::{Command, CommandKind, Tell};
use crate::commands::Heard;
use crate::limits;
use crate::reach::{Corner, reach};
use crate::rows::Lookup;
use crate::time::{Mono, Now};

use super::{Output, Shard};

impl Shard {
    /// Looks for the one who is to be told: what he hears is decided once he is in memory, or known not to exist.
    pub(super) fn tell(&mut self, now: Now, tell: Tell, outputs: &mut Vec<Output>) {
        let partition = tell.to.partition();
        let command = Command { target: Lookup::Key(tell.to.clone()), kind: CommandKind::Hear(tell), call: None };
        self.handle_command(now, partition, command, outputs);
    }

    /// He can hear it now.
    pub(super) fn hear(&mut self, now: Now, tell: Tell, exists: bool, outputs: &mut Vec<Output>) {
        let (from, to) = (tell.from.0, tell.to.partition());
        if self.tells_behind(&tell) {
            return;
        }
        if exists && self.partitions[to.index()].hot_iid(&Lookup::Key(tell.to.clone())).is_none() {
            return self.tell(now, tell, outputs); // it left memory meanwhile
        }
        let Some(told) = self.partitions[from.index()].to_be_told(&tell) else {
            reach(Corner::ToldInVain);
            return;
        };
        let mut heard =
            self.at_partition(now, to, outputs, |partition, outcome| partition.hear(now, &tell.to, told, outcome));
        self.join(tell.from);
        if let Heard::Refused(result) = heard {
            let iid = tell.from.1;
            heard = self.at_partition(now, from, outputs, |p, outcome| p.child_ended(now, iid, result, outcome));
            self.join(tell.from);
        }
        if matches!(heard, Heard::Later) {
            reach(Corner::ToldLater);
            self.tell_later(now, tell, limits::REFUSE_AFTER_FAILURE);
            return;
        }
        self.at_partition(now, from, outputs, |partition, outcome| partition.is_told(&tell, outcome));
        self.part();
    }

    pub(super) fn tell_later(&mut self, now: Now, tell: Tell, after: Duration) {
        self.tells_due.push((now.mono.after(after), tell));
    }

    pub(super) fn next_tell(&self) -> Option<Mono> {
        self.tells_due.iter().map(|(due, _)| *due).min()
    }

    /// Tells what found no room before.
    pub(super) fn tell_again(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let due: Vec<_> = self.tells_due.extract_if(.., |(due, _)| *due <= now.mono).collect();
        for (_, tell) in due {
            self.tell(now, tell, outputs);
        }
    }
}
