//! The server that a suite runs against: built once, started for each suite on free ports and an empty folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::program::{Tells, asked, cargo, must, run as run_program};
use super::report::Counts;
use super::{Language, Options, rust};
use crate::workspace::Workspace;

/// Until it listens. It takes milliseconds; a machine under load may need longer.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Until it ends when it is asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// Builds the binary; its path. If PLACET_BIN names one, that is tested instead: what was installed or packed, say.
///
/// # Errors
///
/// If it does not build.
pub(super) fn build(options: &Options, workspace: &Workspace) -> Result<(Counts, PathBuf)> {
    if let Some(given) = std::env::var_os("PLACET_BIN") {
        return Ok((Counts::PASSED, std::path::absolute(given)?));
    }
    let build = || must(cargo(&["build", "--package", "placet"]).args(options.release.then_some("--release")));
    if (options.wants(Language::Rust) || options.wants(Language::All)) && !options.release {
        // The tests in Rust have built it, with its dependencies as the whole workspace wants them: there is little to
        // do, unless some crate did not build.
        must(cargo(&rust::TESTS).args(["--no-run", "--quiet"])).or_else(|_| build())?;
    } else {
        build()?;
    }
    let profile = if options.release { "release" } else { "debug" };
    let binary = workspace.target.join(profile).join(format!("placet{}", std::env::consts::EXE_SUFFIX));
    Ok((Counts::PASSED, binary))
}

/// A running server. It is killed if nobody stops it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    binary: PathBuf,
    folder: PathBuf,
    grpc: String,
    http: String,
}

impl Server {
    /// Starts one for the suite `name`, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it ends at once or is not ready in time, with what it said.
    pub(super) fn start(name: &str, binary: Option<&Path>, workspace: &Workspace) -> Result<Server> {
        let binary = binary.context("there is no server to test")?.to_owned();
        let folder = workspace.target.join("tests").join(format!("server-for-{name}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let ready = folder.join("ready.json");
        let child = Command::new(&binary)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("placet.log"))?)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let mut server = Server { child, binary, folder, grpc: String::new(), http: String::new() };
        let is_up = |server: &mut Server| Ok(ready.exists() || server.child.try_wait()?.is_some());
        if !server.becomes(is_up, READY_WITHIN)? || !ready.exists() {
            bail!("the server is not ready:\n{}", server.log());
        }
        let addresses: Value = serde_json::from_slice(&fs::read(&ready)?)?;
        let address = |field: &str| Ok::<_, anyhow::Error>(addresses[field].as_str().context("an address")?.to_owned());
        (server.grpc, server.http) = (address("grpc")?, address("http")?);
        Ok(server)
    }

    /// Runs a suite against one that is started for it, and is asked to end afterwards.
    ///
    /// # Errors
    ///
    /// If the server or the suite cannot be started.
    pub(super) fn try_with(
        name: &str,
        binary: Option<&Path>,
        workspace: &Workspace,
        suite: &mut Command,
        tells: Tells,
    ) -> Result<Counts> {
        let server = Server::start(name, binary, workspace)?;
        server.tell(suite);
        let mut counts = run_program(suite, tells)?;
        counts += server.stop()?;
        Ok(counts)
    }

    /// Tells a suite where the server is.
    pub(super) fn tell(&self, suite: &mut Command) {
        suite.env("PLACET_BIN", &self.binary).env("PLACET_GRPC", &self.grpc).env("PLACET_HTTP", &self.http);
    }

    /// Asks it to end, which it must do in good order: one more check of the suite.
    ///
    /// # Errors
    ///
    /// If it cannot be asked.
    pub(super) fn stop(mut self) -> Result<Counts> {
        if let Some(status) = self.child.try_wait()? {
            crate::say(format_args!("the server ended during the tests ({status}):\n{}", self.log()));
            return Ok(Counts::FAILED);
        }
        if asked("kill", &["-TERM", &self.child.id().to_string()]).is_none() {
            // Windows has no such signal, and the server is killed when it is dropped.
            return Ok(Counts::default());
        }
        let has_ended = |server: &mut Server| Ok(server.child.try_wait()?.is_some());
        let in_good_order = self.becomes(has_ended, ENDS_WITHIN)? && self.child.wait()?.success();
        if !in_good_order {
            crate::say(format_args!("the server did not end in good order:\n{}", self.log()));
            return Ok(Counts::FAILED);
        }
        fs::remove_dir_all(&self.folder)?;
        Ok(Counts::PASSED)
    }

    /// Waits until something is so; whether it is in time.
    fn becomes(&mut self, is_so: impl Fn(&mut Server) -> Result<bool>, within: Duration) -> Result<bool> {
        let end = Instant::now() + within;
        while !is_so(self)? {
            if Instant::now() > end {
                return Ok(false);
            }
            // Between two looks at another process, which cannot be waited for with a limit.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(true)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("placet.log")).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
