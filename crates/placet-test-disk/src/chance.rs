//! Chance that a seed repeats, for tests over the disk: above all, what a power cut leaves.

use crate::{Choice, Image, Moment};

/// splitmix64.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same seed, the same chance.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    /// One of so many things.
    ///
    /// # Panics
    /// If there is none.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("below a length")
    }

    /// Whether it happens, once in so many cases.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// What the files look like after a power cut at this moment.
    pub fn image(&mut self, moment: &Moment) -> Image {
        let tear = [512, 4_096][self.index(2)];
        let kept = self.kept(moment.pieces(tear));
        let filled_with = [0, 0xA5][self.index(2)];
        moment.image(tear, &Choice { kept: &kept, grown: self.one_in(3), filled_with })
    }

    /// What the disk had written of so many pieces: all, none, nearly all, or any part.
    fn kept(&mut self, pieces: usize) -> Vec<bool> {
        let one = self.index(pieces.max(1));
        match self.below(8) {
            0 => vec![true; pieces],
            1 => vec![false; pieces],
            2 => (0..pieces).map(|piece| piece != one).collect(),
            3 => (0..pieces).map(|piece| piece == one).collect(),
            4 => (0..pieces).map(|piece| piece < one).collect(),
            5 => (0..pieces).map(|piece| piece >= one).collect(),
            _ => {
                let parts = self.below(6) + 1;
                (0..pieces).map(|_| self.below(7) < parts).collect()
            }
        }
    }
}
