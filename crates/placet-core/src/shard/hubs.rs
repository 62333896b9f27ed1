//! Making and deleting task hubs. What belongs to no instance is written by the partition of its key's hash: a
//! hub by that of its name.

use crate::command::Reply;
use crate::ids::{CallId, Hub, InstanceId, InstanceKey, PartitionId};
use crate::outcome::Effect;
use crate::rows::Write;
use crate::time::Now;

use super::{Output, Shard};

impl Shard {
    pub(super) fn create_hub(&mut self, now: Now, call: CallId, hub: &Hub, again: bool, outputs: &mut Vec<Output>) {
        if again {
            self.drop_hub(now, hub, outputs);
        }
        self.outcome.writes.push(Write::CreateHub(hub.clone()));
        self.outcome.reply(Some(call), Ok(Reply::Done));
        self.follow(now, home(hub), outputs);
    }

    pub(super) fn delete_hub(&mut self, now: Now, call: CallId, hub: &Hub, outputs: &mut Vec<Output>) {
        self.drop_hub(now, hub, outputs);
        self.outcome.reply(Some(call), Ok(Reply::Done));
        self.follow(now, home(hub), outputs);
    }

    /// Every partition forgets the hub's instances; the store then deletes the hub with all that is in it.
    /// Until that is durable nothing of the hub is read again, which would bring back what was deleted: what is not in
    /// memory is not there.
    fn drop_hub(&mut self, now: Now, hub: &Hub, outputs: &mut Vec<Output>) {
        self.let_go_of_hub(now, hub, outputs);
        for id in PartitionId::all() {
            self.at_partition(now, id, outputs, |partition, outcome| partition.drop_hub(hub, outcome));
        }
        self.dispatch.unqueue_hub(hub);
        self.outcome.writes.push(Write::DeleteHub(hub.clone()));
        self.outcome.effects.push(Effect::HubDeleted(hub.clone()));
        self.follow(now, home(hub), outputs);
    }

    /// The deletion is durable, or it came to nothing: the store is asked again.
    pub(super) fn hub_deleted(&mut self, hub: &Hub, durable: bool) {
        for partition in &mut self.partitions {
            partition.hub_deletion_ends(hub, durable);
        }
        if durable && self.virtual_time.is_some() {
            // Its timers are none to go to.
            self.timers.reset();
        }
    }
}

fn home(hub: &Hub) -> PartitionId {
    InstanceKey::new(hub.clone(), InstanceId::new("")).partition()
}
