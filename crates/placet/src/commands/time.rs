//! `placet time`: what the scheduler's clock says, and what is said to it.

use std::time::SystemTime;

use jiff::Timestamp;
use placet_sdk::Advanced;

use super::{call_once, make_call, say};
use crate::exit::Failure;
use crate::flags::{Advance, Time, TimeCommand};

pub(super) fn run(flags: &Time) -> Result<(), Failure> {
    match &flags.command {
        TimeCommand::Accept(endpoint) => call_once(&endpoint.endpoint, async |client| client.accept_time().await),
        TimeCommand::Advance(flags) => advance(flags),
        TimeCommand::Show(endpoint) => {
            let time = call_once(&endpoint.endpoint, async |client| client.time().await)?;
            let kind = if time.is_virtual { "virtual" } else { "real" };
            say(&format!("{} ({kind})", written(time.now)));
            Ok(())
        }
    }
}

/// However far the way is: its end is waited for.
fn advance(flags: &Advance) -> Result<(), Failure> {
    let call = async |client: placet_sdk::Client| client.advance_time(flags.by).patience(flags.patience).await;
    let Advanced { now, timers_fired, items_out, items_ready } = make_call(&flags.endpoint.endpoint, None, call)?;
    say(&format!("{} ({timers_fired} timers fired)", written(now)));
    if items_out + items_ready > 0 {
        say(&format!(
            "not waited for: {items_out} work items that workers have, {items_ready} that no worker has taken"
        ));
    }
    Ok(())
}

fn written(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|error| error.to_string(), |at| at.to_string())
}
