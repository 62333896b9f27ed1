//! A histogram of whole numbers that many threads add to without a lock. Prometheus' own takes one, which two
//! threads that answer calls would share.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// The histogram.
#[derive(Debug)]
pub(crate) struct Histogram {
    scale: Scale,
    /// How many were up to each bound and above the one before; the last has no bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What the numbers are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The upper bounds, rising.
    pub(crate) bounds: &'static [u64],
    /// What one is, in the unit that is shown.
    pub(crate) unit: f64,
}

/// Times, taken in microseconds and shown in seconds.
pub(crate) const TIMES: Scale = Scale {
    bounds: &[
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 10_000_000,
    ],
    unit: 1e-6,
};

/// Sizes, in things.
pub(crate) const SIZES: Scale =
    Scale { bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 16_384], unit: 1.0 };

impl Histogram {
    pub(crate) fn new(scale: Scale) -> Histogram {
        let counts = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { scale, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, number: u64) {
        let at = self.scale.bounds.partition_point(|bound| *bound < number);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> std::fmt::Result {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        encode(encoder, self.scale, counts, self.sum.load(Ordering::Relaxed))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

/// Shows numbers that were counted elsewhere.
pub(super) fn encode(
    encoder: &mut MetricEncoder<'_>,
    scale: Scale,
    counts: impl Iterator<Item = u64>,
    sum: u64,
) -> std::fmt::Result {
    let bounds = scale.bounds.iter().map(|bound| *bound as f64 * scale.unit).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder.encode_histogram::<NoLabelSet>(sum as f64 * scale.unit, count, &buckets, None)
}
