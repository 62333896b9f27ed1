//! Packages that a bare machine may lack. On Debian and its kin, root installs them; anybody else is told.

use std::process::Command;

use anyhow::{Result, bail};

use super::program::{asked, must};

/// Installs packages.
///
/// # Errors
///
/// If this is not such a machine, or we are not root there, with the names of what is missing.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if asked("apt-get", &["--version"]).is_none() {
        bail!("install what Debian calls {names}");
    }
    if asked("id", &["-u"]).as_deref() != Some("0") {
        bail!("missing packages: sudo apt-get install {names}");
    }
    crate::say(format_args!("installing {names}"));
    must(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-qq", "--no-install-recommends"]).args(packages);
    must(install.env("DEBIAN_FRONTEND", "noninteractive"))
}
