//! A disk for tests, under SQLite as it is: it records what is written and synced, fails the k-th time it is asked
//! for something, and shows what a power cut would have left of it.
//!
//! The words that the rest is written in: a [`Disk`] stands under one *folder*; its [`Trace`] is the record of what
//! was done to the folder's files; a [`Moment`] is a place in that record, at which the power may fail; an [`Image`]
//! is what the files may then look like: all that was synced, and any part of what was not.
//!
//! Nothing of the program under test knows of it: the disk is SQLite's default VFS of this process, and hands all
//! that concerns other folders to the real one unseen. Locks and shared memory are the real ones.

mod chance;
mod disk;
mod fault;
mod image;
mod trace;
mod vfs;

pub use chance::Chance;
pub use disk::Disk;
pub use fault::{Call, Fault, Kind};
pub use image::{Choice, Image, Moment};
pub use trace::{Event, Trace};
