//! How long searches take among so many instances of one hub (a million by default):
//! `cargo run --release -p placet-store-sqlite --example search_times [INSTANCES]`.
//! bench/RESULTS.md has what it told.

use std::error::Error;
use std::ops::Range;
use std::time::{Duration, Instant};

use placet_core::body::InstanceBody;
use placet_core::ids::{Hub, Iid, InstanceId};
use placet_core::rows::{Batch, InstanceRow, OrchestrationStatus};
use placet_core::time::Timestamp;
use placet_store::{Answer, Column, Filter, Found, List, Needle, Order, Query, Search, Sort, Store};
use placet_store_sqlite::SqliteStore;
use prost::Message as _;

/// How long a REST call lets a search look.
const PATIENCE: Duration = Duration::from_millis(400);

/// Each search is made so often, and the median told.
const TIMES: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let instances = std::env::args().nth(1).map_or(Ok(1_000_000), |number| number.parse())?;
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("placet.db"))?;
    store.claim()?;
    fill(&store, instances)?;
    say(&format!("{instances} instances; patience {} ms\n", PATIENCE.as_millis()));
    say("| search | median ms | longest ms | matched | all |\n| --- | ---: | ---: | ---: | --- |\n");
    for (name, search) in searches(instances) {
        let mut times = Vec::new();
        let mut found = Found::default();
        for _ in 0..TIMES {
            let begun = Instant::now();
            if let Answer::Found(told) = store.query(&Query::Search(Box::new(search.clone())))? {
                found = told;
            }
            times.push(begun.elapsed());
        }
        let (median, longest) = median_and_longest(times);
        say(&format!("| {name} | {median:.1} | {longest:.1} | {} | {} |\n", found.matched, found.is_all));
    }
    say("\n| page | median ms | longest ms | rows |\n| --- | ---: | ---: | ---: |\n");
    for (name, list) in lists(instances) {
        let (mut times, mut rows) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let begun = Instant::now();
            rows = page(&store, list.clone())?;
            times.push(begun.elapsed());
        }
        let (median, longest) = median_and_longest(times);
        say(&format!("| {name} | {median:.1} | {longest:.1} | {rows} |\n"));
    }
    Ok(())
}

/// In milliseconds.
fn median_and_longest(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    (millis(times[TIMES / 2]), millis(times[TIMES - 1]))
}

/// How many rows are on a page of QueryInstances or ListInstanceIds, which is looked for until it is full.
fn page(store: &SqliteStore, mut list: List) -> Result<usize, Box<dyn Error>> {
    let wanted = list.limit;
    let mut rows = 0;
    while let Answer::Instances(page) = store.query(&Query::Instances(list.clone()))? {
        rows += page.rows.len();
        match page.next {
            Some(next) if rows < wanted => list.order = next,
            _ => break,
        }
    }
    Ok(rows)
}

fn lists(instances: u64) -> Vec<(&'static str, List)> {
    let time = |part: u64| Timestamp(i64::try_from(instances / 100 * part * 1_000_000).unwrap_or(i64::MAX));
    let ever = Timestamp(i64::MIN)..Timestamp(i64::MAX);
    let of = |statuses: &[OrchestrationStatus], created: Range<Timestamp>, order: Order| List {
        hub: Hub::new("default"),
        statuses: statuses.to_vec(),
        created,
        order,
        limit: 100,
    };
    let (failed, none) = (&[OrchestrationStatus::Failed][..], &[OrchestrationStatus::Terminated][..]);
    let (created, a_tenth) = (|| Order::Created(None), || time(40)..time(50));
    let by_id = |prefix: &str| Order::Id { prefix: prefix.to_owned(), after: None };
    let ended = |within: Range<Timestamp>| Order::Ended { within, after: None };
    vec![
        ("QueryInstances, no filter", of(&[], ever.clone(), created())),
        ("… from the middle on", of(&[], ever.clone(), Order::Created(Some((time(50), Iid(instances / 2)))))),
        ("… by status", of(failed, ever.clone(), created())),
        ("… by a status that none has", of(none, ever.clone(), created())),
        ("… by status and a tenth of the time", of(failed, a_tenth(), created())),
        ("… by the beginning of the id", of(&[], ever.clone(), by_id("invoice"))),
        ("… and status", of(failed, ever.clone(), by_id("order"))),
        ("… and a status that none has (980,000 looked at)", of(none, ever.clone(), by_id("order"))),
        ("ListInstanceIds, no filter", of(&[], ever.clone(), ended(ever.clone()))),
        ("… by a tenth of the time", of(&[], ever.clone(), ended(a_tenth()))),
        ("… by status", of(failed, ever.clone(), ended(ever.clone()))),
        ("… by a status that none has", of(none, ever.clone(), ended(ever.clone()))),
        ("… by status and a tenth of the time", of(failed, ever, ended(a_tenth()))),
    ]
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn say(text: &str) {
    print!("{text}");
}

/// Of ten instances eight have completed, one has failed and one runs; a second goes by from one to the next.
fn row(iid: u64) -> InstanceRow {
    let at = |seconds: u64| Timestamp(i64::try_from(seconds * 1_000_000).unwrap_or(i64::MAX));
    let (status, ended) = match iid % 10 {
        0 => (OrchestrationStatus::Running, false),
        1 => (OrchestrationStatus::Failed, true),
        _ => (OrchestrationStatus::Completed, true),
    };
    let body = InstanceBody {
        version: Some("1.0".to_owned()),
        execution_id: format!("{iid:032x}"),
        tags: [("team".to_owned(), format!("team-{}", iid % 7))].into(),
        custom_status: Some(format!("\"step {}\"", iid % 5)),
        turn: 6,
        events: 20,
        history_bytes: 2_000,
        ..InstanceBody::default()
    };
    let updated = iid + 7 + iid * 7_919 % 1_000;
    InstanceRow {
        iid: Iid(iid),
        hub: Hub::new("default"),
        id: InstanceId::new(format!("{}-{:016x}", ["order", "invoice"][usize::from(iid % 50 == 3)], iid * 0x9E37_79B9)),
        name: format!("{}Orchestration", ["Ship", "Bill", "Approve"][usize::try_from(iid % 3).unwrap_or(0)]).into(),
        status,
        active: !ended,
        created_at: at(iid),
        updated_at: at(updated),
        completed_at: ended.then(|| at(updated)),
        body: body.encode_to_vec().into(),
    }
}

fn fill(store: &SqliteStore, instances: u64) -> Result<(), Box<dyn Error>> {
    const AT_ONCE: u64 = 5_000;
    for from in (1..=instances).step_by(5_000) {
        let to = (from + AT_ONCE - 1).min(instances);
        store.commit(&Batch { instances_inserted: (from..=to).map(row).collect(), ..Batch::default() })?;
    }
    Ok(())
}

fn searches(instances: u64) -> Vec<(&'static str, Search)> {
    let of = |filter: Filter, sort: &[Sort], skip: usize| Search {
        hub: Hub::new("default"),
        filter,
        sort: sort.to_vec(),
        skip,
        take: 100,
        patience: PATIENCE,
    };
    let down = |column| Sort { column, descending: true };
    let up = |column| Sort { column, descending: false };
    let all = usize::try_from(instances).unwrap_or(usize::MAX);
    let time = |part: u64| Timestamp(i64::try_from(instances / 100 * part * 1_000_000).unwrap_or(i64::MAX));
    let failed = || vec![OrchestrationStatus::Failed];
    let prefix = |prefix: &str| Filter { id_starts: prefix.to_owned(), ..Filter::default() };
    vec![
        ("newest, no filter", of(Filter::default(), &[], 0)),
        ("… from 10,000 on", of(Filter::default(), &[], 10_000)),
        ("… from the middle on", of(Filter::default(), &[], all / 2)),
        ("… the last page", of(Filter::default(), &[], all - 100)),
        ("oldest, no filter", of(Filter::default(), &[up(Column::Created)], 0)),
        ("by status", of(Filter { statuses: failed(), ..Filter::default() }, &[], 0)),
        ("by a tenth of the time", of(Filter { created: Some(time(40)..time(50)), ..Filter::default() }, &[], 0)),
        (
            "by status and a tenth of the time",
            of(Filter { statuses: failed(), created: Some(time(40)..time(50)), ..Filter::default() }, &[], 0),
        ),
        ("by the beginning of the id (2 in 100)", of(prefix("invoice"), &[], 0)),
        ("by the beginning of the id (98 in 100)", of(prefix("order"), &[], 0)),
        ("by the beginning of the id (none)", of(prefix("nothing"), &[], 0)),
        ("by id", of(prefix(row(instances / 2).id.as_str()), &[], 0)),
        ("in the order of ids", of(Filter::default(), &[up(Column::Id)], 0)),
        ("last updated first (az, dts-cli)", of(Filter::default(), &[down(Column::Updated)], 0)),
        (
            "last updated first, failed",
            of(Filter { statuses: failed(), ..Filter::default() }, &[down(Column::Updated)], 0),
        ),
        ("in the order of names", of(Filter::default(), &[up(Column::Name)], 0)),
        ("name contains, one in 3", of(Filter { name: Needle::new("bill"), ..Filter::default() }, &[], 0)),
        ("name contains, none", of(Filter { name: Needle::new("nothing"), ..Filter::default() }, &[], 0)),
        ("id contains, none", of(Filter { id: Needle::new("nothing"), ..Filter::default() }, &[], 0)),
        ("tags contain, one in 7", of(Filter { tags: Needle::new("team=team-3"), ..Filter::default() }, &[], 0)),
        ("tags contain, none", of(Filter { tags: Needle::new("nothing"), ..Filter::default() }, &[], 0)),
        (
            "completed in a tenth of the time",
            of(Filter { completed: Some(time(40)..time(50)), ..Filter::default() }, &[], 0),
        ),
    ]
}
