//! What a file shows without SQLite: whether it begins as a database does, and whether all of it is there.
//! Looking changes nothing; SQLite might, and is only let at a file that passed.
//!
//! Never called while a connection is open: closing any descriptor of a file ends the process's POSIX locks on
//! it, SQLite's too (sqlite.org/howtocorrupt.html §2.2). The lock file makes sure.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The first bytes of a database (sqlite.org/fileformat.html §1.3).
pub(crate) const LENGTH: usize = 100;
pub(crate) const MAGIC: &[u8] = b"SQLite format 3\0";

/// A write-ahead log: a header, then frames of a page with a header each (fileformat.html §4.1).
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// What there is under a path.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// No file, or an empty one.
    Nothing,
    /// A file that begins as a database does and is as long as it says.
    Database {
        /// Whose; a file's creator sets it for ever.
        application: u32,
        /// Whether the log beside it holds something.
        logged: bool,
    },
    /// Something else; what is wrong with it.
    Damaged(String),
}

/// Looks at the file and at the log beside it.
pub(crate) fn look(path: &Path) -> std::io::Result<Found> {
    let log = length(&log_path(path))?;
    let length = length(path)?;
    if length == 0 {
        let stray = "the file is empty or missing, and a write-ahead log with changes to it is there";
        return Ok(if log == 0 { Found::Nothing } else { Found::Damaged(stray.to_owned()) });
    }
    let mut start = Vec::with_capacity(LENGTH);
    File::open(path)?.take(LENGTH as u64).read_to_end(&mut start)?;
    let Some(header) = start.first_chunk() else {
        return Ok(Found::Damaged(format!("{length} bytes are less than a header")));
    };
    let found = Found::Database { application: number(header, 68), logged: log > 0 };
    Ok(wrong(header, length, log).map_or(found, Found::Damaged))
}

/// `placet.db-wal` beside `placet.db`.
pub(crate) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn length(path: &Path) -> std::io::Result<u64> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// What is wrong with a file that begins so and is so long, with a log of this length beside it.
pub(crate) fn wrong(header: &[u8; LENGTH], length: u64, log: u64) -> Option<String> {
    if !header.starts_with(MAGIC) {
        return Some("it does not begin as an SQLite file does".to_owned());
    }
    // 65,536 does not fit into the field and is written as 1.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size if size.is_power_of_two() && size >= 512 => u64::from(size),
        size => return Some(format!("a page of {size} bytes cannot be")),
    };
    let frames = log.saturating_sub(LOG_HEADER) / (page + FRAME_HEADER);
    let pages = length / page;
    // The count is valid if the file was last changed by whoever wrote it there.
    let counted = (number(header, 24) == number(header, 92)).then(|| u64::from(number(header, 28)));
    if let Some(counted) = counted.filter(|counted| pages + frames < *counted) {
        return Some(format!("{counted} pages were written, {pages} and {frames} in the log are there"));
    }
    let torn = log == 0 && !length.is_multiple_of(page);
    torn.then(|| format!("{length} bytes are not whole pages of {page}"))
}

fn number(header: &[u8; LENGTH], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of four pages of 4,096 bytes.
    fn header() -> [u8; LENGTH] {
        let mut header = [0; LENGTH];
        header[..16].copy_from_slice(MAGIC);
        header[16] = 0x10;
        header[31] = 4;
        header
    }

    #[test]
    fn a_file_must_hold_with_its_log_the_pages_that_it_counts() {
        let frame = 4_096 + FRAME_HEADER;
        let cases = [
            ("whole", 4 * 4_096, 0, true),
            ("longer than counted", 5 * 4_096, 0, true),
            ("a page short", 3 * 4_096, 0, false),
            ("a page short, which is in the log", 3 * 4_096, LOG_HEADER + frame, true),
            ("two pages short, one of which is in the log", 2 * 4_096, LOG_HEADER + frame, false),
            ("a torn page at the end", 4 * 4_096 + 7, 0, false),
            ("a torn page at the end, which the log makes whole", 4 * 4_096 + 7, LOG_HEADER + frame, true),
        ];
        for (name, length, log, whole) in cases {
            assert_eq!(wrong(&header(), length, log).is_none(), whole, "{name}");
        }
    }

    #[test]
    fn a_count_that_another_program_left_behind_is_not_believed() {
        let mut header = header();
        header[27] = 1;
        assert_eq!(wrong(&header, 3 * 4_096, 0), None);
    }
}
