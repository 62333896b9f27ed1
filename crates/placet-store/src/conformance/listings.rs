//! Published rows by their terms: whatever way a store takes, it finds what a look at all rows finds.

use std::sync::Arc;

use placet_core::ids::{Hub, InstanceId, InstanceKey};
use placet_core::rows::{Batch, PublishedRow, Term};

use super::chance::Chance;
use super::samples::{published, published_by};
use super::stage::Stage;
use crate::dump;
use crate::{Listing, Place, TermMatch};

fn with_terms(row: PublishedRow, terms: &[(&str, i64)]) -> PublishedRow {
    let terms = terms.iter().map(|(text, order)| Term { text: (*text).into(), order: *order }).collect();
    PublishedRow { terms, ..row }
}

fn row(key: &str, terms: &[(&str, i64)]) -> PublishedRow {
    with_terms(published("h", "k", key, Some("body")), terms)
}

fn publish(stage: &mut Stage, rows: impl IntoIterator<Item = PublishedRow>) {
    stage.commit(Batch { published: rows.into_iter().collect(), ..Batch::default() });
}

fn listing(all: &[&[TermMatch]]) -> Listing {
    let all = all.iter().map(|any| any.to_vec()).collect();
    Listing { all, limit: 100, ..Listing::new(Hub::new("h"), "k".into()) }
}

fn is(term: &str) -> TermMatch {
    TermMatch::Is(term.to_owned())
}

fn starts(beginning: &str) -> TermMatch {
    TermMatch::Starts(beginning.to_owned())
}

/// The keys of all pages.
fn keys(stage: &Stage, listing: &Listing) -> Vec<String> {
    let keys = dump::keys(stage.store(), listing.clone()).expect("the store can be read");
    keys.iter().map(|key| (**key).to_owned()).collect()
}

pub(super) fn rows_are_found_by_all_terms_that_are_asked_for_in_their_order(stage: &mut Stage) {
    publish(
        stage,
        [
            row("late", &[("open", 9), ("ann", 9), ("word", 9)]),
            row("early", &[("open", -3), ("ann", -3), ("wording", -3)]),
            row("ben's", &[("open", 4), ("ben", 4)]),
            row("over", &[("done", 5), ("ann", 5), ("word", 5)]),
            row("of no term", &[]),
            with_terms(published("h", "other", "of another kind", Some("body")), &[("open", 1)]),
            with_terms(published("g", "k", "of another hub", Some("body")), &[("open", 1)]),
        ],
    );
    stage.reopen();
    assert_eq!(keys(stage, &listing(&[&[is("open")]])), ["early", "ben's", "late"]);
    assert_eq!(keys(stage, &listing(&[&[is("open")], &[is("ann")]])), ["early", "late"]);
    assert_eq!(keys(stage, &listing(&[&[is("ann"), is("ben")], &[is("done"), is("open")]])).len(), 4);
    assert_eq!(keys(stage, &listing(&[&[starts("word")]])), ["early", "over", "late"]);
    assert_eq!(keys(stage, &listing(&[&[is("wor")]])), [""; 0]);
    assert_eq!(keys(stage, &listing(&[&[is("open")], &[]])), [""; 0], "nothing is one of none");
    let newest_first = Listing { descending: true, ..listing(&[&[is("open")]]) };
    assert_eq!(keys(stage, &newest_first), ["late", "ben's", "early"]);
    for descending in [false, true] {
        let within = Listing { within: -3..9, descending, ..listing(&[&[is("open")]]) };
        let found = keys(stage, &within);
        assert_eq!((found.len(), found.contains(&"late".to_owned())), (2, false));
    }
}

pub(super) fn a_row_is_found_by_the_terms_that_it_was_published_with_last(stage: &mut Stage) {
    publish(stage, [row("1", &[("open", 1), ("ann", 1)])]);
    publish(stage, [row("1", &[("done", 1), ("ann", 7)]), row("2", &[("open", 2)])]);
    publish(stage, [row("2", &[("open", 2)]), row("2", &[("open", 3)])]);
    let found = |stage: &Stage, term: &str| keys(stage, &listing(&[&[is(term)]]));
    assert_eq!(
        (found(stage, "open"), found(stage, "done"), found(stage, "ann")),
        (vec!["2".into()], vec!["1".into()], vec!["1".into()])
    );

    publish(stage, [published("h", "k", "1", None)]);
    assert_eq!(found(stage, "done"), [""; 0]);
    publish(
        stage,
        [row("1", &[("done", 1)]), with_terms(published_by("2", ("h", "k", "3"), Some("x")), &[("open", 5)])],
    );
    assert_eq!((found(stage, "done"), found(stage, "open")), (vec!["1".into()], vec!["2".into(), "3".into()]));
    let withdrawn = vec![InstanceKey::new(Hub::new("h"), InstanceId::new("2"))];
    stage.commit(Batch { withdrawn, ..Batch::default() });
    assert_eq!(found(stage, "open"), [""; 0]);
    stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..Batch::default() });
    assert_eq!(found(stage, "done"), [""; 0]);
    publish(stage, [row("new", &[("open", 1)])]);
    stage.sweep();
    assert_eq!((found(stage, "done"), found(stage, "open")), (vec![], vec!["new".into()]));
}

/// More than are put in order when nothing stands in it, and than a page looks at.
pub(super) fn lists_of_many_rows_are_whole_in_any_order(stage: &mut Stage) {
    const ROWS: i64 = 6_000;
    for from in (0..ROWS).step_by(1_000) {
        let of = |at: i64| {
            let mut terms = vec![("open", at), ("due", (at * 7) % ROWS)];
            terms.extend((at % 1_000 == 0).then_some(("rare", at)));
            terms.extend((at >= ROWS - 3).then_some(("last", at)));
            let mut row = row(&at.to_string(), &terms);
            row.terms.push(Term { text: format!("w{at}"), order: at });
            row
        };
        publish(stage, (from..from + 1_000).map(of));
    }
    let numbers = |found: Vec<String>| found.iter().map(|key| key.parse().expect("a number")).collect::<Vec<i64>>();
    let all: Vec<i64> = (0..ROWS).collect();
    let by_due = |rows: Vec<i64>| {
        let mut rows = rows;
        rows.sort_by_key(|at| (at * 7) % ROWS);
        rows
    };
    let due = Some(Arc::from("due"));
    assert_eq!(numbers(keys(stage, &listing(&[&[is("open")]]))), all);
    let of_a_word = Listing { limit: 1_000, ..listing(&[&[starts("w")]]) };
    assert_eq!(numbers(keys(stage, &of_a_word)), all, "each has a term of its own");
    let of_many = Listing { sort: due.clone(), limit: 700, ..listing(&[&[is("open")]]) };
    assert_eq!(numbers(keys(stage, &of_many)), by_due(all.clone()));
    let of_few = Listing { sort: due.clone(), limit: 2, ..listing(&[&[is("open")], &[is("rare")]]) };
    assert_eq!(numbers(keys(stage, &of_few)), by_due((0..ROWS).step_by(1_000).collect()));
    // What both have few rows of is at the end of a long way.
    let far = Listing { sort: due, descending: true, limit: 1, ..listing(&[&[starts("w")], &[is("last")]]) };
    assert_eq!(numbers(keys(stage, &far)).len(), 3);
}

const WORDS: [&str; 6] = ["a", "ab", "abc", "b", "ä", ""];

pub(super) fn any_listing_is_what_a_look_at_all_rows_finds(stage: &mut Stage) {
    let mut chance = Chance::new(7);
    let mut rows: Vec<PublishedRow> = Vec::new();
    for number in 0..60 {
        let order = i64::try_from(chance.below(9)).expect("small");
        let mut terms: Vec<(&str, i64)> = WORDS.iter().map(|word| (*word, order)).collect();
        terms.retain(|_| chance.one_in(2));
        if chance.one_in(2) {
            terms.push(("due", 9 - order));
        }
        let row = row(&number.to_string(), &terms);
        publish(stage, [row.clone()]);
        rows.push(row);
    }
    for _ in 0..300 {
        let mut listing = listing(&[]);
        for _ in 0..=chance.below(2) {
            let mut any = Vec::new();
            for _ in 0..=chance.below(2) {
                let word = chance.pick(&WORDS).expect("there are words").to_owned();
                any.push(if chance.one_in(2) { TermMatch::Is(word) } else { TermMatch::Starts(word) });
            }
            // "due" has an order of its own.
            any.retain(|asked| !asked.holds("due"));
            listing.all.push(any);
        }
        listing.sort = chance.one_in(3).then(|| "due".into());
        listing.descending = chance.one_in(2);
        listing.limit = usize::try_from(1 + chance.below(5)).expect("small");
        if chance.one_in(3) {
            listing.within = 2..7;
        }
        let mut expected: Vec<(Place, String)> = Vec::new();
        for (row, number) in rows.iter().zip(0..) {
            let place = listing.place_of(number, &row.terms).filter(|place| listing.within.contains(&place.order));
            expected.extend(place.map(|place| (place, row.key.to_string())));
        }
        expected.sort();
        if listing.descending {
            expected.reverse();
        }
        let expected: Vec<String> = expected.into_iter().map(|(_, key)| key).collect();
        assert_eq!(keys(stage, &listing), expected, "{listing:?}");
    }
}
