//! The reads. Every row's checksum is compared: what is damaged is an error, never taken for what was written. The reads
//! that look for work leave it out and tell of it: what is well must not wait for it.

use bytes::Bytes;
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, PartitionId, Seq, Turn};
use placet_core::rows::{ActivityRow, HistoryRow, InboxRow, InstanceRow, LoadedInstance, Lookup, ReplyRow, TimerRow};
use placet_core::time::Timestamp;
use placet_store::{ActivePage, ReadError};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::checksum;
use crate::damage::Damage;
use crate::pieces::{self, Kind};
use crate::readers::Fault;
use crate::statements as sql;
use crate::sweep::name_of_deleted;

macro_rules! instances {
    ($rest:literal) => {
        concat!(
            "SELECT instance.iid, hub.name, instance.id, instance.name, instance.status, instance.active,
                instance.created_at, instance.updated_at, instance.completed_at, instance.crc, instance.body
            FROM ",
            $rest
        )
    };
}

const BY_NAME: &str =
    instances!("hub JOIN instance ON instance.hub = hub.hub WHERE hub.name = ?1 AND instance.id = ?2");
/// A hub that is missing is damage and not the end of the instance.
const BY_IID: &str = instances!("instance LEFT JOIN hub ON hub.hub = instance.hub WHERE instance.iid = ?1");
/// By the index alone, which is named, or a million parked instances might be looked at. Each instance is then read by
/// itself: a page of the table that cannot be read takes those that are on it and no other.
const ACTIVE: &str =
    "SELECT iid FROM instance INDEXED BY instance_active WHERE active = 1 AND iid > ?1 ORDER BY iid LIMIT ?2";
const INBOX: &str = "SELECT seq, crc, data FROM inbox WHERE iid = ?1 ORDER BY seq";
const ACTIVITIES: &str = "SELECT seq, crc, data FROM activity WHERE iid = ?1 ORDER BY seq";
const REPLIES: &str = "SELECT ask_id, crc, answer, turn FROM reply WHERE iid = ?1 ORDER BY ask_id";
const HISTORY: &str = "SELECT turn, count, crc, events FROM history WHERE iid = ?1 AND turn >= ?2 ORDER BY turn";
const DUE: &str = "
    SELECT fire_at, iid, seq, part, crc FROM timer
    WHERE (fire_at, iid, seq) > (?1, ?2, ?3) AND fire_at <= ?4 ORDER BY fire_at, iid, seq";
/// Whether an instance is still there only because its hub, which is deleted, is not cleared away yet.
const GONE: &str = "
    SELECT 1 FROM instance JOIN hub ON hub.hub = instance.hub
    WHERE instance.iid = ?1 AND hub.name >= 'DELETED ' AND hub.name < 'DELETED!'";
const HUBS: &str = "SELECT name FROM hub ORDER BY name";
const PUBLISHED: &str = "
    SELECT published.crc, published.body, published.owner, published.terms
    FROM hub JOIN published ON published.hub = hub.hub
    WHERE hub.name = ?1 AND published.kind = ?2 AND published.key = ?3";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const ALL: [&str; 11] =
    [BY_NAME, BY_IID, ACTIVE, INBOX, ACTIVITIES, REPLIES, HISTORY, DUE, GONE, HUBS, PUBLISHED];

pub(crate) fn load(connection: &Connection, lookup: &Lookup) -> Result<Option<LoadedInstance>, ReadError> {
    let found = match lookup {
        Lookup::Key(key) => row(connection, key)?,
        Lookup::Iid(iid) => row_of(connection, stored(iid.0))?.and_then(Stored::living),
    };
    found.map(|row| whole(connection, row)).transpose()
}

pub(crate) fn row(connection: &Connection, key: &InstanceKey) -> Result<Option<InstanceRow>, ReadError> {
    let found = one(connection, BY_NAME, [key.hub.as_str(), key.id.as_str()], |row| instance(row, key.clone()));
    found.map_err(|fault| fault.of("instance"))
}

pub(crate) fn recover(
    connection: &Connection,
    partitions: &dyn Fn(PartitionId) -> bool,
    after: Option<Iid>,
    limit: usize,
    bytes_max: usize,
    damage: &Damage,
) -> Result<ActivePage, ReadError> {
    let after = after.map_or(-1, |iid| stored(iid.0));
    let iids = all(connection, ACTIVE, params![after, count(limit)], |row| number(row, 0));
    let iids = iids.map_err(|fault| fault.of("instance"))?;
    // The limit is on rows looked at: a page may be short, and says whether another follows.
    let next = if iids.len() == limit { iids.last().copied().map(Iid) } else { None };
    let (mut instances, mut bytes) = (Vec::<LoadedInstance>::new(), 0_usize);
    for iid in iids {
        let found = damage.leave_out(active(connection, iid, partitions))?;
        let Some(found) = found.flatten() else { continue };
        bytes = bytes.saturating_add(found.payload_bytes());
        if bytes > bytes_max
            && let Some(last) = instances.last()
        {
            return Ok(ActivePage { next: Some(last.row.iid), instances });
        }
        instances.push(found);
    }
    Ok(ActivePage { instances, next })
}

/// An instance that is active, of these partitions.
fn active(
    connection: &Connection,
    iid: u64,
    partitions: &dyn Fn(PartitionId) -> bool,
) -> Result<Option<LoadedInstance>, ReadError> {
    let found = row_of(connection, stored(iid))?.filter(|found| found.row.active);
    let what = || format!("instance {iid} is active by the index and not by its row");
    let found = found.ok_or_else(|| ReadError::Damaged { table: "instance", what: what() })?;
    let wanted = found.living().filter(|row| partitions(row.key().partition()));
    wanted.map(|row| whole(connection, row)).transpose()
}

/// The number that a hub has in its rows, if it is there.
pub(crate) fn number_of_hub(connection: &Connection, hub: &Hub) -> Result<Option<i64>, Fault> {
    Ok(connection.prepare_cached(sql::HUB)?.query_row([hub.as_str()], |row| row.get(0)).optional()?)
}

/// An instance, unless it is gone.
pub(crate) fn by_iid(connection: &Connection, iid: Iid) -> Result<Option<InstanceRow>, ReadError> {
    Ok(row_of(connection, stored(iid.0))?.and_then(Stored::living))
}

/// An instance, and whether it is gone with its hub.
struct Stored {
    row: InstanceRow,
    is_gone: bool,
}

impl Stored {
    fn living(self) -> Option<InstanceRow> {
        (!self.is_gone).then_some(self.row)
    }
}

fn row_of(connection: &Connection, iid: i64) -> Result<Option<Stored>, ReadError> {
    let found = one(connection, BY_IID, [iid], |row| {
        let (told, id) = (text(row, 1)?, InstanceId::new(text(row, 2)?));
        let gone_with = name_of_deleted(told);
        let hub = Hub::new(gone_with.unwrap_or(told));
        Ok(Stored { row: instance(row, InstanceKey::new(hub, id))?, is_gone: gone_with.is_some() })
    });
    found.map_err(|fault| fault.of("instance"))
}

fn is_gone(connection: &Connection, iid: Iid) -> Result<bool, Fault> {
    let found = one(connection, GONE, [stored(iid.0)], |_| Ok(()))?;
    Ok(found.is_some())
}

fn are_hubs_deleted(connection: &Connection) -> Result<bool, Fault> {
    let found = one(connection, sql::DELETED_HUB, [], |_| Ok(()))?;
    Ok(found.is_some())
}

pub(crate) fn history(
    connection: &Connection,
    iid: Iid,
    from: Turn,
    bytes_max: usize,
) -> Result<Vec<HistoryRow>, ReadError> {
    match is_gone(connection, iid) {
        Ok(false) => turns(connection, iid, from, bytes_max).map_err(|fault| fault.of("history")),
        Ok(true) => Ok(Vec::new()),
        Err(fault) => Err(fault.of("instance")),
    }
}

pub(crate) fn due(
    connection: &Connection,
    partitions: &dyn Fn(PartitionId) -> bool,
    after: Option<TimerRow>,
    until: Timestamp,
    limit: usize,
    damage: &Damage,
) -> Result<Vec<TimerRow>, ReadError> {
    let (at, iid, seq) = after.map_or((i64::MIN, -1, -1), |row| (row.fire_at.0, stored(row.iid.0), stored(row.seq.0)));
    let told = |error: rusqlite::Error| Fault::from(error).of("timer");
    let some_are_gone = are_hubs_deleted(connection).map_err(|fault| fault.of("hub"))?;
    let mut statement = connection.prepare_cached(DUE).map_err(told)?;
    let mut rows = statement.query(params![at, iid, seq, until.0]).map_err(told)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(told)?
    {
        let row = damage.leave_out(timer(row).map_err(|fault| fault.of("timer")))?;
        let Some(row) = row.filter(|row| partitions(row.partition)) else { continue };
        if !some_are_gone || !is_gone(connection, row.iid).map_err(|fault| fault.of("instance"))? {
            found.push(row);
        }
    }
    Ok(found)
}

pub(crate) fn hubs(connection: &Connection) -> Result<Vec<Hub>, ReadError> {
    let living = |row: &Row<'_>| {
        let name = text(row, 0)?;
        Ok(name_of_deleted(name).is_none().then(|| Hub::new(name)))
    };
    let found = all(connection, HUBS, [], living).map_err(|fault| fault.of("hub"))?;
    Ok(found.into_iter().flatten().collect())
}

pub(crate) fn published(connection: &Connection, hub: &Hub, kind: &str, key: &str) -> Result<Option<Bytes>, ReadError> {
    let found = one(connection, PUBLISHED, [hub.as_str(), kind, key], |row| {
        published_row(row, (hub, kind, key)).map(|(body, _)| Bytes::copy_from_slice(body))
    });
    found.map_err(|fault| fault.of("published"))
}

/// Body and terms of a published row, whose columns come in the order of their checksum, the body, the owner, the terms.
pub(crate) fn published_row<'a>(
    row: &'a Row<'_>,
    (hub, kind, key): (&Hub, &str, &str),
) -> Result<(&'a [u8], Option<&'a [u8]>), Fault> {
    let body = blob(row, 1)?;
    let owner = row.get_ref(2)?.as_str_or_null().map_err(conversion)?;
    let terms = row.get_ref(3)?.as_blob_or_null().map_err(conversion)?;
    let crc = checksum::of_published((hub, kind, key), owner, terms, body);
    compare(crc, row.get(0)?, || format!("{kind} {key} of {hub}"))?;
    Ok((body, terms))
}

/// The instance with the rows that hang on it.
fn whole(connection: &Connection, row: InstanceRow) -> Result<LoadedInstance, ReadError> {
    let (iid, key) = (row.iid, stored(row.iid.0));
    let payload = |kind, row: &Row<'_>| payload(connection, iid, kind, row);
    let inbox =
        all(connection, INBOX, [key], |row| payload(Kind::Inbox, row).map(|(seq, data)| InboxRow { iid, seq, data }));
    let activities = all(connection, ACTIVITIES, [key], |row| {
        payload(Kind::Activity, row).map(|(seq, data)| ActivityRow { iid, seq, data })
    });
    let replies = all(connection, REPLIES, [key], |row| reply(row, iid));
    Ok(LoadedInstance {
        inbox: inbox.map_err(|fault| fault.of("inbox"))?,
        activities: activities.map_err(|fault| fault.of("activity"))?,
        replies: replies.map_err(|fault| fault.of("reply"))?,
        row,
    })
}

fn instance(row: &Row<'_>, key: InstanceKey) -> Result<InstanceRow, Fault> {
    let iid: i64 = row.get(0)?;
    let status: i32 = row.get(4)?;
    let damaged = || Fault::Damaged(format!("instance {iid} has status {status}"));
    let found = InstanceRow {
        iid: Iid(number(row, 0)?),
        hub: key.hub,
        id: key.id,
        name: text(row, 3)?.into(),
        status: status.try_into().map_err(|_| damaged())?,
        active: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        updated_at: Timestamp(row.get(7)?),
        completed_at: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        body: Bytes::copy_from_slice(blob(row, 10)?),
    };
    let crc = checksum::of_instance(iid, &found);
    compare(crc, row.get(9)?, || format!("instance {iid}"))?;
    Ok(found)
}

/// A message or an activity.
fn payload(connection: &Connection, iid: Iid, kind: Kind, row: &Row<'_>) -> Result<(Seq, Bytes), Fault> {
    let seq = number(row, 0)?;
    let data = pieces::read(connection, (stored(iid.0), kind, stored(seq)), blob(row, 2)?)?;
    let crc = checksum::of_row(stored(iid.0), stored(seq), &data);
    compare(crc, row.get(1)?, || format!("number {seq} of instance {iid}"))?;
    Ok((Seq(seq), data))
}

fn reply(row: &Row<'_>, iid: Iid) -> Result<ReplyRow, Fault> {
    let ask_id = text(row, 0)?;
    let answer = row.get_ref(2)?.as_str_or_null().map_err(conversion)?;
    let turn = row.get(3)?;
    let crc = checksum::of_reply(stored(iid.0), ask_id, turn, answer);
    compare(crc, row.get(1)?, || format!("ask {ask_id} of instance {iid}"))?;
    Ok(ReplyRow { iid, ask_id: ask_id.into(), turn: Turn(turn), answer: answer.map(Into::into) })
}

fn timer(row: &Row<'_>) -> Result<TimerRow, Fault> {
    let found = TimerRow {
        fire_at: Timestamp(row.get(0)?),
        iid: Iid(number(row, 1)?),
        seq: Seq(number(row, 2)?),
        partition: PartitionId(row.get(3)?),
    };
    let crc = checksum::of_timer(found.fire_at.0, row.get(1)?, row.get(2)?, found.partition.0);
    compare(crc, row.get(4)?, || format!("number {} of instance {}", found.seq, found.iid))?;
    Ok(found)
}

fn turns(connection: &Connection, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, Fault> {
    let mut statement = connection.prepare_cached(HISTORY)?;
    let mut rows = statement.query(params![stored(iid.0), from.0])?;
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let (turn, count, inline) = (row.get::<_, u32>(0)?, row.get(1)?, blob(row, 3)?);
        let of = (stored(iid.0), Kind::History, turn.into());
        bytes = bytes.saturating_add(pieces::length(connection, of, inline)?);
        if bytes > bytes_max && !found.is_empty() {
            break;
        }
        let events = pieces::read(connection, of, inline)?;
        let crc = checksum::of_turn(stored(iid.0), turn, count, &events);
        compare(crc, row.get(2)?, || format!("turn {turn} of instance {iid}"))?;
        found.push(HistoryRow { iid, turn: Turn(turn), count, events });
    }
    Ok(found)
}

fn all<T>(
    connection: &Connection,
    statement: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn one<T>(
    connection: &Connection,
    statement: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    let found = statement.query_row(values, |row| Ok(read(row))).optional()?;
    found.transpose()
}

pub(crate) fn compare(computed: i64, stored: i64, which: impl FnOnce() -> String) -> Result<(), Fault> {
    if computed == stored { Ok(()) } else { Err(Fault::Damaged(format!("{}: the checksum differs", which()))) }
}

pub(crate) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Fault> {
    row.get_ref(column)?.as_str().map_err(conversion)
}

pub(crate) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], Fault> {
    row.get_ref(column)?.as_blob().map_err(conversion)
}

fn conversion(error: rusqlite::types::FromSqlError) -> Fault {
    Fault::Damaged(error.to_string())
}

pub(crate) fn number(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| Fault::Damaged(format!("a key of {stored}")))
}

/// As it is stored. What would not fit was never written, and is not found either.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entries, lists, records, terms};

    /// How SQLite finds the rows, a line a step.
    fn plan(statement: &str) -> Vec<String> {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let values = vec![rusqlite::types::Null; explain.parameter_count()];
        let steps = explain.query_map(rusqlite::params_from_iter(values), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect()
    }

    #[test]
    fn what_an_instance_has_published_is_found_without_a_look_at_others() {
        let by_kind = "SEARCH published USING COVERING INDEX published_key (hub=? AND kind>?)";
        let expected = [
            by_kind,
            by_kind,
            "SEARCH published USING INDEX published_key (hub=? AND kind=? AND key=?)",
            "SEARCH published USING INDEX published_owner (hub=? AND owner=?)",
        ];
        for (statement, expected) in crate::statements::WITHDRAWALS.into_iter().zip(expected) {
            assert_eq!(plan(statement), [expected], "{statement}");
        }
    }

    #[test]
    fn no_read_looks_at_rows_that_it_does_not_answer_with() {
        let hub_by_name = "SEARCH hub USING COVERING INDEX sqlite_autoindex_hub_1 (name=?)";
        let hub_by_number = "SEARCH hub USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN";
        let expected = [
            &[hub_by_name, "SEARCH instance USING INDEX instance_id (hub=? AND id=?)"][..],
            &["SEARCH instance USING INTEGER PRIMARY KEY (rowid=?)", hub_by_number],
            &["SEARCH instance USING COVERING INDEX instance_active (iid>?)"],
            &["SEARCH inbox USING PRIMARY KEY (iid=?)"],
            &["SEARCH activity USING PRIMARY KEY (iid=?)"],
            &["SEARCH reply USING PRIMARY KEY (iid=?)"],
            &["SEARCH history USING PRIMARY KEY (iid=? AND turn>?)"],
            &["SEARCH timer USING PRIMARY KEY ((fire_at,iid,seq)>(?,?,?) AND fire_at<?)"],
            &["SEARCH instance USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH hub USING INTEGER PRIMARY KEY (rowid=?)"],
            &["SCAN hub USING COVERING INDEX sqlite_autoindex_hub_1"],
            &[hub_by_name, "SEARCH published USING INDEX published_key (hub=? AND kind=? AND key=?)"],
            &["SCAN piece USING COVERING INDEX piece_key"],
            &["SEARCH piece USING INDEX piece_key (iid=? AND kind=? AND seq=?)"],
            &["SEARCH piece USING INDEX piece_key (iid=? AND kind=? AND seq=?)"],
            &[hub_by_name],
            &[
                "SEARCH instance USING COVERING INDEX instance_list (hub=? AND status=? AND created_at>? AND created_at<?)",
            ],
            &["SEARCH instance USING INDEX instance_id (hub=? AND id>?)"],
            &["SEARCH instance USING COVERING INDEX instance_ended (hub=? AND completed_at>? AND completed_at<?)"],
            // All of a status that few have.
            &["SEARCH instance USING INDEX instance_list (hub=? AND status=?)", "USE TEMP B-TREE FOR ORDER BY"],
            &[hub_by_name, "SEARCH record USING INDEX record_key (hub=? AND kind=? AND key=?)"],
            &["SEARCH record USING INDEX record_key (hub=? AND (kind,key)>(?,?))"],
            &[
                "SEARCH record USING INDEX record_expiry (expires_at<?)",
                "SEARCH hub USING INTEGER PRIMARY KEY (rowid=?)",
            ],
            &[
                "CO-ROUTINE (subquery-1)",
                "SEARCH term USING PRIMARY KEY (hub=? AND kind=? AND text=?)",
                "SCAN (subquery-1)",
            ],
            &["SEARCH term USING PRIMARY KEY (hub=? AND kind=? AND text>?)"],
            &["SEARCH term USING PRIMARY KEY (hub=? AND kind=? AND text>?)"],
            &["SEARCH term USING PRIMARY KEY (hub=? AND kind=? AND text=? AND (place,row)>(?,?) AND place<?)"],
            &["SEARCH term USING PRIMARY KEY (hub=? AND kind=? AND text=? AND place>? AND (place,row)<(?,?))"],
            &["SEARCH published USING INTEGER PRIMARY KEY (rowid=?)"],
            &["SCAN behind", "SEARCH published USING INTEGER PRIMARY KEY (rowid=?)"],
            &["SEARCH behind USING INTEGER PRIMARY KEY (rowid=?)"],
            &["SCAN behind", "SEARCH published USING INTEGER PRIMARY KEY (rowid=?)"],
            &[
                "SEARCH entry USING INTEGER PRIMARY KEY (rowid=?)",
                "SCALAR SUBQUERY 1",
                "SEARCH placed USING PRIMARY KEY (hub=? AND part=?)",
            ],
            &["SEARCH entry USING INTEGER PRIMARY KEY (rowid>?)"],
            &["SEARCH placed USING PRIMARY KEY (hub=? AND part<?)"],
            &["SEARCH entry USING INTEGER PRIMARY KEY (rowid>?)"],
            &["SEARCH entry USING INDEX entry_owner (hub=? AND owner_sum=? AND number>?)"],
            &[
                "SEARCH placed USING PRIMARY KEY (hub=? AND part=? AND number>?)",
                "SEARCH entry USING INTEGER PRIMARY KEY (rowid=?)",
            ],
            &["SEARCH entry USING INTEGER PRIMARY KEY (rowid>?)"],
        ];
        let statements = ALL.iter().chain(&pieces::READS).chain(&lists::ALL).chain(&records::ALL);
        let statements = statements.chain(&terms::ALL).chain(&entries::ALL);
        assert_eq!(statements.clone().count(), expected.len());
        for (statement, expected) in statements.zip(expected) {
            assert_eq!(plan(statement), expected, "{statement}");
        }
    }
}
