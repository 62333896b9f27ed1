//! A process that runs, and its ends: killed, or asked to stop.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use placet_sdk::Client;
use serde::Deserialize;
use tokio::process::Child;
use tokio::time::timeout;

use crate::http::Http;
use crate::launch::Launch;
use crate::os;
use crate::wait::PATIENCE;

/// A running process. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    pub(crate) child: Child,
    pub(crate) launch: Launch,
    pub(crate) announced: Announced,
    pub(crate) ready_after: Duration,
}

/// What a process says of itself in its ready file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the object's own names")]
pub struct Announced {
    pub version: String,
    pub pid: u32,
    pub grpc: String,
    pub http: Option<String>,
    pub rest: Option<String>,
    pub dashboard: Option<String>,
    pub metrics: Option<String>,
    pub taskhub: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub ephemeral: bool,
    pub virtual_time: Option<String>,
    pub synced: bool,
}

impl Announced {
    /// Where it listens by this flag.
    pub(crate) fn url_of(&self, flag: &str) -> Option<&str> {
        match flag {
            "--grpc-addr" => Some(&self.grpc),
            "--http-addr" => self.http.as_deref(),
            "--rest-addr" => self.rest.as_deref(),
            "--dashboard-addr" => self.dashboard.as_deref(),
            "--metrics-addr" => self.metrics.as_deref(),
            _ => None,
        }
    }
}

/// A process that has ended, with all that it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Server {
    /// What it says of itself.
    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    /// How long it took from its start to its ready file.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The scheduler's endpoint: its own, or the one that it was given.
    pub fn endpoint(&self) -> &str {
        &self.announced.grpc
    }

    /// A client of the scheduler, in the hub `default`. It connects when it is first used, and again when it must.
    ///
    /// # Panics
    /// If the server announced no endpoint.
    pub fn client(&self) -> Client {
        Client::connect(self.endpoint()).expect("an endpoint")
    }

    /// A caller of its API.
    ///
    /// # Panics
    /// If it has none.
    pub fn http(&self) -> Http {
        Http::new(self.announced.http.as_deref().expect("it has an API"))
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.launch.stderr()
    }

    /// Kills it as a power cut would (kill -9). Gives back what starts it again: on the same ports, with the same data.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(mut self) -> Result<Launch> {
        self.child.kill().await?;
        Ok(self.launch.at(&self.announced))
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If it does not.
    pub async fn stop(self) -> Result<Ended> {
        self.stop_to_restart().await.map(|(ended, _)| ended)
    }

    /// The same, with what starts it again: on the same ports, with the same data.
    ///
    /// # Errors
    /// If it does not stop.
    pub async fn stop_to_restart(mut self) -> Result<(Ended, Launch)> {
        os::ask_to_stop(self.announced.pid)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("it does not stop")??;
        let ended = Ended { code: status.code(), stdout: self.launch.stdout(), stderr: self.launch.stderr() };
        Ok((ended, self.launch.at(&self.announced)))
    }
}
