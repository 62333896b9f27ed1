//! `--retention`: for how long what has ended is kept, as people write it: `30d`, `failed=90d`, `billing:completed=365d`, `off`.

use std::time::Duration;

use placet_core::rows::OrchestrationStatus;
use placet_scheduler::{Retention, Scope};

/// For how long what has ended is kept if nobody says otherwise, as Azure's scheduler does.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The statuses, as they are written.
const STATUSES: [(&str, OrchestrationStatus); 4] = [
    ("completed", OrchestrationStatus::Completed),
    ("failed", OrchestrationStatus::Failed),
    ("terminated", OrchestrationStatus::Terminated),
    ("canceled", OrchestrationStatus::Canceled),
];

/// What is said of some instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    scope: Scope,
    /// Absent: for ever.
    kept_for: Option<Duration>,
    /// As it was written.
    text: String,
}

/// Reads `[HUB:][STATUS=]DURATION`, in which `off` is a duration, too: for ever.
///
/// # Errors
/// In words, what is wrong with the text.
pub(crate) fn term(text: &str) -> Result<Term, String> {
    let (hub, rest) = match text.split_once(':') {
        Some((hub, rest)) => (Some(hub.trim()), rest),
        None => (None, text),
    };
    let (status, kept_for) = match rest.split_once('=') {
        Some((status, kept_for)) => (Some(status.trim()), kept_for.trim()),
        None => (None, rest.trim()),
    };
    let hub = hub.map(placet_scheduler::hub_of).transpose().map_err(|error| error.to_string())?;
    let status = status.map(status_of).transpose()?;
    let kept_for = match kept_for {
        "off" => None,
        text => Some(placet_api::duration(text).map_err(|what| format!("{what} (or `off`: kept for ever)"))?),
    };
    if kept_for.is_some_and(|kept_for| kept_for < Duration::from_secs(1)) {
        return Err("at least 1s, or whoever waits for an end would find nothing; `off` keeps it for ever".to_owned());
    }
    Ok(Term { scope: Scope { hub, status }, kept_for, text: text.to_owned() })
}

fn status_of(text: &str) -> Result<OrchestrationStatus, String> {
    let named = STATUSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let names: Vec<&str> = STATUSES.iter().map(|(name, _)| *name).collect();
    named.map(|(_, status)| *status).ok_or_else(|| format!("{text:?} is no status; there are {}", names.join(", ")))
}

/// All that is said, together. What nothing is said of is kept for 30 days; in a temporary folder for ever, so that a test
/// whose clock goes on by a month loses nothing that it looks at.
///
/// # Errors
/// If two of them speak of the same.
pub(crate) fn all(terms: &[Term], ephemeral: bool) -> Result<Retention, String> {
    for (place, term) in terms.iter().enumerate() {
        if let Some(other) = terms[..place].iter().find(|other| other.scope == term.scope) {
            return Err(format!(
                "{:?} and {:?} speak of the same instances; leave one of them out",
                other.text, term.text
            ));
        }
    }
    let unsaid = if ephemeral { Retention::off() } else { Retention::of_all(KEPT_FOR) };
    Ok(terms.iter().fold(unsaid, |all, term| all.with(term.scope.clone(), term.kept_for)))
}

#[cfg(test)]
mod tests {
    use placet_core::ids::Hub;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn read(texts: &[&str], ephemeral: bool) -> Result<Retention, String> {
        let terms: Result<Vec<Term>, String> = texts.iter().map(|text| term(text)).collect();
        all(&terms?, ephemeral)
    }

    #[test]
    fn terms_are_read_as_people_write_them() {
        use OrchestrationStatus::{Completed, Failed};
        let texts = ["60d", "failed=90d", "billing:off", " billing : Completed = 1w "];
        let retention = read(&texts, false).unwrap();
        let kept_for = |hub, status| retention.kept_for(&Hub::new(hub), status);
        assert_eq!(kept_for("default", Completed), Some(60 * DAY));
        assert_eq!(kept_for("default", Failed), Some(90 * DAY));
        assert_eq!(kept_for("billing", Completed), Some(7 * DAY));
        assert_eq!(kept_for("billing", Failed), None);
    }

    #[test]
    fn it_is_thirty_days_unless_the_data_is_temporary_or_something_is_said() {
        use OrchestrationStatus::{Canceled, Completed, Failed, Terminated};
        let default = Hub::new("default");
        for status in [Completed, Failed, Terminated, Canceled] {
            assert_eq!(read(&[], false).unwrap().kept_for(&default, status), Some(30 * DAY));
            assert_eq!(read(&["2d"], true).unwrap().kept_for(&default, status), Some(2 * DAY));
        }
        assert!(read(&[], true).unwrap().is_off());
        assert!(read(&["off"], false).unwrap().is_off());
        assert_eq!(read(&["failed=1d"], true).unwrap().kept_for(&default, Completed), None);
    }

    #[test]
    fn what_is_none_is_refused_and_says_what_would_be_one() {
        for (texts, said) in [
            (&["soon"][..], "no duration such as 24h"),
            (&["soon"], "`off`"),
            (&["running=1d"], "\"running\" is no status; there are completed, failed, terminated, canceled"),
            (&["a b:1d"], "a b"),
            (&["failed="], "no duration"),
            (&["0s"], "at least 1s"),
            (&["-1d"], "must not be negative"),
            (&["1d", "off"], "\"1d\" and \"off\" speak of the same instances"),
            (&["x-1:failed=1d", "X-1:failed=2d"], "speak of the same"),
        ] {
            let error = read(texts, false).unwrap_err();
            assert!(error.contains(said), "{texts:?}: {error}");
        }
    }
}
