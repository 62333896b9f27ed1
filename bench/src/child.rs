//! The server as it ships, in a process of its own: started, looked at from outside, killed as a power cut would.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// How long it may take to start, to recover what a million instances left included.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// How often its ready file is looked for.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Where the program is: `cargo xtask bench` builds it beside this one.
pub(crate) fn program() -> Result<PathBuf> {
    let mut program = std::env::current_exe()?;
    program.set_file_name(format!("placet{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.exists(), "there is no {}: run this by `cargo xtask bench`", program.display());
    Ok(program)
}

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) grpc: String,
    pub(crate) http: SocketAddr,
    /// From its start to its ready file.
    pub(crate) ready_after: Duration,
    pub(crate) started: Instant,
}

impl Child {
    /// Starts `placet serve` over the data in this folder, on free ports, and waits until it is ready.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Child> {
        let ready = folder.join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let started = Instant::now();
        let mut process = Command::new(program)
            .arg("serve")
            .arg("--data-dir")
            .arg(data(folder))
            .args(["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--quiet", "--log", "warn"])
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| program.display().to_string())?;
        while !ready.exists() {
            ensure!(process.try_wait()?.is_none(), "the server has ended");
            ensure!(started.elapsed() < READY_WITHIN, "the server is not ready in {} s", READY_WITHIN.as_secs());
            std::thread::sleep(LOOK_EVERY);
        }
        let ready_after = started.elapsed();
        let said: Value = serde_json::from_slice(&std::fs::read(&ready)?)?;
        let address = |of: &str| said[of].as_str().map(str::to_owned).with_context(|| format!("{of} in {said}"));
        let http = address("http")?.trim_start_matches("http://").parse()?;
        Ok(Child { process, grpc: address("grpc")?, http, ready_after, started })
    }

    /// As a power cut does it: what was not synced may be lost, and nothing is tidied up.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// In good order: what is in the log goes into the file.
    pub(crate) fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        ensure!(asked.success(), "it cannot be asked to stop");
        let status = self.process.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Bytes in RAM, now and at most so far; zero where the system does not tell.
    pub(crate) fn resident(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let of = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        (of("VmRSS:").unwrap_or(0) << 10, of("VmHWM:").unwrap_or(0) << 10)
    }

    /// What it tells Prometheus.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let mut connection = TcpStream::connect(self.http)?;
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http)?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "/metrics: {answer}");
        let lines = answer.lines().filter(|line| line.starts_with("placet_") || line.starts_with("process_"));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Metrics(values.collect()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Bytes of the server's files in this folder.
pub(crate) fn bytes_on_disk(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(data(folder))? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Values by name and labels.
#[derive(Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// One of them; what did not happen yet is zero.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// Whether nothing is being done: no work that somebody has or could have, nothing to be committed.
    pub(crate) fn is_at_rest(&self) -> bool {
        let work = [
            r#"placet_ready_items{kind="turn"}"#,
            r#"placet_ready_items{kind="activity"}"#,
            "placet_held_items",
            "placet_uncommitted_bytes",
        ];
        work.iter().all(|name| self.of(name) == 0.0)
    }
}
