//! `placet audit` and `placet erase`: what is done with the record.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Endpoint, TASKHUB_DEFAULT};

/// `placet audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What is done with the record.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the record of a running server, or an export of it without one: every entry, every link, and what its
    /// checkpoint says. Exit 0 if all of it is as it was written, 1 if not; then the first bad entry of each chain is named.
    Verify(Verify),
    /// Write the record as lines of JSON that `placet audit verify` checks anywhere, with a new checkpoint at its end.
    Export(Export),
    /// Tell the ends of all chains in a note that the hub signs, and its key. Keep it elsewhere: a record that was changed
    /// later does not fit it any more.
    Checkpoint(Checkpoint),
}

/// Whose record.
#[derive(Debug, Args)]
pub(crate) struct OfHub {
    /// The task hub.
    #[arg(long, env = "TASKHUB", default_value = TASKHUB_DEFAULT, value_name = "NAME")]
    pub(crate) taskhub: String,
    #[command(flatten)]
    pub(crate) endpoint: Endpoint,
}

/// `placet audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// An export, or - for the standard input. Without one the record of the running server is checked.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A checkpoint that was kept; may be given several times. What it says must be true of the record still.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// The hub's key, as `placet audit checkpoint` has told it before. Without one the key that comes with the record is
    /// believed.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) of: OfHub,
}

/// `placet audit export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to write it; the standard output, if nobody says.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) of: OfHub,
}

/// `placet audit checkpoint`.
#[derive(Debug, Args)]
pub(crate) struct Checkpoint {
    /// Tell the key alone.
    #[arg(long)]
    pub(crate) key: bool,
    /// Begin anew, where the last checkpoint or the key is missing or another, or the record is not what was signed. The new
    /// one names none before it.
    #[arg(long)]
    pub(crate) anew: bool,
    #[command(flatten)]
    pub(crate) of: OfHub,
}

/// `placet erase`.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// Requests that have ended: they are deleted with their history, and what the record says of them is erased.
    #[arg(value_name = "ID", required_unless_present = "person", conflicts_with = "person")]
    pub(crate) ids: Vec<String>,
    /// A person: the ended requests that the record names him in are deleted, and in the record his name is erased. What was
    /// done stays.
    #[arg(long, value_name = "NAME")]
    pub(crate) person: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) of: OfHub,
}
