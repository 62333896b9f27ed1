//! The project's own chores: `cargo xtask <task>`. Each task is a module; here is only the list.

use anyhow::{Result, bail};

mod codegen;

const USAGE: &str = "usage: cargo xtask <task>

  codegen [--check]   Rust from proto/; with --check, only says which files are out of date";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) =
        args.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    match task {
        "codegen" => codegen::run(rest),
        "" => bail!("{USAGE}"),
        unknown => bail!("there is no task `{unknown}`\n\n{USAGE}"),
    }
}

/// The root of the workspace.
fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
