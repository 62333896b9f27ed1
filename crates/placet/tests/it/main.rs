//! The whole product, from outside: real processes, real ports, real files. A module per subject.
#![expect(clippy::unwrap_used, reason = "what a test did not expect fails it")]

#[macro_use]
mod asserting;

mod announcing;
mod asking;
#[cfg(target_os = "linux")]
mod bombs;
mod bulk;
mod command_line;
mod crashes;
mod data_folder;
mod deadlines;
mod dedupe;
#[cfg(unix)]
mod disk;
mod emulator;
mod events;
mod foreign;
mod generations;
mod health;
mod histories;
mod life;
mod lists;
mod long_histories;
mod metrics;
mod mission;
mod other_languages;
mod permits;
mod policies;
mod ports;
mod races;
mod record;
mod refusals;
mod relatives;
mod requests;
mod reserved;
mod retention;
mod roles;
mod shell;
mod stopping;
mod virtual_time;
mod why;

use placet_testkit::{Launch, Server};

/// The program under test.
const PLACET: &str = env!("CARGO_BIN_EXE_placet");

/// A server with all three roles, on free ports, with its data in a folder of its own.
async fn server() -> Server {
    Launch::serve(PLACET).start().await.expect("the server starts")
}

/// A time as it stands in JSON.
fn time_of(value: &serde_json::Value) -> std::time::SystemTime {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    text.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).into()
}
