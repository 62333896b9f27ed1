//! Work items by Microsoft's protocol: a stream of items, and a call for each completion (PROTOCOL.md §7).

use std::collections::VecDeque;

use futures_util::stream;
use placet_core::command::CompleteTurn;
use placet_core::dispatch::{Filter, Filters, HubSet, StreamSpec};
use placet_core::ids::{InstanceId, InstanceKey};
use placet_core::item::Item;
use placet_core::token::Token;
use placet_core::wire;
use placet_proto::durabletask::{
    ActivityResponse, CompleteTaskResponse, GetWorkItemsRequest, OrchestratorResponse, WorkItem, WorkItemFilters,
    WorkerCapability,
};
use tonic::{Request, Response, Status};

use super::messages::{Elsewhere, Messages, Outbound};
use super::metadata;
use super::status::status_of;
use crate::connections::Peer;
use crate::outgoing::{Lent, Ties};
use crate::scheduler::Scheduler;
use crate::worker::{StreamOut, WorkerStream};

/// Items taken from the stream's outbox at once.
const ITEMS_AT_ONCE: usize = 64;

pub(super) type Items = Elsewhere<WorkItem>;

pub(super) fn items(scheduler: &Scheduler, request: &Request<GetWorkItemsRequest>) -> Result<Response<Items>, Status> {
    let (hub, peer) = (metadata::hub(scheduler, request)?, metadata::peer(request));
    let worker_id = metadata::worker_id(request);
    let request = request.get_ref();
    let spec = StreamSpec {
        worker_id,
        hubs: HubSet::Of(vec![hub]),
        built_in: false,
        turns_max: limit(request.max_concurrent_orchestration_work_items),
        activities_max: limit(request.max_concurrent_activity_work_items),
        filters: request.work_item_filters.as_ref().and_then(filters),
        keeps_state: false,
        streams_history: request.capabilities.contains(&WorkerCapability::HistoryStreaming.into()),
    };
    let mut worker = scheduler.open_stream(spec).map_err(|error| status_of(&error))?;
    if let Some(peer) = peer.clone() {
        worker.cut_if_stalled(peer);
    }
    let sending = Sending { peer, ties: Ties::default() };
    let ties = sending.ties.clone();
    let state = (worker, VecDeque::new(), sending);
    let items = stream::unfold(state, |(mut worker, mut waiting, sending)| async move {
        let item = next(&mut worker, &mut waiting, &sending).await?;
        Some((Ok(Outbound::Whole(item)), (worker, waiting, sending)))
    });
    Ok(Messages::answer(items, ties))
}

/// Where a worker's items go.
pub(super) struct Sending {
    pub(super) peer: Option<Peer>,
    pub(super) ties: Ties,
}

impl Sending {
    /// This goes with the next bytes: it is read when they are, and a long item has its share, and its time, until then.
    pub(super) fn send(&self, worker: &WorkerStream, out: &mut StreamOut) {
        self.ties.unread(worker.unread(out));
        if let StreamOut::Item { item, share, .. } = out
            && let Some(share) = share.take()
        {
            self.ties.lend(Lent::new(share, item.len(), self.peer.as_ref()));
        }
    }
}

async fn next(worker: &mut WorkerStream, waiting: &mut VecDeque<StreamOut>, sending: &Sending) -> Option<Item> {
    loop {
        if waiting.is_empty() {
            let mut buffer = Vec::new();
            if worker.recv_many(&mut buffer, ITEMS_AT_ONCE).await == 0 {
                return None;
            }
            waiting.extend(buffer);
        }
        let mut out = waiting.pop_front()?;
        sending.send(worker, &mut out);
        match out {
            StreamOut::Item { item, .. } => return Some(item),
            StreamOut::Ping => return Some(wire::ping_item().into()),
            StreamOut::Ack(_) => {}
            StreamOut::Closed => return None,
        }
    }
}

pub(super) async fn complete_turn(
    scheduler: &Scheduler,
    request: Request<OrchestratorResponse>,
) -> Result<Response<CompleteTaskResponse>, Status> {
    if request.get_ref().completion_token.is_empty() {
        let key = named(scheduler, &request, &request.get_ref().instance_id)?;
        scheduler.end_turn(key, request.into_inner()).await.map_err(|e| status_of(&e))?;
        return Ok(Response::new(CompleteTaskResponse {}));
    }
    let response = request.into_inner();
    // An unknown token is acknowledged and ignored: an error would only be retried (PROTOCOL.md §7.5).
    if let Ok(token) = response.completion_token.parse::<Token>() {
        let completion =
            CompleteTurn { token, sticky: None, response, publish: Vec::new(), replies: None, waits: None };
        scheduler.complete_turn(completion).await.map_err(|e| status_of(&e))?;
    }
    Ok(Response::new(CompleteTaskResponse {}))
}

pub(super) async fn complete_activity(
    scheduler: &Scheduler,
    request: Request<ActivityResponse>,
) -> Result<Response<CompleteTaskResponse>, Status> {
    if request.get_ref().completion_token.is_empty() {
        let key = named(scheduler, &request, &request.get_ref().instance_id)?;
        scheduler.end_activity(key, request.into_inner()).await.map_err(|e| status_of(&e))?;
        return Ok(Response::new(CompleteTaskResponse {}));
    }
    let response = request.into_inner();
    if let Ok(token) = response.completion_token.parse::<Token>() {
        scheduler.complete_activity(token, response).await.map_err(|e| status_of(&e))?;
    }
    Ok(Response::new(CompleteTaskResponse {}))
}

/// Whose item a worker has finished that repeats no tokens: Microsoft's Go SDK does not up to 0.6, whose own server goes by the
/// ids, too. That a late completion of a turn is taken for one of the next turn is then possible.
fn named<T>(scheduler: &Scheduler, request: &Request<T>, id: &str) -> Result<InstanceKey, Status> {
    Ok(InstanceKey::new(metadata::hub(scheduler, request)?, InstanceId::new(id)))
}

pub(super) async fn abandon(scheduler: &Scheduler, token: &str) -> Result<(), Status> {
    match token.parse::<Token>() {
        Ok(token) => scheduler.abandon(token).await.map_err(|e| status_of(&e)),
        Err(_) => Ok(()),
    }
}

/// A stated limit; 0, and what makes no sense, is none (rule 3).
pub(super) fn limit(stated: i32) -> usize {
    usize::try_from(stated).unwrap_or(0)
}

/// The filters, unless they are empty: .NET attaches an empty message when none are wanted (PROTOCOL.md §7.4).
pub(super) fn filters(filters: &WorkItemFilters) -> Option<Filters> {
    if filters.orchestrations.is_empty() && filters.activities.is_empty() && filters.entities.is_empty() {
        return None;
    }
    let filter = |name: &String, versions: &Vec<String>| Filter { name: name.clone(), versions: versions.clone() };
    Some(Filters {
        orchestrations: filters.orchestrations.iter().map(|f| filter(&f.name, &f.versions)).collect(),
        activities: filters.activities.iter().map(|f| filter(&f.name, &f.versions)).collect(),
    })
}
