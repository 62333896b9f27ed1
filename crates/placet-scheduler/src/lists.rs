//! Lists of instances: QueryInstances, ListInstanceIds, and PurgeInstances by a filter (PROTOCOL.md §4).
//!
//! A page says where the next one begins by the place of its last row in an order that does not change while instances come
//! and go: each is on one page, once. The token is that place, as text.

use std::time::Instant;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use placet_core::command::{CommandKind, Refusal, Reply, is_terminal};
use placet_core::ids::{Hub, Iid, InstanceId};
use placet_core::partition::view_of_row;
use placet_core::rows::InstanceRow;
use placet_core::time::Timestamp;
use placet_proto::durabletask::{
    ListInstanceIdsRequest, ListInstanceIdsResponse, OrchestrationState, OrchestrationStatus, PurgeInstanceFilter,
    PurgeInstancesResponse, QueryInstancesRequest, QueryInstancesResponse,
};
use placet_store::{Answer, List, Order, Page, Query, ReadError, Store};
use prost::Message as _;

use crate::hubs::hub_of;
use crate::payloads;
use crate::retention::ENDED;
use crate::scheduler::{CallError, Scheduler, Weighed, damaged};
use crate::time::duration_of;

/// Instances on one page, whatever a client asks for: Python asks for 2^31 - 1.
const PAGE_MAX: usize = 1_000;

/// … and bytes of them: clients receive 4 MiB.
const PAGE_BYTES_MAX: usize = 2 << 20;

/// Ids on a page if the client does not say.
const IDS_DEFAULT: usize = 100;

/// Instances that are purged at a time: their commands share commits.
const PURGED_AT_ONCE: usize = 64;

const ALWAYS: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

impl Scheduler {
    /// QueryInstances.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] if the token is none of ours.
    pub async fn query_instances(
        &self,
        hub: Hub,
        request: QueryInstancesRequest,
    ) -> Result<Weighed<QueryInstancesResponse>, CallError> {
        let query = request.query.unwrap_or_default();
        let others = !query.task_hub_names.is_empty();
        if others && !query.task_hub_names.iter().any(|name| hub_of(name).is_ok_and(|named| named == hub)) {
            // Nothing is shown of other hubs (P8).
            return Ok(Weighed::light(QueryInstancesResponse::default()));
        }
        let prefix = query.instance_id_prefix.clone().unwrap_or_default();
        let begin = if prefix.is_empty() { Order::Created(None) } else { Order::Id { prefix, after: None } };
        let order = match query.continuation_token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => order_from(&begin, token).ok_or_else(|| bad_token("query.continuationToken"))?,
            None => begin,
        };
        let Some(statuses) = statuses(&query.runtime_status) else {
            return Ok(Weighed::light(QueryInstancesResponse::default()));
        };
        let list = List {
            hub,
            statuses,
            created: between(query.created_time_from.as_ref(), query.created_time_to.as_ref()),
            order,
            limit: page_size(query.max_instance_count, PAGE_MAX),
        };
        let payloads = query.fetch_inputs_and_outputs;
        // What is read is counted before, at most as much as a page may have; one instance may have more, and goes alone.
        let share = self.budget().large(PAGE_BYTES_MAX).await.map_err(|_| CallError::Busy)?;
        let (states, next, long) = self.page_of_states(list, payloads).await?;
        let mut answer =
            QueryInstancesResponse { orchestration_state: states, continuation_token: next.as_ref().map(token_of) };
        if let Some(view) = long {
            drop(share);
            let found = self.complete_view(view, payloads).await?;
            return Ok(match found {
                Some(found) => found.map(|state| {
                    answer.orchestration_state.push(state);
                    answer
                }),
                None => Weighed::light(answer),
            });
        }
        Ok(Weighed { bytes: answer.encoded_len(), value: answer, share: Some(share) })
    }

    /// A full page, or all that is left; and an instance that is too long for any page, alone.
    async fn page_of_states(&self, list: List, with_payloads: bool) -> Result<States, CallError> {
        self.read(move |store| {
            let (wanted, mut list) = (list.limit, list);
            let (mut states, mut bytes) = (Vec::new(), 0);
            loop {
                let page = match store.query(&Query::Instances(list.clone()))? {
                    Answer::Instances(page) => page,
                    _ => Page::default(),
                };
                for row in &page.rows {
                    let view = view_of_row(row).map_err(|error| damaged(&error))?;
                    let here = list.order.behind(row);
                    let more = payloads::bytes_to_read(&view, with_payloads) + row.body.len();
                    if bytes + more > PAGE_BYTES_MAX && !states.is_empty() {
                        return Ok((states, Some(list.order), None));
                    }
                    if more > PAGE_BYTES_MAX {
                        return Ok((states, Some(here), Some(view.into())));
                    }
                    list.order = here;
                    let Some(state) = payloads::complete(store, view, with_payloads)? else { continue };
                    bytes += state.encoded_len();
                    states.push(state);
                    if states.len() == wanted {
                        let more = page.rows.last().is_some_and(|last| last.iid != row.iid)
                            || (page.next.is_some() && is_more(store, &list)?);
                        return Ok((states, more.then_some(list.order), None));
                    }
                }
                let Some(next) = page.next else { return Ok((states, None, None)) };
                list.order = next;
            }
        })
        .await
    }

    /// ListInstanceIds: those that have ended, in that order.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] if the key is none of ours.
    pub async fn list_instance_ids(
        &self,
        hub: Hub,
        request: ListInstanceIdsRequest,
    ) -> Result<ListInstanceIdsResponse, CallError> {
        let within = between(request.completed_time_from.as_ref(), request.completed_time_to.as_ref());
        let begin = Order::Ended { within, after: None };
        let order = match request.last_instance_key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => order_from(&begin, key).ok_or_else(|| bad_token("lastInstanceKey"))?,
            None => begin,
        };
        let wanted = page_size(request.page_size, IDS_DEFAULT);
        let created = ALWAYS.0..ALWAYS.1;
        let Some(statuses) = statuses(&request.runtime_status) else {
            return Ok(ListInstanceIdsResponse::default());
        };
        let list = List { hub, statuses, created, order, limit: wanted };
        let (rows, next) = self.page_of_rows(list).await?;
        // Clients look for the id of the last instance in it.
        let key = |next: &Order, last: &InstanceRow| format!("{}.{}", token_of(next), last.id.as_str());
        Ok(ListInstanceIdsResponse {
            last_instance_key: next.as_ref().zip(rows.last()).map(|(next, last)| key(next, last)),
            instance_ids: rows.iter().map(|row| row.id.as_str().to_owned()).collect(),
        })
    }

    /// As many rows as the list may have, or all that are left, and where to go on.
    async fn page_of_rows(&self, list: List) -> Result<(Vec<InstanceRow>, Option<Order>), CallError> {
        self.read(move |store| {
            let (wanted, mut list) = (list.limit, list);
            let mut rows: Vec<InstanceRow> = Vec::new();
            loop {
                let page = match store.query(&Query::Instances(list.clone()))? {
                    Answer::Instances(page) => page,
                    _ => Page::default(),
                };
                let room = wanted - rows.len();
                let cut = page.rows.len() > room;
                rows.extend(page.rows.into_iter().take(room));
                let Some(next) = page.next else {
                    let behind = rows.last().filter(|_| cut).map(|last| list.order.behind(last));
                    return Ok((rows, behind));
                };
                list.order = if cut { list.order.behind(rows.last().expect("it was cut behind one")) } else { next };
                if rows.len() == wanted {
                    let more = cut || is_more(store, &list)?;
                    return Ok((rows, more.then_some(list.order)));
                }
            }
        })
        .await
    }

    /// PurgeInstances by a filter: what has ended, as far as the time allows.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(crate) async fn purge_by_filter(
        &self,
        hub: Hub,
        filter: PurgeInstanceFilter,
        recursive: bool,
    ) -> Result<PurgeInstancesResponse, CallError> {
        let begun = Instant::now();
        let patience = filter.timeout.and_then(duration_of);
        let is_over = || patience.is_some_and(|patience| begun.elapsed() >= patience);
        let named = statuses(&filter.runtime_status).unwrap_or_default();
        let wanted: Vec<_> = named.iter().copied().filter(|status| is_terminal(*status)).collect();
        if wanted.is_empty() && !filter.runtime_status.is_empty() {
            return Ok(purged_so_far(0, true));
        }
        let statuses = if wanted.is_empty() { ENDED.to_vec() } else { wanted };
        // Unlike a list's, the end of the time counts: so Microsoft's tests of PurgeInstances have it.
        let mut created = between(filter.created_time_from.as_ref(), filter.created_time_to.as_ref());
        created.end = Timestamp(created.end.0.saturating_add(1));
        let mut list = List { hub: hub.clone(), statuses, created, order: Order::Created(None), limit: PAGE_MAX };
        let mut purged = 0;
        loop {
            let (rows, next) = self.page_of_rows(list.clone()).await?;
            let (mut rows, mut purges) = (rows.into_iter(), FuturesUnordered::new());
            loop {
                // One in any case, or a call that is repeated with too little time would never come to an end.
                while purges.len() < PURGED_AT_ONCE
                    && (!is_over() || purged + purges.len() == 0)
                    && let Some(row) = rows.next()
                {
                    purges.push(self.purge_one(hub.clone(), row.id, recursive));
                }
                // Those that have begun are waited for: they are done, and count.
                let Some(done) = purges.next().await else { break };
                purged += done?;
            }
            drop(purges);
            if rows.len() > 0 {
                return Ok(purged_so_far(purged, false));
            }
            let Some(next) = next else { return Ok(purged_so_far(purged, true)) };
            list.order = next;
        }
    }

    async fn purge_one(&self, hub: Hub, id: InstanceId, recursive: bool) -> Result<usize, CallError> {
        if recursive {
            return self.purge(&hub, vec![id.as_str().to_owned()], true).await;
        }
        let key = placet_core::ids::InstanceKey::new(hub, id);
        Ok(usize::from(self.command(key, CommandKind::Purge).await? == Reply::Done))
    }
}

/// Whether there is anything on the list's next page: clients take a page without a token for the last one, and some expect
/// that the last one has none.
fn is_more(store: &dyn Store, list: &List) -> Result<bool, ReadError> {
    let mut list = List { limit: 1, ..list.clone() };
    loop {
        let Answer::Instances(page) = store.query(&Query::Instances(list.clone()))? else { return Ok(false) };
        let Some(next) = page.next.filter(|_| page.rows.is_empty()) else { return Ok(!page.rows.is_empty()) };
        list.order = next;
    }
}

/// What fits on a page, where the next one begins, and an instance that fits on none.
type States = (Vec<OrchestrationState>, Option<Order>, Option<std::sync::Arc<placet_core::command::InstanceView>>);

fn purged_so_far(purged: usize, is_complete: bool) -> PurgeInstancesResponse {
    let deleted_instance_count = i32::try_from(purged).unwrap_or(i32::MAX);
    PurgeInstancesResponse { deleted_instance_count, is_complete: Some(is_complete) }
}

fn page_size(asked: i32, default: usize) -> usize {
    usize::try_from(asked).ok().filter(|asked| *asked > 0).unwrap_or(default).min(PAGE_MAX)
}

/// The statuses of a filter; none named: all. Absent if it names only some that this server does not know, which nothing has.
fn statuses(numbers: &[i32]) -> Option<Vec<OrchestrationStatus>> {
    let known: Vec<_> = numbers.iter().filter_map(|number| OrchestrationStatus::try_from(*number).ok()).collect();
    (!known.is_empty() || numbers.is_empty()).then_some(known)
}

/// From the one on, up to before the other.
pub(crate) fn between(
    from: Option<&prost_types::Timestamp>,
    to: Option<&prost_types::Timestamp>,
) -> std::ops::Range<Timestamp> {
    from.map_or(ALWAYS.0, Timestamp::from_proto)..to.map_or(ALWAYS.1, Timestamp::from_proto)
}

fn bad_token(field: &str) -> Refusal {
    Refusal::InvalidArgument(format!("{field}: not one that this server gave for such a question"))
}

/// Where an order begins, as text.
pub(crate) fn token_of(order: &Order) -> String {
    match order {
        Order::Created(Some((at, iid))) | Order::Ended { after: Some((at, iid)), .. } => format!("{}.{}", at.0, iid.0),
        Order::Id { after: Some(id), .. } => format!("id.{}", id.as_str()),
        Order::Created(None) | Order::Ended { .. } | Order::Id { .. } => String::new(),
    }
}

/// The same order from where the text says.
pub(crate) fn order_from(order: &Order, token: &str) -> Option<Order> {
    if let Order::Id { prefix, .. } = order {
        let after = token.strip_prefix("id.").filter(|id| id.starts_with(prefix))?;
        return Some(Order::Id { prefix: prefix.clone(), after: Some(InstanceId::new(after)) });
    }
    let mut parts = token.splitn(3, '.');
    let after = Some((Timestamp(parts.next()?.parse().ok()?), Iid(parts.next()?.parse().ok()?)));
    Some(match order {
        Order::Ended { within, .. } => Order::Ended { within: within.clone(), after },
        _ => Order::Created(after),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_and_to_no_other_kind_of_list() {
        let within = Timestamp(1)..Timestamp(9);
        let id = |after: &str| Order::Id { prefix: "a.".into(), after: Some(InstanceId::new(after)) };
        let orders = [
            Order::Created(Some((Timestamp(-5), Iid(7)))),
            Order::Ended { within: within.clone(), after: Some((Timestamp(5), Iid(7))) },
            id("a.b.c"),
        ];
        for order in &orders {
            assert_eq!(order_from(order, &token_of(order)).as_ref(), Some(order));
        }
        for (order, token) in [(&orders[0], "id.a.b"), (&orders[2], "1.2"), (&orders[2], "id.b"), (&orders[0], "x.1")] {
            assert_eq!(order_from(order, token), None, "{token}");
        }
    }
}
