//! FailTooLong: an item that is too long for the workers that it is sent: their streams break on it each time, and all that they held goes
//! with them. It fails, and says why (PROTOCOL.md §2.4); rewound, it is tried again.

use placet_proto::durabletask::{ActivityResponse, OrchestrationStatus};

use super::complete_turn::End;
use super::failure::failure;
use crate::command::CompleteActivity;
use crate::dispatch::ItemId;
use crate::ids::{Iid, Seq};
use crate::limits;
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::time::Now;

/// As its failure is called.
const TOO_LONG: &str = "WorkItemTooLong";

impl Partition {
    /// Fails an activity, or the instance whose turn it is.
    pub(crate) fn fail_too_long(&mut self, now: Now, iid: Iid, seq: Option<Seq>, bytes: usize, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let what = if seq.is_some() { "activity" } else { "turn" };
        let failure = failure(TOO_LONG, &why(what, bytes, self.limits.client_message_bytes));
        match seq {
            Some(seq) => {
                let response = ActivityResponse { failure_details: Some(failure), ..ActivityResponse::default() };
                let completion = CompleteActivity { seq, execution: instance.execution_digest(), response };
                self.complete_activity(now, iid, completion, None, outcome);
            }
            None if instance.is_terminal() => {}
            None => {
                (instance.out, instance.offered) = (None, false);
                outcome.done.push(ItemId::Turn(self.id, iid));
                let end = End { id: -1, status: OrchestrationStatus::Failed, output: None, failure: Some(failure) };
                self.end_without_worker(now, iid, end, None, outcome);
                self.conclude(iid, outcome);
            }
        }
    }
}

fn why(what: &str, bytes: usize, most: usize) -> String {
    let times = limits::BREAKS_MAX;
    format!(
        "this {what} has {bytes} bytes as it is sent to a worker, and the worker's stream broke each of {times} times: clients of \
         gRPC take {most} bytes in a message, unless their channel is told to take more \
         (grpc.max_receive_message_length, maxInboundMessageSize, MaxReceiveMessageSize). Raise that and rewind the instance, \
         or keep payloads elsewhere and continue as new"
    )
}
