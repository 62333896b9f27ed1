//! One process-wide budget of bytes in flight: what calls bring in, from their arrival to their answer (P7).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of calls under way beyond which more are refused.
const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;

/// The budget.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// A call's share of the budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// Bytes of the calls under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes a share, if there is that much left.
    pub(crate) fn take(&self, bytes: usize) -> Option<Share> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { budget: self.clone(), bytes };
        // A single call larger than all is let through when it is alone: its own limit has been checked.
        (before == 0 || before + bytes <= IN_FLIGHT_BYTES_MAX).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
