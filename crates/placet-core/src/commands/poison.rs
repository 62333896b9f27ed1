//! Work that fails its worker again and again is set aside until somebody puts it back by hand.

use prost::Message as _;

use crate::command::Reply;
use crate::dispatch::ItemId;
use crate::ids::{CallId, Iid, Seq};
use crate::outcome::{Effect, Outcome};
use crate::partition::Partition;
use crate::reach::{Corner, reach};
use crate::rows::{ActivityRow, Write};
use crate::time::Now;

impl Partition {
    /// Sets an activity aside, or the instance's turns.
    pub(crate) fn set_aside(&mut self, now: Now, iid: Iid, seq: Option<Seq>, outcome: &mut Outcome) {
        outcome.effects.push(Effect::SetAside(ItemId::of(self.id, iid, seq)));
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        match seq {
            Some(seq) => {
                let Some(activity) = instance.activities.get_mut(&seq) else { return };
                reach(Corner::ActivitySetAside);
                activity.poisoned = true;
                let data = activity.encode_to_vec().into();
                outcome.writes.push(Write::UpdateActivity(ActivityRow { iid, seq, data }));
            }
            None => {
                reach(Corner::TurnSetAside);
                instance.out = None;
                instance.offered = false;
                instance.body.poisoned = true;
                let at = instance.record_time(now);
                instance.touch(at);
                if instance.terminating {
                    // No worker can be asked any more.
                    self.end_terminated(now, iid, outcome);
                }
            }
        }
        self.conclude(iid, outcome);
    }

    /// Puts all that was set aside of an instance back to work.
    pub(crate) fn retry_poisoned(&mut self, now: Now, iid: Iid, call: Option<CallId>, outcome: &mut Outcome) {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        let mut retried = 0;
        if std::mem::take(&mut instance.body.poisoned) {
            retried += 1;
            let at = instance.record_time(now);
            instance.touch(at);
        }
        let mut back = Vec::new();
        for (seq, activity) in &mut instance.activities {
            if std::mem::take(&mut activity.poisoned) {
                retried += 1;
                let data = activity.encode_to_vec().into();
                outcome.writes.push(Write::UpdateActivity(ActivityRow { iid, seq: *seq, data }));
                back.push((*seq, activity.clone()));
            }
        }
        for (seq, pending) in back {
            outcome.ready.push(instance.activity_spec(self.id, seq, &pending));
        }
        outcome.reply(call, Ok(Reply::Retried(retried)));
        self.conclude(iid, outcome);
    }
}
