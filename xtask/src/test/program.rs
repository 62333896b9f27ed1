//! Running a program of a part: what it prints is passed on line by line, and counted on the way.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::report::Counts;

/// How a program tells what passed and what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Only by its exit code: one check.
    ExitCode,
    /// As `cargo test` does, once for each program of tests.
    Cargo,
    /// As pytest does, in its last line.
    Pytest,
    /// As node's runner does, each number in a line of its own.
    Node,
    /// As Maven does, in the last line of its kind.
    Maven,
    /// As `go test -v` does, a line for each test.
    Go,
}

/// Runs it to its end, in the root of the workspace unless it says otherwise.
///
/// # Errors
///
/// If it cannot be started.
pub(super) fn run(command: &mut Command, tells: Tells) -> Result<Counts> {
    if command.get_current_dir().is_none() {
        command.current_dir(crate::root());
    }
    if tells == Tells::ExitCode {
        let status = command.stdin(Stdio::null()).status().with_context(|| name(command))?;
        return Ok(if status.success() { Counts::PASSED } else { Counts::FAILED });
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| name(command))?;
    let stdout = child.stdout.take().expect("it is piped");
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        crate::say(&line);
        tells.count(&line, &mut counts);
    }
    let is_fine = child.wait()?.success();
    if !is_fine && counts.failed == 0 {
        // It broke off before it could count.
        counts.failed = 1;
    }
    if is_fine && counts.passed == 0 {
        bail!("{} ended well without a single test", name(command));
    }
    Ok(counts)
}

/// Runs it, and takes any ending but a good one for an error.
///
/// # Errors
///
/// If it cannot be started or does not end well.
pub(super) fn must(command: &mut Command) -> Result<()> {
    match run(command, Tells::ExitCode)? {
        Counts::PASSED => Ok(()),
        _ => bail!("{} failed", name(command)),
    }
}

/// The cargo that runs us.
pub(super) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(args);
    command
}

/// What a program prints when asked a question; `None` if it is not there or does not know.
pub(super) fn asked(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn name(command: &Command) -> String {
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once(command.get_program().to_string_lossy()).chain(args).collect::<Vec<_>>().join(" ")
}

impl Tells {
    fn count(self, line: &str, counts: &mut Counts) {
        match self {
            Tells::ExitCode => {}
            Tells::Cargo => {
                counts.skipped += u32::from(line.contains("SKIPPED: "));
                if line.starts_with("test result: ") {
                    counts.passed += number_before(line, "passed");
                    counts.failed += number_before(line, "failed");
                }
            }
            Tells::Pytest => {
                let line = line.trim_matches(['=', ' ']);
                let is_last = line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" in ");
                if is_last {
                    counts.passed = number_before(line, "passed");
                    counts.failed = ["failed", "error", "errors"].iter().map(|word| number_before(line, word)).sum();
                }
            }
            Tells::Node => match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["ℹ" | "#", "pass", number] => counts.passed = number.parse().unwrap_or(0),
                ["ℹ" | "#", "fail" | "cancelled", number] => counts.failed += number.parse().unwrap_or(0),
                _ => {}
            },
            Tells::Maven => {
                let after = |word: &str| {
                    let number = line.split_once(word)?.1.split(',').next()?;
                    number.trim().parse::<u32>().ok()
                };
                // One for each class, which also tells its time, and one for all.
                if let Some(run) = after("Tests run:").filter(|_| !line.contains("Time elapsed")) {
                    counts.failed = after("Failures:").unwrap_or(0) + after("Errors:").unwrap_or(0);
                    counts.passed = run.saturating_sub(counts.failed);
                }
            }
            Tells::Go => {
                counts.passed += u32::from(line.starts_with("--- PASS: "));
                counts.failed += u32::from(line.starts_with("--- FAIL: "));
            }
        }
    }
}

/// The number before a word, as in `3 passed`; 0 if the word is not there.
fn number_before(line: &str, word: &str) -> u32 {
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(tells: Tells, text: &str) -> (u32, u32) {
        let mut counts = Counts::default();
        for line in text.lines() {
            tells.count(line, &mut counts);
        }
        (counts.passed, counts.failed)
    }

    #[test]
    fn each_program_of_tests_adds_to_cargos_count() {
        let text = "test a_claim ... ok\n\
            test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(counted(Tells::Cargo, text), (15, 2));
    }

    /// Without a line of its own: the harness writes the test's name first.
    #[test]
    fn what_a_test_could_not_try_is_counted() {
        let mut counts = Counts::default();
        Tells::Cargo.count("test a_full_disk ... SKIPPED: no disk could be mounted", &mut counts);
        assert_eq!(counts, Counts { skipped: 1, ..Counts::default() });
    }

    #[test]
    fn pytest_says_it_in_its_last_line() {
        assert_eq!(counted(Tells::Pytest, "..F.\n1 failed, 12 passed, 2 errors in 3.21s\n"), (12, 3));
        assert_eq!(counted(Tells::Pytest, "===== 12 passed, 1 warning in 61.00s (0:01:01) =====\n"), (12, 0));
        assert_eq!(counted(Tells::Pytest, "1 error in 0.10s\n"), (0, 1));
    }

    #[test]
    fn node_says_it_in_lines_of_their_own() {
        assert_eq!(counted(Tells::Node, "ℹ tests 15\nℹ pass 11\nℹ fail 3\nℹ cancelled 1\nℹ todo 0\n"), (11, 4));
    }

    #[test]
    fn a_program_that_breaks_off_has_failed_and_one_without_tests_is_an_error() {
        let broken = run(Command::new(env!("CARGO")).arg("no-such-command"), Tells::Cargo).unwrap();
        assert_eq!(broken, Counts::FAILED);
        assert!(run(Command::new(env!("CARGO")).arg("--version"), Tells::Cargo).is_err());
    }
}
