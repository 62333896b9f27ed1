//! Where more load brings no more speed, and how fast an answer comes well below that.

use std::time::Duration;

use anyhow::Result;

use super::Settings;
use crate::case::{Arrivals, Case, Measured, Way};
use crate::report::{Section, Table, ms};

pub(super) const TITLE: &str = "The knee";

const WAYS: [Way; 5] = [Way::ApprovalHttp, Way::ApprovalGrpc, Way::ApprovalRaw, Way::SequenceGrpc, Way::SequenceRaw];

const CALLERS: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The knee is the fewest callers with whom this much of the highest speed is reached.
const KNEE: f64 = 0.9;

const ABOUT: &str = "\
Closed loop: each caller begins a unit when the last one has ended; p50 and p99 of whole units. The **knee** is the
fewest callers with whom nine tenths of the highest speed are reached. Below: approvals that come at a steady pace, a
quarter of the knee's speed, and the time from decision to outcome.";

pub(super) fn run(settings: &Settings) -> Result<Section> {
    let callers = settings.pick(CALLERS.to_vec(), vec![1, 8]);
    let window = settings.window.min(Duration::from_millis(1_500));
    let mut speed = Table::new(&["case", "callers", "a second", "p50 ms", "p99 ms", "commits", ""]);
    let mut knees = Vec::new();
    for way in WAYS {
        let run = |callers: &usize| {
            let arrivals = Arrivals::Callers(*callers);
            let case = Case { way, arrivals, warm_up: settings.warm_up / 2, window, limits: false };
            Ok((*callers, case.run(&settings.data_dir)?))
        };
        let measured: Vec<(usize, Measured)> = callers.iter().map(run).collect::<Result<_>>()?;
        let knee = knee_of(&measured);
        for (at, (callers, measured)) in measured.iter().enumerate() {
            let [p50, p99] = measured.load.wholes([0.5, 0.99]).map(ms);
            let commits = measured.commits.count as f64 / measured.load.count();
            let per_second = format!("{:.0}", measured.load.per_second());
            let mark = if at == knee { "knee" } else { "" };
            let name = way.name().to_owned();
            speed.row(vec![name, callers.to_string(), per_second, p50, p99, format!("{commits:.2}"), mark.to_owned()]);
        }
        knees.push((way, measured[knee].1.load.per_second()));
    }
    let mut calm =
        Table::new(&["at a quarter of the knee", "a second", "decided p50 ms", "p90 ms", "p99 ms", "CPU ms"]);
    for (way, per_second) in knees {
        if matches!(way, Way::ApprovalHttp | Way::ApprovalGrpc | Way::ApprovalRaw) {
            calm.row(at_a_quarter(settings, way, per_second / 4.0)?);
        }
    }
    Ok(Section { title: TITLE, about: ABOUT.to_owned(), tables: vec![speed, calm] })
}

fn knee_of(measured: &[(usize, Measured)]) -> usize {
    let speeds: Vec<f64> = measured.iter().map(|(_, measured)| measured.load.per_second()).collect();
    let highest = speeds.iter().copied().fold(0.0, f64::max);
    speeds.iter().position(|speed| *speed >= KNEE * highest).unwrap_or(0)
}

fn at_a_quarter(settings: &Settings, way: Way, per_second: f64) -> Result<Vec<String>> {
    let Settings { warm_up, window, .. } = *settings;
    let case = Case { way, arrivals: Arrivals::Paced(per_second), warm_up, window, limits: false };
    let load = case.run(&settings.data_dir)?.load;
    let [p50, p90, p99] = load.decisions([0.5, 0.9, 0.99]).unwrap_or_default().map(ms);
    let cpu = load.cpu.total().unwrap_or_default().as_secs_f64() * 1e3 / load.count();
    Ok(vec![way.name().to_owned(), format!("{:.0}", load.per_second()), p50, p90, p99, format!("{cpu:.2}")])
}
