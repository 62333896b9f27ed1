//! placet.v1's Watch: whoever looks at what is published is told when that has changed, and looks again. Nobody polls, and what
//! nobody looks at costs nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, Stream};
use placet_core::command::Refusal;
use placet_core::ids::Hub;
use placet_core::rows::PublishedRow;
use placet_proto::placet::v1::WatchRequest;
use tokio::sync::Notify;

use crate::scheduler::{CallError, Scheduler};

/// Who watches at a time.
const WATCHES_MAX: usize = 10_000;

/// What one may watch: keys and terms together.
const NAMED_MAX: usize = 4_000;

/// Those who watch. Told by the committer, before whoever wrote knows of it.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    tables: Mutex<HashMap<Projection, Table>>,
    count: AtomicUsize,
    next: AtomicU64,
    is_over: AtomicBool,
}

/// A projection of a hub.
type Projection = (Hub, Arc<str>);

/// Who watches what of it.
#[derive(Debug, Default)]
struct Table {
    keys: HashMap<String, Watchers>,
    terms: HashMap<String, Watchers>,
}

type Watchers = HashMap<u64, Arc<Notify>>;

impl Watched {
    /// These were committed.
    pub(crate) fn note(&self, rows: &[PublishedRow]) {
        if rows.is_empty() || self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let tables = self.tables();
        for row in rows {
            let Some(table) = tables.get(&(row.hub.clone(), row.kind.clone())) else { continue };
            let by_terms = row.terms.iter().filter_map(|term| table.terms.get(&term.text));
            let watchers = table.keys.get(&*row.key).into_iter().chain(by_terms);
            watchers.flat_map(HashMap::values).for_each(|watcher| watcher.notify_one());
        }
    }

    /// Nothing more will be committed.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        let tables = self.tables();
        let watchers = tables.values().flat_map(|table| table.keys.values().chain(table.terms.values()));
        watchers.flat_map(HashMap::values).for_each(|watcher| watcher.notify_one());
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<Projection, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who watches, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    watched: Arc<Watched>,
    number: u64,
    of: Projection,
    keys: Vec<String>,
    terms: Vec<String>,
    told: Arc<Notify>,
}

impl Watch {
    fn begin(watched: &Arc<Watched>, of: Projection, keys: Vec<String>, terms: Vec<String>) -> Watch {
        watched.count.fetch_add(1, Ordering::Relaxed);
        let (number, told) = (watched.next.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        let mut tables = watched.tables();
        let table = tables.entry(of.clone()).or_default();
        for (all, named) in [(&mut table.keys, &keys), (&mut table.terms, &terms)] {
            for name in named {
                all.entry(name.clone()).or_default().insert(number, told.clone());
            }
        }
        drop(tables);
        Watch { watched: watched.clone(), number, of, keys, terms, told }
    }

    /// Ready when something has changed since it was asked for last, or since it began. Whether anything may again: false once
    /// the server stops.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn changed(&self) -> bool {
        if self.watched.is_over.load(Ordering::SeqCst) {
            return false;
        }
        self.told.notified().await;
        !self.watched.is_over.load(Ordering::SeqCst)
    }
}

impl Watch {
    /// One for each time when something has changed, until the server stops.
    pub fn changes(self) -> impl Stream<Item = ()> + Send + 'static {
        stream::unfold(self, async |watch| watch.changed().await.then_some(((), watch)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut tables = self.watched.tables();
        if let Some(table) = tables.get_mut(&self.of) {
            for (all, named) in [(&mut table.keys, &self.keys), (&mut table.terms, &self.terms)] {
                for name in named {
                    if let Some(watchers) = all.get_mut(name) {
                        watchers.remove(&self.number);
                        if watchers.is_empty() {
                            all.remove(name);
                        }
                    }
                }
            }
            if table.keys.is_empty() && table.terms.is_empty() {
                tables.remove(&self.of);
            }
        }
        self.watched.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Scheduler {
    /// placet.v1 Watch: what is committed from now on is told of.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] if it names nothing, or too much; [`CallError::TooManyWait`].
    pub fn watch(&self, hub: Hub, request: WatchRequest) -> Result<Watch, CallError> {
        let WatchRequest { kind, keys, terms } = request;
        let named = keys.len() + terms.len();
        if named == 0 || named > NAMED_MAX {
            let what = format!("keys, terms: must name 1 to {NAMED_MAX} together, not {named}");
            return Err(Refusal::InvalidArgument(what).into());
        }
        let watched = self.watched();
        if watched.count.load(Ordering::Relaxed) >= WATCHES_MAX {
            return Err(CallError::TooManyWait);
        }
        Ok(Watch::begin(watched, (hub, kind.into()), keys, terms))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use placet_core::ids::InstanceId;
    use placet_core::rows::Term;

    use super::*;

    fn row(hub: &str, key: &str, terms: &[&str]) -> PublishedRow {
        PublishedRow {
            hub: Hub::new(hub),
            kind: "request".into(),
            key: key.into(),
            owner: InstanceId::new(key),
            body: None,
            terms: terms.iter().map(|text| Term { text: (*text).to_owned(), order: 0 }).collect(),
        }
    }

    fn watch(watched: &Arc<Watched>, keys: &[&str], terms: &[&str]) -> Watch {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Watch::begin(watched, (Hub::new("h"), "request".into()), own(keys), own(terms))
    }

    #[test]
    fn whoever_watches_a_key_or_a_term_is_told_of_it_and_of_nothing_else() {
        let watched = Arc::new(Watched::default());
        let (key, term) = (watch(&watched, &["a"], &[]), watch(&watched, &["b"], &["t"]));
        let told = |watch: &Watch| watch.changed().now_or_never();
        watched.note(&[row("other", "a", &["t"]), row("h", "c", &[])]);
        assert_eq!((told(&key), told(&term)), (None, None));
        watched.note(&[row("h", "a", &["t"]), row("h", "b", &[])]);
        assert_eq!((told(&key), told(&term)), (Some(true), Some(true)));
        assert_eq!((told(&key), told(&term)), (None, None), "once, however much there was");
        drop(key);
        assert_eq!(watched.count.load(Ordering::Relaxed), 1);
        watched.end();
        assert_eq!(told(&term), Some(false));
        drop(term);
        assert!(watched.tables().is_empty());
    }
}
