//! Whether people fill the seats of a stage: a maximum matching, so that the order of votes never matters and one person
//! fills one seat, whichever he could fill (APPROVALS.md §3, "Quorum").

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Seats of a stage that a person could fill, by their places in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeatSet(u32);

/// Seats of a stage at most.
pub const SEATS_MAX: usize = 32;

impl SeatSet {
    /// No seat.
    pub const NONE: SeatSet = SeatSet(0);

    /// Those of the first `count` seats for which it holds.
    pub fn of(count: usize, holds: impl Fn(usize) -> bool) -> SeatSet {
        assert!(count <= SEATS_MAX, "a stage of {count} seats");
        SeatSet((0..count).filter(|&seat| holds(seat)).fold(0, |set, seat| set | 1 << seat))
    }

    /// Whether it is one of them.
    pub fn has(self, seat: usize) -> bool {
        self.0 >> seat & 1 == 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: SeatSet) -> SeatSet {
        SeatSet(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub fn less(self, other: SeatSet) -> SeatSet {
        SeatSet(self.0 & !other.0)
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..SEATS_MAX).filter(move |&seat| self.has(seat))
    }
}

/// How many of each seat's needed people are still missing, when these fill them as well as they can: as many as possible in all.
pub(crate) fn missing(needs: &[u32], people: impl IntoIterator<Item = (SeatSet, u32)>) -> Vec<u32> {
    let mut table = Table { kinds: BTreeMap::new(), rest: needs.to_vec() };
    // People who could fill the same seats are alike: however many there are, there are few kinds of them.
    let mut counts: BTreeMap<SeatSet, u32> = BTreeMap::new();
    for (seats, count) in people {
        *counts.entry(seats).or_default() += count;
    }
    for (seats, mut count) in counts {
        table.kinds.insert(seats, vec![0; needs.len()]);
        while count > 0 {
            match table.seat_some(seats, count) {
                0 => break,
                seated => count -= seated,
            }
        }
    }
    table.rest
}

/// Who sits where.
struct Table {
    /// Of each kind of people, how many sit on each seat.
    kinds: BTreeMap<SeatSet, Vec<u32>>,
    /// Of each seat, how many it still needs.
    rest: Vec<u32>,
}

impl Table {
    /// Seats up to `count` more of one kind along one augmenting path, by which others may move. Says how many.
    fn seat_some(&mut self, seats: SeatSet, count: u32) -> u32 {
        // How each seat is reached: from which other seat somebody would move there, and of which kind he is.
        let mut reached: Vec<Option<(SeatSet, Option<usize>)>> = vec![None; self.rest.len()];
        let mut queue = VecDeque::new();
        for seat in seats.iter().filter(|&seat| seat < self.rest.len()) {
            reached[seat] = Some((seats, None));
            queue.push_back(seat);
        }
        while let Some(seat) = queue.pop_front() {
            if self.rest[seat] > 0 {
                return self.move_along(&reached, seat, count);
            }
            for (&kind, sitting) in &self.kinds {
                if sitting[seat] == 0 {
                    continue;
                }
                for next in kind.iter().filter(|&next| next < self.rest.len()) {
                    if reached[next].is_none() {
                        reached[next] = Some((kind, Some(seat)));
                        queue.push_back(next);
                    }
                }
            }
        }
        0
    }

    fn move_along(&mut self, reached: &[Option<(SeatSet, Option<usize>)>], free: usize, count: u32) -> u32 {
        let path: Vec<(SeatSet, Option<usize>, usize)> = std::iter::successors(Some(free), |&seat| reached[seat]?.1)
            .filter_map(|seat| reached[seat].map(|(kind, from)| (kind, from, seat)))
            .collect();
        let movable = path.iter().filter_map(|&(kind, from, _)| Some(self.kinds[&kind][from?]));
        let moved = movable.min().unwrap_or(u32::MAX).min(count).min(self.rest[free]);
        for (kind, from, to) in path {
            let sitting = self.kinds.get_mut(&kind).expect("every kind on a path is at the table");
            sitting[to] += moved;
            if let Some(from) = from {
                sitting[from] -= moved;
            }
        }
        self.rest[free] -= moved;
        moved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(seats: &[usize]) -> SeatSet {
        SeatSet::of(SEATS_MAX, |seat| seats.contains(&seat))
    }

    #[test]
    fn who_could_sit_on_two_seats_moves_for_who_could_sit_on_one() {
        type Case = (&'static [u32], &'static [&'static [usize]], &'static [u32]);
        let table: [Case; 7] = [
            (&[1], &[], &[1]),
            (&[1], &[&[0]], &[0]),
            (&[1, 1], &[&[0, 1]], &[0, 1]),
            (&[1, 1], &[&[0, 1], &[0]], &[0, 0]),
            (&[2, 1], &[&[0, 1], &[0, 1], &[1], &[1]], &[0, 0]),
            (&[1, 1, 1], &[&[0, 1], &[1, 2], &[1], &[]], &[0, 0, 0]),
            (&[3], &[&[0], &[0], &[1]], &[1]),
        ];
        for (needs, people, left) in table {
            assert_eq!(missing(needs, people.iter().map(|seats| (set(seats), 1))), left, "{needs:?} {people:?}");
        }
    }

    /// As many as can be seated, by trying every way.
    fn most(needs: &mut [u32], people: &[SeatSet]) -> u32 {
        let Some((first, others)) = people.split_first() else { return 0 };
        let mut best = most(needs, others);
        for seat in 0..needs.len() {
            if first.has(seat) && needs[seat] > 0 {
                needs[seat] -= 1;
                best = best.max(1 + most(needs, others));
                needs[seat] += 1;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn nobody_is_left_standing_who_could_be_seated(
            needs in proptest::collection::vec(0_u32..4, 1..4),
            people in proptest::collection::vec(0_u32..16, 0..7),
        ) {
            let people: Vec<SeatSet> = people.into_iter().map(SeatSet).collect();
            let left: u32 = missing(&needs, people.iter().map(|&seats| (seats, 1))).iter().sum();
            let needed: u32 = needs.iter().sum();
            prop_assert_eq!(needed - left, most(&mut needs.clone(), &people));
        }
    }
}
