//! `placet time`: what an operator says of the scheduler's clock.

use super::call_once;
use crate::exit::Failure;
use crate::flags::{Time, TimeCommand};

pub(super) fn run(flags: &Time) -> Result<(), Failure> {
    match &flags.command {
        TimeCommand::Accept(endpoint) => call_once(&endpoint.endpoint, async |client| client.accept_time().await),
    }
}
