//! The Unix twin.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Ready once somebody asks the process to stop: SIGTERM, Ctrl-C, or the terminal's end.
///
/// # Errors
/// If the system gives no signals.
pub(crate) fn stop_requested() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Runs a command and waits for its end, though this process is asked to stop: the command is asked instead. From a terminal it
/// hears of Ctrl-C by itself.
///
/// # Errors
/// If it cannot be started.
pub(crate) async fn run_through_signals(command: &mut tokio::process::Command) -> std::io::Result<ExitStatus> {
    use rustix::process::{Pid, Signal, kill_process};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = command.spawn()?;
    loop {
        let pass_on = tokio::select! {
            ended = child.wait() => return ended,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = interrupt.recv() => continue,
        };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended this moment.
            let _ = kill_process(pid, pass_on);
        }
    }
}

/// Lets the process have as many descriptors as it may: each connection needs one, and the usual limit is 1,024.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!("the limit of descriptors cannot be raised: fewer connections are served");
    }
}

/// Makes a folder, and those above it, that only this user may look into.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_private_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes durable that a file was made in a folder.
///
/// # Errors
/// If that fails.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Who listens on this address: "name (pid 7)", if the system tells (Linux does, by /proc).
pub(crate) fn port_holder(addr: SocketAddr) -> Option<String> {
    let inode = listening_inode(addr.port())?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pid = processes
        .filter_map(|entry| entry.file_name().into_string().ok()?.parse::<u32>().ok())
        .find(|pid| holds(*pid, &socket))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim()))
}

/// The inode of the socket that listens on this port, from the kernel's tables: the local address is in the
/// second column, the state (0A: listening) in the fourth, the inode in the tenth.
fn listening_inode(port: u16) -> Option<String> {
    let suffix = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let listens = columns.get(3) == Some(&"0A") && columns.get(1)?.ends_with(&suffix);
            listens.then(|| columns.get(9).map(|inode| (*inode).to_owned())).flatten()
        })
    })
}

fn holds(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}

/// Memory that this process has in RAM, if the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// CPU time that this process has used, if the system tells: it counts in hundredths of a second.
pub(crate) fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything, a bracket included. What follows begins with the third field; the times are the
    // fourteenth (in the program) and the fifteenth (in the system).
    let (_, fields) = stat.rsplit_once(')')?;
    let hundredths: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Some(Duration::from_millis(hundredths * 10))
}

/// The threads of this process by name, with the CPU time that each has used; empty if the system does not tell.
pub(crate) fn thread_times() -> Vec<(String, Duration)> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).ok();
        // The first number: nanoseconds on a processor.
        let nanos = read("schedstat")?.split(' ').next()?.parse().ok()?;
        Some((read("comm")?.trim().to_owned(), Duration::from_nanos(nanos)))
    });
    times.collect()
}
