//! What the scheduler tells Prometheus of itself; docs/metrics.md has every metric.
//!
//! The core counts in plain numbers and is asked for them when somebody looks ([`CoreFacts`]), so that counting costs
//! it nothing but additions. The threads around it add to atomic numbers here.

mod calls;
mod histogram;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use placet_core::command::Refusal;
use placet_core::rows::{Batch, OrchestrationStatus};
use placet_core::shard::ShardStatus;
use placet_core::tally::LATENESS_BOUNDS_MICROS;
use placet_core::time::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::budget::Budget;
use crate::retention::ENDED;
pub(crate) use calls::{Calls, OpenCall};
use histogram::{Histogram, SIZES, Scale, TIMES};

/// What the core thread knows when it is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct CoreFacts {
    pub(crate) shard: ShardStatus,
    /// Items that were delivered too often.
    pub(crate) set_aside: u64,
    /// Broken invariants that were contained; what the shard counts began anew then.
    pub(crate) contained: u64,
    refusals: BTreeMap<&'static str, u64>,
}

impl CoreFacts {
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::NotFound(_) => "not_found",
            Refusal::AlreadyExists { .. } => "already_exists",
            Refusal::InvalidArgument(_) => "invalid_argument",
            Refusal::FailedPrecondition(_) => "failed_precondition",
            Refusal::Exhausted { .. } => "exhausted",
            Refusal::Unknown => "outcome_unknown",
            Refusal::Unreadable(_) => "unreadable",
            _ => "other",
        };
        *self.refusals.entry(reason).or_default() += 1;
    }
}

/// What a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadKind {
    Instances,
    History,
    Timers,
    Active,
    Records,
}

const READ_KINDS: [(ReadKind, &str); 5] = [
    (ReadKind::Instances, "instances"),
    (ReadKind::History, "history"),
    (ReadKind::Timers, "timers"),
    (ReadKind::Active, "active"),
    (ReadKind::Records, "records"),
];

/// Nothing has been kept for longer than its time.
const NOT_OVERDUE: i64 = i64::MAX;

/// The metrics of one scheduler. Clones are handles to the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    commit_seconds: Histogram,
    sync_seconds: Histogram,
    commit_commands: Histogram,
    commit_rows: Histogram,
    commits_failed: AtomicU64,
    /// In the order of [`READ_KINDS`].
    read_seconds: [Histogram; READ_KINDS.len()],
    refused_busy: AtomicU64,
    /// What went by its time, in the order of [`ENDED`].
    expired: [AtomicU64; ENDED.len()],
    /// Since when the first of what is over has been, as in a [`Timestamp`]; [`NOT_OVERDUE`] if nothing is.
    overdue_since: AtomicI64,
    /// … and for how long, when somebody last looked.
    overdue_seconds: AtomicU64,
    calls: Arc<Calls>,
    /// What the core last said; nothing if it did not answer.
    core: Mutex<Option<Box<CoreFacts>>>,
    in_flight_bytes: AtomicUsize,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            commit_seconds: Histogram::new(TIMES),
            sync_seconds: Histogram::new(TIMES),
            commit_commands: Histogram::new(SIZES),
            commit_rows: Histogram::new(SIZES),
            commits_failed: AtomicU64::new(0),
            read_seconds: std::array::from_fn(|_| Histogram::new(TIMES)),
            refused_busy: AtomicU64::new(0),
            expired: Default::default(),
            overdue_since: AtomicI64::new(NOT_OVERDUE),
            overdue_seconds: AtomicU64::new(0),
            calls: Arc::default(),
            core: Mutex::default(),
            in_flight_bytes: AtomicUsize::new(0),
        }
    }
}

impl Metrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    pub(crate) fn calls(&self) -> Arc<Calls> {
        self.0.calls.clone()
    }

    /// A batch is durable after so long, of which so much went into making it so.
    pub(crate) fn committed(&self, batch: &Batch, took: Duration, durable: Duration) {
        self.0.commit_seconds.add(micros(took));
        self.0.sync_seconds.add(micros(durable));
        self.0.commit_commands.add(batch.commands as u64);
        self.0.commit_rows.add(batch.rows() as u64);
    }

    pub(crate) fn commit_failed(&self) {
        self.0.commits_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, kind: ReadKind, took: Duration) {
        self.0.read_seconds[kind as usize].add(micros(took));
    }

    /// An instance that ended so has gone by its time.
    pub(crate) fn expired(&self, status: OrchestrationStatus) {
        if let Some(place) = ENDED.iter().position(|ended| *ended == status) {
            self.0.expired[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Since when the first of what is over and still there has been; absent if nothing is.
    pub(crate) fn overdue_since(&self, at: Option<Timestamp>) {
        self.0.overdue_since.store(at.map_or(NOT_OVERDUE, |at| at.0), Ordering::Relaxed);
    }

    /// Somebody looked: this is what the core said, and the time that it was.
    pub(crate) fn looked(&self, core: Option<Box<CoreFacts>>, budget: &Budget, now: Timestamp) {
        let overdue = now.since(Timestamp(self.0.overdue_since.load(Ordering::Relaxed)));
        self.0.overdue_seconds.store(overdue.as_secs(), Ordering::Relaxed);
        *self.0.core.lock().unwrap_or_else(PoisonError::into_inner) = core;
        self.0.in_flight_bytes.store(budget.in_flight(), Ordering::Relaxed);
        self.0.refused_busy.store(budget.refused(), Ordering::Relaxed);
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let Inner { commit_seconds, sync_seconds, commit_commands, commit_rows, read_seconds, .. } = &*self.0;
        let mut to = Exposition(&mut encoder);
        to.histogram("commit", "How long a commit took, sync included.", Some(&Unit::Seconds), commit_seconds)?;
        to.histogram("sync", "How long the log's writing and its sync took.", Some(&Unit::Seconds), sync_seconds)?;
        to.histogram("commit_commands", "How many commands shared a commit.", None, commit_commands)?;
        to.histogram("commit_rows", "How many rows a commit wrote or deleted.", None, commit_rows)?;
        let failed = self.0.commits_failed.load(Ordering::Relaxed);
        to.counter("commits_failed", "Commits that failed.", failed)?;
        let help = "How long a read of the store took.";
        let mut reads = to.0.encode_descriptor("store_read", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for ((_, name), seconds) in READ_KINDS.iter().zip(read_seconds) {
            seconds.encode(&mut reads.encode_family(&of("what", name))?)?;
        }
        let in_flight = self.0.in_flight_bytes.load(Ordering::Relaxed);
        to.gauge("in_flight_bytes", "Bytes of the calls under way.", in_flight)?;
        let expired = ENDED.iter().zip(&self.0.expired);
        to.counters(
            ("instances_expired", "Instances that went after they had been kept for their time."),
            "status",
            expired.map(|(status, count)| (status_label(*status), count.load(Ordering::Relaxed))),
        )?;
        let overdue = usize::try_from(self.0.overdue_seconds.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        to.gauge("retention_overdue_seconds", "For how long the first of what is to go has been over.", overdue)?;
        self.0.calls.encode(to.0)?;
        if let Some(core) = &*self.0.core.lock().unwrap_or_else(PoisonError::into_inner) {
            to.core(core, self.0.refused_busy.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

/// What is being written.
struct Exposition<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Exposition<'_, '_> {
    /// What the core said.
    fn core(&mut self, core: &CoreFacts, refused_busy: u64) -> std::fmt::Result {
        let shard = &core.shard;
        let parked = shard.parked_instances.min(shard.hot_instances);
        self.gauges(
            ("instances_in_memory", "Instances in memory: with work, or parked and kept for their next event."),
            "state",
            [("active", shard.hot_instances - parked), ("parked", parked)],
        )?;
        self.gauge("instance_bytes", "Bytes of the instances in memory.", shard.hot_bytes)?;
        self.gauge("near_timers", "Timers due soon, which are in memory.", shard.near_timers)?;
        self.gauges(
            ("ready_items", "Work items that wait for a worker with room."),
            "kind",
            [("turn", shard.ready_turns), ("activity", shard.ready_activities)],
        )?;
        self.gauge("held_items", "Work items that are with workers.", shard.held_items)?;
        self.gauge("worker_streams", "Streams of workers that are open.", shard.streams)?;
        self.gauge(
            "unread_bytes",
            "Bytes of work items that workers were sent and have not read.",
            shard.unread_bytes,
        )?;
        self.gauge("waiting_asks", "Questions whose callers wait for an answer.", shard.waiting_asks)?;
        self.gauge("uncommitted_bytes", "Bytes of rows that wait to be durable.", shard.uncommitted_bytes)?;
        self.gauge("recovering", "1 while active instances are being found after a start.", shard.recovering.into())?;
        self.gauge("refusing", "1 while new work is refused since the disk is full.", shard.refusing.into())?;
        let deliveries = [("turn", shard.deliveries.turns), ("activity", shard.deliveries.activities)];
        self.counters(
            ("deliveries", "Work items given to workers."),
            "kind",
            deliveries.map(|(kind, deliveries)| (kind, deliveries.all)),
        )?;
        self.counters(
            ("redeliveries", "Of the deliveries, those of items that were given back, or lost with a worker."),
            "kind",
            deliveries.map(|(kind, deliveries)| (kind, deliveries.again)),
        )?;
        self.counter("items_set_aside", "Work items set aside after too many deliveries.", core.set_aside)?;
        self.counter("invariants_broken", "Broken invariants that were contained.", core.contained)?;
        let refusals = core.refusals.iter().map(|(reason, count)| (*reason, *count));
        self.counters(
            ("refusals", "Commands that were refused, by reason."),
            "reason",
            refusals.chain([("bytes_in_flight", refused_busy)]),
        )?;
        let mut late = self.0.encode_descriptor(
            "timer_lateness",
            "How long after its time a timer fired.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let scale = Scale { bounds: &LATENESS_BOUNDS_MICROS, unit: 1e-6 };
        histogram::encode(&mut late, scale, shard.timers_late.counts.into_iter(), shard.timers_late.sum_micros)
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) -> std::fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'static str, usize)>,
    ) -> std::fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values
            .into_iter()
            .try_for_each(|(of_what, value)| family.encode_family(&of(label, of_what))?.encode_gauge(&value))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> std::fmt::Result {
        counter(&mut self.0.encode_descriptor(name, help, None, MetricType::Counter)?, value)
    }

    fn counters(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> std::fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values
            .into_iter()
            .try_for_each(|(of_what, value)| counter(&mut family.encode_family(&of(label, of_what))?, value))
    }

    fn histogram(&mut self, name: &str, help: &str, unit: Option<&Unit>, histogram: &Histogram) -> std::fmt::Result {
        histogram.encode(&mut self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?)
    }
}

fn counter(encoder: &mut MetricEncoder<'_>, value: u64) -> std::fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}

fn status_label(status: OrchestrationStatus) -> &'static str {
    match status {
        OrchestrationStatus::Completed => "completed",
        OrchestrationStatus::Failed => "failed",
        OrchestrationStatus::Canceled => "canceled",
        OrchestrationStatus::Terminated => "terminated",
        _ => "other",
    }
}

/// One label.
fn of<'a>(label: &'a str, value: &'a str) -> [(&'a str, &'a str); 1] {
    [(label, value)]
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
