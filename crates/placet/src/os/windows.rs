//! The Windows twin.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

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

/// Runs a command and waits for its end, though this process is asked to stop: the command hears of Ctrl-C by itself.
///
/// # Errors
/// If it cannot be started.
pub(crate) async fn run_through_signals(command: &mut tokio::process::Command) -> std::io::Result<ExitStatus> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    let mut child = command.spawn()?;
    loop {
        tokio::select! {
            ended = child.wait() => return ended,
            _ = interrupt.recv() => {}
        }
    }
}

/// Makes a folder, and those above it: below a user's own folders it is his alone.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

/// A folder cannot be synced by itself: its entries are written with its files.
///
/// # Errors
/// None.
pub(crate) fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Who listens on this address: `netstat -ano` tells, a file does not.
pub(crate) fn port_holder(_addr: SocketAddr) -> Option<String> {
    None
}

/// Memory that this process has in RAM: asking for it takes more than the standard library.
pub(crate) fn resident_bytes() -> Option<u64> {
    None
}

/// CPU time that this process has used: asking for it takes more than the standard library.
pub(crate) fn cpu_time() -> Option<Duration> {
    None
}

/// The threads of this process with the CPU time of each: asking for it takes more than the standard library.
pub(crate) fn thread_times() -> Vec<(String, Duration)> {
    Vec::new()
}
/// There is no such limit.
pub(crate) fn raise_descriptor_limit() {}
