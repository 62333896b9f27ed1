//! Why an instance waits: what the core knows of it beside what its partition does. A child that it waits for is looked at,
//! too, and that one's children are not.

use crate::command::{Command, CommandKind, Reply};
use crate::ids::{CallId, InstanceKey, PartitionId};
use crate::outcome::{Outcome, Question};
use crate::rows::Lookup;
use crate::time::Now;
use crate::why::{Around, Cause, ChildWait, Explanation, explain};

use super::{Output, Shard};

/// A child to be looked at for a call, and what its parent was explained to wait for.
pub(super) type ChildQuestion = (CallId, InstanceKey, Explanation);

impl Shard {
    /// Answers questions about instances of this partition, once what the answers tell of is durable; those that are to be
    /// put to a child are given back.
    pub(super) fn explain_all(&self, now: Now, partition: PartitionId, outcome: &mut Outcome) -> Vec<ChildQuestion> {
        let mut about_children = Vec::new();
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
                    about_children.push((call, InstanceKey::new(why.hub.clone(), id.clone()), why));
                }
                (_, None) => outcome.reply(Some(call), Ok(Reply::Why(Box::new(why)))),
            }
        }
        about_children
    }

    pub(super) fn ask_child(&mut self, now: Now, (call, child, parent): ChildQuestion, outputs: &mut Vec<Output>) {
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
