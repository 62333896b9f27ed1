//! A process of its own: a test that runs this binary again with one test in it, which then plays its other part.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const FOLDER: &str = "PLACET_TEST_CHILD";

/// The folder to work in, if this is the child.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Starts the child with one test, by way of a command that is given the program and its arguments.
pub(crate) fn start(by_way_of: &[&str], test: &str, folder: &Path) -> Running {
    let program = std::env::current_exe().unwrap().into_os_string();
    let mut line: Vec<OsString> = by_way_of.iter().map(OsString::from).collect();
    line.extend([program, "--exact".into(), test.into(), "--nocapture".into()]);
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Running { child, stdout }
}

/// A child that ends when its input does, or by itself.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it tells next: the rest of a line that begins with this word. (The test harness writes lines, too.)
    pub(crate) fn told(&mut self, word: &str) -> Option<String> {
        let lines = self.stdout.by_ref().lines().map(Result::unwrap);
        lines.filter_map(|line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned())).next()
    }

    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// For the child: waits until the parent has ended, or has ended it.
pub(crate) fn wait_for_parent() {
    std::io::stdin().lock().lines().for_each(drop);
}
