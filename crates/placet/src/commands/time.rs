//! `placet time`: what an operator says of the scheduler's clock.

use super::{connect, within};
use crate::exit::Failure;
use crate::flags::{Time, TimeCommand};

pub(super) fn run(flags: &Time) -> Result<(), Failure> {
    match &flags.command {
        TimeCommand::Accept(endpoint) => {
            let client = connect(&endpoint.endpoint)?;
            within(&endpoint.endpoint, async { client.accept_time().await })
        }
    }
}
