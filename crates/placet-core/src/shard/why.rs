//! Why an instance waits: what the core knows of it beside what its partition does. A child that it waits for is looked at,
//! too, and that one's children are not.

use crate::command::{Command, CommandKind, Reply};
use crate::ids::{InstanceKey, PartitionId};
use crate::outcome::{ChildQuestion, Effect, Outcome, Question};
use crate::rows::Lookup;
use crate::time::Now;
use crate::why::{Around, Cause, ChildWait, explain};

use super::{Output, Shard};

impl Shard {
    /// Answers questions about instances of this partition, or puts them to a child, once what the answers tell of is durable.
    pub(super) fn explain_all(&self, now: Now, partition: PartitionId, outcome: &mut Outcome) {
        for Question { call, iid, parent } in std::mem::take(&mut outcome.questions) {
            let here = &self.partitions[partition.index()];
            let instance = here.instances.get(&iid).expect("it was just in memory");
            let why = explain(instance, &self.around(now, partition));
            match (&why.cause, parent) {
                (_, Some(parent)) => {
                    let whole = parent.with_child(ChildWait::Known(Box::new(why)));
                    outcome.reply(Some(call), Ok(Reply::Why(Box::new(whole))));
                }
                (Cause::Child { id, .. }, None) => {
                    let child = InstanceKey::new(why.hub.clone(), id.clone());
                    outcome.effects.push(Effect::AskChild(Box::new(ChildQuestion { call, child, parent: why })));
                }
                (_, None) => outcome.reply(Some(call), Ok(Reply::Why(Box::new(why)))),
            }
        }
    }

    pub(super) fn ask_child(&mut self, now: Now, question: ChildQuestion, outputs: &mut Vec<Output>) {
        let ChildQuestion { call, child, parent } = question;
        let partition = child.partition();
        let kind = CommandKind::Why(Some(Box::new(parent)));
        let command = Command { target: Lookup::Key(child), kind, call: Some(call) };
        self.handle_command(now, partition, command, outputs);
    }

    fn around(&self, now: Now, partition: PartitionId) -> Around<'_> {
        Around {
            now,
            partition,
            limits: &self.limits,
            dispatch: &self.dispatch,
            doubt: self.clock.doubt(),
            disk_full: self.refuse_until.is_some(),
            congested: self.is_congested(),
            is_virtual: self.virtual_time.is_some(),
        }
    }
}
