//! Lists of published rows, by the terms that they were published with.
//!
//! What is listed, and in which order, is decided here, for every store: a store only brings an index from each term to its
//! rows in their order ([`TermIndex`]). A list goes along the rarest of its conditions and looks at each row that this leads to;
//! what it looks at is bounded, so that a page may be short though more follows, and says so.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use placet_core::ids::Hub;
use placet_core::rows::Term;

use crate::ReadError;

/// Which published rows to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The hub.
    pub hub: Hub,
    /// The projection.
    pub kind: Arc<str>,
    /// A row has a term of each of these.
    pub all: Vec<Vec<TermMatch>>,
    /// The rows that have this term, too, in its order. Absent: in the order of the terms in `all`, which have to have one and
    /// the same in each row.
    pub sort: Option<Arc<str>>,
    /// The greatest first.
    pub descending: bool,
    /// Those whose order lies in this range.
    pub within: Range<i64>,
    /// Behind this place.
    pub after: Option<Place>,
    /// At most so many rows.
    pub limit: usize,
}

/// What is asked of a term.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TermMatch {
    /// It is this.
    Is(String),
    /// It begins so.
    Starts(String),
}

/// Where a row stands in a list. Rows of one order stand as they were first published.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Its order.
    pub order: i64,
    /// Its number in the store.
    pub row: i64,
}

/// A page of such a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// The rows.
    pub rows: Vec<ListedRow>,
    /// Behind what the next page begins, if one may follow.
    pub next: Option<Place>,
}

/// A row of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedRow {
    /// Its key in its projection.
    pub key: Arc<str>,
    /// Its content.
    pub body: Bytes,
}

/// A published row as an index finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexedRow {
    /// Its key and content.
    pub row: ListedRow,
    /// All of its terms.
    pub terms: Vec<Term>,
}

/// A store's index of the terms of a projection's rows.
pub trait TermIndex {
    /// How many rows have a term, as far as that is counted.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn count(&self, term: &str, most: usize) -> Result<usize, ReadError>;

    /// The first terms that begin so.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn terms(&self, starts: &str, most: usize) -> Result<Vec<String>, ReadError>;

    /// The first places of rows that have a term, in this range of orders and behind this place.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn places(&self, term: &str, along: &Along<'_>, most: usize) -> Result<Vec<Place>, ReadError>;

    /// The row of this number. Absent if it is damaged, too, which the store has told of.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn row(&self, row: i64) -> Result<Option<IndexedRow>, ReadError>;
}

/// How an index is walked along.
#[derive(Clone, Copy, Debug)]
pub struct Along<'a> {
    /// The greatest first.
    pub descending: bool,
    /// The orders that are meant.
    pub within: &'a Range<i64>,
    /// Behind which place.
    pub after: Option<Place>,
}

impl Along<'_> {
    /// The place behind which to begin: in the given direction, nothing that is meant lies before it.
    pub fn begin(&self) -> Place {
        let edge = if self.descending {
            Place { order: self.within.end, row: i64::MIN }
        } else {
            Place { order: self.within.start, row: i64::MIN }
        };
        match self.after {
            Some(after) if self.descending => after.min(edge),
            Some(after) => after.max(edge),
            None => edge,
        }
    }

    /// Whether a place is one of those that are meant.
    pub fn holds(&self, place: Place) -> bool {
        let is_behind = |after: Place| if self.descending { place < after } else { place > after };
        self.within.contains(&place.order) && self.after.is_none_or(is_behind)
    }

    /// Puts places in order, each once.
    pub fn sort(&self, places: &mut Vec<Place>) {
        places.sort_unstable();
        places.dedup();
        if self.descending {
            places.reverse();
        }
    }
}

/// A beginning that more terms have than this leads nowhere: the list goes along something else.
const TERMS_MAX: usize = 1_000;

/// Up to so many rows all are looked at and put in order, when nothing stands in the order that is asked for.
const GATHERED_MAX: usize = 1_000;

/// So few are looked at sooner than something rarer is found.
const FEW: usize = 100;

/// A page looks at no more rows than this.
const LOOKED_AT_MAX: usize = 5_000;

/// A page ends once it has so many bytes.
const PAGE_BYTES: usize = 1 << 20;

impl TermMatch {
    /// Whether a term is meant.
    pub fn holds(&self, text: &str) -> bool {
        match self {
            TermMatch::Is(term) => text == term,
            TermMatch::Starts(beginning) => text.starts_with(beginning),
        }
    }
}

impl Listing {
    /// The rows of a projection, to be narrowed, as many of them as a page holds.
    pub fn new(hub: Hub, kind: Arc<str>) -> Listing {
        Listing {
            hub,
            kind,
            all: Vec::new(),
            sort: None,
            descending: false,
            within: i64::MIN..i64::MAX,
            after: None,
            limit: LOOKED_AT_MAX,
        }
    }

    /// A page of the list.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn page(&self, index: &dyn TermIndex) -> Result<Listed, ReadError> {
        let rarest = self.rarest(index)?;
        match (&self.sort, rarest) {
            (None, Some((terms, _))) => self.walk(index, &terms),
            (None, None) => Ok(Listed::default()),
            (Some(_), Some((terms, count))) if count <= GATHERED_MAX => self.gather(index, &terms),
            (Some(sort), _) => self.walk(index, &[sort.to_string()]),
        }
    }

    /// Where a row stands that is one of those that are listed.
    pub fn place_of(&self, row: i64, terms: &[Term]) -> Option<Place> {
        let order_of = |is_meant: &dyn Fn(&str) -> bool| terms.iter().find(|term| is_meant(&term.text));
        let mut order = None;
        for any in &self.all {
            order = Some(order_of(&|text| any.iter().any(|asked| asked.holds(text)))?.order);
        }
        if let Some(sort) = &self.sort {
            order = Some(order_of(&|text| text == &**sort)?.order);
        }
        order.map(|order| Place { order, row })
    }

    /// How the list's order is walked along.
    pub fn along(&self) -> Along<'_> {
        Along { descending: self.descending, within: &self.within, after: self.after }
    }

    /// The terms of the condition that fewest rows fulfil, and about how many these are.
    fn rarest(&self, index: &dyn TermIndex) -> Result<Option<(Vec<String>, usize)>, ReadError> {
        let mut rarest: Option<(Vec<String>, usize)> = None;
        // Whole terms first: of a beginning the terms are still to be found, for which there is no need once few are left.
        let is_whole = |any: &&Vec<TermMatch>| any.iter().all(|asked| matches!(asked, TermMatch::Is(_)));
        let (whole, beginnings): (Vec<_>, Vec<_>) = self.all.iter().partition(is_whole);
        for any in whole.into_iter().chain(beginnings) {
            let least = rarest.as_ref().map_or(usize::MAX, |(_, least)| *least);
            if least <= FEW {
                break;
            }
            let terms = terms_of(index, any, TERMS_MAX + 1)?;
            if terms.len() > TERMS_MAX {
                continue;
            }
            let mut count = 0;
            for term in &terms {
                count += index.count(term, GATHERED_MAX + 1)?;
                if count >= least {
                    break;
                }
            }
            if count < least {
                rarest = Some((terms, count));
            }
        }
        match self.all.first() {
            Some(any) if rarest.is_none() => Ok(Some((terms_of(index, any, usize::MAX)?, usize::MAX))),
            _ => Ok(rarest),
        }
    }

    /// Goes along terms that stand in the list's order.
    fn walk(&self, index: &dyn TermIndex, terms: &[String]) -> Result<Listed, ReadError> {
        let mut page = Page::new(self);
        let mut after = self.after;
        loop {
            let along = Along { after, ..self.along() };
            let most = self.limit.saturating_add(1).min(LOOKED_AT_MAX);
            let mut places = Vec::new();
            let mut is_cut = false;
            for term in terms {
                let found = index.places(term, &along, most)?;
                is_cut |= found.len() == most;
                places.extend(found);
            }
            along.sort(&mut places);
            // Of each term the first so many are known: of all together no more than these are the first.
            is_cut |= places.len() > most;
            places.truncate(most);
            after = places.last().copied().or(after);
            if !page.take(index, places)? {
                return Ok(page.cut());
            }
            if !is_cut {
                return Ok(page.listed);
            }
        }
    }

    /// Looks at all rows of some terms, and puts those that are meant in order.
    fn gather(&self, index: &dyn TermIndex, terms: &[String]) -> Result<Listed, ReadError> {
        let everywhere = i64::MIN..i64::MAX;
        let any = Along { descending: false, within: &everywhere, after: None };
        let mut rows = BTreeSet::new();
        for term in terms {
            rows.extend(index.places(term, &any, GATHERED_MAX + 1)?.into_iter().map(|place| place.row));
        }
        let along = self.along();
        let mut places = Vec::new();
        for row in rows {
            let place = index.row(row)?.and_then(|found| self.place_of(row, &found.terms));
            places.extend(place.filter(|place| along.holds(*place)));
        }
        along.sort(&mut places);
        let mut page = Page::new(self);
        // Those of the page are read again: all of them, held until their order is known, might be hundreds of megabytes.
        if page.take(index, places)? { Ok(page.listed) } else { Ok(page.cut()) }
    }
}

/// The terms that fulfil a condition: all of them, if there are no more of one beginning than these.
fn terms_of(index: &dyn TermIndex, any: &[TermMatch], most: usize) -> Result<Vec<String>, ReadError> {
    let mut terms = BTreeSet::new();
    for asked in any {
        match asked {
            TermMatch::Is(term) => drop(terms.insert(term.clone())),
            TermMatch::Starts(beginning) => terms.extend(index.terms(beginning, most)?),
        }
    }
    Ok(terms.into_iter().collect())
}

/// A page that is being filled.
struct Page<'a> {
    listing: &'a Listing,
    listed: Listed,
    looked_at: usize,
    bytes: usize,
    last: Option<Place>,
}

impl<'a> Page<'a> {
    fn new(listing: &'a Listing) -> Page<'a> {
        Page { listing, listed: Listed::default(), looked_at: 0, bytes: 0, last: None }
    }

    fn is_full(&self) -> bool {
        self.listed.rows.len() >= self.listing.limit || self.looked_at >= LOOKED_AT_MAX || self.bytes >= PAGE_BYTES
    }

    /// Looks at these, as far as there is room. Whether there was for all.
    fn take(&mut self, index: &dyn TermIndex, places: Vec<Place>) -> Result<bool, ReadError> {
        for place in places {
            if self.is_full() {
                return Ok(false);
            }
            self.look_at(index, place)?;
        }
        Ok(true)
    }

    fn look_at(&mut self, index: &dyn TermIndex, place: Place) -> Result<(), ReadError> {
        self.looked_at += 1;
        self.last = Some(place);
        let Some(IndexedRow { row, terms }) = index.row(place.row)? else { return Ok(()) };
        // An index that leads to a row by what it does not say is not believed.
        if self.listing.place_of(place.row, &terms) == Some(place) {
            self.bytes += row.body.len();
            self.listed.rows.push(row);
        }
        Ok(())
    }

    fn cut(mut self) -> Listed {
        self.listed.next = self.last.or(self.listing.after);
        self.listed
    }
}
