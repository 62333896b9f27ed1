//! `placet raise`: raises an event for an instance.

use serde_json::value::RawValue;

use super::call_about;
use crate::exit::Failure;
use crate::flags::Raise;

pub(super) fn run(flags: &Raise) -> Result<(), Failure> {
    let wrong = |error: serde_json::Error| Failure::Flag {
        flag: "JSON",
        what: format!("{:?} is none: {error}", flags.payload),
    };
    // As it was written: the order of its fields is the caller's.
    let payload: Box<RawValue> = serde_json::from_str(&flags.payload).map_err(wrong)?;
    call_about(&flags.instance, async |client| client.raise_event(&flags.instance.id, &flags.event, &payload).await)
}
