//! Timers near enough to be held in memory; the store holds the rest (P5).
//!
//! The window reaches from now to `end`. A timer made with a due time inside it goes in at once; older ones
//! come from the store when the window moves. The store is read only once every timer made while the window
//! ended earlier is durable: else one could fall between the two.

use std::collections::BTreeSet;

use crate::limits::Limits;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::TimerRow;
use crate::time::Timestamp;

/// What is to be read from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRead {
    /// Which reading of the window this is: an answer to an older one is void.
    pub generation: u64,
    /// Only those after it.
    pub after: Option<TimerRow>,
    /// Only those due by then.
    pub until: Timestamp,
    /// At most this many.
    pub limit: usize,
}

/// The window.
#[derive(Debug, Default)]
pub struct Timers {
    near: BTreeSet<TimerRow>,
    /// Timers due by then are in memory, or on their way from the store.
    end: Timestamp,
    generation: u64,
    reading: Option<DueRead>,
    /// More are due within the window than were read at once: read on from here.
    rest: Option<TimerRow>,
    /// How many in memory come no later than that: when they run low, it is time to read on.
    before_rest: usize,
    limits: Limits,
}

impl Timers {
    /// A window that holds nothing yet. Readings are numbered from `generation` on.
    pub fn new(limits: Limits, generation: u64) -> Timers {
        Timers { limits, generation, ..Timers::default() }
    }

    /// A timer was made.
    pub fn add(&mut self, row: TimerRow) {
        if planted::is(Plant::TimerLostAtTheEdge) && self.reading.is_some() {
            return;
        }
        if row.fire_at > self.end {
            reach(Corner::TimerLeftToStore);
        } else if self.near.insert(row) {
            self.before_rest += usize::from(self.rest.is_some_and(|rest| row <= rest));
        }
    }

    /// A timer that nobody waits for any more.
    pub fn remove(&mut self, row: &TimerRow) {
        if self.near.remove(row) {
            self.before_rest -= usize::from(self.rest.is_some_and(|rest| *row <= rest));
        }
    }

    /// The next one in memory, due or not.
    pub fn first(&self) -> Option<TimerRow> {
        self.near.first().copied()
    }

    /// The next one that is due.
    pub fn pop_due(&mut self, wall: Timestamp) -> Option<TimerRow> {
        let ends =
            if planted::is(Plant::TimerFiredEarly) { Timestamp(wall.0 - wall.0 % 1_000_000 + 999_999) } else { wall };
        let first = self.near.first().copied().filter(|first| first.fire_at <= ends)?;
        self.near.remove(&first);
        self.before_rest -= usize::from(self.rest.is_some_and(|rest| first <= rest));
        Some(first)
    }

    /// Moves the window on if it is time to: what is to be read for it, once all that was decided is durable.
    pub fn advance(&mut self, wall: Timestamp) -> bool {
        if self.reading.is_some() {
            return false;
        }
        let (after, until) = match self.rest {
            Some(_) if self.before_rest > self.limits.timer_page / 2 => return false,
            Some(rest) => (Some(rest), self.end),
            None if self.end < wall.after(self.limits.timer_window / 2) => (None, wall.after(self.limits.timer_window)),
            None => return false,
        };
        if self.end != Timestamp::default() {
            reach(if after.is_some() { Corner::TimerPageReadOn } else { Corner::TimerWindowMoved });
        }
        self.end = until;
        self.reading = Some(DueRead { generation: self.generation, after, until, limit: self.limits.timer_page });
        true
    }

    /// What [`Timers::advance`] wants read.
    pub fn read(&self) -> Option<DueRead> {
        self.reading
    }

    /// The store's answer.
    pub fn arrived(&mut self, read: DueRead, rows: &[TimerRow]) {
        if self.reading != Some(read) {
            reach(Corner::TimersReadInVain);
            return;
        }
        self.reading = None;
        self.near.extend(rows);
        self.rest = (rows.len() >= read.limit).then(|| rows.last().copied()).flatten();
        self.before_rest = self.rest.map_or(0, |rest| self.near.range(..=rest).count());
    }

    /// The store did not answer: it is asked again.
    pub fn failed(&mut self, read: DueRead) {
        if self.reading == Some(read) {
            self.reset();
        }
    }

    /// What was fired may not have been: everything is read again.
    pub fn reset(&mut self) {
        *self = Timers::new(self.limits, self.generation + 1);
    }

    /// When the next timer is due, or the window is to be moved.
    pub fn next_due(&self) -> Option<Timestamp> {
        let near = self.near.first().map(|row| row.fire_at);
        // As long as there is a rest, it is read when those before it have fired.
        let moves = self.reading.is_none() && self.rest.is_none();
        let half_window = i64::try_from(self.limits.timer_window.as_micros() / 2).unwrap_or(i64::MAX);
        let advance = moves.then(|| Timestamp(self.end.0.saturating_sub(half_window)));
        [near, advance].into_iter().flatten().min()
    }

    /// How many are in memory.
    pub fn near_count(&self) -> usize {
        self.near.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Iid, PartitionId, Seq};

    fn timer(seconds: i64, seq: u64) -> TimerRow {
        TimerRow { fire_at: Timestamp(seconds * 1_000_000), iid: Iid(1), seq: Seq(seq), partition: PartitionId(0) }
    }

    #[test]
    fn a_timer_beyond_the_window_is_left_to_the_store_and_comes_when_the_window_moves() {
        let mut timers = Timers::default();
        assert!(timers.advance(Timestamp(0)));
        let read = timers.read().unwrap();
        timers.arrived(read, &[]);
        timers.add(timer(10, 1));
        timers.add(timer(100, 2));
        assert_eq!(timers.near_count(), 1);
        assert_eq!(timers.pop_due(Timestamp(9_999_999)), None);
        assert_eq!(timers.pop_due(Timestamp(10_000_000)), Some(timer(10, 1)));
        assert!(timers.advance(Timestamp(50_000_000)));
        let read = timers.read().unwrap();
        assert!(read.until >= timer(100, 2).fire_at);
        timers.arrived(read, &[timer(100, 2)]);
        assert_eq!(timers.pop_due(Timestamp(100_000_000)), Some(timer(100, 2)));
    }

    #[test]
    fn a_wave_that_does_not_fit_into_a_page_is_read_on_before_it_runs_out_and_wakes_nobody_early() {
        let mut timers = Timers::default();
        timers.advance(Timestamp(0));
        let page = |first: u64| -> Vec<TimerRow> {
            (first..first + Limits::default().timer_page as u64).map(|seq| timer(20, seq)).collect()
        };
        let read = timers.read().unwrap();
        timers.arrived(read, &page(0));
        // Made meanwhile, later than the wave: they must not keep it from being read.
        (0..10_000).for_each(|seq| timers.add(timer(50, 1_000_000 + seq)));
        assert_eq!(timers.next_due(), Some(Timestamp(20_000_000)), "not before the first of them is due");
        assert!(!timers.advance(Timestamp(1)));
        let due = Timestamp(20_000_000);
        let mut fired = 0;
        while !timers.advance(due) {
            timers.pop_due(due).unwrap();
            fired += 1;
        }
        assert!(fired < Limits::default().timer_page, "it is read on while there are some left");
        assert_eq!(timers.read().unwrap().after, page(0).last().copied());
        let read = timers.read().unwrap();
        timers.arrived(read, &[]);
        assert_eq!(std::iter::from_fn(|| timers.pop_due(due)).count(), Limits::default().timer_page - fired);
    }

    #[test]
    fn an_answer_to_a_reading_from_before_a_reset_is_void() {
        let mut timers = Timers::default();
        timers.advance(Timestamp(0));
        let read = timers.read().unwrap();
        timers.reset();
        timers.arrived(read, &[timer(1, 1)]);
        assert_eq!(timers.near_count(), 0);
        assert!(timers.advance(Timestamp(0)));
    }
}
