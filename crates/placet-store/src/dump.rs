//! All that a store holds, as a value: two stores that were told the same give equal dumps.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use placet_core::chain::Entry;
use placet_core::ids::{Hub, Iid, Turn};
use placet_core::rows::{HistoryRow, LoadedInstance, Lookup, PublishedRow, RecordRow, TimerRow};
use placet_core::time::Timestamp;

use crate::{Answer, EntryList, Listing, Overview, Query, ReadError, RecordList, Status, Store};

/// Every row, in the order of its key. Its text has a line a row, with payloads cut short.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dump {
    /// The task hubs.
    pub hubs: Vec<Hub>,
    /// What is told of each at a glance.
    pub overviews: Vec<Overview>,
    /// The instances with their messages, activities and replies.
    pub instances: Vec<LoadedInstance>,
    /// The turns.
    pub history: Vec<HistoryRow>,
    /// The timers.
    pub timers: Vec<TimerRow>,
    /// The published rows.
    pub published: Vec<PublishedRow>,
    /// The published rows by their terms: the keys of each in their order.
    pub listed: Vec<ListedByTerm>,
    /// The record, chain by chain.
    pub entries: Vec<(Hub, Entry)>,
    /// The record rows.
    pub records: Vec<RecordRow>,
}

/// A hub, a projection of it, and a term there.
pub type ByTerm = (Hub, Arc<str>, Arc<str>);

/// The keys of the rows that have a term.
pub type ListedByTerm = (ByTerm, Vec<Arc<str>>);

/// Where to look for rows: the trait finds instances by key and published rows by name, it cannot list them.
#[derive(Clone, Debug)]
pub struct Extent<'a> {
    /// The highest key that an instance may have.
    pub iid_max: Iid,
    /// Names under which rows may have been published. Bodies are ignored.
    pub published: &'a [PublishedRow],
    /// Terms that they may have.
    pub terms: &'a [&'a str],
}

impl Dump {
    /// Reads all rows of a store through the trait alone.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    pub fn read(store: &dyn Store, extent: &Extent<'_>) -> Result<Dump, ReadError> {
        let iids: Vec<Iid> = (0..=extent.iid_max.0).map(Iid).collect();
        let lookups: Vec<Lookup> = iids.iter().map(|iid| Lookup::Iid(*iid)).collect();
        let hubs = hubs(store)?;
        let mut dump = Dump {
            overviews: hubs.iter().map(|hub| overview(store, hub)).collect::<Result<_, _>>()?,
            hubs,
            instances: store.load(&lookups)?.into_iter().flatten().collect(),
            timers: store.due(&|_| true, None, Timestamp::MAX, usize::MAX)?,
            ..Dump::default()
        };
        for hub in &dump.hubs {
            dump.records.extend(records(store, hub)?);
            dump.entries.extend(entries(store, hub)?.into_iter().map(|entry| (hub.clone(), entry)));
        }
        for iid in iids {
            dump.history.extend(store.history(iid, Turn(0), usize::MAX)?);
        }
        for name in extent.published {
            dump.published.extend(published(store, name)?);
        }
        dump.listed = listed(store, extent)?;
        dump.published.sort_by(|a, b| (&a.hub, &a.kind, &a.key).cmp(&(&b.hub, &b.kind, &b.key)));
        Ok(dump)
    }
}

fn listed(store: &dyn Store, extent: &Extent<'_>) -> Result<Vec<ListedByTerm>, ReadError> {
    let mut names = BTreeSet::new();
    for row in extent.published {
        names.extend(extent.terms.iter().map(|term| (row.hub.clone(), row.kind.clone(), Arc::from(*term))));
    }
    let mut listed = Vec::new();
    for of in names {
        let (hub, kind, term) = of.clone();
        let keys = keys(store, Listing { sort: Some(term), ..Listing::new(hub, kind) })?;
        if !keys.is_empty() {
            listed.push((of, keys));
        }
    }
    Ok(listed)
}

/// The keys of a list, page by page.
pub(crate) fn keys(store: &dyn Store, mut listing: Listing) -> Result<Vec<Arc<str>>, ReadError> {
    let mut keys = Vec::new();
    loop {
        let page = match store.query(&Query::Listing(Box::new(listing.clone())))? {
            Answer::Listed(page) => page,
            answer => panic!("asked for a list, answered {answer:?}"),
        };
        assert!(page.rows.len() <= listing.limit, "a page is no longer than was asked for");
        keys.extend(page.rows.into_iter().map(|row| row.key));
        match page.next {
            Some(next) => listing.after = Some(next),
            None => return Ok(keys),
        }
    }
}

fn hubs(store: &dyn Store) -> Result<Vec<Hub>, ReadError> {
    match store.query(&Query::Hubs)? {
        Answer::Hubs(hubs) => Ok(hubs),
        answer => panic!("asked for hubs, answered {answer:?}"),
    }
}

fn overview(store: &dyn Store, hub: &Hub) -> Result<Overview, ReadError> {
    match store.query(&Query::Overview(hub.clone()))? {
        Answer::Overview(overview) => Ok(overview),
        answer => panic!("asked for an overview, answered {answer:?}"),
    }
}

fn records(store: &dyn Store, hub: &Hub) -> Result<Vec<RecordRow>, ReadError> {
    let all = RecordList { hub: hub.clone(), kind: None, starts: String::new(), after: None, limit: usize::MAX };
    match store.query(&Query::Records(all))? {
        Answer::Records(records) => Ok(records),
        answer => panic!("asked for records, answered {answer:?}"),
    }
}

fn entries(store: &dyn Store, hub: &Hub) -> Result<Vec<Entry>, ReadError> {
    let heads = match store.query(&Query::Heads(hub.clone()))? {
        Answer::Heads(heads) => heads,
        answer => panic!("asked for heads, answered {answer:?}"),
    };
    let mut found = Vec::new();
    for (partition, _) in heads {
        let mut page = EntryList { hub: hub.clone(), partition, owner: None, after: 0, limit: usize::MAX };
        loop {
            match store.query(&Query::Entries(page.clone()))? {
                Answer::Entries(entries) if entries.is_empty() => break,
                Answer::Entries(entries) => {
                    page.after = entries.last().map_or(u64::MAX, |entry: &Entry| entry.number);
                    found.extend(entries);
                }
                answer => panic!("asked for entries, answered {answer:?}"),
            }
        }
    }
    Ok(found)
}

fn published(store: &dyn Store, name: &PublishedRow) -> Result<Option<PublishedRow>, ReadError> {
    let query = Query::Published { hub: name.hub.clone(), kind: name.kind.clone(), key: name.key.clone() };
    match store.query(&query)? {
        Answer::Published(None) => Ok(None),
        Answer::Published(body) => Ok(Some(PublishedRow { body, ..name.clone() })),
        answer => panic!("asked for a published row, answered {answer:?}"),
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (hub, overview) in self.hubs.iter().zip(&self.overviews) {
            let counts = overview.counts.iter().map(|(Status(status), count)| format!(" {count} of status {status}"));
            writeln!(f, "hub {hub}{}", counts.collect::<String>())?;
        }
        for instance in &self.instances {
            write_instance(f, instance)?;
        }
        for row in &self.history {
            let HistoryRow { iid, turn, count, events } = row;
            writeln!(f, "history {iid} turn {turn}: {count} events {}", Payload(events))?;
        }
        for row in &self.timers {
            let TimerRow { fire_at, iid, seq, partition } = row;
            writeln!(f, "timer {fire_at:?} {iid} seq {seq} {partition:?}")?;
        }
        for row in &self.published {
            let body = row.body.as_deref().unwrap_or_default();
            writeln!(f, "published {} {} {}: {}", row.hub, row.kind, row.key, Payload(body))?;
        }
        for ((hub, kind, term), keys) in &self.listed {
            writeln!(f, "listed {hub} {kind} by {term}: {}", keys.join(" "))?;
        }
        for (hub, Entry { partition, number, link, owner, said }) in &self.entries {
            let link: String = link[..4].iter().map(|byte| format!("{byte:02x}")).collect();
            let said = said.texts().map(|text| text.map_or("erased".to_owned(), |said| Payload(said).to_string()));
            let said = said.collect::<Vec<_>>().join(" ");
            writeln!(f, "entry {hub} {partition:?} {number} of {owner} ({link}): {said}")?;
        }
        for RecordRow { key, version, expires_at, body } in &self.records {
            writeln!(f, "record {key} version {version} expires {expires_at:?}: {}", Payload(body))?;
        }
        Ok(())
    }
}

fn write_instance(f: &mut fmt::Formatter<'_>, instance: &LoadedInstance) -> fmt::Result {
    let row = &instance.row;
    writeln!(
        f,
        "instance {} {} {:?} {:?}{} created {:?} updated {:?} completed {:?} {}",
        row.iid,
        row.key(),
        row.name,
        row.status,
        if row.active { " active" } else { "" },
        row.created_at,
        row.updated_at,
        row.completed_at,
        Payload(&row.body)
    )?;
    for message in &instance.inbox {
        writeln!(f, "  inbox {} seq {}: {}", message.iid, message.seq, Payload(&message.data))?;
    }
    for activity in &instance.activities {
        writeln!(f, "  activity {} seq {}: {}", activity.iid, activity.seq, Payload(&activity.data))?;
    }
    for reply in &instance.replies {
        writeln!(f, "  reply {} {} of turn {}: {:?}", reply.iid, reply.ask_id, reply.turn, reply.answer)?;
    }
    Ok(())
}

/// Bytes as text, the first of them only: equality is the value's, the text is for reading.
struct Payload<'a>(&'a [u8]);

impl fmt::Display for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        match self.0.get(..SHOWN) {
            Some(start) => write!(f, "\"{}\"… ({} bytes)", start.escape_ascii(), self.0.len()),
            None => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}
