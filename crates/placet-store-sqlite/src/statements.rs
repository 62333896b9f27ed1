//! Every statement. What writes goes by intent: the core says whether a row is new, changed or changed in a column
//! that an index covers, and no statement asks again. Prepared once per connection.

pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(crate) const COMMIT: &str = "COMMIT";

/// Counts without doing any work: (busy, frames in the log, frames copied from it).
pub(crate) const LOG: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Copies what no reader holds back, and waits for nobody.
pub(crate) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Copies the rest, and makes the next commit begin at the head of the log.
pub(crate) const RESTART_LOG: &str = "PRAGMA wal_checkpoint(RESTART)";

pub(crate) const PUT_META: &str =
    "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value";
pub(crate) const META: &str = "SELECT value FROM meta WHERE key = ?1";
pub(crate) const IID_MAX: &str = "SELECT max(iid) FROM instance";

pub(crate) const HUB: &str = "SELECT hub FROM hub WHERE name = ?1";
pub(crate) const INSERT_HUB: &str = "INSERT INTO hub(name) VALUES(?1)";

/// A hub with all that is in it. Timers are not found by instance: their table is read once.
pub(crate) const DELETE_HUB: &[&str] = &[
    "DELETE FROM piece WHERE iid IN (SELECT iid FROM instance WHERE hub = ?1)",
    "DELETE FROM history WHERE iid IN (SELECT iid FROM instance WHERE hub = ?1)",
    "DELETE FROM inbox WHERE iid IN (SELECT iid FROM instance WHERE hub = ?1)",
    "DELETE FROM activity WHERE iid IN (SELECT iid FROM instance WHERE hub = ?1)",
    "DELETE FROM reply WHERE iid IN (SELECT iid FROM instance WHERE hub = ?1)",
    "DELETE FROM timer WHERE iid IN (SELECT iid FROM instance WHERE hub = ?1)",
    "DELETE FROM instance WHERE hub = ?1",
    "DELETE FROM published WHERE hub = ?1",
    "DELETE FROM hub WHERE hub = ?1",
];

/// An instance without its timers, which a batch deletes one by one.
pub(crate) const DELETE_INSTANCE: &[&str] = &[
    "DELETE FROM piece WHERE iid = ?1",
    "DELETE FROM history WHERE iid = ?1",
    "DELETE FROM inbox WHERE iid = ?1",
    "DELETE FROM activity WHERE iid = ?1",
    "DELETE FROM reply WHERE iid = ?1",
    "DELETE FROM instance WHERE iid = ?1",
];
pub(crate) const INSERT_INSTANCE: &str = "
    INSERT INTO instance(iid, name, created_at, updated_at, completed_at, crc, body, status, active, hub, id)
    VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
/// Names every column but hub and id, which are for life: the core is held to it.
pub(crate) const UPDATE_INSTANCE: &str = "
    UPDATE instance SET name = ?2, created_at = ?3, updated_at = ?4, completed_at = ?5, crc = ?6, body = ?7,
        status = ?8, active = ?9
    WHERE iid = ?1 AND hub = ?10 AND id = ?11";
/// Leaves out the columns that indexes cover, so that no index is looked at. They must be as the core says.
pub(crate) const UPDATE_INSTANCE_PLAINLY: &str = "
    UPDATE instance SET name = ?2, created_at = ?3, updated_at = ?4, completed_at = ?5, crc = ?6, body = ?7
    WHERE iid = ?1 AND hub = ?8 AND id = ?9 AND status = ?10 AND active = ?11";

pub(crate) const DROP_HISTORY: &str = "DELETE FROM history WHERE iid = ?1 AND turn < ?2";
pub(crate) const APPEND_HISTORY: &str = "INSERT INTO history(iid, turn, count, crc, events) VALUES(?1, ?2, ?3, ?4, ?5)";

pub(crate) const DELETE_INBOX: &str = "DELETE FROM inbox WHERE iid = ?1 AND seq = ?2";
pub(crate) const PUT_INBOX: &str = "INSERT INTO inbox(iid, seq, crc, data) VALUES(?1, ?2, ?3, ?4)";

pub(crate) const DELETE_ACTIVITY: &str = "DELETE FROM activity WHERE iid = ?1 AND seq = ?2";
pub(crate) const PUT_ACTIVITY: &str = "INSERT OR REPLACE INTO activity(iid, seq, crc, data) VALUES(?1, ?2, ?3, ?4)";

pub(crate) const DELETE_TIMER: &str = "DELETE FROM timer WHERE fire_at = ?1 AND iid = ?2 AND seq = ?3";
pub(crate) const PUT_TIMER: &str =
    "INSERT OR REPLACE INTO timer(fire_at, iid, seq, part, crc) VALUES(?1, ?2, ?3, ?4, ?5)";

pub(crate) const DROP_REPLIES: &str = "DELETE FROM reply WHERE iid = ?1 AND turn < ?2";
pub(crate) const PUT_REPLY: &str =
    "INSERT OR REPLACE INTO reply(iid, ask_id, crc, answer, turn) VALUES(?1, ?2, ?3, ?4, ?5)";

pub(crate) const PUBLISH: &str = "
    INSERT INTO published(hub, kind, key, crc, body) VALUES(?1, ?2, ?3, ?4, ?5)
    ON CONFLICT(hub, kind, key) DO UPDATE SET crc = excluded.crc, body = excluded.body";
pub(crate) const WITHDRAW: &str = "DELETE FROM published WHERE hub = ?1 AND kind = ?2 AND key = ?3";
