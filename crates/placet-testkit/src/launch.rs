//! Describing a process before it is started.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::{Announced, Ended, Server};
use crate::wait::{PATIENCE, eventually};

/// Variables that mean something to the program: a test's own are all that it may see.
const VARIABLES: [&str; 17] = [
    "PLACET_URL",
    "PLACET_USER",
    "PLACET_CONFIG",
    "TASKHUB",
    "ENDPOINT",
    "PLACET_DATA_DIR",
    "PLACET_RETENTION",
    "PLACET_GRPC_ADDR",
    "PLACET_HTTP_ADDR",
    "PLACET_METRICS_ADDR",
    "PLACET_REST_ADDR",
    "PLACET_DASHBOARD_ADDR",
    "DTS_TASK_HUB_NAMES",
    "DTS_USE_DYNAMIC_TASK_HUBS",
    "DTS_EMULATOR_LOG_LEVEL",
    "PLACET_LOG",
    "RUST_LOG",
];

/// A process that is to be started: the program with these arguments, in a folder of its own.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    variables: Vec<(String, String)>,
    folder: Arc<TempDir>,
}

impl Launch {
    /// `placet` without arguments. In the tests of the crate that builds it, the path is
    /// `env!("CARGO_BIN_EXE_placet")`.
    ///
    /// # Panics
    /// If there is no place for temporary files.
    pub fn new(program: impl Into<PathBuf>) -> Launch {
        let folder = tempfile::Builder::new().prefix("placet-test-").tempdir().expect("a temporary folder");
        Launch { program: program.into(), args: Vec::new(), variables: Vec::new(), folder: Arc::new(folder) }
    }

    /// `placet serve` on free ports.
    pub fn serve(program: impl Into<PathBuf>) -> Launch {
        Launch::new(program).args(["serve", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"])
    }

    /// `placet scheduler` on a free port.
    pub fn scheduler(program: impl Into<PathBuf>) -> Launch {
        Launch::new(program).args(["scheduler", "--grpc-addr=127.0.0.1:0"])
    }

    /// `placet emulator` on free ports.
    pub fn emulator(program: impl Into<PathBuf>) -> Launch {
        let ports = ["--grpc-addr=127.0.0.1:0", "--rest-addr=127.0.0.1:0", "--dashboard-addr=127.0.0.1:0"];
        Launch::new(program).args(["emulator"]).args(ports)
    }

    /// `placet worker` for the scheduler at this endpoint.
    pub fn worker(program: impl Into<PathBuf>, endpoint: &str) -> Launch {
        Launch::new(program).args(["worker", "--endpoint", endpoint])
    }

    /// `placet api` for the scheduler at this endpoint, on a free port.
    pub fn api(program: impl Into<PathBuf>, endpoint: &str) -> Launch {
        Launch::new(program).args(["api", "--endpoint", endpoint, "--http-addr=127.0.0.1:0"])
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Launch {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable of the environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Launch {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder that it runs in, and which goes when the last who knows it goes. Data is in `placet-data` there, if
    /// the arguments do not say otherwise.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its scheduler will be, if that is known: once it has run.
    pub fn endpoint(&self) -> Option<String> {
        let grpc_addr = self.args.iter().find_map(|arg| arg.to_str()?.strip_prefix("--grpc-addr="))?;
        (!grpc_addr.ends_with(":0")).then(|| format!("http://{grpc_addr}"))
    }

    /// The same with the ports that it has got: for starting it again where others look for it.
    pub(crate) fn at(mut self, announced: &Announced) -> Launch {
        for arg in &mut self.args {
            let text = arg.to_string_lossy().into_owned();
            if let Some((flag, _)) = text.split_once('=')
                && let Some(url) = announced.url_of(flag)
            {
                *arg = format!("{flag}={}", url.trim_start_matches("http://")).into();
            }
        }
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it ends instead, with what it said.
    pub async fn start(self) -> Result<Server> {
        let ready_file = self.folder().join("ready.json");
        if ready_file.exists() {
            fs::remove_file(&ready_file)?;
        }
        let since = Instant::now();
        let mut child = self.spawn(&[OsStr::new("--ready-file"), ready_file.as_os_str()])?;
        let ended = eventually("the server is ready", async || match child.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            _ if ready_file.exists() => Some(None),
            _ => None,
        });
        if let Some(status) = ended.await {
            bail!("the server ended with {status}:\n{}", self.stderr());
        }
        let ready_after = since.elapsed();
        let announced = serde_json::from_slice(&fs::read(&ready_file)?).context("the ready file")?;
        Ok(Server { child, launch: self, announced, ready_after })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it cannot be started, or does not end.
    pub async fn run(self) -> Result<Ended> {
        let mut child = self.spawn(&[])?;
        let status = timeout(PATIENCE, child.wait()).await.context("it does not end")??;
        Ok(Ended { code: status.code(), stdout: self.stdout(), stderr: self.stderr() })
    }

    fn spawn(&self, more: &[&OsStr]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        for name in VARIABLES {
            command.env_remove(name);
        }
        command
            .args(&self.args)
            .args(more)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(File::create(self.folder().join("stdout.txt"))?)
            .stderr(File::create(self.folder().join("stderr.txt"))?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| self.program.display().to_string())
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.folder().join("stdout.txt")).unwrap_or_default()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.folder().join("stderr.txt")).unwrap_or_default()
    }
}
