//! Finding the instances that have work, after a start.

use placet_core::ids::{Iid, PartitionId, Seq};
use placet_core::rows::{Batch, InboxRow, InstanceRow, LoadedInstance};

use super::samples::{furnished, inserts, instance, parked};
use super::stage::Stage;

pub(super) fn recovery_finds_active_instances_with_all_that_they_wait_for(stage: &mut Stage) {
    stage.commit(furnished(1, "h", "a"));
    stage.commit(inserts([parked(2, "h", "b"), instance(3, "g", "c")]));
    stage.reopen();
    let page = stage.recover(None, 10);
    assert_eq!(page.instances, [stage.instance(1), stage.instance(3)]);
    assert_eq!(page.instances[0].inbox.len(), 2);
    assert_eq!(page.instances[0].activities.len(), 2);
    assert_eq!(page.instances[0].replies.len(), 2);
    assert_eq!(page.next, None);
}

pub(super) fn recovery_follows_the_active_flag(stage: &mut Stage) {
    stage.commit(inserts([instance(1, "h", "a"), parked(2, "h", "b"), instance(3, "h", "c")]));
    assert_eq!(stage.active(), [1, 3]);
    let updated = vec![(parked(1, "h", "a"), true), (instance(2, "h", "b"), true)];
    stage.commit(Batch { instances_updated: updated, ..Batch::default() });
    assert_eq!(stage.active(), [2, 3]);
    stage.commit(Batch { instances_updated: vec![(instance(3, "h", "c"), false)], ..Batch::default() });
    stage.commit(Batch { instances_deleted: vec![Iid(2)], ..Batch::default() });
    assert_eq!(stage.active(), [3]);
}

pub(super) fn recovery_comes_in_pages_in_the_order_of_keys(stage: &mut Stage) {
    let rows: Vec<InstanceRow> = (1..=20).map(|iid| numbered(iid * 3, iid % 4 != 0)).collect();
    stage.commit(inserts(rows.iter().rev().cloned()));
    let expected: Vec<Iid> = rows.iter().filter(|row| row.active).map(|row| row.iid).collect();
    for limit in [1, 2, 4, 5, 14, 15, 16, 100] {
        assert_eq!(pages(stage, &|_| true, limit, usize::MAX), expected, "in pages of {limit}");
    }
    assert_eq!(stage.recover(Some(60), 10).instances, []);
}

pub(super) fn recovery_is_for_the_partitions_asked_for(stage: &mut Stage) {
    let rows: Vec<InstanceRow> = (1..=60).map(|iid| numbered(iid, true)).collect();
    stage.commit(inserts(rows.clone()));
    let lower = |partition: PartitionId| partition.0 < 64;
    let expected: Vec<Iid> = rows.iter().filter(|row| lower(row.key().partition())).map(|row| row.iid).collect();
    assert!(!expected.is_empty() && expected.len() < rows.len(), "the sample falls into both");
    for limit in [1, 3, 100] {
        assert_eq!(pages(stage, &lower, limit, usize::MAX), expected, "in pages of {limit}");
    }
    assert_eq!(pages(stage, &|_| false, 5, usize::MAX), []);
}

pub(super) fn a_page_ends_at_its_bytes_and_holds_one_instance_at_least(stage: &mut Stage) {
    let rows: Vec<InstanceRow> = (1..=20).map(|iid| numbered(iid, true)).collect();
    let expected: Vec<Iid> = rows.iter().map(|row| row.iid).collect();
    let messages = (1..=20).flat_map(|iid| {
        // The later ones are the larger ones.
        let data = [7; 100].repeat(usize::try_from(iid).expect("twenty at most"));
        let message = move |seq| InboxRow { iid: Iid(iid), seq: Seq(seq), data: data.clone().into() };
        (1..=iid % 4).map(message)
    });
    stage.commit(Batch { inbox_put: messages.collect(), ..inserts(rows) });
    for bytes_max in [0, 1, 1_000, 5_000, usize::MAX] {
        assert_eq!(pages(stage, &|_| true, 7, bytes_max), expected, "in pages of {bytes_max} bytes");
    }
}

fn numbered(iid: u64, active: bool) -> InstanceRow {
    InstanceRow { active, ..instance(iid, "h", &format!("instance-{iid}")) }
}

/// The keys of all pages. A page may hold fewer than the limit, even none, and say that another follows.
fn pages(stage: &Stage, partitions: &dyn Fn(PartitionId) -> bool, limit: usize, bytes_max: usize) -> Vec<Iid> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = stage.store().recover(partitions, after, limit, bytes_max).expect("the store can be read");
        assert!(page.instances.len() <= limit, "a page of {} where {limit} were asked for", page.instances.len());
        let bytes: usize = page.instances.iter().map(LoadedInstance::payload_bytes).sum();
        assert!(bytes <= bytes_max || page.instances.len() == 1, "a page of {bytes} bytes, {bytes_max} were asked for");
        found.extend(page.instances.iter().map(|instance| instance.row.iid));
        assert!(page.next.is_none() || page.next > after, "the next page begins after this one");
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}
