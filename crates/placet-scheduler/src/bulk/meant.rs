//! Which instances an operation means: found page by page from an index, and each looked at once.

use std::time::{Duration, Instant};

use placet_core::body::Shown;
use placet_core::command::Refusal;
use placet_core::ids::{Hub, Iid};
use placet_core::rows::InstanceRow;
use placet_core::time::Timestamp;
use placet_proto::durabletask::OrchestrationStatus;
use placet_proto::placet::v1::BulkFilter;
use placet_store::{Answer, List, Order, Page, Query, ReadError, Store};

use crate::lists::{between, order_from, token_of};

/// Instances that are looked at in one reading: each may have 64 KiB of tags and as much of status, and all are in memory.
const LOOKED_AT: usize = 128;

/// Bytes of ids that are found at once: they stand in the operation's row, and again with its results.
const IDS_BYTES: usize = 16 << 10;

/// How many bytes the texts of a filter may have: it is part of the operation's row.
const FILTER_BYTES: usize = 4 << 10;

/// A filter that makes sense, in a hub.
#[derive(Debug, Clone)]
pub(super) struct Meant {
    list: List,
    filter: BulkFilter,
    updated: std::ops::Range<Timestamp>,
    /// Those with higher keys came later.
    iid_last: Iid,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rows: Vec<InstanceRow>,
    /// Where to go on; absent: that was all.
    pub(super) next: Option<String>,
}

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) matched: u64,
    pub(super) is_least: bool,
    pub(super) first: Vec<String>,
}

impl Meant {
    /// What a filter means in a hub, of the instances up to this one.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`], naming the field.
    pub(super) fn new(hub: Hub, filter: &BulkFilter, iid_last: Iid) -> Result<Meant, Refusal> {
        let refused = |what: String| Err(Refusal::InvalidArgument(what));
        if !filter.all && *filter == BulkFilter::default() {
            return refused("filter: says nothing; name what is meant, or say `all`".to_owned());
        }
        let tags = filter.tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let bytes = filter.name.len() + filter.id_prefix.len() + tags;
        if bytes > FILTER_BYTES {
            return refused(format!("filter: {bytes} bytes of texts, {FILTER_BYTES} at most"));
        }
        let mut statuses = Vec::new();
        for number in &filter.statuses {
            match OrchestrationStatus::try_from(*number) {
                Ok(status) => statuses.push(status),
                Err(_) => return refused(format!("filter.statuses: {number} is no status")),
            }
        }
        let prefix = filter.id_prefix.clone();
        let order = if prefix.is_empty() { Order::Created(None) } else { Order::Id { prefix, after: None } };
        let created = between(filter.created_from.as_ref(), filter.created_to.as_ref());
        let updated = between(filter.updated_from.as_ref(), filter.updated_to.as_ref());
        let list = List { hub, statuses, created, order, limit: LOOKED_AT };
        Ok(Meant { list, filter: filter.clone(), updated, iid_last })
    }

    fn holds(&self, row: &InstanceRow) -> bool {
        let BulkFilter { name, tags, .. } = &self.filter;
        let has_tags = || {
            let shown = Shown::read(&row.body);
            tags.iter().all(|(key, value)| shown.tags.get(key) == Some(value))
        };
        row.iid <= self.iid_last
            && (name.is_empty() || **name == *row.name)
            && self.updated.contains(&row.updated_at)
            && (tags.is_empty() || has_tags())
    }

    /// Whether the statuses of a hub's instances tell how many are meant.
    fn is_counted(&self) -> bool {
        let BulkFilter { all, statuses, .. } = &self.filter;
        self.filter == BulkFilter { all: *all, statuses: statuses.clone(), ..BulkFilter::default() }
    }

    /// The next of them behind this place, at most so many, as far as the patience goes.
    pub(super) fn page(
        &self,
        store: &dyn Store,
        cursor: &str,
        limit: usize,
        patience: Duration,
    ) -> Result<Found, ReadError> {
        let begun = Instant::now();
        let mut list = self.list.clone();
        if let Some(order) = order_from(&list.order, cursor) {
            list.order = order;
        }
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let page = match store.query(&Query::Instances(list.clone()))? {
                Answer::Instances(page) => page,
                _ => Page::default(),
            };
            for row in page.rows {
                if !self.holds(&row) {
                    continue;
                }
                bytes += row.id.as_str().len();
                list.order = list.order.behind(&row);
                rows.push(row);
                if rows.len() == limit || bytes > IDS_BYTES {
                    return Ok(Found { rows, next: Some(token_of(&list.order)) });
                }
            }
            let Some(next) = page.next else { return Ok(Found { rows, next: None }) };
            list.order = next;
            if begun.elapsed() >= patience {
                return Ok(Found { rows, next: Some(token_of(&list.order)) });
            }
        }
    }

    /// How many there are, as far as the patience goes, and the first so many of them.
    pub(super) fn count(&self, store: &dyn Store, first: usize, patience: Duration) -> Result<Count, ReadError> {
        let begun = Instant::now();
        let (mut count, mut cursor) = (Count::default(), String::new());
        loop {
            let found = self.page(store, &cursor, LOOKED_AT, patience.saturating_sub(begun.elapsed()))?;
            let room = first - count.first.len();
            count.first.extend(found.rows.iter().take(room).map(|row| row.id.as_str().to_owned()));
            count.matched += found.rows.len() as u64;
            let Some(next) = found.next else { return Ok(count) };
            if self.is_counted()
                && let Answer::Overview(overview) = store.query(&Query::Overview(self.list.hub.clone()))?
            {
                count.matched = overview.count(&self.list.statuses);
                return Ok(count);
            }
            if begun.elapsed() >= patience {
                count.is_least = true;
                return Ok(count);
            }
            cursor = next;
        }
    }
}
