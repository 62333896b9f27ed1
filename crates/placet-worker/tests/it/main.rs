//! The built-in orchestrations, from outside.
#![expect(clippy::unwrap_used, reason = "what a test did not expect fails it")]

mod histories;
