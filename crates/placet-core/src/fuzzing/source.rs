//! Choices out of bytes: what a fuzzer changes, and what they are taken for.

/// Reads choices from bytes; when they are at their end, every choice is the first one.
#[derive(Debug)]
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// Some bytes, at most 255.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// A number.
    pub fn number(&mut self) -> i64 {
        // The ends of the range are where things break.
        match self.byte() % 8 {
            0 => 0,
            1 => i64::MAX,
            2 => i64::MIN,
            3 => -1,
            4 => i64::from(i32::MAX),
            5 => 1_700_000_000,
            _ => i64::from(self.byte()),
        }
    }

    /// A number of 32 bits.
    pub fn small(&mut self) -> i32 {
        i32::try_from(self.number()).unwrap_or(i32::MIN)
    }

    /// A text: a name that means something, or any.
    pub fn text(&mut self) -> String {
        match self.byte() % 6 {
            0 => String::new(),
            1 => "placet.approval".to_owned(),
            2 => "name".to_owned(),
            3 => "@entity@key".to_owned(),
            _ => String::from_utf8_lossy(self.bytes()).into_owned(),
        }
    }

    /// One, or none.
    pub fn some<T>(&mut self, make: impl FnOnce(&mut Source<'a>) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    /// A few.
    pub fn list<T>(&mut self, mut make: impl FnMut(&mut Source<'a>) -> T) -> Vec<T> {
        (0..self.byte() % 5).map(|_| make(self)).collect()
    }

    /// The same bytes with some of them changed, left out or added.
    pub fn changed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.byte() % 3 {
            if bytes.is_empty() {
                break;
            }
            let at = (usize::from(self.byte()) << 8 | usize::from(self.byte())) % bytes.len();
            match self.byte() % 4 {
                0 => bytes[at] = self.byte(),
                1 => bytes[at] ^= 1 << (self.byte() % 8),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, self.byte()),
            }
        }
        bytes
    }
}
