//! StartInstance: a new instance, or a new life of an id (PROTOCOL.md §4).

use std::cell::LazyCell;

use placet_proto::durabletask::{
    ExecutionStartedEvent, OrchestrationInstance, OrchestrationStatus, history_event::EventType,
};

use super::failure::passing_failure;
use crate::body::{InstanceBody, MessageKind};
use crate::command::{Asked, Refusal, Reply, StartInstance, is_terminal, status_name};
use crate::dispatch::{CONTINUED_TAG, RESERVED_PREFIX};
use crate::ids::{CallId, Iid, InstanceKey, Seq};
use crate::limits;
use crate::outcome::{Effect, Outcome};
use crate::partition::{Instance, Outbound, Partition};
use crate::planted::{self, Plant};
use crate::rows::Write;
use crate::time::{Now, Timestamp};
use crate::wire;

/// What can be said against a start before anything is known of the instance.
///
/// # Errors
/// [`Refusal::InvalidArgument`], naming the field.
pub(crate) fn check_start(key: &InstanceKey, start: &StartInstance) -> Result<(), Refusal> {
    let id = key.id.as_str();
    let refuse = |what: String| Err(Refusal::InvalidArgument(what));
    if start.name.is_empty() {
        return refuse("name: must not be empty".into());
    }
    if start.tags.contains_key(CONTINUED_TAG) {
        return refuse(format!("tags: {CONTINUED_TAG} is the scheduler's own"));
    }
    let tags = start.tags.iter().map(|(key, value)| key.len() + value.len());
    let bytes = tags.chain([start.name.len(), start.version.as_ref().map_or(0, String::len)]).sum::<usize>();
    if bytes > limits::START_BYTES_MAX {
        let most = limits::START_BYTES_MAX;
        return refuse(format!("name, version, tags: {bytes} bytes together, {most} at most"));
    }
    if id.chars().count() > limits::INSTANCE_ID_CHARS_MAX {
        return refuse(format!("instanceId: longer than {} characters", limits::INSTANCE_ID_CHARS_MAX));
    }
    if id.starts_with('@') {
        return refuse("instanceId: ids that begin with '@' are entities'".into());
    }
    if id.chars().any(char::is_control) {
        return refuse("instanceId: must not contain control characters".into());
    }
    let reuse = start.reuse.as_deref().unwrap_or_default();
    let live = [OrchestrationStatus::Running, OrchestrationStatus::Pending, OrchestrationStatus::Suspended];
    if reuse.iter().any(|status| live.contains(status)) && !reuse.contains(&OrchestrationStatus::Terminated) {
        return refuse(
            "Invalid reusable statuses: cannot exclude 'Terminated' while also allowing reuse of running instances"
                .into(),
        );
    }
    Ok(())
}

impl Partition {
    pub(crate) fn create(
        &mut self,
        now: Now,
        key: InstanceKey,
        start: StartInstance,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let id = key.id.clone();
        self.begin_life(now, key, start, Vec::new(), outcome);
        outcome.reply(call, Ok(Reply::Started(id)));
    }

    /// Makes an instance. `left` is what an earlier life of its id had yet to tell others.
    pub(crate) fn begin_life(
        &mut self,
        now: Now,
        key: InstanceKey,
        start: StartInstance,
        left: Vec<Outbound>,
        outcome: &mut Outcome,
    ) {
        let iid = outcome.new_iid();
        let mut instance = new_instance(self.id, now, iid, &key, start, outcome);
        for outbound in left {
            instance.send(self.id, outbound.to, outbound.message, outcome);
        }
        self.keys.insert(key, iid);
        self.instances.insert(iid, instance);
        self.conclude(iid, outcome);
    }

    /// A start whose id is taken: refused, or a new life for the id.
    pub(crate) fn start_over(
        &mut self,
        now: Now,
        iid: Iid,
        start: StartInstance,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        let instance = self.instances.get(&iid).expect("it is in memory");
        if start.keep.contains(&instance.status) {
            outcome.reply(call, Ok(Reply::Started(instance.key.id.clone())));
            return;
        }
        match self.end_life(iid, &start, outcome) {
            Ok((key, left)) => {
                let id = key.id.clone();
                self.begin_life(now, key, start, left, outcome);
                outcome.reply(call, Ok(Reply::Started(id)));
            }
            Err(refusal) => outcome.reply(call, Err(refusal)),
        }
    }

    /// Ends the life of an id for another one, with all that it has but what it has yet to tell others.
    ///
    /// # Errors
    /// If that must not be.
    pub(crate) fn end_life(
        &mut self,
        iid: Iid,
        start: &StartInstance,
        outcome: &mut Outcome,
    ) -> Result<(InstanceKey, Vec<Outbound>), Refusal> {
        let instance = self.instances.get_mut(&iid).expect("it is in memory");
        check_reuse(instance, start)?;
        let key = instance.key.clone();
        if !instance.is_terminal() {
            let failure = passing_failure("OrchestrationReplaced", &format!("instance {key} was started over"));
            instance.tell_parent(self.id, None, Some(failure), outcome);
        }
        let gone = self.delete_instance(iid, outcome);
        Ok((key, gone.outbox.into()))
    }

    /// Deletes an instance with all that it has.
    pub(crate) fn delete_instance(&mut self, iid: Iid, outcome: &mut Outcome) -> Instance {
        let mut instance = self.forget(iid).expect("it is in memory");
        instance.drop_pending(self.id, outcome);
        outcome.writes.push(Write::DeleteInstance(iid));
        self.is_gone(&instance, outcome);
        instance
    }

    /// An instance goes with its hub: the store deletes it with that, and what is not written yet never is.
    pub(crate) fn drop_instance(&mut self, iid: Iid, outcome: &mut Outcome) {
        let Some(instance) = self.forget(iid) else { return };
        let timers = instance.body.timers.iter().map(|timer| instance.timer_row(self.id, timer)).collect();
        outcome.writes.push(Write::DropInstance(iid, timers));
        self.is_gone(&instance, outcome);
    }

    /// It is out of memory, and out of the store once this is durable. Those who asked it are told how it stood.
    fn is_gone(&mut self, instance: &Instance, outcome: &mut Outcome) {
        let iid = instance.iid;
        outcome.effects.push(Effect::Deleted(self.id, iid));
        if !planted::is(Plant::OldLifeLoaded) {
            self.deleted.push(iid);
        }
        let view = LazyCell::new(|| instance.view());
        for waiter in self.ask_waiters.remove(&iid).unwrap_or_default() {
            waiter.tell(Asked::Ended(view.clone()), outcome);
        }
    }
}

/// Whether the policy allows this life to end for another (the table in PROTOCOL.md §4).
fn check_reuse(instance: &Instance, start: &StartInstance) -> Result<(), Refusal> {
    let replaceable = match &start.reuse {
        None => is_terminal(instance.status),
        Some(statuses) => statuses.contains(&instance.status),
    };
    if !replaceable {
        return Err(Refusal::AlreadyExists { key: instance.key.clone(), status: status_name(instance.status) });
    }
    if instance.name.starts_with(RESERVED_PREFIX) && start.parent.is_none() {
        // Its outcome would be told twice: once as it was, once as it became (DESIGN.md §6).
        let what = format!("instance {} is an approval request, which is not started over", instance.key);
        return Err(Refusal::FailedPrecondition(what));
    }
    Ok(())
}

fn new_instance(
    partition: crate::ids::PartitionId,
    now: Now,
    iid: Iid,
    key: &InstanceKey,
    mut start: StartInstance,
    outcome: &mut Outcome,
) -> Instance {
    // A child's come from its parent's code.
    start.tags.remove(CONTINUED_TAG);
    let body = InstanceBody {
        version: start.version.clone(),
        execution_id: start.execution_id.clone(),
        tags: start.tags.clone(),
        parent_trace: start.parent_trace.clone().filter(wire::is_short),
        // JS always sends a time, 1970 when none was asked for: what is not in the future is now (rule 4).
        scheduled_start: start.scheduled_start.filter(|at| Timestamp::from_proto(at) > now.wall),
        parent: start.parent.as_ref().map(|parent| parent.info.clone()),
        parent_seq: start.parent.as_ref().and_then(|parent| parent.seq).map(|Seq(seq)| seq),
        ..InstanceBody::default()
    };
    let mut instance = Instance::new(iid, key.clone(), &start.name, now.wall, body);
    if let Some(at) = instance.body.scheduled_start {
        instance.body.held = true;
        instance.add_timer(partition, None, at, outcome);
    }
    instance.take_input(&start.input);
    let event = EventType::ExecutionStarted(ExecutionStartedEvent {
        name: start.name,
        version: start.version,
        input: start.input,
        orchestration_instance: Some(OrchestrationInstance {
            instance_id: key.id.as_str().to_owned(),
            execution_id: Some(start.execution_id),
        }),
        scheduled_start_timestamp: instance.body.scheduled_start,
        parent_instance: instance.body.parent.clone(),
        parent_trace_context: start.parent_trace,
        tags: start.tags,
        ..ExecutionStartedEvent::default()
    });
    let at = instance.record_time(now);
    instance.receive(MessageKind::Started, at, event, None, outcome);
    instance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Hub, InstanceId};

    #[test]
    fn a_start_that_cannot_be_is_refused_with_the_name_of_its_field() {
        let start = StartInstance { name: "name".to_owned(), ..StartInstance::default() };
        let refused = |id: &str, start: &StartInstance| {
            let key = InstanceKey::new(Hub::new("hub"), InstanceId::new(id));
            check_start(&key, start).err().map(|refusal| refusal.to_string())
        };
        let tagged = |bytes: usize| {
            let tags = [("tag".to_owned(), "t".repeat(bytes - "tag".len() - "name".len()))];
            StartInstance { tags: tags.into(), ..start.clone() }
        };
        assert_eq!(refused(&"i".repeat(100), &tagged(64 << 10)), None);
        let table = [
            refused("id", &StartInstance::default()),
            refused("id", &tagged((64 << 10) + 1)),
            refused(&"i".repeat(101), &start),
            refused("@id", &start),
            refused("i\nd", &start),
            refused("id", &StartInstance { reuse: Some(vec![OrchestrationStatus::Running]), ..start.clone() }),
        ];
        insta::assert_snapshot!(table.map(|why| why.unwrap_or_default()).join("\n"), @r"
        name: must not be empty
        name, version, tags: 65537 bytes together, 65536 at most
        instanceId: longer than 100 characters
        instanceId: ids that begin with '@' are entities'
        instanceId: must not contain control characters
        Invalid reusable statuses: cannot exclude 'Terminated' while also allowing reuse of running instances
        ");
    }
}
