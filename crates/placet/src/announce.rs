//! Saying where to go: ten lines for a person, one object for a program.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::exit::Failure;
use crate::flags::{Common, VirtualTime};
use crate::listen::{Listening, Moved};

/// What a running server says of itself.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Announcement {
    pub(crate) version: &'static str,
    pub(crate) pid: u32,
    /// The scheduler's endpoint: its own if it runs here, else the one that it was given.
    pub(crate) grpc: String,
    /// The API's address, if it runs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<String>,
    /// Where the emulator's REST calls are answered without gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rest: Option<String>,
    /// Where the calls and links of the emulator's dashboard are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dashboard: Option<String>,
    /// Where a scheduler alone answers for its health and metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taskhub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) ephemeral: bool,
    /// When the clock goes on, if its time is virtual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_time: Option<VirtualTime>,
    /// Whether what was acknowledged is synced to disk: always.
    pub(crate) synced: bool,
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
    #[serde(skip)]
    pub(crate) open: bool,
    /// Whether the scheduler runs here.
    #[serde(skip)]
    pub(crate) serves: bool,
}

impl Announcement {
    pub(crate) fn new(grpc: String) -> Announcement {
        Announcement {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            grpc,
            http: None,
            rest: None,
            dashboard: None,
            metrics: None,
            taskhub: None,
            data_dir: None,
            ephemeral: false,
            virtual_time: None,
            synced: true,
            notes: Vec::new(),
            open: false,
            serves: false,
        }
    }

    /// Adds what is worth knowing of where it listens.
    pub(crate) fn listening(&mut self, what: &str, listening: &Listening) {
        self.open |= !listening.addr.ip().is_loopback();
        if let Some(Moved { from, holder }) = &listening.moved {
            let holder = holder.as_deref().unwrap_or("another program");
            self.notes.push(format!("{what}: port {from} is in use by {holder}"));
        }
    }

    /// Says it, in the ways that were asked for.
    ///
    /// # Errors
    /// If the ready file cannot be written.
    pub(crate) fn make(&self, common: &Common) -> Result<(), Failure> {
        let json = serde_json::to_string(self).map_err(|e| Failure::system("the announcement", e))?;
        if let Some(path) = &common.ready_file {
            write_whole(path, &json).map_err(|source| {
                Failure::system(format!("--ready-file: {} cannot be written", path.display()), source)
            })?;
        }
        // Whoever closed our output does not want to hear it.
        if common.json {
            drop(writeln!(std::io::stdout(), "{json}"));
        } else if !common.quiet {
            let stderr = std::io::stderr();
            drop(stderr.lock().write_all(self.banner(stderr.is_terminal()).as_bytes()));
        }
        Ok(())
    }

    fn banner(&self, colour: bool) -> String {
        let mut lines: Vec<(&str, String)> = Vec::new();
        if let Some(http) = &self.http {
            lines.push(("Approvals", format!("{http}/")));
        }
        lines.push((
            "Scheduler",
            format!("{}  (Durable Task gRPC{})", self.grpc, if self.serves { ", REST" } else { "" }),
        ));
        let further = [("REST", &self.rest), ("dashboard", &self.dashboard)];
        let further: Vec<String> =
            further.iter().filter_map(|(what, url)| Some(format!("{}  ({what})", url.as_ref()?))).collect();
        if !further.is_empty() {
            lines.push(("Emulator", further.join(", ")));
        }
        if let Some(metrics) = &self.metrics {
            lines.push(("Metrics", format!("{metrics}/metrics")));
        }
        if let Some(taskhub) = &self.taskhub {
            lines.push(("Task hub", taskhub.clone()));
        }
        if let Some(dir) = &self.data_dir {
            let kept = if self.ephemeral { "temporary, removed at the end" } else { "kept" };
            lines.push(("Data", format!("{}  ({kept}, synced to disk)", dir.display())));
        }
        if let Some(virtual_time) = self.virtual_time {
            let goes = match virtual_time {
                VirtualTime::Manual => "stands until `placet time advance`",
                VirtualTime::Auto => "goes to the next timer when nothing else is left to happen",
            };
            lines.push(("Time", format!("virtual: {goes}")));
        }
        let who = if self.open { "ANYBODY who reaches it: there is no sign-in yet" } else { "this computer only" };
        lines.push(("Open to", who.to_owned()));
        // The title, and how to try it, come besides.
        let room = LINES_MAX.saturating_sub(lines.len() + 2).min(2);
        lines.extend(self.notes.iter().take(room).map(|note| ("Note", note.clone())));
        if let Some(http) = &self.http {
            let call = format!("curl {http}/api/requests -H 'Content-Type: application/json'");
            lines.push(("Try it", format!(r#"{call} -d '{{"requester": "Alice", "item": "Vacation Request"}}'"#)));
        }
        let (bold, plain) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        let mut text = format!("{bold}Placet {}{plain}\n", self.version);
        for (label, value) in lines {
            text.push_str(&format!("  {bold}{label:<10}{plain} {value}\n"));
        }
        text
    }
}

/// A banner is no longer: it is to be read at a glance.
const LINES_MAX: usize = 10;

/// The URL by which a program reaches an address from this computer.
pub(crate) fn url(addr: SocketAddr) -> String {
    let host = match addr {
        _ if addr.ip().is_unspecified() => "localhost".to_owned(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    format!("http://{host}:{}", addr.port())
}

/// Writes a file so that nobody ever sees half of it.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_has_at_most_ten_lines() {
        let mut announcement = Announcement::new("http://127.0.0.1:8080".into());
        announcement.http = Some("http://127.0.0.1:8000".into());
        announcement.rest = Some("http://127.0.0.1:8081".into());
        announcement.dashboard = Some("http://127.0.0.1:8082".into());
        announcement.taskhub = Some("default".into());
        announcement.data_dir = Some("/srv/placet-data".into());
        announcement.virtual_time = Some(VirtualTime::Auto);
        announcement.notes = vec!["one".into(), "two".into(), "three".into()];
        let banner = announcement.banner(false);
        assert!(banner.lines().count() <= LINES_MAX, "{banner}");
        assert!(!banner.contains('\u{1b}'));
    }
}
