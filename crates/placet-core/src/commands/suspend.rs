//! SuspendInstance, ResumeInstance: the worker is told by a message like any other, and what has come since waits until
//! the end of the suspension, while timers and activities go on (PROTOCOL.md §4).

use placet_proto::durabletask::{ExecutionResumedEvent, ExecutionSuspendedEvent, history_event::EventType};

use crate::body::MessageKind;
use crate::command::{Reply, Suspend};
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::time::Now;

impl Partition {
    /// What is suspended already, or not at all, stays as it is.
    pub(crate) fn suspend(
        &mut self,
        now: Now,
        iid: Iid,
        suspend: Suspend,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        outcome.reply(call, Ok(Reply::Done));
        if instance.is_terminal() || instance.will_be_suspended() != suspend.resume {
            return;
        }
        let at = instance.record_time(now);
        let input = suspend.reason;
        let (kind, event) = if suspend.resume {
            (MessageKind::Resumed, EventType::ExecutionResumed(ExecutionResumedEvent { input }))
        } else {
            (MessageKind::Suspended, EventType::ExecutionSuspended(ExecutionSuspendedEvent { input }))
        };
        instance.receive(kind, at, event, None, outcome);
        self.conclude(iid, outcome);
    }
}
