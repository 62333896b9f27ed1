//! CompleteActivityTask: the first result of a pending scheduling is recorded, whoever brings it and in
//! whichever epoch it was handed out; later ones change nothing (DESIGN.md §3, "Completion tokens").

use placet_proto::durabletask::{ActivityResponse, TaskCompletedEvent, TaskFailedEvent, history_event::EventType};

use super::failure::readable;
use crate::body::{MessageKind, PendingActivity};
use crate::command::{CompleteActivity, Refusal, Reply};
use crate::dispatch::{ItemId, RESERVED_PREFIX};
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::{Partition, activity_bytes};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Write;
use crate::time::Now;

impl Partition {
    /// The result of an activity whose worker does not say of which scheduling it is. An action's id may be used more than
    /// once: it is taken for that of the oldest.
    pub(crate) fn end_activity(
        &mut self,
        now: Now,
        iid: Iid,
        response: ActivityResponse,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get(&iid).expect("it is in memory");
        let mut pending = instance.activities.iter();
        // The built-in worker names its token: whoever does not is not it.
        let is_it = |pending: &PendingActivity| {
            pending.task_id == response.task_id && !pending.name.starts_with(RESERVED_PREFIX)
        };
        let Some((seq, _)) = pending.find(|(_, pending)| is_it(pending)) else {
            outcome.reply(call, Ok(Reply::Stale));
            return;
        };
        let completion = CompleteActivity { seq: *seq, execution: instance.execution_digest(), response };
        self.complete_activity(now, iid, completion, call, outcome);
    }

    pub(crate) fn complete_activity(
        &mut self,
        now: Now,
        iid: Iid,
        completion: CompleteActivity,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let meant = completion.execution == instance.execution_digest();
        let pending = meant && instance.activities.contains_key(&completion.seq);
        let named = &completion.response.instance_id;
        if pending && !named.is_empty() && named != instance.key.id.as_str() {
            let what =
                format!("instanceId: {named:?}, and its completion token is of an activity of {:?}", instance.key.id);
            outcome.reply(call, Err(Refusal::InvalidArgument(what)));
            return;
        }
        if pending && !instance.is_terminal() && instance.inbox_bytes > 2 * self.limits.inbox_bytes {
            reach(Corner::InboxFullForResult);
            // It runs again later: results that nobody takes must not fill the memory.
            outcome.given_back.push(ItemId::Activity(self.id, iid, completion.seq));
            outcome.reply(call, Err(Refusal::inbox_full()));
            return;
        }
        if meant || !instance.activities.contains_key(&completion.seq) {
            // Else its key was given again, and another worker has the activity that is called so now.
            outcome.done.push(ItemId::Activity(self.id, iid, completion.seq));
        }
        let pending = meant.then(|| instance.activities.remove(&completion.seq)).flatten();
        if planted::is(Plant::ResultRecordedTwice) {
            instance.activities.extend(pending.clone().map(|activity| (completion.seq, activity)));
        }
        let Some(activity) = pending else {
            outcome.reply(call, Ok(Reply::Stale));
            return;
        };
        instance.activity_bytes -= activity_bytes(&activity);
        outcome.writes.push(Write::DeleteActivity(iid, completion.seq));
        if instance.is_terminal() {
            // It was begun by the last turn: nobody waits for its result (PROTOCOL.md §6.5).
            reach(Corner::ResultAfterEnd);
            outcome.reply(call, Ok(Reply::Done));
            self.conclude(iid, outcome);
            return;
        }
        let task_scheduled_id = activity.task_id;
        let response = completion.response;
        // The presence of the message decides, not its text: an exception may have none (PROTOCOL.md §7.3).
        let result = match response.failure_details {
            Some(details) => {
                EventType::TaskFailed(TaskFailedEvent { task_scheduled_id, failure_details: Some(readable(details)) })
            }
            None => EventType::TaskCompleted(TaskCompletedEvent { task_scheduled_id, result: response.result }),
        };
        let at = instance.record_time(now);
        instance.receive(MessageKind::Result, at, result, None, outcome);
        outcome.reply(call, Ok(Reply::Done));
        self.conclude(iid, outcome);
    }
}
