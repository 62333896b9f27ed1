//! `cargo xtask test`: all that must hold, one part after another. A part that fails stops no other, so that one run
//! tells everything; the table at the end says what each part took.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use report::Report;

mod crashes;
mod debian;
mod go;
mod instructions;
mod java;
mod javascript;
mod program;
mod python;
mod report;
mod rust;
mod server;

const USAGE: &str = "usage: cargo xtask test [--only rust|python|javascript|java|go|crashes] [--long] [--release]

  --only LANGUAGE  the parts of one language, or what needs all of them: the crashes; may be given more than once
  --long           also the tests that take minutes, and more seeds
  --release        the SDKs' suites against the server as it ships, instead of the one that `cargo test` built

The environment variable PLACET_BIN names another server for the suites; none is built then.";

/// Runs what `args` ask for, by default everything.
///
/// # Errors
///
/// An unknown argument. What fails in a part is in the report, and the exit code says so.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    let workspace = Workspace::load()?;
    let mut report = Report::default();
    if options.wants(Language::Rust) {
        rust::check(&options, &workspace, &mut report);
    }
    let others = [Language::Python, Language::JavaScript, Language::Java, Language::Go, Language::All];
    if others.iter().any(|&language| options.wants(language)) {
        let binary = report.part("server", || server::build(&options, &workspace));
        if options.wants(Language::Python) {
            report.part("python", || python::run(&options, &workspace, binary.as_deref()));
        }
        if options.wants(Language::JavaScript) {
            report.part("javascript", || javascript::run(&workspace, binary.as_deref()));
        }
        if options.wants(Language::Java) {
            report.part("java", || java::run(&workspace, binary.as_deref()));
        }
        if options.wants(Language::Go) {
            report.part("go", || go::run(&workspace, binary.as_deref()));
        }
        if options.wants(Language::All) {
            report.part("crashes", || crashes::run(&workspace, binary.as_deref()));
        }
    }
    if options.wants(Language::Rust) {
        rust::simulate(&options, &mut report);
        report.part("instructions", || instructions::check(&workspace));
        report.part("benchmarks", rust::measure_quickly);
    }
    crate::say(&report);
    Ok(if report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) use instructions::run as instructions;

/// What the tests of a part are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    JavaScript,
    Java,
    Go,
    /// All of them at once.
    All,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Empty: all.
    only: Vec<Language>,
    long: bool,
    release: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match arg {
                "--only" => options.only.push(language(args.next().unwrap_or_default())?),
                "--long" => options.long = true,
                "--release" => options.release = true,
                unknown => match unknown.strip_prefix("--only=") {
                    Some(name) => options.only.push(language(name)?),
                    None => bail!("`{unknown}` is unknown\n\n{USAGE}"),
                },
            }
        }
        Ok(options)
    }

    fn wants(&self, language: Language) -> bool {
        self.only.is_empty() || self.only.contains(&language)
    }
}

fn language(name: &str) -> Result<Language> {
    Ok(match name {
        "rust" => Language::Rust,
        "python" => Language::Python,
        "javascript" => Language::JavaScript,
        "java" => Language::Java,
        "go" => Language::Go,
        "crashes" => Language::All,
        unknown => bail!("there are no tests in `{unknown}`\n\n{USAGE}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_arguments_everything_is_wanted() {
        let options = parsed(&[]).unwrap();
        for language in [Language::Rust, Language::Python, Language::JavaScript, Language::All] {
            assert!(options.wants(language), "{language:?}");
        }
        assert!(!options.long && !options.release);
    }

    #[test]
    fn only_leaves_the_others_out() {
        let options = parsed(&["--only", "python", "--long", "--only=rust"]).unwrap();
        assert!(options.wants(Language::Python) && options.wants(Language::Rust));
        assert!(!options.wants(Language::JavaScript) && !options.wants(Language::All));
        assert!(options.long);
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_usage() {
        for args in [&["--only", "cobol"][..], &["--only"], &["--fast"], &["python"]] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains("usage: cargo xtask test"), "{error}");
        }
    }
}
