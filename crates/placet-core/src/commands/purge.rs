//! PurgeInstances, one instance: it is deleted with its history, if it has ended (PROTOCOL.md §4); and the same by itself,
//! once it has been kept for as long as it was to be.

use crate::command::{Expiry, Reply};
use crate::dispatch::RESERVED_PREFIX;
use crate::ids::{CallId, Iid};
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Write;
use crate::time::Now;

impl Partition {
    /// What it has yet to tell others is told first: its parent may be on its way into memory.
    pub(crate) fn purge(&mut self, iid: Iid, call: Option<CallId>, outcome: &mut Outcome) {
        let instance = self.instances.get(&iid).expect("it is in memory");
        if !instance.is_terminal() {
            outcome.reply(call, Ok(Reply::Nothing));
            return;
        }
        if instance.outbox.is_empty() || planted::is(Plant::PurgedUntold) {
            self.delete_for_good(iid, outcome);
            outcome.reply(call, Ok(Reply::Done));
        } else if let Some(call) = call {
            reach(Corner::PurgeWaited);
            self.purgers.entry(instance.key.clone()).or_default().push(call);
        }
    }

    /// Nobody waits for it: an instance that has yet to tell others something stays, as does one that ended another time than
    /// was thought, since it has been rewound or started over.
    pub(crate) fn expire(
        &mut self,
        now: Now,
        iid: Iid,
        Expiry { ended_at, kept_for }: Expiry,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get(&iid).expect("it is in memory");
        let is_meant = instance.is_terminal() && instance.completed_at == Some(ended_at);
        if is_meant && now.wall.since(ended_at) >= kept_for && instance.outbox.is_empty() {
            self.delete_for_good(iid, outcome);
            outcome.reply(call, Ok(Reply::Done));
        } else {
            outcome.reply(call, Ok(Reply::Nothing));
        }
    }

    /// Goes on with those who wait until all is told.
    pub(crate) fn purge_told(&mut self, iid: Iid, outcome: &mut Outcome) {
        let Some(instance) = self.instances.get(&iid).filter(|instance| instance.outbox.is_empty()) else { return };
        let Some(calls) = self.purgers.remove(&instance.key) else { return };
        let deleted = instance.is_terminal();
        if deleted {
            self.delete_for_good(iid, outcome);
        }
        for (place, call) in calls.into_iter().enumerate() {
            let reply = if deleted && place == 0 { Reply::Done } else { Reply::Nothing };
            outcome.reply(Some(call), Ok(reply));
        }
    }

    /// Deletes an instance with all that it has, and what it has published, which stays when one only gives way to another of
    /// its id.
    fn delete_for_good(&mut self, iid: Iid, outcome: &mut Outcome) {
        let gone = self.delete_instance(iid, outcome);
        if gone.name.starts_with(RESERVED_PREFIX) {
            outcome.writes.push(Write::Withdraw(gone.key));
        }
    }
}
