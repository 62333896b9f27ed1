//! What differs between systems: signals, who holds a port, who may look into a folder. Each call has a twin.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{make_private_folder, port_holder, raise_descriptor_limit, stop_requested};
#[cfg(windows)]
pub(crate) use windows::{make_private_folder, port_holder, raise_descriptor_limit, stop_requested};
