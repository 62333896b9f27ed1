//! `placet retry`: puts back to work what was set aside of an instance.

use super::{call_about, say};
use crate::exit::Failure;
use crate::flags::Instance;

pub(super) fn run(of: &Instance) -> Result<(), Failure> {
    let retried = call_about(of, async |client| client.retry_poisoned(&of.id).await)?;
    say(&format!("{retried} put back to work"));
    Ok(())
}
