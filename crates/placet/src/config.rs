//! `placet.toml`: who there is. Read again when it changes; while what it says cannot be taken, what it said before stays in
//! force, and the log names the line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use placet_approval::{Approver, Directories, Directory};

use crate::exit::Failure;

/// Where it is if nobody says.
const FILE: &str = "placet.toml";

/// What is configured, as it stands now. While it lives, the file is watched.
#[derive(Debug)]
pub(crate) struct Config {
    current: Arc<RwLock<Arc<Directory>>>,
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

    /// Who there is, now and later.
    pub(crate) fn directories(&self) -> Directories {
        let current = self.current.clone();
        Arc::new(move || current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(path: &Path) -> Result<Directory, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|what| format!("{}: {what}", path.display()))
}

fn parse(text: &str) -> Result<Directory, String> {
    let directory: Directory = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    for (group, members) in &directory.groups {
        for member in members {
            let fault = match member {
                Approver::Anyone => Some("holds anyone: name people, groups or addresses"),
                Approver::Group(name) if !directory.groups.contains_key(name) => {
                    Some("names a group that is none of [groups]")
                }
                Approver::User(person) if !directory.knows(person) => Some("names somebody who is none of [users]"),
                _ => None,
            };
            if let Some(fault) = fault {
                return Err(format!("groups.{group}: {fault}: {member}"));
            }
        }
    }
    Ok(directory)
}

/// Editors write a new file in the old one's place: the folder is watched, and what happens to the file in it.
fn watch(path: &Path, current: Arc<RwLock<Arc<Directory>>>) -> notify::Result<RecommendedWatcher> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = path.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_meant = |event: notify::Event| event.paths.iter().any(|path| path.file_name() == file.file_name());
        if event.is_ok_and(is_meant) {
            read_again(&file, &current);
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn read_again(file: &Path, current: &RwLock<Arc<Directory>>) {
    let before = current.read().unwrap_or_else(PoisonError::into_inner).clone();
    match read(file) {
        Ok(directory) if directory == *before => {}
        Ok(directory) => {
            *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
            tracing::info!(file = %file.display(), "the configuration has changed");
        }
        Err(what) => tracing::error!("{what}; what was configured before stays in force"),
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
            ("[user.ann]", "unknown field `user`, expected `users` or `groups`"),
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
        assert_eq!(parse(whole).unwrap().members("sre").len(), 2);
    }
}
