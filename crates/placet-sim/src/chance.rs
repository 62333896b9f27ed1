//! The only source of chance: everything that a run decides by chance it asks of one of these, so that a seed is
//! a run.

/// A small generator (splitmix64): a seed gives the same numbers on every machine and for ever.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The numbers of a seed.
    pub(crate) fn from_seed(seed: u64) -> Chance {
        Chance(seed ^ 0x5851_F42D_4C95_7F2D)
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this; zero if there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.any() % end }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A number from `low` to `high`: each order of magnitude as likely as another.
    pub(crate) fn skewed(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let doublings = u64::from(high.max(low).ilog2() - low.ilog2());
        let top = low << self.below(doublings + 1);
        self.between(low, (top * 2).min(high.max(low)))
    }

    /// Whether something happens that happens this often in a million times.
    pub(crate) fn happens(&mut self, in_a_million: u32) -> bool {
        in_a_million > 0 && self.below(1_000_000) < u64::from(in_a_million)
    }

    /// One time in this many.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(of.len() as u64)).expect("below a length");
        &of[at]
    }

    /// A generator of its own, so that what one part asks does not change what another is told.
    #[must_use]
    pub(crate) fn fork(&mut self) -> Chance {
        Chance(self.any())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut chance = Chance::from_seed(7);
        assert_eq!([chance.any(), chance.any()], [18_078_348_960_434_068_816, 7_046_236_936_444_258_700]);
    }

    #[test]
    fn numbers_stay_within_what_was_asked_for() {
        let mut chance = Chance::from_seed(1);
        for _ in 0..10_000 {
            assert!((3..=9).contains(&chance.between(3, 9)));
            assert!((5..=4_000).contains(&chance.skewed(5, 4_000)));
            assert_eq!(chance.below(0), 0);
        }
    }
}
