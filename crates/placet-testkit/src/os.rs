//! Asking a process to stop: a signal, where there are signals.

/// SIGTERM.
#[cfg(unix)]
pub(crate) fn ask_to_stop(pid: u32) -> std::io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::InvalidInput)?;
    kill_process(pid, Signal::TERM).map_err(Into::into)
}

/// There is no such signal: the tests that need one are not built here.
#[cfg(not(unix))]
pub(crate) fn ask_to_stop(_pid: u32) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
