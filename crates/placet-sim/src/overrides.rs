//! What is changed of a seed's plan, and how that is written: in one word after `--with`, so that a run which was made
//! smaller can be repeated by pasting a line.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use placet_core::limits::Limits;

use crate::plan::{Kind, MILLISECOND, Plan};
use crate::struck::FaultKind;

/// The changes. The empty set changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Drawn from this plan.
    pub(crate) kind: Option<Kind>,
    /// Only these instances are started.
    pub(crate) instances: Option<BTreeSet<usize>>,
    /// The faults go on for so long, in milliseconds.
    pub(crate) span_ms: Option<u64>,
    /// These kinds of faults do not happen.
    pub(crate) without: BTreeSet<FaultKind>,
    /// The shard has as much room as in truth.
    pub(crate) roomy: bool,
    /// One worker is enough.
    pub(crate) one_worker: bool,
    /// Another course of the same run.
    pub(crate) course: u64,
}

/// A change that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnOverride(String);

impl fmt::Display for NotAnOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: no change of a plan", self.0)
    }
}

impl Overrides {
    /// Changes a plan.
    pub(crate) fn apply(&self, plan: &mut Plan) {
        for kind in &self.without {
            kind.switch_off(&mut plan.faults);
        }
        if let Some(span_ms) = self.span_ms {
            plan.span = span_ms * MILLISECOND;
        }
        if self.roomy {
            plan.limits = Limits::default();
        }
        if self.one_worker {
            plan.sticky_workers = plan.sticky_workers.min(1);
            plan.plain_workers = 1 - plan.sticky_workers;
        }
    }
}

/// Words, each a name and what it is to be, with semicolons between.
impl fmt::Display for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: Vec<String>| items.join(",");
        let words = [
            self.kind.map(|kind| format!("plan={}", name(kind))),
            self.instances
                .as_ref()
                .map(|kept| format!("instances={}", list(kept.iter().map(ToString::to_string).collect()))),
            self.span_ms.map(|span| format!("span={span}")),
            (!self.without.is_empty())
                .then(|| format!("without={}", list(self.without.iter().map(|kind| kind.name().to_owned()).collect()))),
            self.roomy.then(|| "roomy".to_owned()),
            self.one_worker.then(|| "one-worker".to_owned()),
            (self.course > 0).then(|| format!("course={}", self.course)),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(";"))
    }
}

impl FromStr for Overrides {
    type Err = NotAnOverride;

    fn from_str(text: &str) -> Result<Overrides, NotAnOverride> {
        let mut overrides = Overrides::default();
        for word in text.split(';').filter(|word| !word.is_empty()) {
            let wrong = || NotAnOverride(word.to_owned());
            match word.split_once('=').unwrap_or((word, "")) {
                ("plan", "mixed") => overrides.kind = Some(Kind::Mixed),
                ("plan", "sticky") => overrides.kind = Some(Kind::Sticky),
                ("instances", kept) => {
                    let kept: Result<_, _> = kept.split(',').map(str::parse).collect();
                    overrides.instances = Some(kept.map_err(|_| wrong())?);
                }
                ("span", span) => overrides.span_ms = Some(span.parse().map_err(|_| wrong())?),
                ("without", faults) => {
                    for fault in faults.split(',') {
                        overrides.without.insert(FaultKind::named(fault).ok_or_else(wrong)?);
                    }
                }
                ("roomy", "") => overrides.roomy = true,
                ("one-worker", "") => overrides.one_worker = true,
                ("course", course) => overrides.course = course.parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            }
        }
        Ok(overrides)
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Mixed => "mixed",
        Kind::Sticky => "sticky",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_pasted() {
        for text in
            ["", "plan=sticky", "instances=0,3;span=1500;without=doubled,crashes;roomy;one-worker;course=2", "roomy"]
        {
            assert_eq!(text.parse::<Overrides>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for text in ["instances=x", "without=rain", "plan=odd", "rommy", "roomy=1"] {
            assert!(text.parse::<Overrides>().is_err(), "{text}");
        }
    }
}
