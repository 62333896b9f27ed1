//! Bugs that somebody might have made in the rules, for the simulator to find: what `placet_core::planted` is for the
//! core, which these rules know nothing of. Without the feature `planted` nothing of them remains.

/// Whether this build has the bugs in it. What is shipped asserts that it has not.
pub const BUILT_IN: bool = cfg!(feature = "planted");

/// A bug, put in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// An answer to a request that has its outcome overwrites it.
    OutcomeOverwritten = 1,
    /// An answer in the last second before the deadline comes too late.
    AnsweredInTimeExpires = 2,
    /// A request that expires leaves no entry of it.
    EndNotEntered = 3,
}

#[cfg(feature = "planted")]
pub use chosen::choose;
#[cfg(feature = "planted")]
pub(crate) use chosen::is;

#[cfg(feature = "planted")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Plant;

    /// None, or the plant's number.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// From now on this bug is there, in the whole process, and no other.
    pub fn choose(plant: Option<Plant>) {
        CHOSEN.store(plant.map_or(0, |plant| plant as u8), Ordering::Relaxed);
    }

    /// Whether this bug is there.
    pub(crate) fn is(plant: Plant) -> bool {
        CHOSEN.load(Ordering::Relaxed) == plant as u8
    }
}

/// Whether this bug is there: it is not.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Plant) -> bool {
    false
}
