//! `cargo xtask instructions`: how many instructions the hot paths take, against what is accepted
//! (`bench/instructions.toml`). Valgrind counts them, so that it matters neither what else the machine does nor, but for a
//! percent, which machine it is. As it ships: assertions that only tests have must not be counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

use super::debian;
use super::program::{asked, cargo, must};
use super::report::Counts;
use crate::workspace::Workspace;

const USAGE: &str = "usage: cargo xtask instructions [--accept REASON]

  --accept REASON  write the counts that have moved into bench/instructions.toml, each with this reason";

const ACCEPTED: &str = "bench/instructions.toml";

/// A count is taken of so many units, and of so many; the difference is free of what happens only once.
const UNITS: (u32, u32) = (20, 120);

/// Growth beyond this, in per cent, is a failure; as much less is worth writing down.
const TOLERANCE: f64 = 5.0;

const HEAD: &str = "\
# Instructions a unit of each hot path (bench/instructions/src/), counted by `cargo xtask instructions`. CI fails if one of
# them grows by more than 5 %. A change is accepted with its reason: `cargo xtask instructions --accept \"why\"`.
";

/// Counts, compares, and accepts if it is told to.
///
/// # Errors
///
/// An unknown argument, or if something cannot be built, installed or run.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let reason = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["--accept", reason] if !reason.trim().is_empty() => Some(reason),
        _ => bail!("{USAGE}"),
    };
    let counts = count_all(&Workspace::load()?)?;
    let path = crate::root().join(ACCEPTED);
    let accepted = Accepted::parse(&std::fs::read_to_string(&path).unwrap_or_default())?;
    let verdict = accepted.compare(&counts);
    match reason {
        Some(reason) => {
            std::fs::write(&path, accepted.with(&counts, reason).text())?;
            Ok(ExitCode::SUCCESS)
        }
        None if verdict.failed > 0 => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Counts and compares: a check for each hot path.
///
/// # Errors
///
/// If something cannot be built, installed or run.
pub(super) fn check(workspace: &Workspace) -> Result<Counts> {
    let counts = count_all(workspace)?;
    Ok(Accepted::parse(&std::fs::read_to_string(crate::root().join(ACCEPTED))?)?.compare(&counts))
}

type Instructions = BTreeMap<String, u64>;

fn count_all(workspace: &Workspace) -> Result<Instructions> {
    must(&mut cargo(&["build", "--quiet", "--release", "--package", "placet-instructions"]))?;
    let program = workspace.target.join("release").join(format!("placet-instructions{}", std::env::consts::EXE_SUFFIX));
    if asked("valgrind", &["--version"]).is_none() {
        // The second tells valgrind of the C library's functions, some of which it replaces.
        debian::install(&["valgrind", "libc6-dbg"])?;
    }
    let names = asked(&program.to_string_lossy(), &[]).context("the hot paths have no names")?;
    let (few, many) = UNITS;
    let one = |name: &str| {
        let more = count(&program, name, many)?.saturating_sub(count(&program, name, few)?);
        Ok((name.to_owned(), more / u64::from(many - few)))
    };
    names.lines().map(one).collect()
}

fn count(program: &Path, name: &str, units: u32) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    let output = valgrind.arg(program).args([name, &units.to_string()]).output().context("valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} under valgrind:\n{said}");
    refs(&said).with_context(|| format!("valgrind says no count:\n{said}"))
}

/// The number in `==7== I refs:        1,234,567`.
fn refs(said: &str) -> Option<u64> {
    let (_, number) =
        said.lines().find_map(|line| line.split_once("refs:").filter(|(head, _)| head.contains(" I ")))?;
    number.trim().replace(',', "").parse().ok()
}

/// What is accepted, with the reasons.
#[derive(Debug, Default, PartialEq)]
struct Accepted(BTreeMap<String, (u64, String)>);

impl Accepted {
    /// Lines such as `core-approval = 12345 # first measured`.
    fn parse(text: &str) -> Result<Accepted> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let entry = |line: &str| {
            let (name, rest) = line.split_once('=')?;
            let (number, reason) = rest.split_once('#').unwrap_or((rest, ""));
            let number = number.trim().replace('_', "").parse().ok()?;
            Some((name.trim().to_owned(), (number, reason.trim().to_owned())))
        };
        let entries = lines.map(|line| entry(line).with_context(|| format!("{ACCEPTED}: {line}")));
        Ok(Accepted(entries.collect::<Result<_>>()?))
    }

    /// A check for each: it has not grown.
    fn compare(&self, counts: &Instructions) -> Counts {
        let mut verdict = Counts::default();
        crate::say(format_args!("{:<36} {:>12} {:>12}", "instructions a unit", "accepted", "now"));
        for (name, now) in counts {
            let Some((accepted, reason)) = self.0.get(name) else {
                crate::say(format_args!("{name:<36} {:>12} {now:>12}  is not accepted yet", ""));
                verdict += Counts::FAILED;
                continue;
            };
            let moved = change(*accepted, *now);
            let word = match moved {
                grown if grown > TOLERANCE => "  TOO MANY",
                shrunk if shrunk < -TOLERANCE => "  less: accept it, so that it stays so",
                _ => "",
            };
            crate::say(format_args!("{name:<36} {accepted:>12} {now:>12} {moved:>+7.1} %{word}  ({reason})"));
            verdict += if moved > TOLERANCE { Counts::FAILED } else { Counts::PASSED };
        }
        for name in self.0.keys().filter(|name| !counts.contains_key(*name)) {
            crate::say(format_args!(
                "{name:<36} is accepted and is not there: take it out of {ACCEPTED}, or put it back"
            ));
            verdict += Counts::FAILED;
        }
        if verdict.failed > 0 {
            crate::say("if it must be so: cargo xtask instructions --accept \"why\"");
        }
        verdict
    }

    /// With what has moved; the rest stays, with its reason.
    fn with(&self, counts: &Instructions, reason: &str) -> Accepted {
        let entry = |(name, now): (&String, &u64)| {
            let old = self.0.get(name).filter(|(accepted, _)| change(*accepted, *now).abs() < 1.0);
            (name.clone(), old.cloned().unwrap_or((*now, reason.to_owned())))
        };
        Accepted(counts.iter().map(entry).collect())
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, (count, reason)) in &self.0 {
            writeln!(text, "{name} = {count} # {reason}").expect("a string takes all");
        }
        text
    }
}

/// In per cent.
fn change(from: u64, to: u64) -> f64 {
    (to as f64 / from.max(1) as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Instructions {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn growth_fails_and_less_does_not_and_what_is_not_known_fails() {
        let accepted = Accepted::parse("# head\na = 1_000 # first\nb = 1000\n").unwrap();
        let verdict = |pairs| accepted.compare(&counts(pairs));
        assert_eq!(verdict(&[("a", 1_049), ("b", 700)]), Counts { passed: 2, ..Counts::default() });
        assert_eq!(verdict(&[("a", 1_051), ("c", 1)]), Counts { failed: 3, ..Counts::default() }, "b is gone");
    }

    #[test]
    fn what_is_accepted_has_its_reason_and_what_has_not_moved_keeps_its_own() {
        let accepted = Accepted::parse("a = 1000 # first\nb = 1000 # first\ngone = 7 # first\n").unwrap();
        let after = accepted.with(&counts(&[("a", 1_002), ("b", 1_100)]), "a check more");
        assert_eq!(Accepted::parse(&after.text()).unwrap(), after);
        assert!(after.text().ends_with("a = 1000 # first\nb = 1100 # a check more\n"), "{}", after.text());
    }

    #[test]
    fn the_count_is_read_from_what_valgrind_says() {
        assert_eq!(refs("==1== Cachegrind\n==1== \n==1== I   refs:      6,242,061\n"), Some(6_242_061));
        assert_eq!(refs("==1== I refs:        12\n"), Some(12));
        assert_eq!(refs("==1== nothing\n"), None);
    }
}
