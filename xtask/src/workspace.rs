//! What cargo knows of the workspace: its packages, what they depend on, where they are built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The workspace, as its manifests describe it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target: PathBuf,
}

/// One of our crates.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder's path below the root, with `/` between its parts.
    pub(crate) folder: String,
    /// The names of what it needs to be built: no dev- or build-dependencies.
    pub(crate) needs: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// A manifest that cargo does not understand.
    pub(crate) fn load() -> Result<Workspace> {
        let output = Command::new(env!("CARGO"))
            .current_dir(crate::root())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            bail!("cargo metadata failed");
        }
        parse(&serde_json::from_slice(&output.stdout)?)
    }
}

fn parse(metadata: &Value) -> Result<Workspace> {
    let root = PathBuf::from(text(metadata, "workspace_root")?);
    let packages = list(metadata, "packages")?
        .iter()
        .map(|package| {
            let manifest = PathBuf::from(text(package, "manifest_path")?);
            let folder = manifest.parent().and_then(|folder| folder.strip_prefix(&root).ok());
            Ok(Package {
                name: text(package, "name")?.to_owned(),
                folder: folder.context("outside of the workspace")?.to_string_lossy().replace('\\', "/"),
                needs: list(package, "dependencies")?
                    .iter()
                    .filter(|dependency| dependency["kind"].is_null())
                    .map(|dependency| Ok(text(dependency, "name")?.to_owned()))
                    .collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Workspace { packages, target: text(metadata, "target_directory")?.into() })
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str> {
    value[field].as_str().with_context(|| format!("cargo metadata has no `{field}`"))
}

fn list<'v>(value: &'v Value, field: &str) -> Result<&'v Vec<Value>> {
    value[field].as_array().with_context(|| format!("cargo metadata has no `{field}`"))
}
