//! A small source of chance that gives the same for the same seed, on every machine and for ever.

/// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below this one. (The bias of the remainder does not matter to a test.)
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Whether one of so many cases came up.
    pub(super) fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// One of them, if there are any.
    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let at = self.next().checked_rem(u64::try_from(items.len()).ok()?)?;
        items.get(usize::try_from(at).ok()?).cloned()
    }
}
