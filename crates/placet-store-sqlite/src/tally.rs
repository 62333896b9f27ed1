//! How many instances of each hub have each status: kept with every batch, in the same transaction, so that it is exact
//! whatever becomes of the process, and nobody ever counts.
//!
//! What an instance was before is known by its row alone. The statements that change and delete rows have it in their hands,
//! and tell it to functions of ours: no row is looked up for it. What a batch comes to is written once for each status that it
//! changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, params};

use crate::statements as sql;

/// By how many the counts differ from those that are stored, by hub and status.
type Changes = BTreeMap<(i64, i32), i64>;

/// What the batch under way has changed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally(Arc<Mutex<Changes>>);

impl Tally {
    /// The tally of what is written through this connection.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Tally> {
        let tally = Tally::default();
        // Not of use in a schema, and never called twice for one row.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        let (changed, gone) = (tally.clone(), tally.clone());
        connection.create_scalar_function("changed", 3, flags, move |row: &Context<'_>| {
            let (hub, was, is) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if was != is {
                changed.add(hub, was, -1);
                changed.add(hub, is, 1);
            }
            Ok(is)
        })?;
        connection.create_scalar_function("gone", 2, flags, move |row: &Context<'_>| {
            gone.add(row.get(0)?, row.get(1)?, -1);
            Ok(true)
        })?;
        Ok(tally)
    }

    /// So many more instances of this hub have this status.
    pub(crate) fn add(&self, hub: i64, status: i32, more: i64) {
        *self.changes().entry((hub, status)).or_default() += more;
    }

    /// Writes what has changed, which is part of the transaction.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for ((hub, status), more) in std::mem::take(&mut *self.changes()) {
            if more == 0 {
                continue;
            }
            let statement = if more > 0 { sql::TALLY_MORE } else { sql::TALLY_LESS };
            connection.prepare_cached(statement)?.execute(params![hub, status, more])?;
        }
        Ok(())
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
