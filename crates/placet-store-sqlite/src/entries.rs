//! The record: entries at the ends of their chains. The session remembers each chain's head; a batch that is rolled back ends the
//! session, and the head with it.
//!
//! Where the entries of a chain are is written behind them, many at a time: each is the last of another of 256 chains, and an
//! index that was written with each of them would be written anew with every commit, from end to end.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use placet_core::chain::{Entry, EntryRow, Erasure, Hash, Head, Said};
use placet_core::ids::{Hub, InstanceId, PartitionId};
use placet_store::{EntryList, ReadError};
use rusqlite::{Connection, OptionalExtension as _, Row, Rows, params};

use crate::checksum;
use crate::damage::Damage;
use crate::readers::Fault;
use crate::reads::{self, blob, compare, number, text};
use crate::statements as sql;

/// In `meta`: up to which row it is written where entries are.
const PLACED: &str = "placed";

const LAST_ROW: &str = "SELECT max(row) FROM entry";
const PLACE: &str = "
    INSERT INTO placed(hub, part, number, row)
    SELECT hub, part, number, row FROM entry NOT INDEXED WHERE row > ?1 ORDER BY hub, part, number";
const HEAD: &str = "
    SELECT number, link FROM entry
    WHERE row = (SELECT row FROM placed WHERE hub = ?1 AND part = ?2 ORDER BY number DESC LIMIT 1)";
const HEAD_UNPLACED: &str = "
    SELECT number, link FROM entry NOT INDEXED WHERE row > ?3 AND hub = ?1 AND part = ?2 ORDER BY row DESC LIMIT 1";
const NEXT_HEAD: &str = "
    SELECT part FROM placed WHERE hub = ?1 AND part < ?2 ORDER BY part DESC, number DESC LIMIT 1";
const UNPLACED: &str = "SELECT part, number, link FROM entry NOT INDEXED WHERE row > ?2 AND hub = ?1 ORDER BY row";
const ENTER: &str = "
    INSERT INTO entry(row, hub, part, number, link, owner, owner_sum, crc, said)
    VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const OF_OWNER: &str = "
    SELECT row, number, link, owner, owner_sum, crc, said FROM entry INDEXED BY entry_owner
    WHERE hub = ?1 AND owner_sum = ?2 AND number > ?3 ORDER BY number";
const OF_CHAIN: &str = "
    SELECT entry.row, entry.number, link, owner, owner_sum, crc, said
    FROM placed CROSS JOIN entry
        ON entry.row = placed.row AND (entry.hub, entry.part, entry.number) = (placed.hub, placed.part, placed.number)
    WHERE placed.hub = ?1 AND placed.part = ?2 AND placed.number > ?3 ORDER BY placed.number";
const OF_CHAIN_UNPLACED: &str = "
    SELECT row, number, link, owner, owner_sum, crc, said FROM entry NOT INDEXED
    WHERE row > ?4 AND hub = ?1 AND part = ?2 AND number > ?3 ORDER BY row";
const ERASE: &str = "UPDATE entry SET crc = ?2, said = ?3 WHERE row = ?1";

/// For tests of all reads.
#[cfg(test)]
pub(crate) const ALL: [&str; 7] = [HEAD, HEAD_UNPLACED, NEXT_HEAD, UNPLACED, OF_OWNER, OF_CHAIN, OF_CHAIN_UNPLACED];

/// The ends of the chains that were written to.
#[derive(Debug)]
pub(crate) struct Heads {
    known: HashMap<(i64, PartitionId), Head>,
    /// Of all entries, the last one's row.
    last_row: i64,
    /// Up to which row it is written where entries are.
    placed: i64,
}

impl Heads {
    pub(crate) fn open(connection: &Connection) -> rusqlite::Result<Heads> {
        let placed = placed(connection)?;
        let last_row: Option<i64> = connection.query_row(LAST_ROW, [], |row| row.get(0))?;
        // The last ones may have gone with their hub: what is behind `placed` must be found there.
        Ok(Heads { known: HashMap::new(), last_row: last_row.unwrap_or(0).max(placed), placed })
    }

    pub(crate) fn forget(&mut self, hub: i64) {
        self.known.retain(|(of, _), _| *of != hub);
    }

    /// Writes an entry at the end of its chain.
    pub(crate) fn enter(&mut self, connection: &Connection, hub: i64, row: &EntryRow) -> rusqlite::Result<()> {
        let partition = row.partition();
        let before = match self.known.get(&(hub, partition)) {
            Some(head) => *head,
            None => self.head(connection, hub, &row.hub, partition)?,
        };
        let head = before.and(&row.owner, &row.said.commitment());
        let entry =
            Entry { partition, number: head.number, link: head.link, owner: row.owner.clone(), said: row.said.clone() };
        let said = entry.said.encode();
        self.last_row += 1;
        let values = params![
            self.last_row,
            hub,
            partition.0,
            i64::try_from(entry.number).unwrap_or(i64::MAX),
            &entry.link[..],
            entry.owner.as_str(),
            checksum::of_owner(&entry.owner).sum,
            checksum::of_entry(&row.hub, &entry, &said),
            said,
        ];
        connection.prepare_cached(ENTER)?.execute(values)?;
        self.known.insert((hub, partition), head);
        Ok(())
    }

    /// Of how many entries it is not written where they are.
    pub(crate) fn unplaced(&self) -> i64 {
        self.last_row - self.placed
    }

    /// Writes where all entries are.
    pub(crate) fn place(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.last_row > self.placed {
            connection.prepare_cached(PLACE)?.execute([self.placed])?;
            connection.prepare_cached(sql::PUT_META)?.execute(params![PLACED, self.last_row])?;
            self.placed = self.last_row;
        }
        Ok(())
    }

    fn head(&self, connection: &Connection, hub: i64, name: &Hub, partition: PartitionId) -> rusqlite::Result<Head> {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Hash>(1)?));
        let mut last = {
            let mut statement = connection.prepare_cached(HEAD_UNPLACED)?;
            statement.query_row(params![hub, partition.0, self.placed], read).optional()?
        };
        if last.is_none() {
            last = connection.prepare_cached(HEAD)?.query_row(params![hub, partition.0], read).optional()?;
        }
        let head = last.map(|(number, link)| Head { number: number.unsigned_abs(), link });
        Ok(head.unwrap_or_else(|| Head::none(name, partition)))
    }
}

/// Up to which row it is written where entries are.
fn placed(connection: &Connection) -> rusqlite::Result<i64> {
    let found = connection.prepare_cached(sql::META)?.query_row([PLACED], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0))
}

/// Erases in what an instance has entered.
pub(crate) fn erase(connection: &Connection, hub: i64, erasure: &Erasure) -> rusqlite::Result<()> {
    let key = &erasure.key;
    let mut found: Vec<(i64, Entry)> = Vec::new();
    {
        let mut statement = connection.prepare_cached(OF_OWNER)?;
        for sum in checksum::of_owner(&key.id).each() {
            let mut rows = statement.query(params![hub, sum, 0])?;
            while let Some(row) = rows.next()? {
                match entry(row, &key.hub, key.partition()) {
                    Ok(read) => found.push(read),
                    // Nobody knows whose it is; whoever goes along the chain is told.
                    Err(Fault::Damaged(what)) => tracing::error!(what, "a damaged entry is not erased"),
                    Err(Fault::Engine(error)) => return Err(error),
                }
            }
        }
    }
    let mut statement = connection.prepare_cached(ERASE)?;
    for (row, mut entry) in found.into_iter().filter(|(_, entry)| entry.owner == key.id) {
        if erasure.erase(&mut entry.said) {
            let said = entry.said.encode();
            statement.execute(params![row, checksum::of_entry(&key.hub, &entry, &said), said])?;
        }
    }
    Ok(())
}

/// The ends of a hub's chains, by partition.
pub(crate) fn heads(connection: &Connection, hub: &Hub) -> Result<Vec<(PartitionId, Head)>, ReadError> {
    let read = || -> Result<Vec<(PartitionId, Head)>, Fault> {
        let Some(hub) = reads::number_of_hub(connection, hub)? else { return Ok(Vec::new()) };
        let head = |number: i64, link: Hash| Head { number: number.unsigned_abs(), link };
        let mut heads = BTreeMap::new();
        let mut statement = connection.prepare_cached(NEXT_HEAD)?;
        let mut link = connection.prepare_cached(HEAD)?;
        let mut below = i64::from(u8::MAX) + 1;
        while let Some(part) = statement.query_row(params![hub, below], |row| row.get::<_, u8>(0)).optional()? {
            below = part.into();
            let last = link.query_row(params![hub, part], |row| Ok(head(row.get(0)?, row.get(1)?))).optional()?;
            heads.extend(last.map(|last| (PartitionId(part), last)));
        }
        let mut statement = connection.prepare_cached(UNPLACED)?;
        let mut rows = statement.query(params![hub, placed(connection)?])?;
        while let Some(row) = rows.next()? {
            heads.insert(PartitionId(row.get(0)?), head(row.get(1)?, row.get(2)?));
        }
        Ok(heads.into_iter().collect())
    };
    read().map_err(|fault| fault.of("entry"))
}

pub(crate) fn list(connection: &Connection, list: &EntryList, damage: &Damage) -> Result<Vec<Entry>, ReadError> {
    let told = |fault: Fault| fault.of("entry");
    let Some(hub) = reads::number_of_hub(connection, &list.hub).map_err(told)? else { return Ok(Vec::new()) };
    let (part, after) = (list.partition.0, i64::try_from(list.after).unwrap_or(i64::MAX));
    let mut page = Page { list, damage, found: Vec::new(), bytes: 0 };
    let fault = |error: rusqlite::Error| told(error.into());
    if let Some(owner) = &list.owner {
        let mut statement = connection.prepare_cached(OF_OWNER).map_err(fault)?;
        for sum in checksum::of_owner(owner).each() {
            page.read(statement.query(params![hub, sum, after]).map_err(fault)?)?;
        }
    } else {
        let mut statement = connection.prepare_cached(OF_CHAIN).map_err(fault)?;
        page.read(statement.query(params![hub, part, after]).map_err(fault)?)?;
        let mut statement = connection.prepare_cached(OF_CHAIN_UNPLACED).map_err(fault)?;
        let placed = placed(connection).map_err(fault)?;
        page.read(statement.query(params![hub, part, after, placed]).map_err(fault)?)?;
    }
    Ok(page.found)
}

/// What a list has found so far.
struct Page<'a> {
    list: &'a EntryList,
    damage: &'a Damage,
    found: Vec<Entry>,
    bytes: usize,
}

impl Page<'_> {
    fn read(&mut self, mut rows: Rows<'_>) -> Result<(), ReadError> {
        let Page { list, damage, found, bytes } = self;
        while found.len() < list.limit
            && *bytes < EntryList::PAGE_BYTES
            && let Some(row) = rows.next().map_err(|error| Fault::from(error).of("entry"))?
        {
            let read = entry(row, &list.hub, list.partition).map_err(|fault| fault.of("entry"));
            let read = damage.leave_out(read)?.map(|(_, entry)| entry);
            let meant = read.filter(|one| list.owner.as_ref().is_none_or(|of| *of == one.owner));
            *bytes += meant.as_ref().map_or(0, |entry| entry.said.bytes());
            found.extend(meant);
        }
        Ok(())
    }
}

fn entry(row: &Row<'_>, hub: &Hub, partition: PartitionId) -> Result<(i64, Entry), Fault> {
    let damaged = |what: &str| Fault::Damaged(what.to_owned());
    let stored = Bytes::copy_from_slice(blob(row, 6)?);
    let said = Said::decode(stored.clone()).map_err(|error| damaged(&error.to_string()))?;
    let link = blob(row, 2)?.try_into().map_err(|_| damaged("a link of another length"))?;
    let found = Entry { partition, number: number(row, 1)?, link, owner: InstanceId::new(text(row, 3)?), said };
    let sum = checksum::of_entry(hub, &found, &stored);
    compare(sum, row.get(5)?, || format!("entry {} of {partition:?}", found.number))?;
    // By another it would be missing where its instance's are listed.
    let (sums, stored) = (checksum::of_owner(&found.owner), row.get(4)?);
    if sums.plain != stored {
        compare(sums.sum, stored, || format!("the owner of entry {} of {partition:?}", found.number))?;
    }
    Ok((row.get(0)?, found))
}
