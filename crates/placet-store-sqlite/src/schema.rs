//! The schema: a list of migrations, and what in a file's header tells that it is ours.

use rusqlite::{Connection, TransactionBehavior};

/// `PLCT`, so that `file placet.db` tells what it is.
pub(crate) const APPLICATION_ID: u32 = 0x504C_4354;

/// Each makes a version of the one before; the file's `user_version` counts how many it has seen. What was
/// released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
    include_str!("migrations/6.sql"),
    include_str!("migrations/7.sql"),
    include_str!("migrations/8.sql"),
    include_str!("migrations/9.sql"),
    include_str!("migrations/10.sql"),
];

/// The version that this binary writes.
pub(crate) fn version_known() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("migrations are few")
}

pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file to the version that this binary writes, step by step, each of them whole or not at all.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    for (seen, migration) in (0..).zip(MIGRATIONS) {
        if version(connection)? > seen {
            continue;
        }
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", seen + 1)?;
        step.commit()?;
    }
    Ok(())
}
