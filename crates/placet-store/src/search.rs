//! A search among a hub's instances: by any of their columns and by what their bodies show, in any order, from any place.
//!
//! What matches, and which comes first, is decided here, for every store: a store only brings the instances, and may stop
//! before it has brought all, which its answer says. What an index answers, it need not bring at all.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use std::time::Duration;

use placet_core::body::Shown;
use placet_core::ids::{Hub, Iid};
use placet_core::rows::{InstanceRow, OrchestrationStatus};
use placet_core::time::Timestamp;

/// What to look for, and which part of what is found is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    /// The hub.
    pub hub: Hub,
    /// Which instances.
    pub filter: Filter,
    /// In which order: by the first of these, then by the next. Without any, the newest first.
    pub sort: Vec<Sort>,
    /// So many of the first are left out.
    pub skip: usize,
    /// At most so many are wanted.
    pub take: usize,
    /// How long a store may look for what no index has in this order. Then it answers with what it has found.
    pub patience: Duration,
}

/// Which instances are meant: those for which all of this holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// They have one of these statuses; any, if there is none.
    pub statuses: Vec<OrchestrationStatus>,
    /// Their ids begin so.
    pub id_starts: String,
    /// This stands in their ids,
    pub id: Option<Needle>,
    /// … in their names,
    pub name: Option<Needle>,
    /// … in their versions,
    pub version: Option<Needle>,
    /// … in one of their tags, written `key=value`.
    pub tags: Option<Needle>,
    /// They were created in this time,
    pub created: Option<Range<Timestamp>>,
    /// … changed last,
    pub updated: Option<Range<Timestamp>>,
    /// … were to start,
    pub started: Option<Range<Timestamp>>,
    /// … ended.
    pub completed: Option<Range<Timestamp>>,
}

/// A text that is looked for in others, whatever the case of either.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needle(String);

/// One key of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sort {
    /// By what.
    pub column: Column,
    /// Whether the greatest comes first. What has no value is less than all that have.
    pub descending: bool,
}

/// What instances are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named for what they hold")]
pub enum Column {
    Id,
    Name,
    Version,
    Created,
    Updated,
    Started,
    Completed,
    /// By its name in the protocol.
    Status,
    Tags,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The part that was wanted.
    pub rows: Vec<InstanceRow>,
    /// How many match, as far as it was looked.
    pub matched: u64,
    /// Whether no more than these match. If not, nobody looked so far.
    pub is_all: bool,
    /// Whether the rows are those that a look at all instances would have found.
    pub is_exact: bool,
    /// The whole hub at the same moment.
    pub overview: Overview,
}

/// A hub's instances at a glance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overview {
    /// How many have each status; those that none has are left out.
    pub counts: BTreeMap<Status, u64>,
    /// When the first and the last of them were created.
    pub created: Option<(Timestamp, Timestamp)>,
}

/// A status as a key of a map: in the order of its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Status(pub i32);

impl Overview {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many have one of these statuses; any, if there is none.
    pub fn count(&self, statuses: &[OrchestrationStatus]) -> u64 {
        let is_meant =
            |status: &Status| statuses.is_empty() || statuses.iter().any(|meant| i32::from(*meant) == status.0);
        self.counts.iter().filter(|(status, _)| is_meant(status)).map(|(_, count)| count).sum()
    }
}

impl Needle {
    /// The text that is looked for; none, if it is empty, since that stands everywhere.
    pub fn new(text: &str) -> Option<Needle> {
        (!text.is_empty()).then(|| Needle(text.to_lowercase()))
    }

    /// Whether it stands in this text.
    pub fn is_in(&self, text: &str) -> bool {
        let needle = self.0.as_bytes();
        if text.is_ascii() {
            return text.as_bytes().windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle));
        }
        text.to_lowercase().contains(&self.0)
    }
}

/// What a search looks at of an instance.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are the columns of `InstanceRow`")]
pub struct Facts<'a> {
    pub iid: Iid,
    pub id: &'a str,
    pub name: &'a str,
    pub status: OrchestrationStatus,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    /// Of the body; empty if the search does not ask for it ([`Search::looks_into_bodies`]).
    pub shown: Shown,
}

impl Filter {
    /// Whether an instance is meant.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let stands = |needle: &Option<Needle>, text: &str| needle.as_ref().is_none_or(|needle| needle.is_in(text));
        (self.statuses.is_empty() || self.statuses.contains(&facts.status))
            && facts.id.starts_with(&self.id_starts)
            && is_within(self.created.as_ref(), Some(facts.created_at))
            && is_within(self.updated.as_ref(), Some(facts.updated_at))
            && is_within(self.completed.as_ref(), facts.completed_at)
            && is_within(self.started.as_ref(), facts.shown.started())
            && stands(&self.id, facts.id)
            && stands(&self.name, facts.name)
            && stands(&self.version, facts.shown.version.as_deref().unwrap_or_default())
            && self.tags.as_ref().is_none_or(|needle| tags_of(&facts.shown).any(|tag| needle.is_in(&tag)))
    }

    /// Whether nothing is asked but the status and the time of creation, which an index has.
    pub fn is_by_status_and_creation(&self) -> bool {
        let asked = Filter { statuses: self.statuses.clone(), created: self.created.clone(), ..Filter::default() };
        *self == asked
    }

    /// Whether nothing is asked but how the id begins.
    pub fn is_by_beginning_of_id(&self) -> bool {
        *self == Filter { id_starts: self.id_starts.clone(), ..Filter::default() }
    }
}

fn is_within(range: Option<&Range<Timestamp>>, at: Option<Timestamp>) -> bool {
    range.is_none_or(|range| at.is_some_and(|at| range.contains(&at)))
}

fn tags_of(shown: &Shown) -> impl Iterator<Item = String> {
    shown.tags.iter().map(|(key, value)| format!("{key}={value}"))
}

impl Search {
    /// Whether it asks for more than an instance's columns.
    pub fn looks_into_bodies(&self) -> bool {
        let Filter { version, tags, started, .. } = &self.filter;
        let sorts = |sort: &Sort| matches!(sort.column, Column::Version | Column::Tags | Column::Started);
        version.is_some() || tags.is_some() || started.is_some() || self.sort.iter().any(sorts)
    }

    /// Whether it asks for the id or the name of each.
    pub fn looks_at_texts(&self) -> bool {
        let Filter { id_starts, id, name, .. } = &self.filter;
        let sorts = |sort: &Sort| matches!(sort.column, Column::Id | Column::Name);
        !id_starts.is_empty() || id.is_some() || name.is_some() || self.sort.iter().any(sorts)
    }

    /// If the order is that of a column alone that no two instances share or whose ties go by age: of which, and whether
    /// the greatest comes first.
    pub fn only_key(&self) -> Option<Sort> {
        match self.sort.as_slice() {
            [] => Some(NEWEST_FIRST),
            [sort] => Some(*sort),
            _ => None,
        }
    }

    /// Whether the newest come first.
    pub fn is_newest_first(&self) -> bool {
        self.only_key() == Some(NEWEST_FIRST)
    }
}

const NEWEST_FIRST: Sort = Sort { column: Column::Created, descending: true };

/// A value of an instance by which it is ordered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key<'a> {
    Time(Option<Timestamp>),
    Text(Cow<'a, str>),
}

impl<'a> Key<'a> {
    fn of(column: Column, facts: &Facts<'a>) -> Key<'a> {
        match column {
            Column::Id => Key::Text(facts.id.into()),
            Column::Name => Key::Text(facts.name.into()),
            Column::Version => Key::Text(facts.shown.version.clone().unwrap_or_default().into()),
            Column::Created => Key::Time(Some(facts.created_at)),
            Column::Updated => Key::Time(Some(facts.updated_at)),
            Column::Started => Key::Time(facts.shown.started()),
            Column::Completed => Key::Time(facts.completed_at),
            Column::Status => Key::Text(facts.status.as_str_name().into()),
            Column::Tags => Key::Text(tags_of(&facts.shown).collect::<Vec<_>>().join(", ").into()),
        }
    }

    fn into_owned(self) -> Key<'static> {
        match self {
            Key::Time(at) => Key::Time(at),
            Key::Text(text) => Key::Text(text.into_owned().into()),
        }
    }
}

/// Where an instance stands in the order: the lesser comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place<'a> {
    keys: Vec<Directed<Key<'a>>>,
    age: Directed<(Timestamp, Iid)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Directed<T> {
    Up(T),
    Down(T),
}

impl<T: Ord> Ord for Directed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Directed::Down(a), Directed::Down(b)) => b.cmp(a),
            (Directed::Up(a) | Directed::Down(a), Directed::Up(b) | Directed::Down(b)) => a.cmp(b),
        }
    }
}

impl<T: Ord> PartialOrd for Directed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Directed<T> {
    fn new(value: T, descending: bool) -> Directed<T> {
        if descending { Directed::Down(value) } else { Directed::Up(value) }
    }

    fn map<U>(self, map: impl FnOnce(T) -> U) -> Directed<U> {
        match self {
            Directed::Up(value) => Directed::Up(map(value)),
            Directed::Down(value) => Directed::Down(map(value)),
        }
    }
}

impl<'a> Place<'a> {
    fn of(sort: &[Sort], facts: &Facts<'a>) -> Place<'a> {
        let directed = |sort: &Sort| Directed::new(Key::of(sort.column, facts), sort.descending);
        // What is alike goes by age, in the direction of all else.
        let descending = sort.last().is_none_or(|sort| sort.descending);
        Place {
            keys: sort.iter().map(directed).collect(),
            age: Directed::new((facts.created_at, facts.iid), descending),
        }
    }

    fn into_owned(self) -> Place<'static> {
        let keys = self.keys.into_iter().map(|key| key.map(Key::into_owned)).collect();
        Place { keys, age: self.age }
    }
}

/// The first of those that match, as they are brought in any order.
#[derive(Debug)]
pub struct Ranking<'a> {
    search: &'a Search,
    /// Those that are among the first so far, the last of them on top.
    first: BinaryHeap<(Place<'static>, Reverse<Iid>)>,
    matched: u64,
}

impl<'a> Ranking<'a> {
    /// Nothing was brought yet.
    pub fn new(search: &'a Search) -> Ranking<'a> {
        Ranking { search, first: BinaryHeap::new(), matched: 0 }
    }

    /// An instance. Whether it matches.
    pub fn bring(&mut self, facts: &Facts<'_>) -> bool {
        if !self.search.filter.holds(facts) {
            return false;
        }
        self.matched += 1;
        let wanted = self.search.skip.saturating_add(self.search.take);
        if self.first.len() >= wanted && self.is_behind(facts) {
            return true;
        }
        let place = Place::of(&self.search.sort, facts);
        if self.first.len() >= wanted && self.first.peek().is_none_or(|(last, _)| place >= *last) {
            return true;
        }
        self.first.push((place.into_owned(), Reverse(facts.iid)));
        if self.first.len() > wanted {
            self.first.pop();
        }
        true
    }

    /// Whether the first key alone puts it behind all that are among the first: nearly always, and at no cost.
    fn is_behind(&self, facts: &Facts<'_>) -> bool {
        let (Some(sort), Some((last, _))) = (self.search.sort.first(), self.first.peek()) else { return false };
        let key = Directed::new(Key::of(sort.column, facts), sort.descending);
        last.keys.first().is_some_and(|of_last| key > *of_last)
    }

    /// How many of those that were brought match.
    pub fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether as many match as are wanted.
    pub fn is_full(&self) -> bool {
        self.first.len() >= self.search.skip.saturating_add(self.search.take)
    }

    /// Those that are wanted, in their order.
    pub fn into_wanted(self) -> Vec<Iid> {
        let sorted = self.first.into_sorted_vec().into_iter();
        sorted.skip(self.search.skip).map(|(_, Reverse(iid))| iid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_whatever_its_case() {
        let table = [
            ("order", "My-ORDER-7", true),
            ("ORDER", "my-order-7", true),
            ("é", "CAFÉ", true),
            ("order", "ordre", false),
            ("order-77", "order-7", false),
            ("x", "", false),
        ];
        for (needle, text, is_in) in table {
            assert_eq!(Needle::new(needle).unwrap().is_in(text), is_in, "{needle} in {text}");
        }
        assert_eq!(Needle::new(""), None);
    }
}
