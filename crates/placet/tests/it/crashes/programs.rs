//! The programs in other languages that live through the crashes, each a process with Microsoft's SDK: started, told
//! when the server is there, and read: each appends to a file what it was told.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use placet_testkit::eventually;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Between two looks at what the programs have written.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Until a program has ended what it had begun.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// What a program has been told in a cycle before it counts as found again: writes of its client, and results that its
/// worker has delivered.
const FOUND_AGAIN: [usize; 2] = [5, 2];

/// The programs: the variable that names the interpreter, the suite's folder, the script.
const PROGRAMS: [[&str; 3]; 2] =
    [["PLACET_PYTHON", "python", "survivor.py"], ["PLACET_NODE", "javascript", "survivor.js"]];

/// A call of a program that is over.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    /// How often the server had come up when the call began.
    pub(super) cycle: u32,
    /// Microseconds since 1970.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) call: Call,
    /// The instance.
    pub(super) id: String,
    /// `ok`, `unknown`, or how the server refused it.
    pub(super) told: String,
    /// Of an event: nobody raises it twice.
    pub(super) token: Option<String>,
    /// Of an event: its sender sends no more.
    #[serde(default)]
    pub(super) is_last: bool,
    /// Of an activity.
    pub(super) task: Option<i32>,
    pub(super) result: Option<String>,
    /// Of an instance that has ended.
    pub(super) status: Option<String>,
    pub(super) output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Call {
    /// Starts an errand.
    Start,
    /// Starts a request, which people are to decide.
    Request,
    Raise,
    /// A worker delivers the result of an activity.
    Complete,
    /// Waits until an instance has ended.
    Ended,
}

impl Line {
    pub(super) fn is_ok(&self) -> bool {
        self.told == "ok"
    }

    pub(super) fn is_write(&self) -> bool {
        self.call != Call::Ended
    }

    pub(super) fn was_in_flight(&self, at: u64) -> bool {
        self.began <= at && at <= self.ended
    }
}

/// The programs, all of them running.
#[derive(Debug)]
pub(super) struct Programs {
    programs: Vec<Program>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    log: PathBuf,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Programs {
    /// Whether somebody has installed what they need.
    pub(super) fn are_installed() -> bool {
        PROGRAMS.iter().all(|[variable, ..]| std::env::var_os(variable).is_some())
    }

    /// Starts them. The ids of the requests that they make go to `requests`, until they have ended.
    pub(super) fn start(endpoint: &str, folder: &Path, requests: mpsc::UnboundedSender<String>) -> Programs {
        let mut files = Vec::new();
        let programs = PROGRAMS.map(|[variable, name, script]| {
            let interpreter = std::env::var_os(variable).expect("it is installed");
            let ledger = folder.join(format!("{name}.ledger"));
            File::create(&ledger).unwrap();
            let program = Program::start(name, &interpreter, script, endpoint, &ledger);
            files.push((File::open(&ledger).unwrap(), program.lines.clone()));
            program
        });
        let reader = tokio::spawn(async move {
            let mut tails: Vec<Tail> = files.into_iter().map(|(file, lines)| Tail::new(file, lines)).collect();
            loop {
                for line in tails.iter_mut().flat_map(Tail::read) {
                    if line.call == Call::Request && line.is_ok() && requests.send(line.id).is_err() {
                        return;
                    }
                }
                // sleep: nothing tells when a file has grown
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Programs { programs: programs.into(), reader }
    }

    /// Tells them that the server is there for the `cycle`th time.
    pub(super) async fn server_is_up(&mut self, cycle: u32) {
        for program in &mut self.programs {
            program.tell(&format!("up {cycle}\n")).await;
        }
    }

    /// Waits until all have found the server again in this cycle: clients and workers alike.
    pub(super) async fn have_found_it(&mut self, cycle: u32) {
        for program in &mut self.programs {
            let what = format!("{} has found the server again in cycle {cycle}", program.name);
            eventually(&what, async || {
                assert!(program.child.try_wait().unwrap().is_none(), "{} ended: {}", program.name, program.log());
                let lines = program.lines();
                let recent = lines.iter().rev().take_while(|line| line.cycle + 1 >= cycle);
                let told: Vec<&Line> = recent.filter(|line| line.cycle == cycle && line.is_ok()).collect();
                let completions = told.iter().filter(|line| line.call == Call::Complete).count();
                let writes = told.iter().filter(|line| line.is_write()).count() - completions;
                (writes >= FOUND_AGAIN[0] && completions >= FOUND_AGAIN[1]).then_some(())
            })
            .await;
        }
    }

    /// Lets them end what they have begun; all that they were told, by their names.
    pub(super) async fn stop(mut self) -> Vec<(&'static str, Vec<Line>)> {
        for program in &mut self.programs {
            program.tell("enough\n").await;
        }
        for program in &mut self.programs {
            let ended = timeout(ENDS_WITHIN, program.child.wait()).await;
            let ended = ended.unwrap_or_else(|_| panic!("{} does not end: {}", program.name, program.log()));
            assert!(ended.unwrap().success(), "{}: {}", program.name, program.log());
            eventually("the last line is read", async || {
                let written = fs::read_to_string(program.log.with_extension("ledger")).unwrap();
                (program.lines().len() == written.lines().count()).then_some(())
            })
            .await;
        }
        self.reader.abort();
        self.programs.iter().map(|program| (program.name, std::mem::take(&mut *program.lines()))).collect()
    }
}

impl Program {
    fn start(name: &'static str, interpreter: &OsString, script: &str, endpoint: &str, ledger: &Path) -> Program {
        let log = ledger.with_extension("log");
        let mut child = Command::new(interpreter)
            .arg(script)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name))
            .env("ENDPOINT", endpoint)
            .env("TASKHUB", "default")
            .env("LEDGER", ledger)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", interpreter.display()));
        let stdin = child.stdin.take().expect("it is piped");
        Program { name, child, stdin, log, lines: Arc::default() }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn tell(&mut self, line: &str) {
        let told = self.stdin.write_all(line.as_bytes()).await;
        told.unwrap_or_else(|error| panic!("{}: {error}: {}", self.name, self.log()));
    }
}

/// The end of a file that grows.
struct Tail {
    file: File,
    offset: u64,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Tail {
    fn new(file: File, lines: Arc<Mutex<Vec<Line>>>) -> Tail {
        Tail { file, offset: 0, lines }
    }

    /// The lines that have come since.
    fn read(&mut self) -> Vec<Line> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(self.offset)).unwrap();
        self.file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let new: Vec<Line> = text[..whole].lines().map(parse).collect();
        self.lines.lock().unwrap().extend(new.iter().cloned());
        new
    }
}
