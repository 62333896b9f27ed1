//! What a power cut leaves of files: everything that was synced, and any part of what was not.
//!
//! What is fair: the system writes pages of 4,096 bytes when it likes and in any order, and the disk writes sectors
//! of 512, each whole or not at all. A later write to the same bytes replaces the earlier one in memory, so that it
//! is never undone by it. A file may have grown though what should stand there was never written. A file that was
//! made or removed may be so after its folder was synced only, which SQLite does with a log's first sync. After a
//! sync that failed, the system takes the pages for written: a later sync that succeeds says nothing of them, until
//! they are written to again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::trace::{Event, Trace};

/// The unit of the system's cache.
const PAGE: usize = 4_096;

/// A place in a trace, and what the disk has then.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The last mark before it.
    pub mark: u64,
    files: BTreeMap<String, File>,
}

/// Files as they may be found after a power cut.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Image(BTreeMap<String, Vec<u8>>);

/// How one possible image is made of what was not synced.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// What the disk wrote, piece by piece; what lies beyond was not written.
    pub kept: &'a [bool],
    /// Whether files have the lengths that they were given, whatever was written into them.
    pub grown: bool,
    /// What stands where a file has grown and nothing was written.
    pub filled_with: u8,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What surely is on the disk; absent: surely no file.
    durable: Option<Vec<u8>>,
    entry: Entry,
    pending: Vec<Pending>,
}

/// What the folder says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Entry {
    #[default]
    Durable,
    /// Perhaps still there.
    Removed,
    /// Perhaps not there yet, but what was removed under its name.
    Made,
}

#[derive(Clone, Debug)]
struct Pending {
    change: Change,
    /// A sync of it failed.
    doubtful: bool,
}

#[derive(Clone, Debug)]
enum Change {
    /// Within one page.
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Trace {
    /// Goes through the trace; shows the moment after each event.
    pub fn walk(&self, mut look: impl FnMut(&Event, &Moment)) {
        let file = |bytes: &Vec<u8>| File { durable: Some(bytes.clone()), ..File::default() };
        let files = self.before.iter().map(|(name, bytes)| (name.clone(), file(bytes))).collect();
        let mut moment = Moment { mark: 0, files };
        for event in &self.events {
            moment.pass(event);
            look(event, &moment);
        }
    }
}

impl Moment {
    fn pass(&mut self, event: &Event) {
        match event {
            Event::Mark(mark) => self.mark = *mark,
            Event::Created(name) => self.file(name).become_entry(Entry::Made),
            Event::Written(name, at, bytes) => self.file(name).write(*at, bytes),
            Event::Truncated(name, length) => {
                self.file(name).pending.push(Pending { change: Change::Length(*length), doubtful: false });
            }
            Event::Synced(name) => self.file(name).sync(),
            Event::SyncFailed(name) => self.file(name).doubt(),
            Event::Deleted(name, true) => drop(self.files.remove(name)),
            Event::Deleted(name, false) => self.file(name).become_entry(Entry::Removed),
        }
    }

    fn file(&mut self, name: &str) -> &mut File {
        self.files.entry(name.to_owned()).or_default()
    }

    /// How many pieces of this size are not synced.
    pub fn pieces(&self, size: usize) -> usize {
        self.files.values().map(|file| file.pieces(size)).sum()
    }

    /// What may be found afterwards; pieces have this size.
    pub fn image(&self, size: usize, choice: &Choice<'_>) -> Image {
        let mut kept = choice.kept.iter().copied();
        let mut keep = || kept.next().unwrap_or(false);
        let files =
            self.files.iter().filter_map(|(name, file)| Some((name.clone(), file.image(size, &mut keep, choice)?)));
        Image(files.collect())
    }
}

impl File {
    fn become_entry(&mut self, entry: Entry) {
        self.entry = entry;
        self.pending.clear();
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        for (at, bytes) in cut(at, bytes, PAGE) {
            let page = at / PAGE;
            for pending in &mut self.pending {
                // The page will be written again, with all that is in it.
                pending.doubtful &= !matches!(&pending.change, Change::Bytes(at, _) if at / PAGE == page);
            }
            self.pending.push(Pending { change: Change::Bytes(at, bytes.to_vec()), doubtful: false });
        }
    }

    /// Lengths are in the file system's own log, which is another matter.
    fn doubt(&mut self) {
        for pending in &mut self.pending {
            pending.doubtful = matches!(pending.change, Change::Bytes(..));
        }
    }

    fn sync(&mut self) {
        match self.entry {
            Entry::Removed => return,
            Entry::Made => (self.durable, self.entry) = (Some(Vec::new()), Entry::Durable),
            Entry::Durable => {}
        }
        let durable = self.durable.get_or_insert_default();
        // A doubtful write lies in no page that was written to after it: the order between them does not matter.
        self.pending.retain(|pending| {
            if !pending.doubtful {
                apply(durable, &pending.change, 0);
            }
            pending.doubtful
        });
    }

    fn pieces(&self, size: usize) -> usize {
        let changes = self.pending.iter().map(|pending| match &pending.change {
            Change::Bytes(at, bytes) => cut(*at, bytes, size).count(),
            Change::Length(_) => 1,
        });
        usize::from(self.entry != Entry::Durable) + changes.sum::<usize>()
    }

    fn image(&self, size: usize, keep: &mut impl FnMut() -> bool, choice: &Choice<'_>) -> Option<Vec<u8>> {
        let is_new = self.entry != Entry::Durable && keep();
        let mut found = match self.entry {
            Entry::Removed if is_new => None,
            Entry::Made if is_new => Some(Vec::new()),
            Entry::Durable | Entry::Removed | Entry::Made => self.durable.clone(),
        };
        // Of a file that is not there nothing is found.
        let is_there = self.entry == Entry::Durable || is_new;
        let mut length = found.as_ref().map_or(0, Vec::len);
        for Pending { change, .. } in &self.pending {
            let parts: Vec<Change> = match change {
                Change::Length(_) => vec![change.clone()],
                Change::Bytes(at, bytes) => {
                    cut(*at, bytes, size).map(|(at, part)| Change::Bytes(at, part.to_vec())).collect()
                }
            };
            for part in parts {
                length = part.length(length);
                if keep() && is_there {
                    apply(found.get_or_insert_default(), &part, choice.filled_with);
                }
            }
        }
        if choice.grown
            && is_there
            && let Some(found) = &mut found
        {
            found.resize(length.max(found.len()), choice.filled_with);
        }
        found
    }
}

impl Change {
    /// How long a file of this length becomes.
    fn length(&self, before: usize) -> usize {
        match self {
            Change::Length(length) => *length,
            Change::Bytes(at, bytes) => before.max(at + bytes.len()),
        }
    }
}

impl Image {
    /// Puts the files into a folder.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn put(&self, folder: &Path) {
        for (name, bytes) in &self.0 {
            std::fs::write(folder.join(name), bytes).expect("the file can be written");
        }
    }

    /// The files.
    pub fn files(&mut self) -> &mut BTreeMap<String, Vec<u8>> {
        &mut self.0
    }
}

/// The parts of a write that lie in different units of this size.
fn cut(at: usize, bytes: &[u8], size: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (size - at % size).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    let rest = tail.chunks(size).enumerate().map(move |(number, part)| (at + first + number * size, part));
    std::iter::once((at, head)).filter(|(_, head)| !head.is_empty()).chain(rest)
}

fn apply(file: &mut Vec<u8>, change: &Change, filled_with: u8) {
    match change {
        Change::Length(length) => file.resize(*length, filled_with),
        Change::Bytes(at, bytes) => {
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, filled_with);
            }
            file[*at..end].copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[bool] = &[true; 64];
    const NONE: &[bool] = &[];

    /// What a trace of these events may leave of the file `f`.
    fn left(events: &[Event], size: usize, kept: &[bool]) -> Option<Vec<u8>> {
        let trace = Trace { before: [("f".to_owned(), vec![0; 4])].into(), events: events.to_vec() };
        let mut last = Moment::default();
        trace.walk(|_, moment| last = moment.clone());
        last.image(size, &Choice { kept, grown: false, filled_with: 0xA5 }).0.remove("f")
    }

    fn written(at: usize, bytes: &[u8]) -> Event {
        Event::Written("f".to_owned(), at, bytes.to_vec())
    }

    fn synced() -> Event {
        Event::Synced("f".to_owned())
    }

    fn failed() -> Event {
        Event::SyncFailed("f".to_owned())
    }

    #[test]
    fn what_was_synced_is_there_and_of_the_rest_any_part() {
        let events = [written(0, b"ab"), synced(), written(1, b"cd"), written(6, b"e")];
        assert_eq!(left(&events, 512, NONE).unwrap(), b"ab\0\0");
        assert_eq!(left(&events, 512, &[true, false]).unwrap(), b"acd\0");
        assert_eq!(left(&events, 512, &[false, true]).unwrap(), b"ab\0\0\xA5\xA5e");
        assert_eq!(left(&events, 512, ALL).unwrap(), b"acd\0\xA5\xA5e");
    }

    #[test]
    fn a_write_is_torn_between_sectors() {
        let events = [written(510, b"abcd")];
        assert_eq!(left(&events, 512, &[true, false]).unwrap()[510..], *b"ab");
        assert_eq!(left(&events, 512, &[false, true]).unwrap()[510..], *b"\xA5\xA5cd");
        assert_eq!(left(&events, 4_096, &[true]).unwrap()[510..], *b"abcd");
    }

    #[test]
    fn a_sync_after_one_that_failed_says_nothing_of_what_was_to_be_synced_then() {
        let events = [written(0, b"a"), failed(), written(5_000, b"b"), synced()];
        assert_eq!(left(&events, 512, NONE).unwrap()[0], 0);
        assert_eq!(left(&events, 512, NONE).unwrap()[5_000], b'b');
        assert_eq!(left(&events, 512, ALL).unwrap()[0], b'a');
        // The page was written to again.
        let events = [written(0, b"a"), failed(), written(7, b"b"), synced()];
        assert_eq!(left(&events, 512, NONE).unwrap(), b"a\0\0\0\0\0\0b");
    }

    #[test]
    fn a_file_that_was_removed_or_made_is_so_once_the_folder_was_synced() {
        let name = || "f".to_owned();
        let removed = [Event::Deleted(name(), false)];
        assert_eq!(left(&removed, 512, NONE), Some(vec![0; 4]));
        assert_eq!(left(&removed, 512, ALL), None);
        assert_eq!(left(&[Event::Deleted(name(), true)], 512, NONE), None);
        let made = [Event::Deleted(name(), false), Event::Created(name()), written(0, b"new")];
        assert_eq!(left(&made, 512, NONE), Some(vec![0; 4]));
        assert_eq!(left(&made, 512, &[true]), Some(vec![]));
        let synced = [&made[..], &[synced()]].concat();
        assert_eq!(left(&synced, 512, NONE), Some(b"new".to_vec()));
    }
}
