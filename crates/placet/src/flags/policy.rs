//! `placet policy`: policies are looked at where their file is, without a server.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `placet policy`.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What is asked of policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Tell whether a file can be taken, and what a request would need: of whom, and until when. Exit 0 if it would be
    /// accepted, 65 if not, 78 if the file cannot be taken.
    Check(Check),
}

/// `placet policy check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file with people, groups and policies.
    #[arg(long, env = "PLACET_CONFIG", default_value = "placet.toml", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Tell it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The request, as it would be sent to POST /api/v1/requests: a file of JSON, or - for the standard input. Without one
    /// only the file is looked at.
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<PathBuf>,
}
