//! The record: whatever store holds it, a chain is whole, and the same entries have the same links.

use bytes::Bytes;
use placet_core::chain::{Entry, EntryRow, Erasure, Head, Part, Said, Verifier};
use placet_core::ids::{Hub, InstanceId, InstanceKey, PartitionId};
use placet_core::rows::Batch;

use super::stage::Stage;
use crate::{Answer, EntryList, Query};

fn entry(hub: &str, owner: &str, said: &str) -> EntryRow {
    let part = |text: &str| Part::Salted(Bytes::from(format!("{:16}{text}", "salt")));
    let said = Said::new(said.split('|').map(part).collect()).expect("it has a part");
    EntryRow { hub: Hub::new(hub), owner: InstanceId::new(owner), said }
}

fn enter(stage: &mut Stage, rows: impl IntoIterator<Item = EntryRow>) {
    stage.commit(Batch { entries: rows.into_iter().collect(), ..Batch::default() });
}

fn key(hub: &str, owner: &str) -> InstanceKey {
    InstanceKey::new(Hub::new(hub), InstanceId::new(owner))
}

fn chain_of(stage: &Stage, hub: &str, owner: &str, only_his: bool) -> Vec<Entry> {
    let partition = key(hub, owner).partition();
    let list = EntryList {
        hub: Hub::new(hub),
        partition,
        owner: only_his.then(|| InstanceId::new(owner)),
        after: 0,
        limit: 100,
    };
    let mut found = Vec::new();
    // In pages of two.
    loop {
        let after = found.last().map_or(0, |entry: &Entry| entry.number);
        let page = Query::Entries(EntryList { after, limit: 2, ..list.clone() });
        match stage.store().query(&page).expect("the store can be read") {
            Answer::Entries(page) if page.is_empty() => return found,
            Answer::Entries(page) => found.extend(page),
            answer => panic!("asked for entries, answered {answer:?}"),
        }
    }
}

/// What each says, its parts apart; `-` where that was erased.
fn texts(entries: &[Entry]) -> Vec<String> {
    let part = |part: Option<&[u8]>| part.map_or("-".into(), String::from_utf8_lossy).into_owned();
    entries.iter().map(|entry| entry.said.texts().map(part).collect::<Vec<_>>().join("|")).collect()
}

fn erasure(hub: &str, person: Option<&str>) -> Erasure {
    Erasure { key: key(hub, "a"), person: person.map(Into::into) }
}

#[track_caller]
fn head_of(entries: &[Entry], hub: &str, partition: PartitionId) -> Head {
    let mut verifier = Verifier::from(Head::none(&Hub::new(hub), partition));
    entries.iter().for_each(|entry| verifier.next(entry).expect("the chain is whole"));
    verifier.head()
}

/// Another instance of the same chain.
fn neighbour(hub: &str, owner: &str) -> String {
    let is_beside = |other: &String| key(hub, other).partition() == key(hub, owner).partition();
    (0..).map(|number| format!("n{number}")).find(is_beside).expect("there are many names")
}

pub(super) fn entries_stand_at_the_ends_of_their_chains_and_whoever_follows_a_chain_finds_it_whole(stage: &mut Stage) {
    let beside = neighbour("h", "a");
    enter(stage, [entry("h", "a", "one"), entry("h", &beside, "two"), entry("g", "a", "elsewhere")]);
    enter(stage, [entry("h", "a", "three")]);
    stage.reopen();
    enter(stage, [entry("h", "a", "four"), entry("h", "a", "five")]);
    let all = chain_of(stage, "h", "a", false);
    assert_eq!(texts(&all), ["one", "two", "three", "four", "five"]);
    assert_eq!(head_of(&all, "h", key("h", "a").partition()).number, 5);
    let partition = key("h", "a").partition();
    let heads = stage.store().query(&Query::Heads(Hub::new("h"))).expect("the store can be read");
    assert_eq!(heads, Answer::Heads(vec![(partition, head_of(&all, "h", partition))]));
    let his = chain_of(stage, "h", "a", true);
    assert_eq!(his.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(chain_of(stage, "g", "a", true).len(), 1);
    assert_eq!(stage.hubs(), ["g", "h"]);
}

pub(super) fn an_erased_entry_leaves_its_link_and_no_word(stage: &mut Stage) {
    let beside = neighbour("h", "a");
    enter(stage, [entry("h", "a", "one"), entry("h", &beside, "two")]);
    let before = chain_of(stage, "h", "a", false);
    let erased = || Batch { erased: vec![erasure("h", None), erasure("absent", None)], ..Batch::default() };
    stage.commit(Batch { entries: vec![entry("h", "a", "new")], ..erased() });
    let after = chain_of(stage, "h", "a", false);
    assert_eq!(texts(&after), ["-", "two", "new"]);
    assert_eq!(after[0].link, before[0].link);
    stage.commit(erased());
    stage.reopen();
    let after = chain_of(stage, "h", "a", false);
    assert_eq!(texts(&after), ["-", "two", "-"]);
    assert_eq!(head_of(&after, "h", key("h", "a").partition()).number, 3);
}

pub(super) fn a_person_who_is_erased_is_named_nowhere_and_all_else_is_there(stage: &mut Stage) {
    let beside = neighbour("h", "a");
    enter(stage, [entry("h", "a", "~1 asks|bob"), entry("h", "a", "~1 asks ~2|bo|bob"), entry("h", &beside, "x|bob")]);
    stage.commit(Batch { erased: vec![erasure("h", Some("bob"))], ..Batch::default() });
    stage.reopen();
    let after = chain_of(stage, "h", "a", false);
    assert_eq!(texts(&after), ["~1 asks|-", "~1 asks ~2|bo|-", "x|bob"]);
    assert_eq!(head_of(&after, "h", key("h", "a").partition()).number, 3);
}

pub(super) fn chains_go_with_their_hub(stage: &mut Stage) {
    enter(stage, [entry("h", "a", "one"), entry("h", "a", "two")]);
    stage.commit(Batch { hubs_deleted: vec![Hub::new("h")], ..Batch::default() });
    assert_eq!(chain_of(stage, "h", "a", false), []);
    enter(stage, [entry("h", "a", "anew")]);
    stage.sweep();
    let all = chain_of(stage, "h", "a", false);
    assert_eq!((all.len(), head_of(&all, "h", key("h", "a").partition()).number), (1, 1));
}
