//! What ends the process, told in a line or two, and as which exit code (sysexits.h).

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use placet_store::OpenError;

/// Why the process ends otherwise than well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An address that was asked for is taken.
    #[error("{flag}: {addr} is in use{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    AddressTaken { flag: &'static str, addr: SocketAddr, holder: Option<String> },
    /// An address is none, or none of this machine.
    #[error("{flag}: cannot listen on {addr}: {source}")]
    Address { flag: &'static str, addr: String, source: std::io::Error },
    /// Nothing is proved yet about who calls, so others must be kept out.
    #[error("{flag}: {addr} can be reached from other computers, and anybody who reaches it may do anything")]
    Open { flag: &'static str, addr: SocketAddr },
    /// A flag's value is wrong.
    #[error("{flag}: {what}")]
    Flag { flag: &'static str, what: String },
    /// The configuration cannot be taken.
    #[error("{what}")]
    Config { what: String },
    /// The store was not opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Nobody answers there, or cannot now.
    #[error("{what}")]
    Unreachable { what: String },
    /// What was asked for cannot be done so.
    #[error("{what}")]
    Data { what: String },
    /// It is not his to do.
    #[error("{what}")]
    Forbidden { what: String },
    /// The server asked is not ready.
    #[error("not ready: {0}")]
    NotReady(String),
    /// The server asked does not do that.
    #[error("{0}")]
    Refused(String),
    /// Anything else that the system refused.
    #[error("{what}: {source}")]
    System { what: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Failure {
    pub(crate) fn system(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Failure {
        Failure::System { what: what.into(), source: source.into() }
    }

    /// What to do about it.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Failure::AddressTaken { .. } => Some("stop it, or choose another port; port 0 picks a free one"),
            Failure::Open { .. } => Some("listen on 127.0.0.1, or add --insecure if the network is yours alone"),
            Failure::Store(error) => Some(error.hint()),
            Failure::Address { .. }
            | Failure::Flag { .. }
            | Failure::Config { .. }
            | Failure::Unreachable { .. }
            | Failure::Data { .. }
            | Failure::Forbidden { .. }
            | Failure::NotReady(_)
            | Failure::Refused(_)
            | Failure::System { .. } => None,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Failure::NotReady(_) | Failure::Refused(_) => 1,
            Failure::Flag { .. } | Failure::Open { .. } => USAGE,
            Failure::Store(OpenError::Damaged { .. } | OpenError::Newer { .. } | OpenError::Foreign { .. }) => DATA,
            Failure::AddressTaken { .. } | Failure::Address { .. } | Failure::Store(OpenError::Locked { .. }) => {
                UNAVAILABLE
            }
            Failure::Config { .. } => CONFIG,
            Failure::Unreachable { .. } => UNAVAILABLE,
            Failure::Data { .. } => DATA,
            Failure::Forbidden { .. } => FORBIDDEN,
            Failure::Store(OpenError::Unwritable { .. }) => CANNOT_CREATE,
            Failure::Store(_) | Failure::System { .. } => IO,
        }
    }
}

const USAGE: u8 = 64;
const DATA: u8 = 65;
const UNAVAILABLE: u8 = 69;
const CANNOT_CREATE: u8 = 73;
const IO: u8 = 74;
const FORBIDDEN: u8 = 77;
const CONFIG: u8 = 78;

/// A wrong command line: clap's own words, and the code that scripts expect.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS }
}

/// Tells on stderr why the process ends.
pub(crate) fn tell(failure: &Failure) -> ExitCode {
    let mut text = format!("placet: {failure}");
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let error_text = error.to_string();
        if !text.contains(&error_text) {
            text.push_str(": ");
            text.push_str(&error_text);
        }
        cause = error.source();
    }
    if let Some(hint) = failure.hint() {
        text.push_str("\n        ");
        text.push_str(hint);
    }
    // If stderr is gone there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{text}"));
    failure.code().into()
}
