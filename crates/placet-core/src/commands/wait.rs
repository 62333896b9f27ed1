//! WaitForInstanceStart, WaitForInstanceCompletion: a waiter in memory, no row and no poll.
//!
//! What is told is held until it is durable, like every reply: so a hot instance may be asked though its
//! latest state is not committed yet.

use std::cell::LazyCell;

use placet_proto::durabletask::OrchestrationStatus;

use crate::command::{Reply, WaitFor};
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::{Instance, Partition, Waiter};

impl Partition {
    pub(crate) fn wait(&mut self, iid: Iid, what: WaitFor, call: Option<CallId>, outcome: &mut Outcome) {
        let instance = self.instances.get(&iid).expect("it is in memory");
        let Some(call) = call else { return };
        if instance.has_come_to(what) {
            outcome.reply(Some(call), Ok(Reply::Instance(Some(instance.view()))));
        } else {
            self.waiters.entry(instance.key.clone()).or_default().push(Waiter { call, what });
        }
    }

    /// Tells those whose wait is over. All of them are told one and the same: they may be many, and what is told long.
    pub(crate) fn wake_waiters(&mut self, iid: Iid, outcome: &mut Outcome) {
        let Some(instance) = self.instances.get(&iid) else { return };
        let Some(waiters) = self.waiters.get_mut(&instance.key) else { return };
        let view = LazyCell::new(|| instance.view());
        waiters.retain(|waiter| {
            let over = instance.has_come_to(waiter.what);
            if over {
                outcome.reply(Some(waiter.call), Ok(Reply::Instance(Some(view.clone()))));
            }
            !over
        });
        if waiters.is_empty() {
            self.waiters.remove(&instance.key);
        }
    }
}

impl Instance {
    fn has_come_to(&self, what: WaitFor) -> bool {
        match what {
            WaitFor::Start => self.status != OrchestrationStatus::Pending,
            WaitFor::Completion => self.is_terminal(),
        }
    }
}
