//! Calls that clean up and begin again: restart, purge, forced termination. Each is several commands, and none of them is
//! lost half-way: what is repeated finds done what was done.

use std::collections::BTreeSet;

use placet_core::command::{CommandKind, FIRE_AND_FORGET, Refusal, Reply, Terminate, is_terminal};
use placet_core::ids::{Hub, InstanceKey};
use placet_core::wire::Events;
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::purge_instances_request::Request as Purge;
use placet_proto::durabletask::{
    CreateInstanceRequest, HistoryEvent, OrchestrationIdReusePolicy, OrchestrationState, PurgeInstancesRequest,
    PurgeInstancesResponse, RestartInstanceRequest, RestartInstanceResponse, RewindInstanceRequest,
    SkipGracefulOrchestrationTerminationsRequest, SkipGracefulOrchestrationTerminationsResponse,
};
use prost::Message as _;

use crate::calls::key;
use crate::scheduler::{CallError, Scheduler, Weighed};

/// Instances that one call may name (`InstanceBatch`, PROTOCOL.md §3).
const BATCH_MAX: usize = 500;

impl Scheduler {
    /// RestartInstance: starts it again as it was started, under the id that it has or a new one.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::FailedPrecondition`] if it has not ended and its id is to be used again.
    pub async fn restart_instance(
        &self,
        hub: Hub,
        request: RestartInstanceRequest,
    ) -> Result<RestartInstanceResponse, CallError> {
        let new_id = request.restart_with_new_instance_id.then(String::new);
        match self.restart_as(&hub, &request.instance_id, new_id).await {
            Ok(instance_id) => Ok(RestartInstanceResponse { instance_id }),
            // Somebody else began it again meanwhile.
            Err(CallError::Refused(refusal @ Refusal::AlreadyExists { .. })) => {
                Err(Refusal::FailedPrecondition(refusal.to_string()).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Starts an instance again, under its own id, or as a new one: under this id, which must be free, or, if it is empty, one
    /// that is made. The id.
    pub(crate) async fn restart_as(
        &self,
        hub: &Hub,
        instance_id: &str,
        new_id: Option<String>,
    ) -> Result<String, CallError> {
        let key = key(hub.clone(), instance_id)?;
        let Weighed { value: state, share: _until_it_is_started, .. } = self.instance(key.clone(), true).await?;
        let state = state.ok_or_else(|| Refusal::NotFound(key.clone()))?;
        if new_id.is_none() && !is_terminal(state.orchestration_status()) {
            let status = state.orchestration_status().as_str_name();
            let what = format!("instance {key} has not ended ({status}): restart it with a new instance id");
            return Err(Refusal::FailedPrecondition(what).into());
        }
        let OrchestrationState { instance_id, name, version, input, tags, .. } = state;
        // Present, and naming no status: nothing that is there gives way.
        let is_new = new_id.as_ref().is_some_and(|id| !id.is_empty());
        let orchestration_id_reuse_policy = is_new.then(OrchestrationIdReusePolicy::default);
        let instance_id = new_id.unwrap_or(instance_id);
        let start = CreateInstanceRequest {
            instance_id,
            name,
            version,
            input,
            tags,
            orchestration_id_reuse_policy,
            ..Default::default()
        };
        Ok(self.start_instance(hub.clone(), start).await?.instance_id)
    }

    /// Terminates an instance, and with it, if the termination says so, the children that it waits for, and theirs: the core
    /// does. Children that nobody waits for are known to their parents' histories only, and are told from here. What became of
    /// the first.
    pub(crate) async fn terminate(&self, key: InstanceKey, terminate: Terminate) -> Result<Reply, CallError> {
        let goes_on = terminate.recurse && self.has_not_ended(&key).await?;
        let reply = self.command(key.clone(), CommandKind::Terminate(terminate.clone())).await?;
        let mut known = BTreeSet::from([key.id.as_str().to_owned()]);
        let mut parents = if goes_on { vec![key] } else { Vec::new() };
        while let Some(parent) = parents.pop() {
            for Child { id, is_detached } in self.children(&parent).await? {
                let child = self::key(parent.hub.clone(), &id)?;
                if !known.insert(id) || !self.has_not_ended(&child).await? {
                    continue;
                }
                if is_detached {
                    match self.command(child.clone(), CommandKind::Terminate(terminate.clone())).await {
                        Ok(_) | Err(CallError::Refused(Refusal::NotFound(_))) => {}
                        Err(error) => return Err(error),
                    }
                }
                parents.push(child);
            }
        }
        Ok(reply)
    }

    async fn has_not_ended(&self, key: &InstanceKey) -> Result<bool, CallError> {
        let state = self.instance(key.clone(), false).await?.value;
        Ok(state.is_some_and(|state| !is_terminal(state.orchestration_status())))
    }

    /// RewindInstance.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]; [`Refusal::FailedPrecondition`] if it has not failed.
    pub async fn rewind_instance(&self, hub: Hub, request: RewindInstanceRequest) -> Result<(), CallError> {
        let rewind = CommandKind::Rewind { reason: request.reason };
        self.command(key(hub, &request.instance_id)?, rewind).await.map(drop)
    }

    /// PurgeInstances: what is unknown or has not ended is passed over.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn purge_instances(
        &self,
        hub: Hub,
        request: PurgeInstancesRequest,
    ) -> Result<PurgeInstancesResponse, CallError> {
        let ids = match request.request {
            Some(Purge::InstanceId(id)) => vec![id],
            Some(Purge::InstanceBatch(batch)) => batch.instance_ids,
            Some(Purge::PurgeInstanceFilter(filter)) => {
                return self.purge_by_filter(hub, filter, request.recursive).await;
            }
            None => return Err(Refusal::InvalidArgument("request: name instances, or a filter".to_owned()).into()),
        };
        let purged = self.purge(&hub, ids, request.recursive).await?;
        Ok(PurgeInstancesResponse {
            deleted_instance_count: i32::try_from(purged).unwrap_or(i32::MAX),
            is_complete: Some(true),
        })
    }

    /// How many instances of these ids were deleted. `recursive`: with the children of each, and theirs.
    pub(crate) async fn purge(&self, hub: &Hub, ids: Vec<String>, recursive: bool) -> Result<usize, CallError> {
        check_batch(ids.len())?;
        let mut purged = 0;
        for id in ids {
            let key = key(hub.clone(), &id)?;
            let family = if recursive { self.family(key).await? } else { vec![key] };
            // The children first: what is left after a failure is found again from the parent.
            for member in family.into_iter().rev() {
                let reply = self.command(member, CommandKind::Purge).await?;
                purged += usize::from(reply == Reply::Done);
            }
        }
        Ok(purged)
    }

    /// SkipGracefulOrchestrationTerminations: tells those that were not ended.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn end_instances(
        &self,
        hub: Hub,
        request: SkipGracefulOrchestrationTerminationsRequest,
    ) -> Result<SkipGracefulOrchestrationTerminationsResponse, CallError> {
        let ids = request.instance_batch.unwrap_or_default().instance_ids;
        check_batch(ids.len())?;
        let mut left = Vec::new();
        for id in ids {
            let end = CommandKind::End { reason: request.reason.clone() };
            if self.command(key(hub.clone(), &id)?, end).await? == Reply::Nothing {
                left.push(id);
            }
        }
        Ok(SkipGracefulOrchestrationTerminationsResponse { unterminated_instance_ids: left })
    }

    /// An instance that has ended, its children as their parents' histories tell of them, and theirs. Alone if it has not.
    async fn family(&self, root: InstanceKey) -> Result<Vec<InstanceKey>, CallError> {
        let mut family = vec![root.clone()];
        let state = self.instance(root.clone(), false).await?.value;
        if !state.is_some_and(|state| is_terminal(state.orchestration_status())) {
            return Ok(family);
        }
        let mut known = BTreeSet::from([root.id.as_str().to_owned()]);
        let mut next = 0;
        while let Some(parent) = family.get(next).cloned() {
            next += 1;
            for Child { id, .. } in self.children(&parent).await? {
                if known.insert(id.clone()) {
                    family.push(key(parent.hub.clone(), &id)?);
                }
            }
        }
        Ok(family)
    }

    async fn children(&self, parent: &InstanceKey) -> Result<Vec<Child>, CallError> {
        let mut children = Vec::new();
        let Some(of) = self.generation(parent.hub.clone(), parent.id.as_str()).await? else { return Ok(children) };
        let mut next = Some(of.first);
        while let Some(from) = next {
            let page = match self.history(&of, from).await {
                // Another purge was quicker: what it deleted has no children any more.
                Err(CallError::ContinuedAsNew) => break,
                page => page?,
            };
            next = page.rows.last().map(|row| row.turn.next());
            let events = page.rows.iter().flat_map(|row| Events(&row.events)).flatten();
            children.extend(events.filter_map(|event| match HistoryEvent::decode(event).ok()?.event_type? {
                EventType::SubOrchestrationInstanceCreated(created) => {
                    Some(Child { id: created.instance_id, is_detached: created.tags.contains_key(FIRE_AND_FORGET) })
                }
                _ => None,
            }));
        }
        Ok(children)
    }
}

/// A child, as its parent's history tells of it.
struct Child {
    id: String,
    /// Nobody waits for it.
    is_detached: bool,
}

fn check_batch(ids: usize) -> Result<(), CallError> {
    if ids > BATCH_MAX {
        let what = format!("instanceIds: {ids} ids, {BATCH_MAX} at most in one call");
        return Err(Refusal::InvalidArgument(what).into());
    }
    Ok(())
}
