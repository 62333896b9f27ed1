//! The terms of published rows, and their index, which lists walk along.
//!
//! A row has its terms with it. The index is written behind, for many rows at a time and in its order: what a request was found
//! by while it was open for a moment is never written there, and its pages are not written anew with every commit. What the index
//! has too much leads a list to a row that says otherwise; what it has not yet, a list takes from the rows themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bytes::Bytes;
use placet_core::body::StoredTerms;
use placet_core::ids::Hub;
use placet_core::rows::Term;
use placet_store::{Along, IndexedRow, Listed, ListedRow, Listing, Place, ReadError, TermIndex};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, ToSql, params, params_from_iter};

use crate::damage::Damage;
use crate::readers::Fault;
use crate::reads;
use crate::statements as sql;

/// So many are put at once: a statement costs about as much as two of them.
const PUT_AT_ONCE: usize = 16;

const PUT: &str = "INSERT OR IGNORE INTO term(hub, kind, text, place, row)";
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
const BEHIND: &str = "
    SELECT published.row, published.terms FROM behind CROSS JOIN published ON published.row = behind.row
    WHERE hub = ?1 AND kind = ?2";

const FALLS_BEHIND: &str = "INSERT OR IGNORE INTO behind(row, terms) VALUES(?1, ?2)";
const INDEXED: &str = "SELECT terms FROM behind WHERE row = ?1";
const CAUGHT_UP: &str = "DELETE FROM behind WHERE row = ?1";
const ALL_CAUGHT_UP: &str = "DELETE FROM behind";
const COUNT_BEHIND: &str = "SELECT count(*) FROM behind";
const ALL_BEHIND: &str = "
    SELECT published.row, hub, kind, behind.terms, published.terms
    FROM behind CROSS JOIN published ON published.row = behind.row";

/// For tests of all of them.
#[cfg(test)]
pub(crate) const ALL: [&str; 9] = [COUNT, FIRST, NEXT, UP, DOWN, ROW, BEHIND, INDEXED, ALL_BEHIND];

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

/// What of the rows the index does not tell yet.
#[derive(Debug)]
pub(crate) struct Behind {
    /// So many rows.
    rows: i64,
}

impl Behind {
    pub(crate) fn open(connection: &Connection) -> rusqlite::Result<Behind> {
        Ok(Behind { rows: connection.query_row(COUNT_BEHIND, [], |row| row.get(0))? })
    }

    /// A row has other terms than before; it had none if it is new.
    pub(crate) fn change(
        &mut self,
        connection: &Connection,
        row: i64,
        before: Option<&[u8]>,
        now: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        if before != now {
            let fallen = connection.prepare_cached(FALLS_BEHIND)?.execute(params![row, before])?;
            self.rows += i64::from(fallen > 0);
        }
        Ok(())
    }

    /// A row goes, with all that the index tells of it.
    pub(crate) fn withdraw(
        &mut self,
        connection: &Connection,
        of: Of<'_>,
        terms: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(INDEXED)?;
        let indexed: Option<Option<Vec<u8>>> = statement.query_row([of.row], |row| row.get(0)).optional()?;
        if indexed.is_some() {
            connection.prepare_cached(CAUGHT_UP)?.execute([of.row])?;
            self.rows -= 1;
        }
        let indexed = read(indexed.as_ref().map_or(terms, |indexed| indexed.as_deref()));
        let mut statement = connection.prepare_cached(DELETE)?;
        for (text, order) in indexed.terms() {
            statement.execute(params![of.hub, of.kind, text, order, of.row])?;
        }
        Ok(())
    }

    /// Of how many rows the index tells something else.
    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    /// Writes the index of all rows.
    pub(crate) fn catch_up(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        // By projection, of which there are few.
        let mut changes: BTreeMap<(i64, String), Vec<Changed>> = BTreeMap::new();
        {
            let mut statement = connection.prepare_cached(ALL_BEHIND)?;
            let mut rows = statement.query([])?;
            while let Some(found) = rows.next()? {
                let stored = |at: usize| found.get_ref(at).map(|value| read(value.as_blob().ok()));
                let changed = Changed { row: found.get(0)?, before: stored(3)?, now: stored(4)? };
                changes.entry((found.get(1)?, found.get(2)?)).or_default().push(changed);
            }
        }
        for ((hub, kind), changes) in &changes {
            let (mut gone, mut new) = (Vec::new(), Vec::new());
            changes.iter().for_each(|changed| changed.add_to(&mut gone, &mut new));
            gone.sort_unstable();
            new.sort_unstable();
            let mut statement = connection.prepare_cached(DELETE)?;
            for (text, place, row) in &gone {
                statement.execute(params![hub, kind, text, place, row])?;
            }
            new.chunks(PUT_AT_ONCE).try_for_each(|some| put(connection, *hub, kind, some))?;
        }
        connection.prepare_cached(ALL_CAUGHT_UP)?.execute([])?;
        self.rows = 0;
        Ok(())
    }
}

/// A row of a projection's index: term, place, and the published row's number.
type Indexed<'a> = (&'a str, i64, i64);

/// A published row that is behind.
struct Changed {
    row: i64,
    /// What the index tells of it.
    before: StoredTerms,
    /// What it says itself.
    now: StoredTerms,
}

impl Changed {
    /// What is to go from the index, and what is to be put there.
    fn add_to<'a>(&'a self, gone: &mut Vec<Indexed<'a>>, new: &mut Vec<Indexed<'a>>) {
        let indexed = |(text, place)| (text, place, self.row);
        if self.before.terms().next().is_none() {
            new.extend(self.now.terms().map(indexed)); // as of most
            return;
        }
        let (before, now): (BTreeSet<_>, BTreeSet<_>) = (self.before.terms().collect(), self.now.terms().collect());
        gone.extend(before.difference(&now).copied().map(indexed));
        new.extend(now.difference(&before).copied().map(indexed));
    }
}

/// Puts some, [`PUT_AT_ONCE`] at most.
fn put(connection: &Connection, hub: i64, kind: &str, some: &[Indexed<'_>]) -> rusqlite::Result<()> {
    static STATEMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let rows = (0..PUT_AT_ONCE).map(|at| format!("(?1, ?2, ?{}, ?{}, ?{})", 3 + 3 * at, 4 + 3 * at, 5 + 3 * at));
        let rows: Vec<String> = rows.collect();
        let statement = |count| format!("{PUT} VALUES{}", rows[..count].join(", "));
        (1..=PUT_AT_ONCE).map(statement).collect()
    });
    let of: [&dyn ToSql; 2] = [&hub, &kind];
    let values = some.iter().flat_map(|(text, place, row)| [text as &dyn ToSql, place, row]);
    let values = params_from_iter(of.into_iter().chain(values));
    connection.prepare_cached(&STATEMENTS[some.len() - 1])?.execute(values).map(drop)
}

/// Terms that cannot be read are found by no list, since their row's checksum says so.
fn read(stored: Option<&[u8]>) -> StoredTerms {
    StoredTerms::decode(stored.unwrap_or_default()).unwrap_or_default()
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
    let behind = behind(connection, number, &listing.kind).map_err(|error| Fault::from(error).of("behind"))?;
    listing.page(&Index { connection, damage, hub: &listing.hub, number, kind: &listing.kind, behind })
}

/// Where the rows stand that the index does not tell of yet, by term.
fn behind(connection: &Connection, hub: i64, kind: &str) -> rusqlite::Result<BTreeMap<String, BTreeSet<Place>>> {
    let mut found: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
    let mut statement = connection.prepare_cached(BEHIND)?;
    let mut rows = statement.query(params![hub, kind])?;
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        for (text, order) in read(row.get_ref(1)?.as_blob().ok()).terms() {
            let place = Place { order, row: number };
            match found.get_mut(text) {
                Some(places) => drop(places.insert(place)),
                None => drop(found.insert(text.to_owned(), BTreeSet::from([place]))),
            }
        }
    }
    Ok(found)
}

/// The terms of a projection's rows.
struct Index<'a> {
    connection: &'a Connection,
    damage: &'a Damage,
    hub: &'a Hub,
    number: i64,
    kind: &'a str,
    behind: BTreeMap<String, BTreeSet<Place>>,
}

impl TermIndex for Index<'_> {
    fn count(&self, term: &str, most: usize) -> Result<usize, ReadError> {
        let count = |connection: &Connection| {
            let mut statement = connection.prepare_cached(COUNT)?;
            statement.query_row(params![self.number, self.kind, term, reads::count(most)], |row| row.get::<_, i64>(0))
        };
        let count = count(self.connection).map_err(|error| Fault::from(error).of("term"))?;
        let behind = self.behind.get(term).map_or(0, BTreeSet::len);
        Ok((usize::try_from(count).unwrap_or_default() + behind).min(most))
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
        let behind = self.behind.keys().map(String::as_str).filter(|term| term.starts_with(starts));
        found.extend(behind.map(str::to_owned));
        found.sort_unstable();
        found.dedup();
        found.truncate(most);
        Ok(found)
    }

    fn places(&self, term: &str, along: &Along<'_>, most: usize) -> Result<Vec<Place>, ReadError> {
        let (begin, limit) = (along.begin(), reads::count(most));
        let (statement, edge) = if along.descending { (DOWN, along.within.start) } else { (UP, along.within.end) };
        let places = || {
            let mut statement = self.connection.prepare_cached(statement)?;
            let values = params![self.number, self.kind, term, begin.order, begin.row, edge, limit];
            let rows = statement.query_map(values, |row| Ok(Place { order: row.get(0)?, row: row.get(1)? }))?;
            rows.collect::<rusqlite::Result<Vec<Place>>>()
        };
        let mut found = places().map_err(|error| Fault::from(error).of("term"))?;
        if let Some(behind) = self.behind.get(term) {
            found.extend(behind.iter().filter(|place| along.holds(**place)));
            along.sort(&mut found);
            found.truncate(most);
        }
        Ok(found)
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
