//! CompleteActivityTask: the first result of a pending scheduling is recorded, whoever brings it and in
//! whichever epoch it was handed out; later ones change nothing (DESIGN.md §3, "Completion tokens").

use placet_proto::durabletask::{TaskCompletedEvent, TaskFailedEvent, history_event::EventType};

use crate::body::MessageKind;
use crate::command::{CompleteActivity, Reply};
use crate::dispatch::ItemId;
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::rows::Write;
use crate::time::Now;
use crate::wire;

impl Partition {
    pub(crate) fn complete_activity(
        &mut self,
        now: Now,
        iid: Iid,
        completion: CompleteActivity,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        outcome.done.push(ItemId::Activity(self.id, iid, completion.seq));
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let pending = (completion.execution == instance.execution_digest())
            .then(|| instance.activities.remove(&completion.seq))
            .flatten();
        let Some(activity) = pending else {
            outcome.reply(call, Ok(Reply::Stale));
            return;
        };
        let task_scheduled_id = activity.pending.task_id;
        let response = completion.response;
        // The presence of the message decides, not its text: an exception may have none (PROTOCOL.md §7.3).
        let result = match response.failure_details {
            Some(details) => {
                EventType::TaskFailed(TaskFailedEvent { task_scheduled_id, failure_details: Some(details) })
            }
            None => EventType::TaskCompleted(TaskCompletedEvent { task_scheduled_id, result: response.result }),
        };
        outcome.writes.push(Write::DeleteActivity(iid, completion.seq));
        let at = instance.record_time(now);
        instance.receive(MessageKind::Result, wire::event(-1, at, result), None, outcome);
        outcome.reply(call, Ok(Reply::Done));
        self.conclude(iid, outcome);
    }
}
