//! Searches and counts: what matches, in which order, which part of it; and that the counts are those of the rows, whatever
//! was written, deleted, swept or opened again.

use std::collections::BTreeMap;
use std::time::Duration;

use placet_core::body::InstanceBody;
use placet_core::ids::{Hub, Iid};
use placet_core::rows::{Batch, InstanceRow, OrchestrationStatus};
use placet_core::time::Timestamp;
use prost::Message as _;

use super::chance::Chance;
use super::samples::{inserts, instance};
use super::stage::Stage;
use crate::model::{ModelStore, State};
use crate::{Answer, Column, Filter, Needle, Overview, Query, Search, Sort, Status, Store};

/// All of it, however long it takes.
fn search(filter: Filter, sort: &[Sort]) -> Search {
    let patience = Duration::from_secs(60);
    Search { hub: Hub::new("h"), filter, sort: sort.to_vec(), skip: 0, take: 1_000, patience }
}

fn up(column: Column) -> Sort {
    Sort { column, descending: false }
}

fn down(column: Column) -> Sort {
    Sort { column, descending: true }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

/// What a search may tell apart.
fn row(iid: u64, id: &str, name: &str, status: OrchestrationStatus, times: (i64, i64, Option<i64>)) -> InstanceRow {
    let (created, updated, completed) = times;
    InstanceRow {
        name: name.into(),
        status,
        created_at: time(created),
        updated_at: time(updated),
        completed_at: completed.map(time),
        ..instance(iid, "h", id)
    }
}

fn with_body(row: InstanceRow, version: Option<&str>, tags: &[(&str, &str)], start: Option<i64>) -> InstanceRow {
    let body = InstanceBody {
        version: version.map(str::to_owned),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        scheduled_start: start.map(|at| time(at).to_proto()),
        ..InstanceBody::default()
    };
    InstanceRow { body: body.encode_to_vec().into(), ..row }
}

fn some(stage: &Stage) {
    use OrchestrationStatus::{Completed, Failed, Pending, Running};
    let rows = [
        with_body(row(1, "order-1", "Ship", Completed, (10, 50, Some(50))), Some("1.0"), &[("team", "Red")], None),
        with_body(row(2, "order-2", "ship-fast", Running, (20, 90, None)), Some("2.0"), &[("team", "blue")], Some(30)),
        with_body(row(3, "Invoice-1", "bill", Failed, (20, 40, Some(40))), None, &[("urgent", "yes")], None),
        with_body(row(4, "invoice-ä", "Bill", Pending, (40, 40, None)), None, &[], Some(60)),
        instance(5, "other", "order-1"),
    ];
    stage.commit(inserts(rows));
}

fn found(stage: &Stage, search: &Search) -> Vec<u64> {
    let found = stage.search(search);
    assert!(found.is_all);
    assert_eq!(found.rows.len() as u64, found.matched, "{search:?}");
    found.rows.iter().map(|row| row.iid.0).collect()
}

pub(super) fn a_search_finds_what_all_of_its_filter_holds_for(stage: &mut Stage) {
    use OrchestrationStatus::{Failed, Pending, Running};
    some(stage);
    let filters = [
        (Filter::default(), vec![4, 3, 2, 1]),
        (Filter { statuses: vec![Running, Failed, Running], ..Filter::default() }, vec![3, 2]),
        (Filter { created: Some(time(20)..time(40)), ..Filter::default() }, vec![3, 2]),
        (Filter { created: Some(time(20)..time(40)), statuses: vec![Running], ..Filter::default() }, vec![2]),
        (Filter { updated: Some(time(40)..time(51)), ..Filter::default() }, vec![4, 3, 1]),
        (Filter { completed: Some(time(0)..time(50)), ..Filter::default() }, vec![3]),
        (Filter { started: Some(time(0)..time(60)), ..Filter::default() }, vec![2]),
        (Filter { id_starts: "order".into(), ..Filter::default() }, vec![2, 1]),
        (Filter { id_starts: "order-2".into(), name: Needle::new("ship"), ..Filter::default() }, vec![2]),
        (Filter { id: Needle::new("INVOICE"), ..Filter::default() }, vec![4, 3]),
        (Filter { id: Needle::new("Ä"), ..Filter::default() }, vec![4]),
        (Filter { name: Needle::new("bill"), statuses: vec![Pending], ..Filter::default() }, vec![4]),
        (Filter { version: Needle::new(".0"), ..Filter::default() }, vec![2, 1]),
        (Filter { tags: Needle::new("TEAM=r"), ..Filter::default() }, vec![1]),
        (Filter { tags: Needle::new("yes"), ..Filter::default() }, vec![3]),
        (Filter { name: Needle::new("nothing"), ..Filter::default() }, vec![]),
    ];
    for (filter, expected) in filters {
        assert_eq!(found(stage, &search(filter.clone(), &[])), expected, "{filter:?}");
    }
    let nowhere = Search { hub: Hub::new("nowhere"), ..search(Filter::default(), &[]) };
    assert_eq!(stage.search(&nowhere).overview, Overview::default());
    assert_eq!(found(stage, &nowhere), []);
}

pub(super) fn ids_that_begin_alike_are_found_whatever_follows(stage: &mut Stage) {
    let ids = ["a", "a\0", "a\u{10FFFF}", "ab", "b", "A", &format!("a{}", "\u{10FFFF}".repeat(99))];
    stage.commit(inserts((1..).zip(ids).map(|(iid, id)| instance(iid, "h", id))));
    let begins = || Filter { id_starts: "a".into(), ..Filter::default() };
    assert_eq!(found(stage, &search(begins(), &[up(Column::Id)])), [1, 2, 4, 3, 7]);
    assert_eq!(found(stage, &search(begins(), &[])), [7, 4, 3, 2, 1]);
    let two = Search { skip: 1, take: 2, ..search(begins(), &[down(Column::Id)]) };
    let told = stage.search(&two);
    assert_eq!((told.rows.iter().map(|row| row.iid.0).collect::<Vec<_>>(), told.matched), (vec![3, 4], 5));
}

pub(super) fn a_search_orders_by_any_column_and_what_is_alike_by_age(stage: &mut Stage) {
    some(stage);
    let sorts = [
        (vec![], vec![4, 3, 2, 1]),
        (vec![down(Column::Created)], vec![4, 3, 2, 1]),
        (vec![up(Column::Created)], vec![1, 2, 3, 4]),
        (vec![up(Column::Id)], vec![3, 4, 1, 2]),
        (vec![down(Column::Id)], vec![2, 1, 4, 3]),
        (vec![up(Column::Name)], vec![4, 1, 3, 2]),
        (vec![down(Column::Updated)], vec![2, 1, 4, 3]),
        (vec![up(Column::Updated)], vec![3, 4, 1, 2]),
        (vec![down(Column::Completed)], vec![1, 3, 4, 2]),
        (vec![up(Column::Completed)], vec![2, 4, 3, 1]),
        (vec![down(Column::Version)], vec![2, 1, 4, 3]),
        (vec![up(Column::Started)], vec![1, 3, 2, 4]),
        (vec![up(Column::Status)], vec![1, 3, 4, 2]),
        (vec![down(Column::Tags)], vec![3, 2, 1, 4]),
        (vec![up(Column::Version), down(Column::Updated)], vec![4, 3, 1, 2]),
    ];
    for (sort, expected) in sorts {
        assert_eq!(found(stage, &search(Filter::default(), &sort)), expected, "{sort:?}");
    }
}

/// Each search of a random hub, from any place in it, is what the model finds.
pub(super) fn any_part_of_any_search_is_what_a_look_at_all_rows_finds(stage: &mut Stage) {
    let mut chance = Chance::new(11);
    let mut state = State::default();
    for (iid, batch) in (0..6_u64).map(|at| (at * 50, random(&mut chance, at * 50))) {
        let mut batch = batch;
        if iid > 100 {
            batch.instances_deleted = vec![Iid(iid - 70), Iid(iid - 60)];
        }
        state.apply(&batch).expect("the batch is sound");
        stage.commit(batch);
    }
    let model = ModelStore::new(state);
    for _ in 0..400 {
        let search = any(&mut chance);
        let (told, expected) = (stage.search(&search), model_finds(&model, &search));
        assert_eq!(told.rows, expected.rows, "{search:?}");
        assert_eq!((told.matched, told.is_all, told.is_exact), (expected.matched, true, true), "{search:?}");
        assert_eq!(told.overview, expected.overview);
    }
}

fn model_finds(model: &ModelStore, search: &Search) -> crate::Found {
    match model.query(&Query::Search(Box::new(search.clone()))) {
        Ok(Answer::Found(found)) => found,
        answer => panic!("asked for a search, answered {answer:?}"),
    }
}

fn one_of<T: Copy>(chance: &mut Chance, items: &[T]) -> T {
    chance.pick(items).expect("there are items")
}

fn small(chance: &mut Chance, below: u64) -> i64 {
    i64::try_from(chance.below(below)).expect("it is small")
}

fn random(chance: &mut Chance, after: u64) -> Batch {
    inserts((after + 1..=after + 50).map(|iid| {
        let id = format!("{}{iid}", one_of(chance, &["a", "b", "ab", "Ä"]));
        let name = one_of(chance, &["ship", "Shop", "bill"]);
        let status = i32::try_from(chance.below(8)).expect("it is small").try_into().expect("it is one");
        let ended = (chance.below(2) == 0).then(|| small(chance, 30));
        let row = row(iid, &id, name, status, (small(chance, 20), small(chance, 40), ended));
        let hub = Hub::new(if chance.below(4) == 0 { "other" } else { "h" });
        let version = one_of(chance, &[None, Some("1"), Some("2")]);
        let tags = [("team", one_of(chance, &["red", "Blue"]))];
        let start = (chance.below(3) == 0).then(|| small(chance, 30));
        InstanceRow { hub, ..with_body(row, version, &tags[..one_of(chance, &[0, 1])], start) }
    }))
}

fn any(chance: &mut Chance) -> Search {
    use Column::{Completed, Created, Id, Name, Started, Status, Tags, Updated, Version};
    let columns = [Id, Name, Version, Created, Updated, Started, Completed, Status, Tags];
    let range = |chance: &mut Chance| {
        let from = small(chance, 20);
        (chance.below(4) == 0).then(|| time(from)..time(from + small(chance, 20)))
    };
    let needle = |chance: &mut Chance, texts: [&str; 3]| Needle::new(one_of(chance, &texts));
    let status =
        |chance: &mut Chance| i32::try_from(chance.below(8)).expect("it is small").try_into().expect("it is one");
    let filter = Filter {
        statuses: (0..chance.below(4)).map(|_| status(chance)).collect(),
        id_starts: one_of(chance, &["", "", "a", "ab", "Ä", "nothing"]).to_owned(),
        id: needle(chance, ["", "", "1"]),
        name: needle(chance, ["", "", "SH"]),
        version: needle(chance, ["", "", "1"]),
        tags: needle(chance, ["", "", "blue"]),
        created: range(chance),
        updated: range(chance),
        started: range(chance),
        completed: range(chance),
    };
    // Mostly little is asked.
    let filter = if chance.below(2) == 0 {
        Filter { statuses: filter.statuses, created: filter.created, ..Filter::default() }
    } else {
        filter
    };
    let sort =
        (0..chance.below(3)).map(|_| Sort { column: one_of(chance, &columns), descending: chance.below(2) == 0 });
    let sort: Vec<Sort> = sort.collect();
    let (skip, take) = (one_of(chance, &[0, 0, 3, 40, 1_000]), one_of(chance, &[1, 7, 1_000]));
    Search { skip, take, ..search(filter, &sort) }
}

pub(super) fn every_hub_knows_how_many_instances_have_which_status(stage: &mut Stage) {
    use OrchestrationStatus::{Completed, Pending, Running};
    let born = |iid: u64, hub: &str| InstanceRow { status: Pending, ..instance(iid, hub, &iid.to_string()) };
    let is = |stage: &Stage, hub: &str, counts: &[(OrchestrationStatus, u64)]| {
        let counts: BTreeMap<Status, u64> = counts.iter().map(|(status, n)| (Status((*status).into()), *n)).collect();
        assert_eq!(stage.overview(hub).counts, counts);
    };
    stage.commit(inserts((1..=4).map(|iid| born(iid, "h")).chain([born(5, "g")])));
    is(stage, "h", &[(Pending, 4)]);
    let to = |row: InstanceRow, status| (InstanceRow { status, ..row }, true);
    stage.commit(Batch {
        instances_updated: vec![to(born(1, "h"), Running), to(born(2, "h"), Running), to(born(3, "h"), Completed)],
        ..Batch::default()
    });
    // What does not change is not counted twice; what is deleted and made again is counted once.
    stage.commit(Batch {
        instances_deleted: vec![Iid(4)],
        instances_updated: vec![to(born(1, "h"), Running), to(born(2, "h"), Completed)],
        ..inserts([InstanceRow { id: born(4, "h").id, ..born(6, "h") }])
    });
    is(stage, "h", &[(Running, 1), (Completed, 2), (Pending, 1)]);
    is(stage, "g", &[(Pending, 1)]);
    stage.kill();
    is(stage, "h", &[(Running, 1), (Completed, 2), (Pending, 1)]);
    let overview = stage.overview("h");
    assert_eq!(overview.created, Some((born(1, "h").created_at, born(6, "h").created_at)));
    assert_eq!(overview.count(&[Completed, Running, Running]), 3);
}

pub(super) fn a_refused_batch_leaves_the_counts_as_they_were(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a")]));
    let before = stage.overview("h");
    let again = InstanceRow { status: OrchestrationStatus::Failed, ..instance(1, "h", "a") };
    let refused = Batch { instances_updated: vec![(again, true)], ..inserts([instance(2, "h", "a")]) };
    stage.store().commit(&refused).expect_err("the name is taken");
    assert_eq!(stage.overview("h"), before);
    stage.commit(inserts([instance(3, "h", "b")]));
    assert_eq!(stage.overview("h").total(), 2);
}

pub(super) fn what_goes_with_its_hub_is_counted_no_more(stage: &mut Stage) {
    stage.commit(inserts((1..=9).map(|iid| instance(iid, "h", &iid.to_string()))));
    let again = inserts([instance(10, "h", "1")]);
    stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..again });
    assert_eq!(stage.overview("h").total(), 1);
    stage.sweep();
    assert_eq!(stage.overview("h").total(), 1);
    stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..Batch::default() });
    stage.reopen();
    stage.sweep();
    assert_eq!(stage.overview("h"), Overview::default());
    assert_eq!(found(stage, &search(Filter::default(), &[up(Column::Updated)])), []);
}
