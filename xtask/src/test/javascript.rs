//! Microsoft's JavaScript SDK against our server: `crates/placet/tests/sdk/javascript`, with node's own test runner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use super::program::{Tells, asked, must};
use super::report::Counts;
use super::server::Server;
use crate::workspace::Workspace;

const SUITE: &str = "crates/placet/tests/sdk/javascript";
/// The first node with all that the suite and the SDK use.
const NODE_MIN: u32 = 20;
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Installs what the suite needs, unless it is there, and runs it.
///
/// # Errors
///
/// If something cannot be installed or started.
pub(super) fn run(workspace: &Workspace, binary: Option<&Path>) -> Result<Counts> {
    let suite = install()?;
    let mut node = Command::new("node");
    node.current_dir(&suite).args(["--test", "--test-concurrency=4", "--test-reporter=spec"]);
    Server::try_with("javascript", binary, workspace, &mut node, Tells::Node)
}

fn missing() -> String {
    format!("the suite needs node {NODE_MIN} or newer, with npm")
}

/// Whether node and npm are there, and new enough.
fn is_there() -> bool {
    let version = asked("node", &["--version"]).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= NODE_MIN) && asked(NPM, &["--version"]).is_some()
}

/// Installs exactly what the lockfile says, unless it is there; the suite's folder.
///
/// # Errors
///
/// If it cannot be installed.
pub(super) fn install() -> Result<PathBuf> {
    let suite = crate::root().join(SUITE);
    if !is_there() {
        debian::install(&["nodejs", "npm"]).context(missing())?;
    }
    is_there().then_some(()).with_context(missing)?;
    let wanted = fs::read_to_string(suite.join("package-lock.json"))?;
    let stamp = suite.join("node_modules/.installed.json");
    if !fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        must(Command::new(NPM).args(["ci", "--loglevel=error"]).current_dir(&suite))?;
        fs::write(stamp, wanted)?;
    }
    Ok(suite)
}
