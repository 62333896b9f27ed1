//! The Windows twin.

use std::net::SocketAddr;
use std::path::Path;

/// Ready once somebody asks the process to stop: Ctrl-C, Ctrl-Break, or the console's end.
///
/// # Errors
/// If the system gives no signals.
pub(crate) fn stop_requested() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    let mut close = tokio::signal::windows::ctrl_close()?;
    let mut break_ = tokio::signal::windows::ctrl_break()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
            _ = break_.recv() => {}
        }
    })
}

/// Makes a folder, and those above it: below a user's own folders it is his alone.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Who listens on this address: `netstat -ano` tells, a file does not.
pub(crate) fn port_holder(_addr: SocketAddr) -> Option<String> {
    None
}

/// There is no such limit.
pub(crate) fn raise_descriptor_limit() {}
