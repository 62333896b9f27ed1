//! Reads of record rows. One by its name is an error if it is damaged; of a list it is left out, and so are those that expire.

use bytes::Bytes;
use placet_core::ids::{Hub, RecordKey};
use placet_core::rows::RecordRow;
use placet_core::time::Timestamp;
use placet_store::{ReadError, RecordList};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::checksum;
use crate::damage::Damage;
use crate::readers::Fault;
use crate::reads::{blob, compare, count, number, number_of_hub, text};
use crate::sweep::name_of_deleted;

const RECORD: &str = "
    SELECT record.version, record.expires_at, record.crc, record.body
    FROM hub JOIN record ON record.hub = hub.hub
    WHERE hub.name = ?1 AND record.kind = ?2 AND record.key = ?3";
const RECORDS: &str = "
    SELECT version, expires_at, crc, body, kind, key FROM record
    WHERE hub = ?1 AND (kind, key) >= (?2, ?3) ORDER BY kind, key LIMIT ?4";
const EXPIRED: &str = "
    SELECT hub.name, record.kind, record.key
    FROM record INDEXED BY record_expiry JOIN hub ON hub.hub = record.hub
    WHERE record.expires_at <= ?1 ORDER BY record.expires_at LIMIT ?2";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const ALL: [&str; 3] = [RECORD, RECORDS, EXPIRED];

pub(crate) fn one(connection: &Connection, key: &RecordKey) -> Result<Option<RecordRow>, ReadError> {
    let read = || {
        let mut statement = connection.prepare_cached(RECORD)?;
        let names = [key.hub.as_str(), &key.kind, &key.key];
        let found = statement.query_row(names, |row| Ok(record(row, key.clone()))).optional()?;
        found.transpose()
    };
    read().map_err(|fault: Fault| fault.of("record"))
}

pub(crate) fn list(connection: &Connection, list: &RecordList, damage: &Damage) -> Result<Vec<RecordRow>, ReadError> {
    let told = |fault: Fault| fault.of("record");
    let Some(hub) = number_of_hub(connection, &list.hub).map_err(told)? else { return Ok(Vec::new()) };
    let (kind, key) = list.from();
    let mut statement = connection.prepare_cached(RECORDS).map_err(Fault::from).map_err(told)?;
    // One more: that behind which the list goes on is no part of it.
    let values = params![hub, kind, key, count(list.limit.saturating_add(1))];
    let mut rows = statement.query(values).map_err(Fault::from).map_err(told)?;
    let mut found = Vec::new();
    while found.len() < list.limit
        && let Some(row) = rows.next().map_err(Fault::from).map_err(told)?
    {
        let named = text(row, 4).and_then(|kind| Ok(RecordKey::new(list.hub.clone(), kind, text(row, 5)?)));
        let Some(key) = damage.leave_out(named.map_err(told))? else { continue };
        if list.is_behind(&key) {
            break; // those that are meant lie together
        }
        if list.holds(&key) {
            found.extend(damage.leave_out(record(row, key).map_err(told))?);
        }
    }
    Ok(found)
}

pub(crate) fn expired(
    connection: &Connection,
    until: Timestamp,
    limit: usize,
    damage: &Damage,
) -> Result<Vec<RecordKey>, ReadError> {
    let told = |fault: Fault| fault.of("record");
    let mut statement = connection.prepare_cached(EXPIRED).map_err(Fault::from).map_err(told)?;
    let mut rows = statement.query(params![until.0, count(limit)]).map_err(Fault::from).map_err(told)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(Fault::from).map_err(told)? {
        let named = || {
            let hub = text(row, 0)?;
            let is_gone = name_of_deleted(hub).is_some();
            Ok((!is_gone).then_some(RecordKey::new(Hub::new(hub), text(row, 1)?, text(row, 2)?)))
        };
        found.extend(damage.leave_out(named().map_err(told))?.flatten());
    }
    Ok(found)
}

fn record(row: &Row<'_>, key: RecordKey) -> Result<RecordRow, Fault> {
    let body = Bytes::copy_from_slice(blob(row, 3)?);
    let expires_at = row.get::<_, Option<i64>>(1)?.map(Timestamp);
    let found = RecordRow { key, version: number(row, 0)?, expires_at, body };
    compare(checksum::of_record(&found), row.get(2)?, || found.key.to_string())?;
    Ok(found)
}
