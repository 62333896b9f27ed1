//! What a shard has done since it began, in plain numbers: the core counts where things happen, and whoever wants
//! to know reads all of it at once ([`crate::shard::Shard::status`]). Nothing here costs more than an addition.

use std::time::Duration;

use crate::dispatch::Kind;

/// Deliveries of one kind of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Items given to workers.
    pub all: u64,
    /// Of those, items that somebody had before, and gave back or was lost with.
    pub again: u64,
}

/// Deliveries by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named for what they count")]
pub struct DeliveriesByKind {
    pub turns: Deliveries,
    pub activities: Deliveries,
}

impl DeliveriesByKind {
    pub(crate) fn add(&mut self, kind: Kind, again: bool) {
        let deliveries = match kind {
            Kind::Turn => &mut self.turns,
            Kind::Activity => &mut self.activities,
        };
        deliveries.all += 1;
        deliveries.again += u64::from(again);
    }
}

/// The upper bounds of [`Lateness::counts`], in microseconds; the last count has none.
pub const LATENESS_BOUNDS_MICROS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 60_000_000,
];

/// How late timers fired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lateness {
    /// How many were late by up to each bound, and by more than the one before.
    pub counts: [u64; LATENESS_BOUNDS_MICROS.len() + 1],
    /// All lateness together, in microseconds.
    pub sum_micros: u64,
}

impl Lateness {
    pub(crate) fn add(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let at = LATENESS_BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.counts[at] += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_counted_under_the_first_bound_that_it_does_not_exceed() {
        let mut lateness = Lateness::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            lateness.add(Duration::from_micros(micros));
        }
        assert_eq!(lateness.counts[..2], [2, 1]);
        assert_eq!(lateness.counts[14..], [1, 1]);
        assert_eq!(lateness.sum_micros, 120_001_002);
    }
}
