//! How far an operation is: a bar on a terminal, else a line now and then, on stderr.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use placet_sdk::bulk::BulkOperation;

use super::tell;

/// How often a line tells of it where no bar is drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The bar, or when the next line is due.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines(Instant),
}

impl Progress {
    pub(super) fn new(operation: &BulkOperation) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::Lines(Instant::now() + LINE_EVERY);
        }
        let style = "{bar:40} {pos} of {len} ({percent} %), {per_sec}, {eta} left{msg}";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(operation.total), ProgressDrawTarget::stderr());
        Progress::Bar(bar.with_style(style))
    }

    /// It stands so now.
    pub(super) fn at(&mut self, operation: &BulkOperation) {
        let come_to = come_to(operation);
        match self {
            Progress::Bar(bar) => {
                bar.set_length(operation.total.max(come_to));
                bar.set_position(come_to);
                if operation.failed > 0 {
                    bar.set_message(format!(", {} failed", operation.failed));
                }
            }
            Progress::Lines(due) if Instant::now() >= *due => {
                *due = Instant::now() + LINE_EVERY;
                let least = if operation.total_is_least { "at least " } else { "" };
                tell(&format!("{come_to} of {least}{}, {} failed", operation.total, operation.failed));
            }
            Progress::Lines(_) => {}
        }
    }

    /// It is over, and the bar makes room for what is said of it.
    pub(super) fn end(self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How many instances it has come to.
fn come_to(operation: &BulkOperation) -> u64 {
    operation.done + operation.skipped + operation.failed
}
