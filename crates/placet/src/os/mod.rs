//! What differs between systems: signals, who holds a port, who may look into a folder, what the system knows of a process. Each call has a twin.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    cpu_time, make_private_folder, port_holder, raise_descriptor_limit, resident_bytes, run_through_signals,
    stop_requested, sync_folder, thread_times,
};
#[cfg(windows)]
pub(crate) use windows::{
    cpu_time, make_private_folder, port_holder, raise_descriptor_limit, resident_bytes, run_through_signals,
    stop_requested, sync_folder, thread_times,
};
