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

/// The same, and leaves the log empty.
pub(crate) const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

pub(crate) const FREE_PAGES: &str = "PRAGMA freelist_count";
pub(crate) const PAGES: &str = "PRAGMA page_count";
pub(crate) const AUTO_VACUUM: &str = "PRAGMA auto_vacuum";

pub(crate) const PUT_META: &str =
    "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value";
pub(crate) const META: &str = "SELECT value FROM meta WHERE key = ?1";
pub(crate) const IID_MAX: &str = "SELECT max(iid) FROM instance";

pub(crate) const HUB: &str = "SELECT hub FROM hub WHERE name = ?1";
pub(crate) const INSERT_HUB: &str = "INSERT INTO hub(name) VALUES(?1)";

/// A hub that is deleted, and whose rows are cleared away later (`sweep.rs`): no hub's name has an uppercase letter. With
/// its number, or a name could not be deleted twice; and with its name, over which the checksums of its rows are.
pub(crate) const MARK_HUB_DELETED: &str = "UPDATE hub SET name = 'DELETED ' || hub || ' ' || name WHERE hub = ?1";
pub(crate) const DELETED_HUB: &str = "SELECT hub FROM hub WHERE name >= 'DELETED ' AND name < 'DELETED!' LIMIT 1";
pub(crate) const DELETE_HUB: &str = "DELETE FROM hub WHERE hub = ?1";
pub(crate) const INSTANCES_OF_HUB: &str =
    "SELECT id, iid FROM instance WHERE hub = ?1 AND id >= ?2 ORDER BY id LIMIT ?3";
pub(crate) const TIMERS: &str =
    "SELECT fire_at, iid, seq FROM timer WHERE (fire_at, iid, seq) > (?1, ?2, ?3) ORDER BY fire_at, iid, seq";

/// How rows of a table are cleared away: those of an instance, so many of them, with their keys and lengths; and one of them.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) rows: &'static str,
    pub(crate) delete: &'static str,
}

pub(crate) const SWEEP_PIECES: Swept = Swept {
    rows: "SELECT rowid, length(data) FROM piece WHERE iid = ?1 LIMIT ?2",
    delete: "DELETE FROM piece WHERE rowid = ?2 AND iid = ?1",
};
/// An instance without its pieces and timers, in this order.
pub(crate) const SWEEP_INSTANCE: [Swept; 5] = [
    Swept {
        rows: "SELECT turn, length(events) FROM history WHERE iid = ?1 LIMIT ?2",
        delete: "DELETE FROM history WHERE iid = ?1 AND turn = ?2",
    },
    Swept { rows: "SELECT seq, length(data) FROM inbox WHERE iid = ?1 LIMIT ?2", delete: DELETE_INBOX },
    Swept { rows: "SELECT seq, length(data) FROM activity WHERE iid = ?1 LIMIT ?2", delete: DELETE_ACTIVITY },
    Swept {
        rows: "SELECT ask_id, ifnull(length(answer), 0) FROM reply WHERE iid = ?1 LIMIT ?2",
        delete: "DELETE FROM reply WHERE iid = ?1 AND ask_id = ?2",
    },
    Swept {
        rows: "SELECT iid, length(body) FROM instance WHERE iid = ?1 LIMIT ?2",
        delete: "DELETE FROM instance WHERE iid = ?2 AND iid = ?1",
    },
];
/// How rows of a table that stand in a hub by themselves are cleared away: some of them, by an index, how long one of them is,
/// and that one.
#[derive(Debug)]
pub(crate) struct SweptOfHub {
    pub(crate) rows: &'static str,
    pub(crate) bytes: &'static str,
    pub(crate) delete: &'static [&'static str],
}

pub(crate) const TERMS_OF_HUB: &str = "SELECT kind, text, place, row FROM term WHERE hub = ?1 LIMIT ?2";
pub(crate) const SWEEP_HUB: [SweptOfHub; 3] = [
    SweptOfHub {
        rows: "SELECT row FROM entry INDEXED BY entry_owner WHERE hub = ?1 LIMIT ?2",
        bytes: "SELECT length(said) FROM entry WHERE row = ?1",
        delete: &[
            "DELETE FROM placed WHERE (hub, part, number) = (SELECT hub, part, number FROM entry WHERE row = ?1)",
            "DELETE FROM entry WHERE row = ?1",
        ],
    },
    SweptOfHub {
        rows: "SELECT row FROM published INDEXED BY published_key WHERE hub = ?1 LIMIT ?2",
        bytes: "SELECT length(body) FROM published WHERE row = ?1",
        delete: &[UNPUBLISH],
    },
    SweptOfHub {
        rows: "SELECT rowid FROM record INDEXED BY record_key WHERE hub = ?1 LIMIT ?2",
        bytes: "SELECT length(body) FROM record WHERE rowid = ?1",
        delete: &["DELETE FROM record WHERE rowid = ?1"],
    },
];

/// An instance without its timers, which a batch deletes one by one.
pub(crate) const DELETE_INSTANCE: &[&str] = &[
    "DELETE FROM piece WHERE iid = ?1",
    "DELETE FROM history WHERE iid = ?1",
    "DELETE FROM inbox WHERE iid = ?1",
    "DELETE FROM activity WHERE iid = ?1",
    "DELETE FROM reply WHERE iid = ?1",
    // Last, and counted as it goes (`tally.rs`).
    "DELETE FROM instance WHERE iid = ?1 AND gone(hub, status)",
];
pub(crate) const INSERT_INSTANCE: &str = "
    INSERT INTO instance(iid, name, created_at, updated_at, completed_at, crc, body, status, active, hub, id)
    VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
/// Names every column but hub, id and the time of creation, which are for life: the core is held to it.
pub(crate) const UPDATE_INSTANCE: &str = "
    UPDATE instance SET name = ?2, updated_at = ?4, completed_at = ?5, crc = ?6, body = ?7,
        status = changed(hub, status, ?8), active = ?9
    WHERE iid = ?1 AND hub = ?10 AND id = ?11 AND created_at = ?3";
/// Leaves out the columns that indexes cover, so that no index is looked at. They must be as the core says.
pub(crate) const UPDATE_INSTANCE_PLAINLY: &str = "
    UPDATE instance SET name = ?2, updated_at = ?4, crc = ?6, body = ?7
    WHERE iid = ?1 AND hub = ?8 AND id = ?9 AND status = ?10 AND active = ?11 AND created_at = ?3
        AND completed_at IS ?5";

/// What is taken away from a hub that was deleted meanwhile is nowhere counted any more.
pub(crate) const TALLY_LESS: &str = "UPDATE tally SET count = count + ?3 WHERE hub = ?1 AND status = ?2";
pub(crate) const TALLY_MORE: &str = "
    INSERT INTO tally(hub, status, count) VALUES(?1, ?2, ?3)
    ON CONFLICT(hub, status) DO UPDATE SET count = count + excluded.count";
pub(crate) const FORGET_TALLY: &str = "DELETE FROM tally WHERE hub = ?1";

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

pub(crate) const PUBLISHED: &str = "SELECT row, terms, kind FROM published WHERE hub = ?1 AND kind = ?2 AND key = ?3";
pub(crate) const PUBLISH: &str =
    "INSERT INTO published(hub, kind, key, crc, body, owner, terms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(crate) const PUBLISH_AGAIN: &str =
    "UPDATE published SET crc = ?2, body = ?3, owner = ?4, terms = ?5 WHERE row = ?1";
pub(crate) const UNPUBLISH: &str = "DELETE FROM published WHERE row = ?1";

pub(crate) const PUT_RECORD: &str = "
    INSERT INTO record(hub, kind, key, version, expires_at, crc, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT(hub, kind, key) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at,
        crc = excluded.crc, body = excluded.body";
pub(crate) const DELETE_RECORD: &str = "DELETE FROM record WHERE hub = ?1 AND kind = ?2 AND key = ?3";

/// What an instance has published: under its own id, by projection, of which there are few; and under others.
pub(crate) const FIRST_KIND: &str = "SELECT kind FROM published WHERE hub = ?1 AND kind >= ?2 ORDER BY kind LIMIT 1";
pub(crate) const NEXT_KIND: &str = "SELECT kind FROM published WHERE hub = ?1 AND kind > ?2 ORDER BY kind LIMIT 1";
pub(crate) const OWN: &str =
    "SELECT row, terms, kind FROM published WHERE hub = ?1 AND kind = ?2 AND key = ?3 AND owner IS NULL";
pub(crate) const OTHERS: &str = "SELECT row, terms, kind FROM published WHERE hub = ?1 AND owner = ?2";
/// For tests of how they find what they delete.
#[cfg(test)]
pub(crate) const WITHDRAWALS: [&str; 4] = [FIRST_KIND, NEXT_KIND, OWN, OTHERS];
