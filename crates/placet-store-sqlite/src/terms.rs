//! The terms of published rows: written by the difference to those that a row had before, and walked along by lists.

use std::collections::BTreeSet;

use bytes::Bytes;
use placet_core::body::StoredTerms;
use placet_core::ids::Hub;
use placet_core::rows::Term;
use placet_store::{Along, IndexedRow, Listed, ListedRow, Listing, Place, ReadError, TermIndex};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use crate::damage::Damage;
use crate::readers::Fault;
use crate::reads;
use crate::statements as sql;

/// So many at once, from one on: a row has several, and a statement costs about as much as two of them.
const PUT: [&str; 4] = [
    "INSERT OR IGNORE INTO term(hub, kind, row, text, place) VALUES(?1, ?2, ?3, ?4, ?5)",
    "INSERT OR IGNORE INTO term(hub, kind, row, text, place) VALUES(?1, ?2, ?3, ?4, ?5), (?1, ?2, ?3, ?6, ?7)",
    "INSERT OR IGNORE INTO term(hub, kind, row, text, place)
     VALUES(?1, ?2, ?3, ?4, ?5), (?1, ?2, ?3, ?6, ?7), (?1, ?2, ?3, ?8, ?9)",
    "INSERT OR IGNORE INTO term(hub, kind, row, text, place)
     VALUES(?1, ?2, ?3, ?4, ?5), (?1, ?2, ?3, ?6, ?7), (?1, ?2, ?3, ?8, ?9), (?1, ?2, ?3, ?10, ?11)",
];
const DELETE: &str = "DELETE FROM term WHERE hub = ?1 AND kind = ?2 AND text = ?3 AND place = ?4 AND row = ?5";

const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM term WHERE hub = ?1 AND kind = ?2 AND text = ?3 LIMIT ?4)";
const FIRST: &str = "SELECT text FROM term WHERE hub = ?1 AND kind = ?2 AND text >= ?3 ORDER BY text LIMIT 1";
const NEXT: &str = "SELECT text FROM term WHERE hub = ?1 AND kind = ?2 AND text > ?3 ORDER BY text LIMIT 1";
const UP: &str = "
    SELECT place, row FROM term
    WHERE hub = ?1 AND kind = ?2 AND text = ?3 AND (place, row) > (?4, ?5) AND place < ?6
    ORDER BY place, row LIMIT ?7";
const DOWN: &str = "
    SELECT place, row FROM term
    WHERE hub = ?1 AND kind = ?2 AND text = ?3 AND (place, row) < (?4, ?5) AND place >= ?6
    ORDER BY place DESC, row DESC LIMIT ?7";
const ROW: &str = "SELECT crc, body, owner, terms, key FROM published WHERE row = ?1 AND hub = ?2 AND kind = ?3";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const ALL: [&str; 6] = [COUNT, FIRST, NEXT, UP, DOWN, ROW];

/// Whose terms they are: of the row of this number, in a projection of a hub.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) hub: i64,
    pub(crate) kind: &'a str,
    pub(crate) row: i64,
}

/// As they stand in their row; none, if there are none.
pub(crate) fn stored(terms: &[Term]) -> Option<Vec<u8>> {
    (!terms.is_empty()).then(|| StoredTerms::new(terms).encode_to_vec())
}

/// Writes what is new of a row's terms, and deletes what is no more.
pub(crate) fn change(
    connection: &Connection,
    of: Of<'_>,
    before: Option<&[u8]>,
    now: Option<&[u8]>,
) -> rusqlite::Result<()> {
    if before == now {
        return Ok(());
    }
    // Terms that cannot be read are found by no list, since their row's checksum says so.
    let read = |stored: Option<&[u8]>| StoredTerms::decode(stored.unwrap_or_default()).unwrap_or_default();
    let (before, now) = (read(before), read(now));
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (before.terms().collect(), now.terms().collect());
    for (text, order) in before.difference(&now) {
        connection.prepare_cached(DELETE)?.execute(params![of.hub, of.kind, text, order, of.row])?;
    }
    let new: Vec<&(&str, i64)> = now.difference(&before).collect();
    for terms in new.chunks(PUT.len()) {
        let mut statement = connection.prepare_cached(PUT[terms.len() - 1])?;
        let mut values: Vec<&dyn ToSql> = vec![&of.hub, &of.kind, &of.row];
        values.extend(terms.iter().flat_map(|(text, order)| [text as &dyn ToSql, order]));
        statement.execute(&*values)?;
    }
    Ok(())
}

/// Deletes so many terms of a hub. Whether there may be more.
pub(crate) fn clear_some(connection: &Connection, hub: i64, most: i64) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(sql::TERMS_OF_HUB)?;
    let rows = statement.query_map([hub, most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let rows: Vec<(String, String, i64, i64)> = rows.collect::<Result<_, _>>()?;
    let mut delete = connection.prepare_cached(DELETE)?;
    for (kind, text, place, row) in &rows {
        delete.execute(params![hub, kind, text, place, row])?;
    }
    Ok(!rows.is_empty())
}

pub(crate) fn list(connection: &Connection, listing: &Listing, damage: &Damage) -> Result<Listed, ReadError> {
    let number = reads::number_of_hub(connection, &listing.hub).map_err(|fault| fault.of("hub"))?;
    let Some(number) = number else { return Ok(Listed::default()) };
    listing.page(&Index { connection, damage, hub: &listing.hub, number, kind: &listing.kind })
}

/// The terms of a projection's rows.
struct Index<'a> {
    connection: &'a Connection,
    damage: &'a Damage,
    hub: &'a Hub,
    number: i64,
    kind: &'a str,
}

impl TermIndex for Index<'_> {
    fn count(&self, term: &str, most: usize) -> Result<usize, ReadError> {
        let count = |connection: &Connection| {
            let mut statement = connection.prepare_cached(COUNT)?;
            statement.query_row(params![self.number, self.kind, term, reads::count(most)], |row| row.get::<_, i64>(0))
        };
        let count = count(self.connection).map_err(|error| Fault::from(error).of("term"))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    fn terms(&self, starts: &str, most: usize) -> Result<Vec<String>, ReadError> {
        let next = |statement: &str, from: &str| {
            let mut statement = self.connection.prepare_cached(statement)?;
            statement.query_row(params![self.number, self.kind, from], |row| row.get::<_, String>(0)).optional()
        };
        let told = |error: rusqlite::Error| Fault::from(error).of("term");
        let mut found: Vec<String> = Vec::new();
        let mut term = next(FIRST, starts).map_err(told)?;
        while let Some(text) = term.filter(|text| text.starts_with(starts) && found.len() < most) {
            term = next(NEXT, &text).map_err(told)?;
            found.push(text);
        }
        Ok(found)
    }

    fn places(&self, term: &str, along: &Along<'_>, most: usize) -> Result<Vec<Place>, ReadError> {
        let (begin, most) = (along.begin(), reads::count(most));
        let (statement, edge) = if along.descending { (DOWN, along.within.start) } else { (UP, along.within.end) };
        let places = || {
            let mut statement = self.connection.prepare_cached(statement)?;
            let values = params![self.number, self.kind, term, begin.order, begin.row, edge, most];
            let rows = statement.query_map(values, |row| Ok(Place { order: row.get(0)?, row: row.get(1)? }))?;
            rows.collect::<rusqlite::Result<Vec<Place>>>()
        };
        places().map_err(|error| Fault::from(error).of("term"))
    }

    fn row(&self, row: i64) -> Result<Option<IndexedRow>, ReadError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(ROW)?;
            let mut rows = statement.query(params![row, self.number, self.kind])?;
            let Some(found) = rows.next()? else { return Ok(None) };
            let key = reads::text(found, 4)?;
            let (body, terms) = reads::published_row(found, (self.hub, self.kind, key))?;
            let unread = |error: prost::DecodeError| Fault::Damaged(error.to_string());
            let stored = StoredTerms::decode(terms.unwrap_or_default()).map_err(unread)?;
            let terms = stored.terms().map(|(text, order)| Term { text: text.into(), order }).collect();
            Ok(Some(IndexedRow { row: ListedRow { key: key.into(), body: Bytes::copy_from_slice(body) }, terms }))
        };
        let read = read().map_err(|fault: Fault| fault.of("published"));
        Ok(self.damage.leave_out(read)?.flatten())
    }
}
