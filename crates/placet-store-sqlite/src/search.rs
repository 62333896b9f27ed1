//! Searches: what an index has in the order that is asked for is taken from there; for all else the instances are brought
//! one by one to a [`Ranking`], for as long as the search has patience.
//!
//! A scan holds no lock and only its own snapshot. It gives way after every stretch: what is answered by an index, and the
//! commits, must not wait for a processor.

use std::time::Instant;

use placet_core::body::Shown;
use placet_core::ids::{Hub, Iid};
use placet_core::limits::INSTANCE_ID_CHARS_MAX;
use placet_core::rows::OrchestrationStatus;
use placet_core::time::Timestamp;
use placet_store::{Column, Facts, Found, Overview, Ranking, ReadError, Search, Status};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::damage::Damage;
use crate::readers::Fault;
use crate::reads;

/// So many instances are looked at before the clock is, and others are let through.
const STRETCH: u64 = 256;

/// What is behind the rows that are wanted is only counted, so far: a page must not wait for its number.
const COUNTED_MAX: usize = 10_000;

/// If this part of all instances or more are meant, all are looked at in the order in which they lie: each is found in half
/// the time.
const MANY: u64 = 3;

/// … unless what is wanted is among so many of the newest.
const NEWEST: u64 = 20_000;

pub(crate) const TALLY: &str = "SELECT status, count FROM tally WHERE hub = ?1 ORDER BY status";
const TALLY_OF_ALL: &str = "SELECT ifnull(sum(count), 0) FROM tally";
const FIRST: &str = "SELECT created_at FROM instance INDEXED BY instance_list
    WHERE hub = ?1 AND status = ?2 ORDER BY created_at LIMIT 1";
const LAST: &str = "SELECT created_at FROM instance INDEXED BY instance_list
    WHERE hub = ?1 AND status = ?2 ORDER BY created_at DESC LIMIT 1";
const BEGINNING: &str = "SELECT count(*) FROM (SELECT 1 FROM instance INDEXED BY instance_id
    WHERE hub = ?1 AND id >= ?2 AND id < ?3 LIMIT ?4)";

pub(crate) fn search(connection: &Connection, search: &Search, damage: &Damage) -> Result<Found, ReadError> {
    let of_instance = |fault: Fault| fault.of("instance");
    let Some(hub) = reads::number_of_hub(connection, &search.hub).map_err(of_instance)? else {
        return Ok(Found { is_all: true, is_exact: true, ..Found::default() });
    };
    let overview = overview_of(connection, hub).map_err(of_instance)?;
    let place = Place { connection, hub, search, overview: &overview, begun: Instant::now() };
    let looked = place.look().map_err(of_instance)?;
    let Searched { iids, matched, is_all, is_exact } = looked;
    let mut rows = Vec::new();
    for iid in iids {
        rows.extend(damage.leave_out(reads::by_iid(connection, iid))?.flatten());
    }
    Ok(Found { rows, matched, is_all, is_exact, overview })
}

pub(crate) fn overview(connection: &Connection, hub: &Hub) -> Result<Overview, ReadError> {
    let read = || match reads::number_of_hub(connection, hub)? {
        Some(hub) => overview_of(connection, hub),
        None => Ok(Overview::default()),
    };
    read().map_err(|fault| fault.of("tally"))
}

fn overview_of(connection: &Connection, hub: i64) -> Result<Overview, Fault> {
    let mut overview = Overview::default();
    let mut statement = connection.prepare_cached(TALLY)?;
    let mut rows = statement.query([hub])?;
    while let Some(row) = rows.next()? {
        let count: i64 = row.get(1)?;
        let count = u64::try_from(count).map_err(|_| Fault::Damaged(format!("a count of {count}")))?;
        if count > 0 {
            overview.counts.insert(Status(row.get(0)?), count);
        }
    }
    for Status(status) in overview.counts.keys() {
        let end = |statement: &str| -> Result<Option<i64>, Fault> {
            Ok(connection.prepare_cached(statement)?.query_row(params![hub, status], |row| row.get(0)).optional()?)
        };
        let (Some(first), Some(last)) = (end(FIRST)?, end(LAST)?) else { continue };
        let (first, last) = (Timestamp(first), Timestamp(last));
        let created = overview.created.get_or_insert((first, last));
        *created = (created.0.min(first), created.1.max(last));
    }
    Ok(overview)
}

/// What came of it: the instances that are wanted, in order.
struct Searched {
    iids: Vec<Iid>,
    matched: u64,
    is_all: bool,
    is_exact: bool,
}

struct Place<'a> {
    connection: &'a Connection,
    hub: i64,
    search: &'a Search,
    overview: &'a Overview,
    begun: Instant,
}

impl Place<'_> {
    fn look(&self) -> Result<Searched, Fault> {
        let Search { filter, .. } = self.search;
        if self.statuses().is_empty() {
            return Ok(Searched { iids: Vec::new(), matched: 0, is_all: true, is_exact: true });
        }
        if let Some(key) = self.search.only_key() {
            if key.column == Column::Created && filter.is_by_status_and_creation() {
                return self.by_creation(key.descending);
            }
            if key.column == Column::Id && filter.is_by_beginning_of_id() {
                return self.by_id(key.descending);
            }
        }
        let beginning = if filter.id_starts.is_empty() { u64::MAX } else { self.count_beginning()? };
        if beginning <= COUNTED_MAX as u64 {
            let (low, high) = self.beginning();
            return self.scan(&self.text(ID_RANGE), vec![Value::Text(low), Value::Text(high)], u64::MAX);
        }
        let is_most = self.is_most_of_all()? && filter.created.is_none();
        if self.search.is_newest_first() || !is_most {
            let text = newest_first(&self.columns(), &self.statuses(), true);
            let mut found = self.scan(&text, self.range().into(), if is_most { NEWEST } else { u64::MAX })?;
            if filter.is_by_beginning_of_id() {
                found.matched = found.matched.max(beginning);
            }
            if !is_most || found.is_exact {
                return Ok(found);
            }
        }
        self.scan(&self.text(TABLE), Vec::new(), u64::MAX)
    }

    /// By the index that has it in this order, beginning at the end that is nearer.
    fn by_creation(&self, descending: bool) -> Result<Searched, Fault> {
        let statuses = self.statuses();
        let matched = match &self.search.filter.created {
            None => self.overview.count(&self.search.filter.statuses),
            Some(_) => self.count_created(&statuses)?,
        };
        let is_all = self.search.filter.created.is_none() || matched < COUNTED_MAX as u64;
        let Search { skip, take, .. } = *self.search;
        let all = usize::try_from(matched).unwrap_or(usize::MAX);
        let take = if is_all { take.min(all.saturating_sub(skip)) } else { take };
        let from_end = is_all && skip > all / 2;
        let skip = if from_end { all.saturating_sub(skip + take) } else { skip };
        let text = format!("{} LIMIT ?4 OFFSET ?5", newest_first("iid", &statuses, descending != from_end));
        let mut iids = self.iids(&text, [&self.range()[..], &[number(take), number(skip)]].concat())?;
        if from_end {
            iids.reverse();
        }
        Ok(Searched { iids, matched, is_all, is_exact: true })
    }

    /// How many were created in the time that is asked for, as far as that is counted.
    fn count_created(&self, statuses: &[i32]) -> Result<u64, Fault> {
        let mut matched = 0;
        for status in statuses {
            let text = format!("SELECT count(*) FROM (SELECT 1 {} LIMIT ?4)", of_status(*status));
            let left = (COUNTED_MAX as u64).saturating_sub(matched);
            let values = [&self.range()[..], &[Value::Integer(i64::try_from(left).unwrap_or(0))]].concat();
            matched += self.number(&text, values)?;
        }
        Ok(matched)
    }

    fn by_id(&self, descending: bool) -> Result<Searched, Fault> {
        let Search { skip, take, .. } = *self.search;
        let (low, high) = self.beginning();
        let direction = if descending { "DESC" } else { "" };
        let text = format!("SELECT iid FROM instance {ID_RANGE} ORDER BY id {direction} LIMIT ?4 OFFSET ?5");
        let iids = self.iids(&text, vec![Value::Text(low), Value::Text(high), number(take), number(skip)])?;
        if self.search.filter.id_starts.is_empty() {
            return Ok(Searched { iids, matched: self.overview.total(), is_all: true, is_exact: true });
        }
        let matched = self.count_beginning()?;
        Ok(Searched { iids, matched, is_all: matched <= COUNTED_MAX as u64, is_exact: true })
    }

    /// Brings what a statement finds to a ranking, as many as `most`. If that finds the newest first and they are wanted so,
    /// it is over as soon as all that are wanted were found, and some more counted.
    fn scan(&self, text: &str, values: Vec<Value>, most: u64) -> Result<Searched, Fault> {
        let into_bodies = self.search.looks_into_bodies();
        let in_order = self.search.is_newest_first() && text.ends_with(IN_ORDER);
        let mut ranking = Ranking::new(self.search);
        let (mut looked, mut beyond, mut is_all) = (0_u64, 0_usize, true);
        let mut statement = self.connection.prepare_cached(text)?;
        let mut rows = statement.query(self.values(values))?;
        while let Some(row) = rows.next()? {
            ranking.bring(&facts(row, into_bodies)?);
            looked += 1;
            let is_full = in_order && ranking.is_full();
            beyond += usize::from(is_full);
            if looked.is_multiple_of(STRETCH) {
                std::thread::yield_now();
                let is_over = beyond > COUNTED_MAX || (looked >= most && !is_full);
                if is_over || self.begun.elapsed() >= self.search.patience {
                    is_all = rows.next()?.is_none();
                    break;
                }
            }
        }
        let is_exact = is_all || (in_order && ranking.is_full());
        let matched = ranking.matched();
        Ok(Searched { iids: ranking.into_wanted(), matched, is_all, is_exact })
    }

    fn columns(&self) -> String {
        let texts = if self.search.looks_at_texts() { "id, name" } else { "'', ''" };
        let body = if self.search.looks_into_bodies() { ", body" } else { "" };
        format!("iid, {texts}, status, created_at, updated_at, completed_at{body}")
    }

    fn text(&self, from: &str) -> String {
        format!("SELECT {} FROM instance {from}", self.columns())
    }

    /// The statuses that are asked for and that any instance has.
    fn statuses(&self) -> Vec<i32> {
        let asked = &self.search.filter.statuses;
        let is_asked = |status: i32| asked.is_empty() || asked.iter().any(|asked| i32::from(*asked) == status);
        self.overview.counts.keys().map(|Status(status)| *status).filter(|status| is_asked(*status)).collect()
    }

    /// From when on and up to when they were created.
    fn range(&self) -> [Value; 2] {
        let (from, to) =
            self.search.filter.created.as_ref().map_or((i64::MIN, i64::MAX), |range| (range.start.0, range.end.0));
        [Value::Integer(from), Value::Integer(to)]
    }

    /// The least id that begins so, and a text that is greater than all of them: no character is greater than the last, and
    /// no id is so long.
    fn beginning(&self) -> (String, String) {
        let low = self.search.filter.id_starts.clone();
        let high = format!("{low}{}", "\u{10FFFF}".repeat(INSTANCE_ID_CHARS_MAX + 1));
        (low, high)
    }

    fn count_beginning(&self) -> Result<u64, Fault> {
        let (low, high) = self.beginning();
        let most = i64::try_from(COUNTED_MAX + 1).unwrap_or(i64::MAX);
        self.number(BEGINNING, vec![Value::Text(low), Value::Text(high), Value::Integer(most)])
    }

    fn is_most_of_all(&self) -> Result<bool, Fault> {
        let all: i64 = self.connection.prepare_cached(TALLY_OF_ALL)?.query_row([], |row| row.get(0))?;
        let asked = self.overview.count(&self.search.filter.statuses);
        Ok(asked.saturating_mul(MANY) >= u64::try_from(all).unwrap_or(0))
    }

    fn iids(&self, text: &str, values: Vec<Value>) -> Result<Vec<Iid>, Fault> {
        let mut statement = self.connection.prepare_cached(text)?;
        let mut rows = statement.query(self.values(values))?;
        let mut iids = Vec::new();
        while let Some(row) = rows.next()? {
            iids.push(Iid(reads::number(row, 0)?));
        }
        Ok(iids)
    }

    fn number(&self, text: &str, values: Vec<Value>) -> Result<u64, Fault> {
        let number: i64 = self.connection.prepare_cached(text)?.query_row(self.values(values), |row| row.get(0))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }

    fn values(&self, more: Vec<Value>) -> rusqlite::ParamsFromIter<impl Iterator<Item = Value> + use<>> {
        params_from_iter(std::iter::once(Value::Integer(self.hub)).chain(more))
    }
}

/// Where all instances of a hub are found, if it has most of them; those whose ids begin alike.
const TABLE: &str = "NOT INDEXED WHERE hub = ?1 ORDER BY iid DESC";
const ID_RANGE: &str = "INDEXED BY instance_id WHERE hub = ?1 AND id >= ?2 AND id < ?3";

/// How a statement ends that finds the newest first.
const IN_ORDER: &str = "ORDER BY created_at DESC, iid DESC";

fn number(of: usize) -> Value {
    Value::Integer(i64::try_from(of).unwrap_or(i64::MAX))
}

/// A status is one of a few numbers of ours: it stands in the statement, so that each has its own.
fn of_status(status: i32) -> String {
    format!(
        "FROM instance INDEXED BY instance_list
        WHERE hub = ?1 AND status = {status} AND created_at >= ?2 AND created_at < ?3"
    )
}

/// In the order of their creation: those of each status are in that order by themselves, and are merged.
fn newest_first(columns: &str, statuses: &[i32], descending: bool) -> String {
    let columns = if columns == "iid" { "iid, created_at" } else { columns };
    let of_each = statuses.iter().map(|status| format!("SELECT {columns} {}", of_status(*status)));
    let direction = if descending { " DESC" } else { "" };
    let all = of_each.collect::<Vec<_>>().join(" UNION ALL ");
    format!("{all} ORDER BY created_at{direction}, iid{direction}")
}

fn facts<'a>(row: &'a Row<'_>, with_body: bool) -> Result<Facts<'a>, Fault> {
    let status: i32 = row.get(3)?;
    let damaged = |_| Fault::Damaged(format!("an instance has status {status}"));
    Ok(Facts {
        iid: Iid(reads::number(row, 0)?),
        id: reads::text(row, 1)?,
        name: reads::text(row, 2)?,
        status: OrchestrationStatus::try_from(status).map_err(damaged)?,
        created_at: Timestamp(row.get(4)?),
        updated_at: Timestamp(row.get(5)?),
        completed_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        shown: if with_body { Shown::read(reads::blob(row, 7)?) } else { Shown::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Vec<String> {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let values = vec![rusqlite::types::Null; explain.parameter_count()];
        let steps = explain.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect()
    }

    #[test]
    fn what_an_index_has_in_order_is_never_sorted_and_no_row_is_looked_at_for_it() {
        let listed =
            "SEARCH instance USING COVERING INDEX instance_list (hub=? AND status=? AND created_at>? AND created_at<?)";
        assert_eq!(plan(&newest_first("iid", &[1], true)), [listed]);
        for descending in [true, false] {
            let merged = plan(&newest_first("iid", &[0, 1, 3], descending));
            assert_eq!(merged.iter().filter(|step| *step == listed).count(), 3, "{merged:?}");
            assert!(merged.iter().all(|step| !step.contains("TEMP B-TREE")), "{merged:?}");
        }
        let rows = plan(&newest_first("iid, id, name, status, created_at", &[0, 1], true));
        assert!(rows.iter().all(|step| !step.contains("TEMP B-TREE")), "{rows:?}");
        for end in [FIRST, LAST] {
            assert_eq!(plan(end), ["SEARCH instance USING COVERING INDEX instance_list (hub=? AND status=?)"]);
        }
        let by_id = "SEARCH instance USING COVERING INDEX instance_id (hub=? AND id>? AND id<?)";
        assert!(plan(BEGINNING).contains(&by_id.to_owned()));
        assert_eq!(plan(&format!("SELECT iid FROM instance {TABLE}")), ["SCAN instance"]);
    }
}
