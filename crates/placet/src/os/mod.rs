//! What differs between systems: signals, and who holds a port. Each call has a twin.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{port_holder, stop_requested};
#[cfg(windows)]
pub(crate) use windows::{port_holder, stop_requested};
