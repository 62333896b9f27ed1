//! `cargo xtask tidy`: the house rules that no lint knows. A remark made twice in review becomes a check with its reason.
//!
//! A rule looks at one file, or at the arrows between crates, and returns findings; it reads nothing itself.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

mod arrows;
mod files;
mod links;
mod names;
mod waits;

/// Looks at the whole repository and prints what is wrong.
///
/// # Errors
///
/// A file that cannot be read.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if !args.is_empty() {
        bail!("usage: cargo xtask tidy");
    }
    let files = read_all(crate::root())?;
    let mut findings = arrows::check(&Workspace::load()?.packages);
    for file in &files {
        findings.extend(files::check(file));
        findings.extend(names::check(file));
        findings.extend(waits::check(file));
        findings.extend(links::check(file, &files, &|path| crate::root().join(path).exists()));
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let failures = findings.iter().filter(|finding| finding.is_failure).count();
    for finding in &findings {
        crate::say(finding);
    }
    crate::say(format_args!("tidy: {} files, {failures} to mend", files.len()));
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file of text, by its path below the root with `/` between its parts.
#[derive(Debug)]
struct TextFile {
    path: String,
    text: String,
}

impl TextFile {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.strip_suffix(extension).is_some_and(|rest| rest.ends_with('.'))
    }

    /// Written by a program, so that only the program can be tidy.
    fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// These files hold what they forbid.
    fn is_about_tidiness(&self) -> bool {
        self.path.starts_with("xtask/src/tidy")
    }
}

/// Something that a rule found, with the rule's reason.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// 0: the file as a whole.
    line: usize,
    what: String,
    why: &'static str,
    /// A finding that is none is only told.
    is_failure: bool,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, why: &'static str) -> Finding {
        Finding { path: path.to_owned(), line, what: what.into(), why, is_failure: true }
    }

    fn only_told(self) -> Finding {
        Finding { is_failure: false, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, what, why, is_failure } = self;
        let kind = if *is_failure { "" } else { "note: " };
        match line {
            0 => write!(f, "{path}: {kind}{what} ({why})"),
            line => write!(f, "{path}:{line}: {kind}{what} ({why})"),
        }
    }
}

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 7] = [".git", "target", "node_modules", ".venv", "venv", "__pycache__", "placet-data"];

/// What is written by hand, or could be.
const EXTENSIONS: [&str; 13] =
    ["rs", "toml", "md", "proto", "py", "js", "sql", "html", "css", "sh", "yaml", "yml", "txt"];

fn read_all(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_ref()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ext| EXTENSIONS.iter().any(|known| ext == *known)) {
                let below = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                files.push(TextFile { path: below, text: fs::read_to_string(&path)? });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
fn file(path: &str, text: &str) -> TextFile {
    TextFile { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_why() {
        let finding = Finding::new("a/b.rs", 3, "bad", "since it is");
        assert_eq!(finding.to_string(), "a/b.rs:3: bad (since it is)");
        let note = Finding::new("a/b.rs", 0, "long", "since it is").only_told();
        assert_eq!(note.to_string(), "a/b.rs: note: long (since it is)");
    }

    #[test]
    fn this_repository_is_read_without_what_is_not_ours() {
        let files = read_all(crate::root()).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
        assert!(!files.iter().any(|file| file.path.contains("target/") || file.path.contains("node_modules/")));
    }
}
