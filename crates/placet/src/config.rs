//! `placet.toml`: who there is, and the policies. Read again when it changes, as a whole; while what it says cannot be taken,
//! what it said before stays in force, and the log names the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use placet_approval::{Approver, Calendar, Configuration, Configurations, Directory, Person, Policies, Policy, User};
use serde::Deserialize;
use toml::Spanned;

use crate::exit::Failure;

/// Where it is if nobody says.
const FILE: &str = "placet.toml";

/// So long nothing happens to a file that is whole.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// What is configured, as it stands now. While it lives, the file is watched.
#[derive(Debug)]
pub(crate) struct Config {
    current: Arc<RwLock<Arc<Configuration>>>,
    _watcher: Option<RecommendedWatcher>,
}

impl Config {
    /// Reads the file that was named; or the one in the working directory, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, or says what cannot be taken.
    pub(crate) fn open(named: Option<&Path>) -> Result<Config, Failure> {
        let path = named.map_or_else(|| PathBuf::from(FILE), Path::to_owned);
        if named.is_none() && !path.exists() {
            return Ok(Config { current: Arc::default(), _watcher: None });
        }
        let current = Arc::new(RwLock::new(Arc::new(read(&path).map_err(|what| Failure::Config { what })?)));
        let watcher =
            watch(&path, current.clone()).map_err(|error| Failure::system("watching the configuration", error))?;
        Ok(Config { current, _watcher: Some(watcher) })
    }

    /// What is configured, now and later.
    pub(crate) fn current(&self) -> Configurations {
        let current = self.current.clone();
        Arc::new(move || current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Reads a file.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn read(path: &Path) -> Result<Configuration, String> {
    read_if(path, |_| true)
}

/// Reads a file whose text is to be taken.
fn read_if(path: &Path, is_taken: impl FnOnce(&str) -> bool) -> Result<Configuration, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    if !is_taken(&text) {
        return Err(wrong("is empty; to go on without it, start the server without it".to_owned()));
    }
    parse(&text).map_err(wrong)
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    users: BTreeMap<Person, User>,
    groups: BTreeMap<String, Vec<Approver>>,
    calendars: BTreeMap<String, Spanned<Calendar>>,
    policies: BTreeMap<String, Spanned<Policy>>,
}

fn parse(text: &str) -> Result<Configuration, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let directory = Directory { users: file.users, groups: file.groups };
    for (group, members) in &directory.groups {
        for member in members {
            if let Some(fault) = fault(member, &directory, "holds anyone: name people, groups or addresses") {
                return Err(format!("groups.{group}: {fault}: {member}"));
            }
        }
    }
    let places = file.policies.iter().map(|(name, policy)| (name.clone(), policy.span().start));
    let places: BTreeMap<String, usize> = places.collect();
    let told = |name: &str, word: &str, what: String| {
        format!("line {}: policies.{name}: {what}", line(text, places[name], &format!("policies.{name}"), word))
    };
    let policies = file.policies.into_iter().map(|(name, policy)| (name, policy.into_inner()));
    let policies: BTreeMap<String, Policy> = policies.collect();
    for (name, policy) in &policies {
        for approver in policy.approvers() {
            if let Some(fault) = fault(approver, &directory, "asks anyone: name people, groups or addresses") {
                let written = approver.to_string();
                let word = written.strip_prefix("user:").unwrap_or(&written);
                return Err(told(name, word, format!("{fault}: {approver}")));
            }
        }
    }
    let mut calendars = BTreeMap::new();
    for (name, calendar) in file.calendars {
        let begins = calendar.span().start;
        let calendar = calendar.into_inner();
        calendar.check().map_err(|error| {
            let line = line(text, begins, &format!("calendars.{name}"), error.field);
            format!("line {line}: calendars.{name}: {error}")
        })?;
        calendars.insert(name, calendar);
    }
    let policies =
        Policies::new(policies, &calendars).map_err(|(name, error)| told(&name, error.field, error.to_string()))?;
    Ok(Configuration { directory, policies })
}

/// What is wrong with somebody who is named.
fn fault<'a>(who: &Approver, directory: &Directory, anyone: &'a str) -> Option<&'a str> {
    match who {
        Approver::Anyone => Some(anyone),
        Approver::Group(name) if !directory.groups.contains_key(name) => Some("names a group that is none of [groups]"),
        Approver::User(person) if !directory.knows(person) => Some("names somebody who is none of [users]"),
        _ => None,
    }
}

/// The line in which a word stands in a table that begins there, and in those in it; else the line with which it begins.
fn line(text: &str, begins: usize, table: &str, word: &str) -> usize {
    let first = text[..begins].matches('\n').count() + 1;
    let is_anothers = |line: &str| line.starts_with('[') && !line.contains(table);
    let mut lines = text[begins..].lines().take_while(|line| !is_anothers(line)).enumerate();
    lines.find(|(_, line)| line.contains(word)).map_or(first, |(after, _)| first + after)
}

/// Editors write a new file in the old one's place: the folder is watched, and what happens to the file in it. It is read when
/// nothing has happened to it for a moment: half a file may say something, too.
fn watch(path: &Path, current: Arc<RwLock<Arc<Configuration>>>) -> notify::Result<RecommendedWatcher> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (file, name) = (path.to_owned(), path.file_name().map(ToOwned::to_owned));
    let (changes, changed) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_it = |event: &notify::Event| event.paths.iter().any(|path| path.file_name() == name.as_deref());
        if event.is_ok_and(|event| may_change(event.kind) && is_it(&event)) {
            let _gone_with_the_reader = changes.send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    let read = move || {
        let mut told = None;
        while changed.recv().is_ok() {
            while changed.recv_timeout(SETTLED_AFTER).is_ok() {}
            read_again(&file, &current, &mut told);
        }
    };
    thread::Builder::new().name("placet-config".to_owned()).spawn(read).map_err(notify::Error::io)?;
    Ok(watcher)
}

/// Whether there may be another whole file after this. That we have read it is an event, too; and where a file is told to
/// be closed, what was written before that is none.
fn may_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Data(_)) => !cfg!(target_os = "linux"),
        _ => true,
    }
}

/// What is wrong is told once, though a change is several events.
fn read_again(file: &Path, current: &RwLock<Arc<Configuration>>, told: &mut Option<String>) {
    let before = current.read().unwrap_or_else(PoisonError::into_inner).clone();
    // One that was emptied, as it is while it is written anew, says nothing: to take that for all would drop every policy in
    // silence.
    match read_if(file, |text| !text.is_empty()) {
        Ok(configuration) if configuration == *before => *told = None,
        Ok(configuration) => {
            *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configuration);
            *told = None;
            tracing::info!(file = %file.display(), "the configuration has changed");
        }
        Err(what) if told.as_ref() == Some(&what) => {}
        Err(what) => {
            tracing::error!("{what}; what was configured before stays in force");
            *told = Some(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_taken_is_told_with_its_line_or_its_group() {
        for (text, said) in [
            ("[users.ann]\nnme = \"Ann\"", "line 2"),
            ("[groups]\nsre = \"ann\"", "line 2"),
            ("[user.ann]", "unknown field `user`, expected one of `users`, `groups`, `calendars`, `policies`"),
            (
                "[users.ann]\n[calendars.office]\ndays = [\"mon\"]\ntime_zone = \"Europe/Atlantis\"",
                "line 4: calendars.office: time_zone",
            ),
            ("[calendars.office]\ntime_zone = \"UTC\"\nhours = [\"9-17\"]", "line 3"),
            ("[groups]\nsre = [\"role:x\"]", "\"role:x\" is nobody"),
            ("[groups]\nsre = [\"anyone\"]", "groups.sre: holds anyone"),
            ("[groups]\nsre = [\"group:ops\"]", "groups.sre: names a group that is none of [groups]: group:ops"),
            ("[users.ann]\n[groups]\nsre = [\"ben\"]", "groups.sre: names somebody who is none of [users]: user:ben"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
        }
        let whole =
            "[users.ann]\nname = \"Ann\"\nemails = [\"ann@example.org\"]\n[groups]\nsre = [\"ann\", \"email:x@y\"]";
        assert_eq!(parse(whole).unwrap().directory.members("sre").len(), 2);
    }

    #[test]
    fn a_policy_that_cannot_be_taken_is_told_with_its_line_and_its_field() {
        let before = "[users.ann]\n[groups]\nsre = [\"ann\"]\n\n[policies.change]\n";
        for (policy, said) in [
            ("stage = []", &["line 6", "unknown field `stage`"][..]),
            ("stages = [{ seats = [{ form = [\"ann\"] }] }]", &["line 6", "unknown field `form`"]),
            (
                "[[policies.change.stages]]\nwhen = \"paylod.x > 1\"\nseats = [{ from = [\"ann\"] }]",
                &["line 7", "the condition \"paylod.x > 1\": there is no \"paylod\""],
            ),
            ("details = \"\"\"\n{amount}\"\"\"\nstages = []", &["line 6", "{amount} is no place"]),
            ("timeout = \"soon\"\nstages = []", &["line 6", "soon"]),
            ("critical = 1", &["line 6", "expected a boolean"]),
            ("timeout = \"1d\"\nstages = []", &["line 7", "policies.change: stages: nobody would decide"]),
            (
                "stages = [{ seats = [{ from = [\"ann\"] }] }]\n\non_timeout = \"escalate\"",
                &["line 8", "policies.change: on_timeout: escalate needs somebody in `fallback`"],
            ),
            (
                "[[policies.change.stages]]\nseats = [{ from = [\"ann\"] }]\n[[policies.change.stages]]\nseats = [{ from = [\"group:ops\"] }]",
                &["line 9", "policies.change: names a group that is none of [groups]: group:ops"],
            ),
            (
                "stages = [{ seats = [{ from = [\"ben\"] }] }]",
                &["line 6", "policies.change: names somebody who is none of [users]: user:ben"],
            ),
            ("stages = [{ seats = [{ from = [\"anyone\"] }] }]", &["line 6", "policies.change: asks anyone"]),
            (
                "stages = [{ seats = [{ from = [\"ann\"] }] }]\n[policies.other]\ncategories = [\"change\"]\nstages = [{ seats = [{ from = [\"ann\"] }] }]",
                &["line 7", "policies.other: category: \"change\" is that of the policy change, too"],
            ),
        ] {
            let error = parse(&format!("{before}{policy}")).unwrap_err();
            assert!(said.iter().all(|part| error.contains(part)), "{policy}\n{error}");
        }
    }
}
