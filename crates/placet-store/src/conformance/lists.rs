//! Lists of instances: in each order, by each filter, page by page while instances come, change and go.

use std::ops::Range;

use placet_core::ids::{Hub, InstanceId};
use placet_core::rows::{Batch, InstanceRow, OrchestrationStatus};
use placet_core::time::Timestamp;

use super::chance::Chance;
use super::samples::{inserts, instance};
use super::stage::Stage;
use crate::{List, Order};

const ALWAYS: Range<Timestamp> = Timestamp(i64::MIN)..Timestamp(i64::MAX);

/// An instance that was created then, and ended then if it did.
fn row(iid: u64, id: &str, status: OrchestrationStatus, created: i64, ended: Option<i64>) -> InstanceRow {
    InstanceRow {
        status,
        created_at: Timestamp(created),
        completed_at: ended.map(Timestamp),
        active: false,
        ..instance(iid, "h", id)
    }
}

fn list(order: Order, limit: usize) -> List {
    List { hub: Hub::new("h"), statuses: Vec::new(), created: ALWAYS, order, limit }
}

fn by_id(prefix: &str) -> Order {
    Order::Id { prefix: prefix.to_owned(), after: None }
}

fn ended(within: Range<i64>) -> Order {
    Order::Ended { within: Timestamp(within.start)..Timestamp(within.end), after: None }
}

fn iids(rows: &[InstanceRow]) -> Vec<u64> {
    rows.iter().map(|row| row.iid.0).collect()
}

pub(super) fn instances_are_listed_in_the_order_of_their_creation(stage: &mut Stage) {
    use OrchestrationStatus::{Completed, Pending, Running};
    stage.commit(inserts([
        row(1, "c", Running, 30, None),
        row(2, "a", Completed, 10, Some(50)),
        row(3, "b", Running, 20, None),
        row(4, "d", Pending, 20, None),
        instance(5, "other", "a"),
    ]));
    let page = stage.list(&list(Order::Created(None), 10));
    assert_eq!((iids(&page.rows), page.next), (vec![2, 3, 4, 1], None));
    let some = List { statuses: vec![Pending, Completed, Pending], ..list(Order::Created(None), 10) };
    assert_eq!(iids(&stage.list(&some).rows), [2, 4]);
    let within = List { created: Timestamp(10)..Timestamp(20), ..list(Order::Created(None), 10) };
    assert_eq!(iids(&stage.list(&within).rows), [2]);
    let nowhere = List { hub: Hub::new("nowhere"), ..list(Order::Created(None), 10) };
    assert_eq!(stage.list(&nowhere).rows, []);
}

pub(super) fn a_list_goes_on_behind_its_last_row_whatever_came_and_went_meanwhile(stage: &mut Stage) {
    use OrchestrationStatus::{Completed, Running};
    stage.commit(inserts((1..=6).map(|iid| row(iid, &format!("i{iid}"), Running, 10, None))));
    let first = stage.list(&list(Order::Created(None), 2));
    assert_eq!(iids(&first.rows), [1, 2]);
    let changed = row(4, "i4", Completed, 10, Some(60));
    stage.commit(Batch {
        instances_deleted: vec![first.rows[1].iid],
        instances_updated: vec![(changed, true)],
        ..inserts([row(7, "i7", Running, 10, None)])
    });
    let second = stage.list(&list(first.next.expect("more follow"), 2));
    assert_eq!(iids(&second.rows), [3, 4]);
    let third = stage.list(&list(second.next.expect("more follow"), 3));
    assert_eq!(iids(&third.rows), [5, 6, 7]);
    let end = stage.list(&list(third.next.expect("it was full"), 2));
    assert_eq!((end.rows, end.next), (vec![], None));
}

pub(super) fn instances_whose_ids_begin_alike_are_listed_by_their_ids(stage: &mut Stage) {
    use OrchestrationStatus::{Failed, Running};
    let ids = ["order", "order-10", "order-2", "Order-3", "orderé", "orders", "ordes", "\u{10FFFF}"];
    stage.commit(inserts((1..).zip(ids).map(|(iid, id)| row(iid, id, Running, 10, None))));
    let found = |prefix: &str| iids(&stage.list(&list(by_id(prefix), 10)).rows);
    assert_eq!(found("order"), [1, 2, 3, 6, 5]);
    assert_eq!(found("order-"), [2, 3]);
    assert_eq!(found("O"), [4]);
    assert_eq!(found("\u{10FFFF}"), [8]);
    assert_eq!(found("z"), []);
    assert_eq!(found("").len(), ids.len());
    stage
        .commit(Batch { instances_updated: vec![(row(3, "order-2", Failed, 10, Some(20)), true)], ..Batch::default() });
    let failed = List { statuses: vec![Failed], ..list(by_id("order"), 2) };
    let page = stage.list(&failed);
    assert_eq!(page.rows, [], "two were looked at, and neither has failed");
    let page = stage.list(&List { order: page.next.expect("more follow"), ..failed });
    assert_eq!(iids(&page.rows), [3]);
}

pub(super) fn what_has_ended_is_listed_in_the_order_in_which_it_did(stage: &mut Stage) {
    use OrchestrationStatus::{Completed, Failed, Running};
    stage.commit(inserts([
        row(1, "a", Running, 1, None),
        row(2, "b", Completed, 2, Some(90)),
        row(3, "c", Failed, 3, Some(80)),
        row(4, "d", Completed, 4, Some(90)),
        row(5, "e", Completed, 5, Some(100)),
    ]));
    assert_eq!(iids(&stage.list(&list(ended(0..1_000), 10)).rows), [3, 2, 4, 5]);
    assert_eq!(iids(&stage.list(&list(ended(90..100), 10)).rows), [2, 4]);
    let page = stage.list(&list(ended(0..1_000), 2));
    assert_eq!(iids(&page.rows), [3, 2]);
    assert_eq!(iids(&stage.list(&list(page.next.expect("more follow"), 10)).rows), [4, 5]);
    let completed = List { statuses: vec![Completed], ..list(ended(0..1_000), 10) };
    assert_eq!(iids(&stage.list(&completed).rows), [2, 4, 5]);
    // Begun again: it has not ended any more.
    stage.commit(Batch { instances_updated: vec![(row(3, "c", Running, 3, None), true)], ..Batch::default() });
    assert_eq!(iids(&stage.list(&list(ended(0..1_000), 10)).rows), [2, 4, 5]);
}

/// Each page behind the one before, in every order, is what a look at all the rows tells.
pub(super) fn pages_of_any_size_hold_every_instance_once(stage: &mut Stage) {
    let mut chance = Chance::new(7);
    let status = |number: u64| i32::try_from(number).expect("it is small").try_into().expect("it is one");
    let rows: Vec<InstanceRow> = (1..=90)
        .map(|iid| {
            let ended = (chance.below(2) == 0).then(|| i64::try_from(chance.below(20)).expect("it is small"));
            let created = i64::try_from(chance.below(20)).expect("it is small");
            let id = format!("{}{iid}", ["a", "b", "ab"][usize::try_from(chance.below(3)).expect("it is small")]);
            row(
                iid,
                &id,
                status([0, 1, 3, 5, 6, 7][usize::try_from(chance.below(6)).expect("it is small")]),
                created,
                ended,
            )
        })
        .collect();
    stage.commit(inserts(rows.clone()));
    let key = |row: &InstanceRow| (row.created_at, row.iid);
    for order in [Order::Created(None), by_id("a"), by_id(""), ended(3..17)] {
        for statuses in [vec![], vec![status(0)], vec![status(1), status(6)]] {
            for limit in [1, 2, 7, 90, 1_000] {
                let created = Timestamp(2)..Timestamp(18);
                let wanted = List { statuses: statuses.clone(), created, ..list(order.clone(), limit) };
                let mut expected: Vec<&InstanceRow> = rows.iter().filter(|row| wanted.holds(row)).collect();
                match &order {
                    Order::Created(_) => expected.sort_by_key(|row| key(row)),
                    Order::Id { .. } => expected.sort_by(|a, b| a.id.cmp(&b.id)),
                    Order::Ended { .. } => expected.sort_by_key(|row| (row.completed_at, row.iid)),
                }
                let (mut found, mut next) = (Vec::new(), Some(wanted.order.clone()));
                while let Some(order) = next {
                    let page = stage.list(&List { order, ..wanted.clone() });
                    assert!(page.rows.len() <= limit);
                    found.extend(page.rows);
                    next = page.next;
                }
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{wanted:?}");
            }
        }
    }
}

pub(super) fn what_goes_with_its_hub_is_on_no_list(stage: &mut Stage) {
    stage.commit(inserts([row(1, "a", OrchestrationStatus::Completed, 1, Some(2))]));
    stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..Batch::default() });
    for order in [Order::Created(None), by_id(""), ended(0..10)] {
        assert_eq!(stage.list(&list(order, 10)).rows, []);
    }
    let again = InstanceRow { id: InstanceId::new("b"), ..row(2, "b", OrchestrationStatus::Running, 1, None) };
    stage.commit(inserts([again]));
    assert_eq!(iids(&stage.list(&list(Order::Created(None), 10)).rows), [2]);
}
