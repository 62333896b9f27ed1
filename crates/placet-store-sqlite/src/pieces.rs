//! Payloads that are too long for their rows, which are clustered by key: SQLite reads the whole of a row to compare its
//! key, and holds it three times to write it. They lie in a table of their own, in pieces, and their row has an empty
//! blob instead. Its checksum is that of the whole payload: pieces that are missing show.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use rusqlite::{Connection, params};

use crate::readers::Fault;

const PUT: &str = "INSERT INTO piece(iid, kind, seq, part, data) VALUES(?1, ?2, ?3, ?4, ?5)";
const DELETE: &str = "DELETE FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3";
const DELETE_BEFORE: &str = "DELETE FROM piece WHERE iid = ?1 AND kind = ?2 AND seq < ?3";
/// By the index alone: as often as there are pieces, of which each is long.
const OWNERS: &str = "SELECT DISTINCT iid FROM piece";
/// How long they are stands in the head of each row: they are not read for it.
const LENGTH: &str = "SELECT ifnull(sum(length(data)), 0) FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3";
const READ: &str = "SELECT data FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3 ORDER BY part";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const READS: [&str; 3] = [OWNERS, LENGTH, READ];

/// Whose payload it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    History = 0,
    Inbox = 1,
    Activity = 2,
}

/// A row: its instance, its table, its number there.
pub(crate) type RowKey = (i64, Kind, i64);

/// The writer's part: it knows which instances have any, so that others cost no statement.
#[derive(Debug)]
pub(crate) struct Pieces {
    owners: HashSet<i64>,
    long: usize,
}

impl Pieces {
    /// Payloads longer than `long` bytes are kept in pieces of that length.
    pub(crate) fn open(connection: &Connection, long: usize) -> rusqlite::Result<Pieces> {
        let mut statement = connection.prepare(OWNERS)?;
        let owners = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Pieces { owners, long })
    }

    /// What is to stand in the row: the payload, or nothing if it was put into pieces.
    pub(crate) fn put<'a>(
        &mut self,
        connection: &Connection,
        (iid, kind, seq): RowKey,
        data: &'a [u8],
    ) -> rusqlite::Result<&'a [u8]> {
        self.delete(connection, (iid, kind, seq))?;
        if data.len() <= self.long {
            return Ok(data);
        }
        self.owners.insert(iid);
        let mut statement = connection.prepare_cached(PUT)?;
        for (part, piece) in (0_i64..).zip(data.chunks(self.long)) {
            statement.execute(params![iid, kind as i64, seq, part, piece])?;
        }
        Ok(&[])
    }

    /// The row is deleted or written anew.
    pub(crate) fn delete(&self, connection: &Connection, (iid, kind, seq): RowKey) -> rusqlite::Result<()> {
        if self.owners.contains(&iid) {
            connection.prepare_cached(DELETE)?.execute(params![iid, kind as i64, seq])?;
        }
        Ok(())
    }

    /// All rows of this kind before that one are deleted.
    pub(crate) fn delete_before(&self, connection: &Connection, (iid, kind, seq): RowKey) -> rusqlite::Result<()> {
        if self.owners.contains(&iid) {
            connection.prepare_cached(DELETE_BEFORE)?.execute(params![iid, kind as i64, seq])?;
        }
        Ok(())
    }

    /// Whether the instance has any.
    pub(crate) fn has(&self, iid: i64) -> bool {
        self.owners.contains(&iid)
    }

    /// The instance is deleted with all that it had.
    pub(crate) fn forget(&mut self, iid: i64) {
        self.owners.remove(&iid);
    }
}

/// A payload: what stands in its row, or if that is nothing, its pieces.
pub(crate) fn read(connection: &Connection, of: RowKey, inline: &[u8]) -> Result<Bytes, Fault> {
    if !inline.is_empty() {
        return Ok(Bytes::copy_from_slice(inline));
    }
    let mut whole = BytesMut::with_capacity(length(connection, of, inline)?);
    let mut statement = connection.prepare_cached(READ)?;
    let (iid, kind, seq) = of;
    let mut rows = statement.query(params![iid, kind as i64, seq])?;
    while let Some(row) = rows.next()? {
        let piece = row.get_ref(0)?.as_blob().map_err(|error| Fault::Damaged(error.to_string()))?;
        whole.extend_from_slice(piece);
    }
    Ok(whole.freeze())
}

/// How long [`read`] will find it.
pub(crate) fn length(connection: &Connection, of: RowKey, inline: &[u8]) -> Result<usize, Fault> {
    if !inline.is_empty() {
        return Ok(inline.len());
    }
    let (iid, kind, seq) = of;
    let mut statement = connection.prepare_cached(LENGTH)?;
    let bytes: i64 = statement.query_row(params![iid, kind as i64, seq], |row| row.get(0))?;
    Ok(usize::try_from(bytes).expect("a payload was in memory once"))
}
