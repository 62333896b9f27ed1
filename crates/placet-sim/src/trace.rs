//! What happened in a run: a hash of all of it, and, if asked for, its last lines.

use std::collections::VecDeque;

/// Lines kept.
const TAIL: usize = 400;

/// The record of a run.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    hash: u64,
    steps: u64,
    /// Whether lines are kept: making them costs more than the run.
    lines: Option<VecDeque<String>>,
    /// Every line is kept.
    whole: bool,
}

/// How much of a run is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The hash alone.
    Hash,
    /// The last lines.
    Tail,
    /// Everything.
    Whole,
}

impl Trace {
    /// An empty one.
    pub(crate) fn new(detail: Detail) -> Trace {
        let lines = (detail != Detail::Hash).then(VecDeque::new);
        Trace { hash: 0xCBF2_9CE4_8422_2325, steps: 0, lines, whole: detail == Detail::Whole }
    }

    /// Something happened: numbers that tell it apart from all else, and the line for people.
    pub(crate) fn note(&mut self, now: u64, what: &[u64], line: impl FnOnce() -> String) {
        self.steps += 1;
        for number in [now].iter().chain(what) {
            self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x517C_C1B7_2722_0A95);
        }
        if let Some(lines) = &mut self.lines {
            let seconds = now as f64 / 1e6;
            lines.push_back(format!("{seconds:>12.6}  {}", line()));
            if lines.len() > TAIL && !self.whole {
                lines.pop_front();
            }
        }
    }

    /// The same for the same seed, always.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many things happened.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// The lines kept.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flatten().map(String::as_str)
    }
}

/// A number that stands for some bytes in the hash.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
    hash
}
