//! What is to come, earliest first; ties are decided by chance. The events lie in slots that are used again, so that
//! ordering them moves a few numbers and not the events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { order: BinaryHeap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&mut self, at: u64, tie: u64, event: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                self.slots.len() - 1
            }
        };
        self.order.push(Reverse((at, tie, slot)));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        let Reverse((at, _, slot)) = self.order.pop()?;
        self.free.push(slot);
        let event = self.slots[slot].take().expect("a slot in the order is taken");
        Some((at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_is_taken_first_and_ties_are_decided() {
        let mut queue = Queue::default();
        for (at, tie, event) in [(2, 0, "c"), (1, 9, "b"), (1, 3, "a")] {
            queue.push(at, tie, event);
        }
        assert_eq!(queue.pop(), Some((1, "a")));
        queue.push(3, 0, "d");
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(rest, ["b", "c", "d"]);
    }
}
