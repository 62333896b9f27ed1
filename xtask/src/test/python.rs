//! Microsoft's Python SDK against our server: `crates/placet/tests/sdk/python`, with pytest in an environment of its
//! own below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::program::{Tells, asked, must};
use super::report::Counts;
use super::server::Server;
use super::{Options, debian};
use crate::workspace::Workspace;

const SUITE: &str = "crates/placet/tests/sdk/python";
const INTERPRETERS: [&str; 6] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"];
/// Below it, packages that we pin do not install.
const IS_NEW_ENOUGH: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

/// Installs what the suite needs, unless it is there, and runs it.
///
/// # Errors
///
/// If something cannot be installed or started.
pub(super) fn run(options: &Options, workspace: &Workspace, binary: Option<&Path>) -> Result<Counts> {
    let suite = crate::root().join(SUITE);
    let python = installed(workspace)?;
    let mut pytest = Command::new(python);
    pytest.current_dir(&suite).args(["-m", "pytest", "-p", "no:cacheprovider"]);
    if options.long {
        pytest.args(["-m", ""]);
    }
    Server::try_with("python", binary, workspace, pytest.env("PYTHONDONTWRITEBYTECODE", "1"), Tells::Pytest)
}

/// The interpreter of an environment in which exactly what the suite requires is installed.
///
/// # Errors
///
/// If it cannot be installed.
pub(super) fn installed(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = &crate::root().join(SUITE).join("requirements.txt");
    let environment = &workspace.target.join("tests/python");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = fs::read_to_string(requirements)?;
    let stamp = environment.join("installed.txt");
    let is_there = fs::read_to_string(&stamp).is_ok_and(|there| there == wanted);
    if is_there && asked(&python.to_string_lossy(), &["--version"]).is_some() {
        return Ok(python);
    }
    let interpreter = interpreter()?;
    let create = || must(Command::new(interpreter).args(["-m", "venv", "--clear"]).arg(environment));
    // Debian has the module `venv` without what it needs, in a package apart.
    create().or_else(|_| debian::install(&["python3-venv"]).and_then(|()| create()))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    must(&mut pip)?;
    fs::write(stamp, wanted)?;
    Ok(python)
}

fn interpreter() -> Result<&'static str> {
    let find = || INTERPRETERS.into_iter().find(|name| asked(name, &["-c", IS_NEW_ENOUGH]).is_some());
    if let Some(interpreter) = find() {
        return Ok(interpreter);
    }
    debian::install(&["python3", "python3-venv"]).context("the suite needs Python 3.11 or newer")?;
    find().context("the suite needs Python 3.11 or newer")
}
