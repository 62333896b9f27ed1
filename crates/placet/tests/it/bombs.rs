//! Bombs and slow peers: too large, too many, too slow. Nothing of it may take the memory, or the time of others; and
//! whoever is refused is told what is too much.
//!
//! Each test has a server of its own, which it measures. They run one after another: two bombs at once would measure
//! each other; but those that wait for slow peers for a minute or two do so together. `PLACET_LONG` makes the figures those of the promise; `PLACET_BIN` names another server (a release build).

mod connections;
mod floods;
mod garbage;
mod measure;
mod payloads;
mod raw;
mod slow;
mod unread;

/// A figure, by whether there is time.
fn figure(short: usize, long: usize) -> usize {
    if std::env::var_os("PLACET_LONG").is_some() { long } else { short }
}
