//! How it is said. Times of day are UTC, and have a date if it is not today's; how long something has lasted is cut to what
//! has passed, and what is left is rounded up.

use std::fmt::{self, Formatter, Write as _};
use std::time::Duration;

use super::{Cause, ChildWait, Evidence, Explanation, Stage};
use crate::clock::Doubt;
use crate::command::status_name;
use crate::time::Timestamp;

/// What an instance waits for, in one sentence.
pub(super) fn of(why: &Explanation) -> String {
    let (since, until) = (Since(why), Until(why));
    match &why.cause {
        Cause::Ended => {
            let status = status_name(why.status).to_lowercase();
            let at = why.since.map(|at| format!(" at {}", at.told(why.now))).unwrap_or_default();
            format!("has ended{at}: {status}")
        }
        Cause::ScheduledStart => {
            let at = why.until.map_or_else(|| "later".to_owned(), |until| format!("at {}", until.told(why.now)));
            format!("is to start {at}")
        }
        Cause::Suspended { reason, messages } => {
            let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!(
                "suspended{since}{reason}; {} until it is resumed",
                counted(*messages, "message waits", "messages wait")
            )
        }
        Cause::Events { names, more, near } => {
            let more = if *more > 0 { format!(" or {more} more") } else { String::new() };
            let near =
                near.as_ref().map(|(name, at)| format!("; {}", came_unread(name, *at, why.now))).unwrap_or_default();
            format!("waits for event {}{more}{since}{until}{near}", quoted(names, " or "))
        }
        Cause::SomeEvent => format!("waits for an event{since}, and its SDK does not tell which"),
        Cause::Timer { or_event: false } => format!("waits for a timer{since}{until}"),
        Cause::Timer { or_event: true } => {
            format!("waits for a timer{since}{until}, or for an event, if its code awaits one: its SDK does not tell")
        }
        Cause::Retry { name, attempt, attempts_max, error } => {
            let error = if error.is_empty() { "a failure" } else { error };
            let left = why.until.map(|until| format!(" in {}", left(why.now, until))).unwrap_or_default();
            match attempt {
                0 => format!("waits for a timer that it set after {error}{until}: a retry, as it seems"),
                _ => format!("retry {attempt} of {attempts_max} of `{name}`{left} after {error}"),
            }
        }
        Cause::Clock(doubt) => {
            let due = why.until.map(|due| format!(" due at {}", due.told(why.now))).unwrap_or_default();
            format!("waits for a timer{due}, and timers are held: {}", doubted(*doubt))
        }
        Cause::Turn(stage) => format!("next turn {}", staged(stage, None, why)),
        Cause::Activity { name, version, stage, more, .. } => {
            let more = if *more > 0 { format!(" (and {more} more)") } else { String::new() };
            format!("activity `{name}`{more} {}", staged(stage, version.as_deref(), why))
        }
        Cause::Child { id, name, child, more } => {
            let more = if *more > 0 { format!(" (and {more} more)") } else { String::new() };
            let child = match child {
                ChildWait::Unasked => String::new(),
                ChildWait::Absent => ": there is no such instance yet, or no more".to_owned(),
                ChildWait::Unreadable(what) => format!(": it cannot be read ({what})"),
                ChildWait::Known(child) if child.cause == Cause::Ended => {
                    format!(": it {}, and its result is on its way", child.sentence())
                }
                ChildWait::Known(child) => format!(": {}", child.sentence()),
            };
            format!("waits for child `{id}` (`{name}`){more}{since}{child}")
        }
        Cause::Telling(to) => format!("has a message for instance `{to}`, which could not be given to it yet"),
        Cause::DiskFull => "the disk is full: what comes of its work cannot be written".to_owned(),
        Cause::Nothing => {
            format!("awaits no event, timer, activity or child{since}: nothing can come that lets it go on")
        }
    }
}

/// How it is with a turn or an activity.
fn staged(stage: &Stage, version: Option<&str>, why: &Explanation) -> String {
    let since = Since(why);
    match stage {
        Stage::Running { worker, deliveries } => {
            let times = if *deliveries > 1 { format!(", delivered {deliveries} times") } else { String::new() };
            format!("runs{since} on worker {}{times}", worker_named(worker))
        }
        Stage::Lost { worker } => {
            let at = why.until.map(|until| format!(" at {}", until.told(why.now))).unwrap_or_default();
            format!(
                "is out{since} with worker {}, whose stream is gone; it goes to another one{at}",
                worker_named(worker)
            )
        }
        Stage::Delayed { failed, given_back } => {
            let left = why.until.map(|until| left(why.now, until)).unwrap_or_default();
            let what = match (failed, given_back) {
                (0, times) => format!("workers gave it back {}", counted(*times as usize, "time", "times")),
                (times, 0) => counted(*times as usize, "delivery failed", "deliveries failed"),
                (failed, times) => format!("{failed} deliveries failed and {times} were given back"),
            };
            format!("comes again in {left}: {what}")
        }
        Stage::SetAside => format!("was set aside{}: it failed its workers too often", ago(why)),
        Stage::NoWorker => format!("ready{since}; no worker is connected to task hub `{}`", why.hub),
        Stage::NoName { workers } => match workers {
            1 => format!("ready{since}; the one connected worker does not handle it"),
            _ => format!("ready{since}; none of the {workers} connected workers handles it"),
        },
        Stage::NoVersion { .. } => {
            let version =
                version.map_or_else(|| "without a version".to_owned(), |version| format!("at version {version}"));
            format!("ready{since}; no connected worker handles it {version}")
        }
        Stage::NoRoom { workers } => match workers {
            1 => format!("ready{since}; the one worker that handles it has as much as it takes"),
            _ => format!("ready{since}; all {workers} workers that handle it have as much as they take"),
        },
        Stage::HeldUp => {
            format!("ready{since}; the server gives out no more until its workers, or its disk, have kept up")
        }
        Stage::OnItsWay => format!("ready{since}; it is on its way to a worker"),
        Stage::TooMuchOpen { activities } => {
            format!("ready{since}; it waits until some of its {activities} open activities are done")
        }
    }
}

/// What else is known.
pub(super) fn evidence(evidence: &Evidence, f: &mut Formatter<'_>) -> fmt::Result {
    // Without a day to compare with, each time has its date.
    f.write_str(&evidence.told(Timestamp(i64::MIN)))
}

impl Evidence {
    /// It, said at this time.
    pub fn told(&self, now: Timestamp) -> String {
        match self {
            Evidence::Unread { name, at } => came_unread(name, *at, now),
            Evidence::NothingDone { name, at } => {
                format!("an event `{name}` came at {}, and its code did nothing then", at.told(now))
            }
            Evidence::Messages { count, events } => {
                let mut text = counted(*count, "message waits for its next turn", "messages wait for its next turn");
                for (name, at) in events {
                    write!(text, ", event `{name}` of {}", at.told(now)).expect("a string takes all");
                }
                text
            }
            Evidence::AlsoEvents(names) => format!("it awaits event {}, too", quoted(names, " or ")),
            Evidence::AlsoTimer(due) => format!("it awaits a timer due at {}, too", due.told(now)),
            Evidence::AlsoActivity { name, count: 1 } => format!("it awaits activity `{name}`, too"),
            Evidence::AlsoActivity { name, count } => format!("it awaits {count} activities, too, such as `{name}`"),
            Evidence::AlsoChild { id, count: 1 } => format!("it awaits child `{id}`, too"),
            Evidence::AlsoChild { id, count } => format!("it awaits {count} children, too, such as `{id}`"),
            Evidence::Unawaited { tasks, timers } => {
                let tasks = (*tasks > 0).then(|| counted(*tasks, "activity or child", "activities or children"));
                let timers = (*timers > 0).then(|| counted(*timers, "timer", "timers"));
                let open: Vec<String> = tasks.into_iter().chain(timers).collect();
                format!("open, and its code does not wait for it: {}", open.join(" and "))
            }
            Evidence::Untold => {
                "its SDK does not tell what its code awaits: this is what can be seen from outside".to_owned()
            }
            Evidence::Versions(versions) => {
                let named = |version: &String| if version.is_empty() { "none".to_owned() } else { version.clone() };
                let versions: Vec<String> = versions.iter().map(named).collect();
                format!("workers handle it at version {}", versions.join(", "))
            }
            Evidence::TimersHeld(doubt) => format!("timers are held: {}", doubted(*doubt)),
            Evidence::DiskFull => "the disk is full: what comes is refused".to_owned(),
            Evidence::VirtualTime => "the server's time is virtual: it stands until it is advanced".to_owned(),
        }
    }
}

impl Timestamp {
    /// As people read it who know that it is `now`: without the date if it is today's.
    fn told(self, now: Timestamp) -> String {
        let Ok(at) = jiff::Timestamp::from_microsecond(self.0) else { return format!("{} µs", self.0) };
        let is_today = self.0.div_euclid(DAY) == now.0.div_euclid(DAY);
        let date = if is_today { "" } else { "%Y-%m-%d " };
        let seconds = if self.0.rem_euclid(MINUTE) < SECOND { "" } else { ":%S" };
        at.strftime(&format!("{date}%H:%M{seconds} UTC")).to_string()
    }
}

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

struct Since<'a>(&'a Explanation);

impl fmt::Display for Since<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.since {
            Some(since) => write!(f, " since {}", lasted(self.0.now.since(since))),
            None => Ok(()),
        }
    }
}

struct Until<'a>(&'a Explanation);

impl fmt::Display for Until<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.until {
            Some(until) => write!(f, ", until {}", until.told(self.0.now)),
            None => Ok(()),
        }
    }
}

fn ago(why: &Explanation) -> String {
    why.since.map(|since| format!(" {} ago", lasted(why.now.since(since)))).unwrap_or_default()
}

/// How long something has lasted, in its two greatest units.
fn lasted(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (greater, unit, lesser, under) = match seconds {
        0 => return "under 1 s".to_owned(),
        1..60 => return format!("{seconds} s"),
        60..3_600 => (seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds / 60 % 60, "m"),
        _ => (seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    };
    if lesser == 0 { format!("{greater} {unit}") } else { format!("{greater} {unit} {lesser} {under}") }
}

/// How long it is until then.
fn left(now: Timestamp, until: Timestamp) -> String {
    let left = until.since(now);
    lasted(if left.subsec_micros() > 0 { Duration::from_secs(left.as_secs().saturating_add(1)) } else { left })
}

fn doubted(doubt: Doubt) -> String {
    match doubt {
        Doubt::Behind(by) => format!("the server's clock is {} behind what is stored", lasted(by)),
        Doubt::JumpedAhead(by) => format!("the server's clock jumped {} ahead", lasted(by)),
        Doubt::JumpedBack(by) => format!("the server's clock jumped {} back", lasted(by)),
    }
}

/// A worker by its name; one without a name is called by its stream.
fn worker_named(worker: &str) -> String {
    if worker.is_empty() || worker.starts_with("of stream ") { worker.to_owned() } else { format!("`{worker}`") }
}

fn came_unread(name: &str, at: Timestamp, now: Timestamp) -> String {
    format!("an event `{name}` came at {} and is unread", at.told(now))
}

fn quoted(names: &[String], joined_by: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(joined_by)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::OrchestrationStatus;

    use super::*;
    use crate::ids::{Hub, InstanceId};
    use crate::why::Remedy;

    const AT: Timestamp = Timestamp(17 * 60 * MINUTE);

    fn said(id: &str, cause: Cause, remedy: Remedy) -> Explanation {
        let status = if cause == Cause::Ended { OrchestrationStatus::Failed } else { OrchestrationStatus::Running };
        let (id, hub) = (InstanceId::new(id), Hub::new("default"));
        Explanation { id, hub, status, now: AT, cause, since: Some(AT), until: None, evidence: Vec::new(), remedy }
    }

    #[test]
    fn a_child_that_has_ended_is_no_longer_what_something_is_to_be_done_about() {
        let child = said("child", Cause::Ended, Remedy::Nothing);
        let (id, child) = (child.id.clone(), ChildWait::Known(Box::new(child)));
        let parent = said("parent", Cause::Child { id, name: "ship".into(), child, more: 2 }, Remedy::Wait);
        assert_eq!(
            parent.sentence(),
            "waits for child `child` (`ship`) (and 2 more) since under 1 s: it has ended at 17:00 UTC: failed, \
             and its result is on its way"
        );
        assert_eq!(parent.remedy(), (&parent.id, &Remedy::Wait));
    }

    #[test]
    fn times_have_a_date_on_another_day_and_seconds_where_there_are_any() {
        let told = |at: i64| Timestamp(at).told(AT);
        assert_eq!(told(AT.0), "17:00 UTC");
        assert_eq!(told(AT.0 + 5 * SECOND + 1), "17:00:05 UTC");
        assert_eq!(told(DAY - 1), "23:59:59 UTC");
        assert_eq!(told(DAY), "1970-01-02 00:00 UTC");
        assert_eq!(told(-SECOND), "1969-12-31 23:59:59 UTC");
        assert_eq!(told(i64::MAX), "9223372036854775807 µs");
    }

    #[test]
    fn what_has_passed_is_cut_and_what_is_left_is_rounded_up() {
        let table = [
            (0, "under 1 s", "under 1 s"),
            (1, "under 1 s", "1 s"),
            (999_999, "under 1 s", "1 s"),
            (59 * SECOND + 1, "59 s", "1 m"),
            (61 * SECOND, "1 m 1 s", "1 m 1 s"),
            (3 * 60 * MINUTE + 12 * MINUTE + 59 * SECOND, "3 h 12 m", "3 h 12 m"),
            (2 * DAY, "2 d", "2 d"),
            (49 * 60 * MINUTE, "2 d 1 h", "2 d 1 h"),
        ];
        for (micros, passed, to_come) in table {
            let duration = Duration::from_micros(u64::try_from(micros).unwrap());
            assert_eq!((lasted(duration), left(AT, AT.after(duration))), (passed.to_owned(), to_come.to_owned()));
        }
    }
}
