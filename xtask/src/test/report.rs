//! What each part came to: how many tests and checks passed and failed, and the minutes it took.

use std::fmt;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Tests and checks that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    /// What a test says that it could not try here; the test itself counts as passed.
    pub(super) skipped: u32,
}

impl Counts {
    /// One check that passed.
    pub(super) const PASSED: Counts = Counts { passed: 1, failed: 0, skipped: 0 };
    /// One check that failed.
    pub(super) const FAILED: Counts = Counts { passed: 0, failed: 1, skipped: 0 };
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// All parts that have run.
#[derive(Debug, Default)]
pub(super) struct Report {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    took: Duration,
    counts: Counts,
}

/// What a part brings back: its counts, and what a later part may need of it.
pub(super) trait Outcome {
    type Rest;
    fn split(self) -> (Counts, Self::Rest);
}

impl Outcome for Counts {
    type Rest = ();
    fn split(self) -> (Counts, ()) {
        (self, ())
    }
}

impl<T> Outcome for (Counts, T) {
    type Rest = T;
    fn split(self) -> (Counts, T) {
        self
    }
}

impl Report {
    /// Runs a part and notes what came of it. An error is a failure of the part, told and not passed on.
    pub(super) fn part<O: Outcome>(&mut self, name: &'static str, run: impl FnOnce() -> Result<O>) -> Option<O::Rest> {
        crate::say(format_args!("\n── {name} {}", "─".repeat(100 - name.len())));
        let start = Instant::now();
        let (counts, rest) = match run().map(Outcome::split) {
            Ok((counts, rest)) => (counts, Some(rest)),
            Err(error) => {
                crate::say(format_args!("{name}: {error:#}"));
                (Counts::FAILED, None)
            }
        };
        self.parts.push(Part { name, took: start.elapsed(), counts });
        rest
    }

    /// Whether anything failed.
    pub(super) fn has_failures(&self) -> bool {
        self.parts.iter().any(|part| part.counts.failed > 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<12} {:>7} {:>7} {:>7} {:>8}", "part", "passed", "failed", "skipped", "minutes")?;
        let (mut all, mut took) = (Counts::default(), Duration::ZERO);
        for part in &self.parts {
            let Counts { passed, failed, skipped } = part.counts;
            writeln!(f, "{:<12} {passed:>7} {failed:>7} {skipped:>7} {:>8.1}", part.name, minutes(part.took))?;
            all += part.counts;
            took += part.took;
        }
        if all.skipped > 0 {
            writeln!(f, "\n{} could not be tried here: see the lines that say SKIPPED", all.skipped)?;
        }
        write!(f, "\n{} passed, {} failed in {:.1} minutes", all.passed, all.failed, minutes(took))
    }
}

fn minutes(took: Duration) -> f64 {
    took.as_secs_f64() / 60.0
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn an_error_is_a_failed_part_and_the_next_one_runs() {
        let mut report = Report::default();
        assert_eq!(report.part("broken", || -> Result<Counts> { bail!("no") }), None);
        assert_eq!(report.part("fine", || Ok((Counts { passed: 3, ..Counts::default() }, "rest"))), Some("rest"));
        assert!(report.has_failures());
        let text = report.to_string();
        assert!(text.ends_with("3 passed, 1 failed in 0.0 minutes"), "{text}");
    }

    #[test]
    fn a_report_without_failures_has_none() {
        let mut report = Report::default();
        report.part("fine", || Ok(Counts::PASSED));
        assert!(!report.has_failures());
    }
}
