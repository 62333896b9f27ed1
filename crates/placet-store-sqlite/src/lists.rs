//! Lists of instances: from an index which rows, then each row by itself, so that one that is damaged is left out alone.

use std::ops::Range;

use placet_core::ids::{Iid, InstanceId};
use placet_core::rows::OrchestrationStatus;
use placet_core::time::Timestamp;
use placet_store::{List, Order, Page, ReadError};
use rusqlite::{Connection, params};

use crate::damage::Damage;
use crate::readers::Fault;
use crate::reads;

const CREATED: &str = "
    SELECT created_at, iid FROM instance INDEXED BY instance_list
    WHERE hub = ?1 AND status = ?2 AND created_at >= ?3 AND created_at < ?4 AND (created_at > ?5 OR iid > ?6)
    ORDER BY created_at, iid LIMIT ?7";
const BY_ID: &str = "
    SELECT id, iid, status, created_at FROM instance INDEXED BY instance_id
    WHERE hub = ?1 AND id >= ?2 AND id <> ?3 ORDER BY id LIMIT ?4";
const ENDED: &str = "
    SELECT completed_at, iid FROM instance INDEXED BY instance_ended
    WHERE hub = ?1 AND completed_at >= ?2 AND completed_at < ?3 AND (completed_at > ?4 OR iid > ?5)
    ORDER BY completed_at, iid LIMIT ?6";
const ENDED_OF_STATUS: &str = "
    SELECT completed_at, iid FROM instance INDEXED BY instance_list
    WHERE hub = ?1 AND status = ?2 AND completed_at >= ?3 AND completed_at < ?4 AND (completed_at > ?5 OR iid > ?6)
    ORDER BY completed_at, iid LIMIT ?7";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const ALL: [&str; 5] = [crate::statements::HUB, CREATED, BY_ID, ENDED, ENDED_OF_STATUS];

/// Every status that an instance can have.
const STATUSES: [OrchestrationStatus; 7] = [
    OrchestrationStatus::Running,
    OrchestrationStatus::Completed,
    OrchestrationStatus::Failed,
    OrchestrationStatus::Canceled,
    OrchestrationStatus::Terminated,
    OrchestrationStatus::Pending,
    OrchestrationStatus::Suspended,
];

pub(crate) fn page(connection: &Connection, list: &List, damage: &Damage) -> Result<Page, ReadError> {
    let Looked { iids, others, last } = looked_at(connection, list).map_err(|fault| fault.of("instance"))?;
    let next = last.filter(|_| iids.len() + others == list.limit);
    let mut rows = Vec::new();
    for iid in iids {
        let row = damage.leave_out(reads::by_iid(connection, iid))?.flatten();
        rows.extend(row.filter(|row| list.holds(row)));
    }
    Ok(Page { rows, next })
}

/// The keys of the rows that are looked at, how many others were, and the order behind the last of all.
#[derive(Default)]
struct Looked {
    iids: Vec<Iid>,
    others: usize,
    last: Option<Order>,
}

fn looked_at(connection: &Connection, list: &List) -> Result<Looked, Fault> {
    let Some(hub) = reads::number_of_hub(connection, &list.hub)? else { return Ok(Looked::default()) };
    match &list.order {
        Order::Created(after) => created(connection, hub, list, *after),
        Order::Id { prefix, after } => by_id(connection, hub, list, prefix, after.as_ref()),
        Order::Ended { within, after } => ended(connection, hub, list, within, *after),
    }
}

/// By the time of their creation: each status is in that order by itself.
fn created(connection: &Connection, hub: i64, list: &List, after: Option<(Timestamp, Iid)>) -> Result<Looked, Fault> {
    let statuses = if list.statuses.is_empty() { &STATUSES[..] } else { &list.statuses };
    let (at, iid) = place(after, list.created.start);
    let from = at.max(list.created.start.0);
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut statement = connection.prepare_cached(CREATED)?;
    for status in statuses {
        let status = i32::from(*status);
        let values = params![hub, status, from, list.created.end.0, at, iid, count(list.limit)];
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    first_of(&mut found, list.limit);
    looked(&found, Order::Created)
}

/// By the time of their end: along all that have ended, or all of the statuses that are asked for, whichever are fewer.
fn ended(
    connection: &Connection,
    hub: i64,
    list: &List,
    within: &Range<Timestamp>,
    after: Option<(Timestamp, Iid)>,
) -> Result<Looked, Fault> {
    if is_rare(connection, hub, list)? {
        ended_of_statuses(connection, hub, list, within, after)
    } else {
        ended_of_all(connection, hub, list, within, after)
    }
}

/// Whether so few have the statuses that are asked for that all of them are fewer than those among which a page of them lies.
fn is_rare(connection: &Connection, hub: i64, list: &List) -> Result<bool, Fault> {
    if list.statuses.is_empty() {
        return Ok(false);
    }
    let (mut wanted, mut all) = (0_i64, 0_i64);
    let mut statement = connection.prepare_cached(crate::search::TALLY)?;
    let mut rows = statement.query([hub])?;
    while let Some(row) = rows.next()? {
        let (status, count): (i32, i64) = (row.get(0)?, row.get(1)?);
        all = all.saturating_add(count);
        if list.statuses.iter().any(|asked| i32::from(*asked) == status) {
            wanted = wanted.saturating_add(count);
        }
    }
    Ok(wanted.saturating_mul(wanted) <= count(list.limit).saturating_mul(all))
}

fn ended_of_statuses(
    connection: &Connection,
    hub: i64,
    list: &List,
    within: &Range<Timestamp>,
    after: Option<(Timestamp, Iid)>,
) -> Result<Looked, Fault> {
    let (at, iid) = place(after, within.start);
    let from = at.max(within.start.0);
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut statement = connection.prepare_cached(ENDED_OF_STATUS)?;
    for status in &list.statuses {
        let values = params![hub, i32::from(*status), from, within.end.0, at, iid, count(list.limit)];
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    first_of(&mut found, list.limit);
    looked(&found, |after| Order::Ended { within: within.clone(), after })
}

/// The first of them, each once: a status may be named twice.
fn first_of(found: &mut Vec<(i64, i64)>, limit: usize) {
    found.sort_unstable();
    found.dedup();
    found.truncate(limit);
}

fn ended_of_all(
    connection: &Connection,
    hub: i64,
    list: &List,
    within: &Range<Timestamp>,
    after: Option<(Timestamp, Iid)>,
) -> Result<Looked, Fault> {
    let (at, iid) = place(after, within.start);
    let values = params![hub, at.max(within.start.0), within.end.0, at, iid, count(list.limit)];
    let mut statement = connection.prepare_cached(ENDED)?;
    let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = rows.collect::<Result<Vec<_>, _>>()?;
    looked(&found, |after| Order::Ended { within: within.clone(), after })
}

fn by_id(
    connection: &Connection,
    hub: i64,
    list: &List,
    prefix: &str,
    after: Option<&InstanceId>,
) -> Result<Looked, Fault> {
    let after = after.map_or("", InstanceId::as_str);
    let mut statement = connection.prepare_cached(BY_ID)?;
    let mut rows = statement.query(params![hub, after.max(prefix), after, count(list.limit)])?;
    let mut found = Looked::default();
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str().map_err(|error| Fault::Damaged(error.to_string()))?;
        if !id.starts_with(prefix) {
            break; // those that do lie together
        }
        found.last = Some(Order::Id { prefix: prefix.to_owned(), after: Some(InstanceId::new(id)) });
        let (status, created): (i32, i64) = (row.get(2)?, row.get(3)?);
        // Of those that are not meant the row is not read: they may be many.
        let is_asked = list.statuses.is_empty() || list.statuses.iter().any(|asked| i32::from(*asked) == status);
        if is_asked && list.created.contains(&Timestamp(created)) {
            found.iids.push(key(row.get(1)?)?);
        } else {
            found.others += 1;
        }
    }
    Ok(found)
}

fn looked(found: &[(i64, i64)], order: impl FnOnce(Option<(Timestamp, Iid)>) -> Order) -> Result<Looked, Fault> {
    let iids = found.iter().map(|(_, iid)| key(*iid)).collect::<Result<Vec<_>, _>>()?;
    let last = found.last().zip(iids.last()).map(|((at, _), iid)| order(Some((Timestamp(*at), *iid))));
    Ok(Looked { iids, others: 0, last })
}

/// Behind which row: the first that is in question comes behind one of the time before.
fn place(after: Option<(Timestamp, Iid)>, from: Timestamp) -> (i64, i64) {
    after.map_or((from.0.saturating_sub(1), -1), |(at, iid)| (at.0, i64::try_from(iid.0).unwrap_or(i64::MAX)))
}

fn key(iid: i64) -> Result<Iid, Fault> {
    u64::try_from(iid).map(Iid).map_err(|_| Fault::Damaged(format!("a key of {iid}")))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
