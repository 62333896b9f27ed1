//! Microsoft's Java SDK against our server: `crates/placet/tests/sdk/java`, with Maven and JUnit.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use super::program::{Tells, asked};
use super::report::Counts;
use super::server::Server;
use crate::workspace::Workspace;

const SUITE: &str = "crates/placet/tests/sdk/java";
const MISSING: &str = "the suite needs a Java development kit of 17 or newer, and Maven";

/// Installs what the suite needs, unless it is there, and runs it.
///
/// # Errors
///
/// If something cannot be installed or started.
pub(super) fn run(workspace: &Workspace, binary: Option<&Path>) -> Result<Counts> {
    let is_there = || asked("javac", &["-version"]).is_some() && asked("mvn", &["--version"]).is_some();
    if !is_there() {
        debian::install(&["openjdk-17-jdk-headless", "maven"]).context(MISSING)?;
    }
    is_there().then_some(()).context(MISSING)?;
    let mut maven = Command::new("mvn");
    let build = format!("-DbuildDirectory={}", workspace.target.join("tests/java").display());
    maven.current_dir(crate::root().join(SUITE)).args(["--batch-mode", "--no-transfer-progress", &build, "test"]);
    Server::try_with("java", binary, workspace, &mut maven, Tells::Maven)
}
