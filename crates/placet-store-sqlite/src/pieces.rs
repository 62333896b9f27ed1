//! Payloads that are too long for their rows, which are clustered by key: SQLite reads the whole of a row to compare its
//! key, and holds it three times to write it. They lie in a table of their own, in pieces, and their row has an empty
//! blob instead. Its checksum is that of the whole payload: pieces that are missing show.
//!
//! A payload may be written ahead of its row. Nothing tells such pieces from others but that their row is not there: by that
//! they are found, and cleared away, when the store is claimed.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use placet_core::rows::{AheadPiece, PayloadKey};
use rusqlite::{Connection, params};

use crate::readers::Fault;
use crate::session::key;

const PUT: &str = "INSERT INTO piece(iid, kind, seq, part, data) VALUES(?1, ?2, ?3, ?4, ?5)";
const DELETE: &str = "DELETE FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3";
const DELETE_BEFORE: &str = "DELETE FROM piece WHERE iid = ?1 AND kind = ?2 AND seq < ?3";
/// By the index alone: as often as there are pieces, of which each is long.
const OWNERS: &str = "SELECT DISTINCT iid FROM piece";
/// How long they are stands in the head of each row: they are not read for it.
const LENGTH: &str = "SELECT ifnull(sum(length(data)), 0) FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3";
const READ: &str = "SELECT data FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3 ORDER BY part";

/// Payloads whose rows are not there. What is looked up for each of them is a short row.
const STRAYS: &str = "
    SELECT iid, kind, seq FROM (SELECT DISTINCT iid, kind, seq FROM piece) AS of
    WHERE NOT CASE kind
        WHEN 0 THEN EXISTS (SELECT 1 FROM history WHERE history.iid = of.iid AND history.turn = of.seq)
        WHEN 1 THEN EXISTS (SELECT 1 FROM inbox WHERE inbox.iid = of.iid AND inbox.seq = of.seq)
        ELSE EXISTS (SELECT 1 FROM activity WHERE activity.iid = of.iid AND activity.seq = of.seq)
    END";
const DELETE_SOME: &str = "
    DELETE FROM piece WHERE rowid IN
        (SELECT rowid FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3 LIMIT ?4)";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const READS: [&str; 3] = [OWNERS, LENGTH, READ];

/// Of what nobody owns so many pieces are cleared away in a transaction: 16 MiB.
const CLEARED_AT_ONCE: u8 = 64;

/// Whose payload it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    History = 0,
    Inbox = 1,
    Activity = 2,
}

/// A row: its instance, its table, its number there.
pub(crate) type RowKey = (i64, Kind, i64);

/// Where a payload lies.
pub(crate) fn place(of: PayloadKey) -> rusqlite::Result<RowKey> {
    let (iid, kind, seq) = match of {
        PayloadKey::History(iid, turn) => (iid, Kind::History, turn.0.into()),
        PayloadKey::Inbox(iid, seq) => (iid, Kind::Inbox, seq.0),
        PayloadKey::Activity(iid, seq) => (iid, Kind::Activity, seq.0),
    };
    Ok((key(iid.0)?, kind, key(seq)?))
}

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

    /// What is to stand in a row whose payload was written ahead: nothing. If not all of it lies there, it is put there now.
    pub(crate) fn put_behind<'a>(
        &mut self,
        connection: &Connection,
        of: RowKey,
        data: &'a [u8],
    ) -> rusqlite::Result<&'a [u8]> {
        let (iid, kind, seq) = of;
        let mut statement = connection.prepare_cached(LENGTH)?;
        let there: i64 = statement.query_row(params![iid, kind as i64, seq], |row| row.get(0))?;
        if usize::try_from(there) == Ok(data.len()) { Ok(&[]) } else { self.put(connection, of, data) }
    }

    /// Puts a piece there ahead of its row. The first one takes the place of what is left of an earlier attempt.
    pub(crate) fn put_ahead(&mut self, connection: &Connection, piece: &AheadPiece) -> rusqlite::Result<()> {
        let of = place(piece.of)?;
        let (iid, kind, seq) = of;
        if piece.part == 0 && (!piece.data.is_empty() || !is_row_there(connection, of)?) {
            self.delete(connection, of)?;
        }
        if !piece.data.is_empty() {
            self.owners.insert(iid);
            connection.prepare_cached(PUT)?.execute(params![iid, kind as i64, seq, piece.part, &piece.data[..]])?;
        }
        Ok(())
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

fn is_row_there(connection: &Connection, (iid, kind, seq): RowKey) -> rusqlite::Result<bool> {
    let row = match kind {
        Kind::History => "SELECT 1 FROM history WHERE iid = ?1 AND turn = ?2",
        Kind::Inbox => "SELECT 1 FROM inbox WHERE iid = ?1 AND seq = ?2",
        Kind::Activity => "SELECT 1 FROM activity WHERE iid = ?1 AND seq = ?2",
    };
    connection.prepare_cached(row)?.exists([iid, seq])
}

/// The payloads whose rows are not there.
pub(crate) fn strays(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let mut statement = connection.prepare(STRAYS)?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// Clears away some pieces of such a one. Whether there may be more.
pub(crate) fn clear_some(connection: &Connection, (iid, kind, seq): (i64, i64, i64)) -> rusqlite::Result<bool> {
    let values = params![iid, kind, seq, CLEARED_AT_ONCE];
    Ok(connection.prepare_cached(DELETE_SOME)?.execute(values)? == usize::from(CLEARED_AT_ONCE))
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
