//! The dispatch, alone: who gets what. When an item goes to somebody else is in `giving_back`.

mod giving_back;

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::stream::Accepts;
use super::*;

const NOW: Mono = Mono(0);

/// A stream that takes all but what is reserved, as many items as anyone.
fn everything() -> StreamSpec {
    StreamSpec::default()
}

fn of_hub(hub: &str) -> StreamSpec {
    StreamSpec { hubs: HubSet::Of(vec![Hub::new(hub)]), ..everything() }
}

fn at_most(turns_max: usize, activities_max: usize) -> StreamSpec {
    StreamSpec { turns_max, activities_max, ..everything() }
}

fn filtered(orchestrations: &[(&str, &[&str])], activities: &[(&str, &[&str])]) -> StreamSpec {
    let list = |filters: &[(&str, &[&str])]| {
        let filter = |(name, versions): &(&str, &[&str])| Filter {
            name: (*name).to_owned(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        };
        filters.iter().map(filter).collect()
    };
    let filters = Filters { orchestrations: list(orchestrations), activities: list(activities) };
    StreamSpec { filters: Some(filters), ..everything() }
}

fn item(id: ItemId, name: &str) -> ItemSpec {
    ItemSpec {
        id,
        hub: Hub::new("hub"),
        name: name.into(),
        version: None,
        sticky: None,
        bytes: 0,
        past: 0,
        terminating: false,
    }
}

fn turn(number: u64, name: &str) -> ItemSpec {
    item(ItemId::Turn(PartitionId(0), Iid(number)), name)
}

fn activity(number: u64, name: &str) -> ItemSpec {
    item(ItemId::Activity(PartitionId(0), Iid(number), Seq(1)), name)
}

/// How many items wait, of whatever kind.
fn backlog(dispatch: &Dispatch) -> usize {
    dispatch.backlog(Kind::Turn) + dispatch.backlog(Kind::Activity)
}

fn versioned(spec: ItemSpec, version: &str) -> ItemSpec {
    ItemSpec { version: Some(version.into()), ..spec }
}

fn open(dispatch: &mut Dispatch, id: u64, spec: StreamSpec) -> Vec<ItemId> {
    dispatch.open(NOW, StreamId(id), spec);
    pull(dispatch, id)
}

fn pull(dispatch: &mut Dispatch, id: u64) -> Vec<ItemId> {
    dispatch.pull(NOW, StreamId(id)).into_iter().map(|assignment| assignment.item).collect()
}

/// Offers an item: the stream that it is given to.
fn offer(dispatch: &mut Dispatch, spec: ItemSpec) -> Option<u64> {
    dispatch.enqueue(NOW, spec).map(|assignment| assignment.stream.0)
}

#[test]
fn room_that_nobody_looked_for_is_told_of_once() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    let kilobyte = |number| ItemSpec { bytes: 1_000, ..activity(number, "a") };
    for (number, sent, makes_room) in [(1, 1_000, false), (2, 1_200, false), (3, 10, true)] {
        offer(&mut dispatch, kilobyte(number));
        dispatch.sent(StreamId(1), kilobyte(number).id, sent);
        assert_eq!(dispatch.has_unseen_room(), makes_room, "{sent} bytes");
        assert!(!dispatch.has_unseen_room());
    }
    for (stays, makes_room) in [(true, false), (false, true)] {
        dispatch.queue(kilobyte(4));
        dispatch.sweep(|_| stays);
        assert_eq!(dispatch.has_unseen_room(), makes_room, "what was queued stays: {stays}");
    }
}

#[test]
fn a_stream_that_does_not_read_is_sent_no_more_than_its_bound_and_what_it_has_read_makes_room() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    let mebibyte = |number| ItemSpec { bytes: 1 << 20, ..activity(number, "a") };
    let given: Vec<u64> = (0..10).filter_map(|number| offer(&mut dispatch, mebibyte(number))).collect();
    assert_eq!(given.len() << 20, Limits::default().stream_unread_bytes);
    for number in 0..4 {
        // Each turned out to be a little longer.
        dispatch.sent(StreamId(1), activity(number, "a").id, (1 << 20) + 100);
    }
    assert_eq!(pull(&mut dispatch, 1), []);
    dispatch.read(StreamId(1), (1 << 20) + 100);
    assert_eq!(pull(&mut dispatch, 1).len(), 1);
    dispatch.finished(activity(4, "a").id);
    assert_eq!(dispatch.unread_bytes(), 3 * ((1 << 20) + 100), "what was never sent is not waited for");
    dispatch.close(NOW, StreamId(1), true);
    assert_eq!(dispatch.unread_bytes(), 0);
}

#[test]
fn a_worker_that_answers_no_turns_holds_no_more_of_them_than_its_bound_and_still_gets_activities() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    let mebibyte = |number| ItemSpec { bytes: 1 << 20, ..turn(number, "a") };
    let mut held = 0;
    for number in 0..40 {
        if offer(&mut dispatch, mebibyte(number)).is_some() {
            held += 1;
            dispatch.sent(StreamId(1), mebibyte(number).id, 1 << 20);
            dispatch.read(StreamId(1), 1 << 20);
        }
    }
    assert_eq!(held << 20, Limits::default().stream_turn_bytes);
    assert!(offer(&mut dispatch, activity(1, "a")).is_some());
    dispatch.finished(mebibyte(0).id);
    assert_eq!(pull(&mut dispatch, 1).len(), 1);
}

#[test]
fn while_all_streams_together_have_much_to_read_nobody_gets_long_things_and_who_has_read_gets_small_ones() {
    let mut dispatch = Dispatch::default();
    for stream in 0..20 {
        open(&mut dispatch, stream, everything());
    }
    let large = |number| ItemSpec { bytes: 3 << 20, ..activity(number, "a") };
    let given = (0..20).filter(|number| offer(&mut dispatch, large(*number)).is_some()).count();
    assert_eq!(given, 16);
    assert!(dispatch.unread_bytes() >= Limits::default().unread_bytes);
    assert!(offer(&mut dispatch, activity(20, "b")).is_some_and(|stream| stream >= 16), "those have nothing to read");
    open(&mut dispatch, 21, at_most(0, 1));
    assert_eq!(
        pull(&mut dispatch, 21),
        [],
        "however many streams there are, together they get no more of what is long"
    );
    dispatch.sent(StreamId(0), large(0).id, 3 << 20);
    dispatch.read(StreamId(0), 3 << 20);
    assert_eq!(pull(&mut dispatch, 21), [large(16).id]);
}

#[test]
fn while_all_workers_together_have_many_turns_to_answer_none_gets_a_long_one() {
    let mut dispatch = Dispatch::default();
    let mebibyte = |number| ItemSpec { bytes: 1 << 20, ..turn(number, "a") };
    let mut taken = 0;
    for stream in 0..20 {
        open(&mut dispatch, stream, everything());
        for _ in 0..10 {
            if offer(&mut dispatch, mebibyte(taken)) == Some(stream) {
                dispatch.sent(StreamId(stream), mebibyte(taken).id, 1 << 20);
                dispatch.read(StreamId(stream), 1 << 20);
                taken += 1;
            }
        }
    }
    assert_eq!(usize::try_from(taken).unwrap() << 20, Limits::default().turns_out_bytes);
    assert_eq!(dispatch.violated_invariant(), None);
    assert!(offer(&mut dispatch, turn(100, "b")).is_some(), "what is small is in nobody's way");
    assert_eq!(dispatch.finished(mebibyte(0).id), Some(StreamId(0)));
    assert_eq!(pull(&mut dispatch, 0), [mebibyte(taken).id]);
    for stream in 0..20 {
        dispatch.close(NOW, StreamId(stream), true);
    }
    assert_eq!(dispatch.held_turn_bytes(), 0);
}

#[test]
fn a_history_counts_for_the_worker_that_would_have_to_be_sent_it() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, at_most(1, 1));
    open(&mut dispatch, 2, everything());
    let long = |number| ItemSpec { past: 200 << 20, sticky: Some(StreamId(1)), ..turn(number, "a") };
    assert_eq!(offer(&mut dispatch, long(1)), Some(1));
    assert_eq!(dispatch.unread_bytes(), 0, "it keeps the state");
    assert_eq!(offer(&mut dispatch, long(2)), Some(2));
    assert_eq!(dispatch.unread_bytes(), 200 << 20);
    assert_eq!(offer(&mut dispatch, long(3)), None, "one long history at a time");
    dispatch.sent(StreamId(2), long(2).id, 200 << 20);
    dispatch.read(StreamId(2), 200 << 20);
    assert_eq!(dispatch.finished(long(2).id), Some(StreamId(2)));
    assert_eq!(pull(&mut dispatch, 2), [long(3).id]);
}

#[test]
fn an_item_that_waits_while_a_stream_has_room_for_it_is_noticed() {
    let mut dispatch = Dispatch::default();
    offer(&mut dispatch, turn(1, "a"));
    assert_eq!(dispatch.violated_invariant(), None);
    dispatch.open(NOW, StreamId(1), everything());
    assert!(dispatch.violated_invariant().is_some(), "nobody has pulled for the stream yet");
    pull(&mut dispatch, 1);
    assert_eq!(dispatch.violated_invariant(), None);
}

#[test]
fn filters_decide_by_kind_name_and_version() {
    let greet = || activity(1, "greet");
    let cases = [
        ("no filters: everything", everything(), turn(1, "a"), true),
        ("no filters: everything", everything(), activity(1, "a"), true),
        ("a name that is listed", filtered(&[("a", &[])], &[]), turn(1, "a"), true),
        ("a name that is not", filtered(&[("a", &[])], &[]), turn(1, "b"), false),
        ("names are exact", filtered(&[("a", &[])], &[]), turn(1, "A"), false),
        ("a kind with an empty list gets nothing of that kind", filtered(&[("a", &[])], &[]), activity(1, "a"), false),
        ("… and the other way round", filtered(&[], &[("a", &[])]), turn(1, "a"), false),
        ("a list is of its kind", filtered(&[("a", &[])], &[("b", &[])]), activity(1, "a"), false),
        ("no versions: any version", filtered(&[("a", &[])], &[]), versioned(turn(1, "a"), "2"), true),
        ("a version that is listed", filtered(&[("a", &["1", "2"])], &[]), versioned(turn(1, "a"), "2"), true),
        ("a version that is not", filtered(&[("a", &["1"])], &[]), versioned(turn(1, "a"), "2"), false),
        ("no version is the empty one", filtered(&[("a", &["1"])], &[]), turn(1, "a"), false),
        ("… which can be listed", filtered(&[("a", &["1", ""])], &[]), turn(1, "a"), true),
        (
            "a name may be listed twice",
            filtered(&[("a", &["1"]), ("a", &["2"])], &[]),
            versioned(turn(1, "a"), "2"),
            true,
        ),
        ("… once for any version", filtered(&[("a", &["1"]), ("a", &[])], &[]), versioned(turn(1, "a"), "2"), true),
        // An activity without a version of its own has its orchestration's (see `Instance::activity_spec`).
        ("an activity's version", filtered(&[], &[("greet", &["3.0.0"])]), versioned(greet(), "3.0.0"), true),
        ("another version", filtered(&[], &[("greet", &["3.0.0"])]), versioned(greet(), "2.0.0"), false),
    ];
    for (what, stream, item, accepted) in cases {
        let mut dispatch = Dispatch::default();
        open(&mut dispatch, 1, stream);
        assert_eq!(dispatch.has_taker(&item), accepted, "{what}");
        assert_eq!(offer(&mut dispatch, item).is_some(), accepted, "{what}");
    }
}

#[test]
fn a_stream_that_names_too_much_is_told_what() {
    let named = |names: usize, versions: usize| {
        let versions = vec![String::from("1"); versions];
        let filters = (0..names).map(|name| Filter { name: name.to_string(), versions: versions.clone() });
        let filters = Filters { orchestrations: Vec::new(), activities: filters.collect() };
        StreamSpec { filters: Some(filters), ..StreamSpec::default() }
    };
    let of_hubs = |many| StreamSpec { hubs: HubSet::Of(vec![Hub::new("hub"); many]), ..StreamSpec::default() };
    for well in [StreamSpec::default(), named(1_000, 0), named(1, 999), of_hubs(1_000)] {
        assert_eq!(well.check(), Ok(()));
    }
    let refused = |spec: StreamSpec| spec.check().unwrap_err().to_string();
    insta::assert_snapshot!([named(1_001, 0), named(500, 2), of_hubs(1_001)].map(refused).join("\n"), @r#"
    workItemFilters.activities: 1001 names and versions, 1000 at most; without filters a worker gets everything
    workItemFilters.activities: 1500 names and versions, 1000 at most; without filters a worker gets everything
    hubs: 1001 of them, 1000 at most; "*" stands for all
    "#);
}

#[test]
fn hubs_are_walls() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, of_hub("other"));
    assert_eq!(offer(&mut dispatch, turn(1, "a")), None);
    assert_eq!(open(&mut dispatch, 2, of_hub("other")), []);
    assert_eq!(open(&mut dispatch, 3, of_hub("HUB")), [turn(1, "a").id], "names of hubs compare without case");
    assert_eq!(offer(&mut dispatch, activity(2, "a")), Some(3));
}

#[test]
fn reserved_names_are_the_built_in_workers_and_it_gets_nothing_else() {
    let built_in = || StreamSpec { built_in: true, ..everything() };
    let cases = [
        ("placet.approval", built_in(), true),
        ("placet.approval", everything(), false),
        ("placet.approval", filtered(&[("placet.approval", &[])], &[("placet.approval", &[])]), false),
        ("a", built_in(), false),
        ("placet", built_in(), false),
        ("placet", everything(), true),
        ("placetx", everything(), true),
        ("Placet.approval", everything(), true),
    ];
    for (name, stream, accepted) in cases {
        for item in [turn(1, name), activity(1, name)] {
            let mut dispatch = Dispatch::default();
            open(&mut dispatch, 1, stream.clone());
            assert_eq!(offer(&mut dispatch, item).is_some(), accepted, "{name} to {stream:?}");
        }
    }
}

#[test]
fn a_stream_holds_as_many_of_each_kind_as_it_said_and_no_limit_is_the_default() {
    let cases = [(1, 2, 1, 2), (0, 3, limits::STREAM_ITEMS_DEFAULT, 3), (2, 0, 2, limits::STREAM_ITEMS_DEFAULT)];
    for (turns_max, activities_max, turns, activities) in cases {
        let mut dispatch = Dispatch::default();
        open(&mut dispatch, 1, at_most(turns_max, activities_max));
        let most = limits::STREAM_ITEMS_DEFAULT as u64 + 1;
        let given = (0..most).filter(|&number| offer(&mut dispatch, turn(number, "a")).is_some()).count();
        assert_eq!(given, turns);
        let given = (0..most).filter(|&number| offer(&mut dispatch, activity(number, "a")).is_some()).count();
        assert_eq!(given, activities);
        assert_eq!(dispatch.held_count(), turns + activities);
        assert_eq!(backlog(&dispatch) as u64, 2 * most - (turns + activities) as u64);
        assert_eq!(pull(&mut dispatch, 1), []);
        assert_eq!(dispatch.finished(turn(0, "a").id), Some(StreamId(1)));
        assert_eq!(pull(&mut dispatch, 1), [turn(turns as u64, "a").id], "room for one, and the oldest gets it");
    }
}

#[test]
fn an_item_goes_to_the_stream_that_keeps_its_state_if_that_has_room_and_else_to_the_least_busy() {
    let sticky = |number| ItemSpec { sticky: Some(StreamId(2)), ..turn(number, "a") };
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, everything());
    open(&mut dispatch, 2, at_most(2, 0));
    open(&mut dispatch, 3, everything());
    assert_eq!(offer(&mut dispatch, sticky(1)), Some(2));
    assert_eq!(offer(&mut dispatch, sticky(2)), Some(2), "though another is less busy");
    assert_eq!(offer(&mut dispatch, sticky(3)), Some(1), "it has no room");
    assert_eq!(offer(&mut dispatch, turn(4, "a")), Some(3), "the least busy");
    assert_eq!(offer(&mut dispatch, activity(5, "a")), Some(1), "each kind counts for itself");
    dispatch.close(NOW, StreamId(2), true);
    assert_eq!(offer(&mut dispatch, sticky(6)), Some(1), "it is gone");
}

#[test]
fn a_sticky_stream_that_does_not_accept_the_item_does_not_get_it() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, filtered(&[("b", &[])], &[]));
    let spec = ItemSpec { sticky: Some(StreamId(1)), ..turn(1, "a") };
    assert_eq!(offer(&mut dispatch, spec), None);
}

#[test]
fn work_is_spread_over_streams_evenly() {
    let mut dispatch = Dispatch::default();
    (1..=4).for_each(|id| drop(open(&mut dispatch, id, everything())));
    let mut given: BTreeMap<u64, u32> = BTreeMap::new();
    for number in 0..40 {
        *given.entry(offer(&mut dispatch, turn(number, "a")).unwrap()).or_default() += 1;
    }
    assert_eq!(given, BTreeMap::from([(1, 10), (2, 10), (3, 10), (4, 10)]));
}

#[test]
fn an_item_that_nobody_accepts_waits_and_blocks_nothing_behind_it() {
    let mut dispatch = Dispatch::default();
    assert_eq!(offer(&mut dispatch, turn(1, "nobody's")), None);
    assert_eq!(offer(&mut dispatch, turn(2, "a")), None);
    assert_eq!(offer(&mut dispatch, turn(3, "nobody's")), None);
    assert_eq!(open(&mut dispatch, 1, filtered(&[("a", &[])], &[])), [turn(2, "a").id]);
    assert_eq!(offer(&mut dispatch, turn(4, "a")), Some(1));
    assert_eq!(backlog(&dispatch), 2);
    assert_eq!(open(&mut dispatch, 2, everything()), [turn(1, "nobody's").id, turn(3, "nobody's").id]);
}

#[test]
fn every_queue_gets_its_turn_however_long_another_is() {
    let mut dispatch = Dispatch::default();
    for number in 0..100 {
        offer(&mut dispatch, turn(number, "busy"));
    }
    offer(&mut dispatch, turn(100, "a"));
    offer(&mut dispatch, turn(101, "z"));
    offer(&mut dispatch, ItemSpec { hub: Hub::new("another"), ..turn(102, "busy") });
    let mut first: Vec<u64> = open(&mut dispatch, 1, at_most(4, 0)).into_iter().map(|item| item.iid().0).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 100, 101, 102]);
    dispatch.finished(turn(0, "busy").id);
    assert_eq!(pull(&mut dispatch, 1), [turn(1, "busy").id], "the oldest of its queue");
}

#[test]
fn queues_take_turns_whatever_a_stream_takes_them_by() {
    let by_name = filtered(&[("c", &[]), ("a", &[]), ("b", &["", "1"])], &[]);
    let of_hub =
        |spec: &StreamSpec| StreamSpec { hubs: HubSet::Of(vec![Hub::new("x"), Hub::new("hub")]), ..spec.clone() };
    // More names than there are queues, and so many that they are not looked for one by one.
    let with_others = |many: usize| {
        let mut spec = by_name.clone();
        let others = (0..many).map(|other| Filter { name: format!("b{other}"), versions: Vec::new() });
        spec.filters.as_mut().unwrap().orchestrations.extend(others);
        spec
    };
    let many = [with_others(10), of_hub(&with_others(990))];
    let streams = [everything(), of_hub(&everything()), of_hub(&by_name), by_name].into_iter().chain(many);
    for stream in streams {
        let mut dispatch = Dispatch::default();
        for number in 0..2 {
            offer(&mut dispatch, turn(number, "a"));
            offer(&mut dispatch, turn(10 + number, "b"));
            offer(&mut dispatch, versioned(turn(20 + number, "b"), "1"));
            offer(&mut dispatch, turn(30 + number, "c"));
        }
        open(&mut dispatch, 1, StreamSpec { turns_max: 1, ..stream.clone() });
        let mut order = Vec::new();
        while let Some(item) = dispatch.held.keys().next().copied() {
            order.push(item.iid().0);
            dispatch.finished(item);
            pull(&mut dispatch, 1);
        }
        assert_eq!(order, [0, 10, 20, 30, 1, 11, 21, 31], "{stream:?}");
    }
}

#[test]
fn an_item_that_is_held_is_given_to_nobody_else_though_it_is_offered_again() {
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, at_most(1, 0));
    assert_eq!(offer(&mut dispatch, turn(1, "a")), Some(1));
    assert_eq!(offer(&mut dispatch, turn(1, "a")), None);
    assert_eq!(open(&mut dispatch, 2, everything()), []);
    assert_eq!(dispatch.holder(turn(1, "a").id), Some(StreamId(1)));
    // Queued twice: whoever pulls the second copy finds it held.
    let mut dispatch = Dispatch::default();
    offer(&mut dispatch, activity(1, "a"));
    offer(&mut dispatch, activity(1, "a"));
    assert_eq!(open(&mut dispatch, 1, everything()), [activity(1, "a").id]);
    assert_eq!(backlog(&dispatch), 0);
}

#[test]
fn instances_that_leave_memory_take_their_items_out_of_the_queues() {
    let mut dispatch = Dispatch::default();
    for number in 1..=4 {
        offer(&mut dispatch, turn(number, "a"));
        offer(&mut dispatch, activity(number, "a"));
    }
    dispatch.unqueue(&[(PartitionId(0), Iid(2)), (PartitionId(0), Iid(3)), (PartitionId(1), Iid(4))]);
    assert_eq!(backlog(&dispatch), 4);
    let left = [turn(1, "a").id, turn(4, "a").id, activity(1, "a").id, activity(4, "a").id];
    assert_eq!(open(&mut dispatch, 1, everything()), left);
}

#[test]
fn a_turn_that_ends_its_instance_and_that_nobody_may_take_is_found() {
    let terminating = |number, name: &str| ItemSpec { terminating: true, ..turn(number, name) };
    let mut dispatch = Dispatch::default();
    open(&mut dispatch, 1, at_most(1, 0));
    offer(&mut dispatch, turn(1, "a"));
    offer(&mut dispatch, terminating(2, "a"));
    offer(&mut dispatch, turn(3, "a"));
    assert_eq!(dispatch.unserved(), [], "it waits for room");
    dispatch.close(NOW, StreamId(1), true);
    open(&mut dispatch, 2, filtered(&[("b", &[])], &[]));
    assert_eq!(dispatch.unserved(), [terminating(2, "a").id]);
    assert_eq!(dispatch.unserved(), [], "it is taken out");
    assert_eq!(open(&mut dispatch, 3, everything()), [turn(3, "a").id]);
}

/// What happens to a dispatch.
#[derive(Debug, Clone)]
enum Step {
    Open { name: Option<u8>, turns_max: usize },
    Close { which: usize, drained: bool },
    Offer { number: u64, activity: bool },
    Finish { which: usize },
    Abandon { which: usize },
    Reset { partition: u8 },
    Later { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (proptest::option::of(0..3_u8), 0..3_usize)
            .prop_map(|(name, turns_max)| Step::Open { name, turns_max }),
        2 => (0..9_usize, any::<bool>()).prop_map(|(which, drained)| Step::Close { which, drained }),
        8 => (0..12_u64, any::<bool>()).prop_map(|(number, activity)| Step::Offer { number, activity }),
        5 => (0..9_usize).prop_map(|which| Step::Finish { which }),
        2 => (0..9_usize).prop_map(|which| Step::Abandon { which }),
        1 => (0..2_u8).prop_map(|partition| Step::Reset { partition }),
        2 => (1..400_u64).prop_map(|seconds| Step::Later { seconds }),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "placet.c"];

/// A dispatch with a partition that does what one does: takes turns back and offers them again.
#[derive(Debug, Default)]
struct World {
    dispatch: Dispatch,
    now: Mono,
    next_stream: u64,
    open: BTreeMap<StreamId, StreamSpec>,
    /// What was given to whom and not finished, by what the dispatch said.
    held: BTreeMap<ItemId, StreamId>,
    /// Every item that is to be done.
    live: BTreeMap<ItemId, ItemSpec>,
    poisoned: BTreeSet<ItemId>,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Open { name, turns_max } => {
                let spec = match name {
                    Some(2) => StreamSpec { built_in: true, turns_max, ..everything() },
                    Some(name) => {
                        let name = NAMES[usize::from(name)];
                        let hubs = HubSet::Of(vec![Hub::new("elsewhere"), Hub::new("hub")]);
                        StreamSpec { turns_max, hubs, ..filtered(&[(name, &[])], &[("x", &[]), (name, &[])]) }
                    }
                    None if turns_max == 1 => StreamSpec { turns_max, ..of_hub("hub") },
                    None => StreamSpec { turns_max, activities_max: 2, ..everything() },
                };
                self.next_stream += 1;
                let id = StreamId(self.next_stream);
                self.open.insert(id, spec.clone());
                self.dispatch.open(self.now, id, spec);
                self.fill(id);
            }
            Step::Close { which, drained } => {
                let Some(id) = nth(self.open.keys(), which) else { return };
                self.open.remove(&id);
                self.held.retain(|_, stream| *stream != id);
                let returned = self.dispatch.close(self.now, id, drained);
                self.take_back(returned);
            }
            Step::Offer { number, activity: is_activity } => {
                let name = NAMES[usize::try_from(number).unwrap() % 3]; // an item has one name for ever
                let spec = if is_activity { activity(number, name) } else { turn(number, name) };
                if !self.live.keys().any(|item| item.iid() == spec.id.iid()) {
                    self.live.insert(spec.id, spec.clone());
                    self.offer(spec);
                }
            }
            Step::Finish { which } => {
                let Some(item) = nth(self.live.keys(), which) else { return };
                self.live.remove(&item);
                let holder = self.held.remove(&item);
                let freed = self.dispatch.finished(item);
                assert_eq!(freed, holder);
                freed.into_iter().for_each(|id| self.fill(id));
            }
            Step::Abandon { which } => {
                let Some(item) = nth(self.live.keys(), which) else { return };
                let holder = self.held.remove(&item);
                let (was_held, freed) = self.dispatch.abandoned(self.now, item);
                assert_eq!(freed, holder);
                if was_held && item.kind() == Kind::Turn {
                    self.dispatch.delay(self.now, self.live[&item].clone());
                }
                freed.into_iter().for_each(|id| self.fill(id));
            }
            Step::Reset { partition } => self.reset(PartitionId(partition)),
            Step::Later { seconds } => self.until(self.now.after(std::time::Duration::from_secs(seconds))),
        }
    }

    /// A partition drops its memory and finds its work again.
    fn reset(&mut self, partition: PartitionId) {
        self.held.retain(|item, _| item.kind() == Kind::Activity || item.partition() != partition);
        let freed = self.dispatch.reset(partition);
        for spec in self.live.clone().into_values().filter(|spec| spec.id.partition() == partition) {
            if !self.poisoned.contains(&spec.id) {
                self.offer(spec);
            }
        }
        freed.into_iter().for_each(|id| self.fill(id));
    }

    fn until(&mut self, end: Mono) {
        while let Some(due) = self.dispatch.next_due()
            && due <= end
        {
            self.now = self.now.max(due);
            let before = self.held.clone();
            let (returned, again) = self.dispatch.tick(self.now);
            for item in returned.turns.iter().chain(&returned.poisoned) {
                assert!(before.contains_key(item), "{item:?} was taken from nobody");
                self.held.remove(item);
            }
            self.take_back(returned);
            again.into_iter().for_each(|spec| self.offer(spec));
            self.dispatch.pings(self.now);
        }
        self.now = end;
    }

    fn take_back(&mut self, returned: Returned) {
        returned.freed.into_iter().for_each(|id| self.fill(id));
        for item in returned.turns {
            if let Some(spec) = self.dispatch.failed_before(self.now, self.live[&item].clone()) {
                self.offer(spec);
            }
        }
        self.poisoned.extend(returned.poisoned);
    }

    fn offer(&mut self, spec: ItemSpec) {
        if let Some(assignment) = self.dispatch.enqueue(self.now, spec) {
            self.given(assignment);
        }
    }

    fn fill(&mut self, id: StreamId) {
        // A copy of an item that is done is void, and leaves room for another.
        loop {
            let assigned = self.dispatch.pull(self.now, id);
            let void: Vec<ItemId> =
                assigned.iter().map(|given| given.item).filter(|item| !self.live.contains_key(item)).collect();
            assigned.into_iter().filter(|given| !void.contains(&given.item)).for_each(|given| self.given(given));
            if void.is_empty() {
                return;
            }
            for item in void {
                self.dispatch.finished(item);
            }
        }
    }

    fn given(&mut self, assignment: Assignment) {
        let Assignment { item, stream } = assignment;
        if !self.live.contains_key(&item) {
            self.dispatch.finished(item);
            return self.fill(stream);
        }
        assert!(Accepts::of(&self.open[&stream]).item(&self.live[&item]), "{stream} does not take {item:?}");
        assert!(self.held.insert(item, stream).is_none(), "{item:?} is held twice");
        let load = self.held.iter().filter(|(held, on)| **on == stream && held.kind() == item.kind()).count();
        assert!(load <= self.open[&stream].limit(item.kind()), "{stream} holds too much");
    }

    /// Nothing is forgotten: after everything is given back, a stream that takes all gets all.
    fn everything_is_found_again(mut self) {
        for id in self.open.clone().into_keys() {
            self.step(Step::Close { which: 0, drained: true });
            assert!(!self.open.contains_key(&id));
        }
        self.until(self.now.after(limits::ACTIVITY_GRACE + limits::REDELIVERY_DELAY_MAX));
        for built_in in [false, true] {
            self.next_stream += 1;
            let (id, spec) = (StreamId(self.next_stream), StreamSpec { built_in, ..everything() });
            self.open.insert(id, spec.clone());
            self.dispatch.open(self.now, id, spec);
            self.fill(id);
        }
        let wanted: Vec<ItemId> = self.live.keys().copied().filter(|item| !self.poisoned.contains(item)).collect();
        let held: Vec<ItemId> = self.held.keys().copied().collect();
        assert_eq!(held, wanted);
        assert_eq!(backlog(&self.dispatch), 0);
    }
}

fn nth<'a, T: Copy + 'a>(items: impl ExactSizeIterator<Item = &'a T>, which: usize) -> Option<T> {
    let at = which.checked_rem(items.len())?;
    items.copied().nth(at)
}

proptest! {
    /// Whatever happens in whatever order: no item is held twice, by a stream that does not take it or that is
    /// full; none that is not poisoned is lost; and no stream has room while something waits that it takes.
    #[test]
    fn an_item_is_with_one_worker_and_never_lost(steps in vec(step(), 1..80)) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
            for (item, stream) in &world.held {
                prop_assert_eq!(world.dispatch.holder(*item), Some(*stream));
            }
            for id in world.open.keys() {
                for kind in [Kind::Turn, Kind::Activity] {
                    let next = world.dispatch.next_for(*id, kind);
                    prop_assert!(next.is_none(), "{} has room, and {:?} waits", id, next);
                }
            }
        }
        world.everything_is_found_again();
    }
}
