//! Clearing away what belonged to deleted hubs, a piece at a time: a hub of a million instances must not hold up the
//! commits of the others. The row of a deleted hub stays, under a name that no hub has, as long as others refer to it: by
//! that name reads know that they are gone (`reads.rs`), and an opening knows what is left to do.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use crate::pieces::Pieces;
use crate::statements as sql;
use crate::terms;

/// So many bytes of a row cost as much as another row.
const PAGE: i64 = 4_096;

/// Of rows that are only looked at a piece has so many times more.
const LOOKED_AT: usize = 10;

/// So many pieces' worth of instances are listed before the first of them is deleted: two megabytes of keys.
const LISTED: usize = 1_000;

/// What a deleted hub was called, if this is the name of one ([`sql::MARK_HUB_DELETED`]).
pub(crate) fn name_of_deleted(name: &str) -> Option<&str> {
    name.strip_prefix("DELETED ")?.split_once(' ').map(|(_number, name)| name)
}

/// How far it is. It is forgotten with the session, and then begins anew.
#[derive(Debug, Default)]
pub(crate) enum Sweep {
    /// A deleted hub is looked for.
    #[default]
    Begins,
    /// Its instances are listed, by name from this one on. They go in the order of their table, as all else does: in any
    /// other each row would make a page of its own be written.
    Lists { hub: i64, from: String, iids: Vec<i64> },
    /// Their timers are deleted, after this one. Nothing finds them by instance: all timers are looked at.
    Timers { hub: i64, iids: Vec<i64>, after: (i64, i64, i64) },
    /// The instances are deleted, from the end of the list.
    Instances { hub: i64, iids: Vec<i64> },
    /// The terms of what was published in it are deleted.
    Terms { hub: i64 },
    /// What stands in it by itself is deleted, a table after the other, from the end of a list; then the hub itself.
    OfHub { hub: i64, table: usize, rowids: Vec<i64> },
}

impl Sweep {
    /// The next piece, of about `limit` rows, in a transaction. Tells whether there is more.
    pub(crate) fn step(
        &mut self,
        connection: &Connection,
        pieces: &mut Pieces,
        limit: usize,
    ) -> rusqlite::Result<bool> {
        let mut room = Room(i64::try_from(limit).unwrap_or(i64::MAX));
        *self = match std::mem::take(self) {
            Sweep::Begins => {
                let hub = connection.prepare_cached(sql::DELETED_HUB)?.query_row([], |row| row.get(0)).optional()?;
                let Some(hub) = hub else { return Ok(false) };
                Sweep::lists(hub)
            }
            Sweep::Lists { hub, from, iids } => list(connection, (hub, from, iids), limit)?,
            Sweep::Timers { hub, iids, after } => match timers(connection, &iids, after, limit, &mut room)? {
                Some(after) => Sweep::Timers { hub, iids, after },
                None => Sweep::Instances { hub, iids: iids.into_iter().rev().collect() },
            },
            Sweep::Instances { hub, mut iids } => {
                while let Some(iid) = iids.last()
                    && instance(connection, pieces, *iid, &mut room)?
                {
                    iids.pop();
                }
                // When all are gone there may be others, which had no room in the list.
                if iids.is_empty() { Sweep::lists(hub) } else { Sweep::Instances { hub, iids } }
            }
            Sweep::Terms { hub } => match terms::clear_some(connection, hub, room.0)? {
                true => Sweep::Terms { hub },
                false => Sweep::OfHub { hub, table: 0, rowids: Vec::new() },
            },
            Sweep::OfHub { hub, table, mut rowids } => {
                let Some(swept) = sql::SWEEP_HUB.get(table) else {
                    connection.prepare_cached(sql::DELETE_HUB)?.execute([hub])?;
                    return Ok(true);
                };
                if rowids.is_empty() {
                    rowids = list_of_hub(connection, swept, hub, limit)?;
                }
                if rowids.is_empty() {
                    Sweep::OfHub { hub, table: table + 1, rowids }
                } else {
                    rows_of_hub(connection, swept, &mut rowids, &mut room)?;
                    Sweep::OfHub { hub, table, rowids }
                }
            }
        };
        Ok(true)
    }

    fn lists(hub: i64) -> Sweep {
        Sweep::Lists { hub, from: String::new(), iids: Vec::new() }
    }
}

/// What may still be deleted in this piece.
struct Room(i64);

/// Lists instances of a hub: by its name, in which an index has them.
fn list(
    connection: &Connection,
    (hub, mut from, mut iids): (i64, String, Vec<i64>),
    limit: usize,
) -> rusqlite::Result<Sweep> {
    let page = limit.saturating_mul(LOOKED_AT);
    let mut statement = connection.prepare_cached(sql::INSTANCES_OF_HUB)?;
    let mut rows = statement.query(params![hub, from, i64::try_from(page).unwrap_or(i64::MAX)])?;
    let mut listed = 0;
    while let Some(row) = rows.next()? {
        (from, listed) = (row.get(0)?, listed + 1);
        iids.push(row.get(1)?);
    }
    if listed == page && iids.len() < limit.saturating_mul(LISTED) {
        // No name comes between.
        from.push('\0');
        return Ok(Sweep::Lists { hub, from, iids });
    }
    iids.sort_unstable();
    let first = (i64::MIN, i64::MIN, i64::MIN);
    Ok(if iids.is_empty() { Sweep::Terms { hub } } else { Sweep::Timers { hub, iids, after: first } })
}

/// Deletes timers of these instances, which are sorted. Where to go on, if it is not at the end.
fn timers(
    connection: &Connection,
    iids: &[i64],
    mut after: (i64, i64, i64),
    limit: usize,
    room: &mut Room,
) -> rusqlite::Result<Option<(i64, i64, i64)>> {
    let page = limit.saturating_mul(LOOKED_AT);
    let (mut looked_at, mut gone) = (0, Vec::new());
    let mut statement = connection.prepare_cached(sql::TIMERS)?;
    let mut rows = statement.query(params![after.0, after.1, after.2])?;
    while looked_at < page
        && room.0 > 0
        && let Some(row) = rows.next()?
    {
        after = (row.get(0)?, row.get(1)?, row.get(2)?);
        looked_at += 1;
        if iids.binary_search(&after.1).is_ok() {
            gone.push(after);
            room.0 -= 1;
        }
    }
    let is_cut = looked_at == page || room.0 <= 0;
    let mut delete = connection.prepare_cached(sql::DELETE_TIMER)?;
    for (fire_at, iid, seq) in gone {
        delete.execute([fire_at, iid, seq])?;
    }
    Ok(is_cut.then_some(after))
}

/// Lists some of the rows that stand in a hub by themselves, which an index has by its name, in the order of their table: the
/// last one first.
fn list_of_hub(connection: &Connection, table: &sql::SweptOfHub, hub: i64, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let page = i64::try_from(limit.saturating_mul(LOOKED_AT)).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(table.rows)?;
    let mut rowids = statement.query_map([hub, page], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    rowids.sort_unstable_by(|a, b| b.cmp(a));
    Ok(rowids)
}

/// Deletes them from the end of a list, as many as there is room for.
fn rows_of_hub(
    connection: &Connection,
    table: &sql::SweptOfHub,
    rowids: &mut Vec<i64>,
    room: &mut Room,
) -> rusqlite::Result<()> {
    let mut bytes = connection.prepare_cached(table.bytes)?;
    while room.0 > 0
        && let Some(rowid) = rowids.pop()
    {
        room.0 -= 1 + bytes.query_row([rowid], |row| row.get::<_, i64>(0))? / PAGE;
        for delete in table.delete {
            connection.prepare_cached(delete)?.execute([rowid])?;
        }
    }
    Ok(())
}

/// Deletes an instance with all that hangs on it, its own row last: by it reads know that the others are gone. Whether
/// there was room for all.
fn instance(connection: &Connection, pieces: &mut Pieces, iid: i64, room: &mut Room) -> rusqlite::Result<bool> {
    if pieces.has(iid) {
        if !clear(connection, &sql::SWEEP_PIECES, iid, room)? {
            return Ok(false);
        }
        pieces.forget(iid);
    }
    for table in &sql::SWEEP_INSTANCE {
        if !clear(connection, table, iid, room)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes the rows of a table that belong to an instance. Whether there was room for all.
fn clear(connection: &Connection, table: &sql::Swept, iid: i64, room: &mut Room) -> rusqlite::Result<bool> {
    assert!(room.0 > 0, "a limit below zero is none");
    let mut statement = connection.prepare_cached(table.rows)?;
    let rows = statement.query_map([iid, room.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(Value, i64)> = rows.collect::<Result<_, _>>()?;
    if rows.is_empty() {
        return Ok(true);
    }
    let mut delete = connection.prepare_cached(table.delete)?;
    for (key, bytes) in rows {
        if room.0 <= 0 {
            break;
        }
        delete.execute(params![iid, key])?;
        room.0 -= 1 + bytes / PAGE;
    }
    Ok(room.0 > 0)
}
