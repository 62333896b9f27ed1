//! For the tests of programs: a Placet of the test's own, fresh, on free ports, with a clock that stands until it is told to
//! go on. (Feature `testing`.)
//!
//! ```no_run
//! # use std::time::Duration;
//! # use placet_sdk::testing::TestServer;
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let placet = TestServer::start().await?;
//! let client = placet.client();
//! // … a worker, and what is to be tested …
//! placet.advance(Duration::from_secs(24 * 3600)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The binary is the one that PLACET_BIN names, or `placet` on the PATH. The server ends when its [`TestServer`] is dropped,
//! and with the process of the test in any case.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Client;
use crate::time::AdvanceCall;

/// How long anything may take that ought to take milliseconds: generous, since a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of what a server logs, so many bytes are kept.
const LOG_BYTES_MAX: usize = 1 << 20;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotStarted {
    /// There is no such program, or it cannot be run.
    #[error("{} cannot be run; set PLACET_BIN to where it is", program.display())]
    NoProgram {
        /// What was to be run.
        program: OsString,
        /// Why it was not.
        #[source]
        source: std::io::Error,
    },
    /// It ended instead, or said nothing in time.
    #[error("placet ended with {status}:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        log: String,
    },
    /// What it said of itself cannot be understood: it is another program, or of another version.
    #[error("placet says {said:?}")]
    Unknown {
        /// Its first line.
        said: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Which time a test server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestTime {
    /// Its clock stands until [`TestServer::advance`].
    Manual,
    /// It also goes by itself to the next timer, when nothing else has been left to happen for so long.
    Auto(Duration),
    /// The machine's.
    Real,
}

/// A test server that is about to start.
#[derive(Debug, Clone)]
pub struct TestServerBuilder {
    program: OsString,
    time: TestTime,
    hub: String,
    args: Vec<OsString>,
}

impl TestServerBuilder {
    /// Its time, if not [`TestTime::Manual`].
    #[must_use]
    pub fn time(mut self, time: TestTime) -> TestServerBuilder {
        self.time = time;
        self
    }

    /// The hub of its clients, and of the requests that are made over HTTP; `default` if nothing is said.
    #[must_use]
    pub fn hub(mut self, hub: impl Into<String>) -> TestServerBuilder {
        self.hub = hub.into();
        self
    }

    /// The binary, if it is neither the one that PLACET_BIN names nor on the PATH.
    #[must_use]
    pub fn binary(mut self, program: impl Into<OsString>) -> TestServerBuilder {
        self.program = program.into();
        self
    }

    /// One more argument for `placet serve`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> TestServerBuilder {
        self.args.push(arg.into());
        self
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// See [`NotStarted`].
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub async fn start(self) -> Result<TestServer, NotStarted> {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--ephemeral", "--json", "--until-stdin-ends", "--taskhub", &self.hub]);
        command.args(["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"]);
        match self.time {
            TestTime::Manual => drop(command.arg("--virtual-time=manual")),
            TestTime::Auto(after) => {
                command.arg("--virtual-time=auto").arg(format!("--auto-after={}us", after.as_micros()));
            }
            TestTime::Real => {}
        }
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|source| NotStarted::NoProgram { program: self.program.clone(), source })?;
        let (log, logging) = keep_log(child.stderr.take().expect("it is piped"));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut said = String::new();
        // Whoever says nothing in time is told to end, by what ends then.
        drop(timeout(PATIENCE, stdout.read_line(&mut said)).await);
        if !said.ends_with('\n') {
            drop(child.stdin.take());
            let status = ended(&mut child).await;
            drop(logging.await);
            return Err(NotStarted::Ended { status, log: text(&log) });
        }
        let announced = serde_json::from_str(&said).map_err(|source| NotStarted::Unknown { said, source })?;
        let input = child.stdin.take();
        Ok(TestServer { child, input, announced, hub: self.hub, log })
    }
}

/// What a server says of itself, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Announced {
    grpc: String,
    http: String,
}

/// A running server with all its roles, whose data is gone when it ends.
#[derive(Debug)]
pub struct TestServer {
    child: Child,
    /// The server ends when this does.
    input: Option<ChildStdin>,
    announced: Announced,
    hub: String,
    log: Arc<Mutex<Vec<u8>>>,
}

impl TestServer {
    /// A server whose clock stands.
    ///
    /// # Errors
    /// See [`NotStarted`].
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub async fn start() -> Result<TestServer, NotStarted> {
        TestServer::builder().start().await
    }

    /// Another one.
    pub fn builder() -> TestServerBuilder {
        let program = std::env::var_os("PLACET_BIN").filter(|program| !program.is_empty());
        TestServerBuilder {
            program: program.unwrap_or_else(|| "placet".into()),
            time: TestTime::Manual,
            hub: "default".to_owned(),
            args: Vec::new(),
        }
    }

    /// The scheduler's address.
    pub fn endpoint(&self) -> &str {
        &self.announced.grpc
    }

    /// The address of the HTTP API.
    pub fn http(&self) -> &str {
        &self.announced.http
    }

    /// A client, with a connection of its own.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn client(&self) -> Client {
        Client::connect(self.endpoint()).expect("a server's address is one").with_hub(&self.hub)
    }

    /// Lets the clock go on: see [`Client::advance_time`].
    ///
    /// # Errors
    /// If time is real.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn advance(&self, by: Duration) -> AdvanceCall {
        self.client().advance_time(by)
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Stops it, and waits until it has.
    pub async fn stop(mut self) {
        drop(self.input.take());
        ended(&mut self.child).await;
    }
}

/// How it ends, of itself or in the end by force.
async fn ended(child: &mut Child) -> ExitStatus {
    if let Ok(Ok(status)) = timeout(PATIENCE, child.wait()).await {
        return status;
    }
    // One that is gone already needs no force.
    drop(child.start_kill());
    child.wait().await.unwrap_or_default()
}

/// Reads what is logged, since a pipe that nobody reads would hold up the server.
fn keep_log(mut stderr: impl AsyncRead + Unpin + Send + 'static) -> (Arc<Mutex<Vec<u8>>>, JoinHandle<()>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = log.clone();
    let logging = tokio::spawn(async move {
        let mut chunk = [0; 4 << 10];
        while let Ok(bytes @ 1..) = stderr.read(&mut chunk).await {
            let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = LOG_BYTES_MAX.saturating_sub(log.len());
            log.extend_from_slice(&chunk[..bytes.min(room)]);
        }
    });
    (log, logging)
}

fn text(log: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
