//! `placet permit`: what was approved is done once, by whoever begins it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::requests::Named;

/// `placet permit`.
#[derive(Debug, Args)]
pub(crate) struct Permit {
    #[command(subcommand)]
    pub(crate) command: PermitCommand,
}

/// What is done with a permit.
#[derive(Debug, Subcommand)]
pub(crate) enum PermitCommand {
    /// Tell how far the permit of a request is: granted, begun, finished, revoked or lapsed.
    Show(Named),
    /// Begin what was approved, and write the permit that the hub has signed. Exit 0 if it is yours to do now, 65 if it is not.
    Begin(Begin),
    /// Tell how it went.
    Finish(Finish),
    /// Take the permit back, as long as nobody has begun it.
    Revoke(Revoke),
    /// Check a permit without a server: whether the hub has signed it, and whether it is for this. Exit 0 if so, 1 if not.
    Verify(Verify),
}

/// `placet permit begin`.
#[derive(Debug, Args)]
pub(crate) struct Begin {
    /// The payload that you are about to act upon: JSON, or @FILE.
    #[arg(long, value_name = "JSON", required_unless_present = "content_hash")]
    pub(crate) action: Option<String>,
    /// The hash of the content, as the approved request shows it.
    #[arg(long, value_name = "HASH")]
    pub(crate) content_hash: Option<String>,
    /// What tells this attempt from others: with the same key you are told the same again.
    #[arg(long, value_name = "KEY")]
    pub(crate) attempt_key: Option<String>,
    #[command(flatten)]
    pub(crate) of: Named,
}

/// `placet permit finish`.
#[derive(Debug, Args)]
pub(crate) struct Finish {
    /// How it went: JSON, or @FILE.
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub(crate) result: String,
    /// The key of the attempt, if it had one.
    #[arg(long, value_name = "KEY")]
    pub(crate) attempt_key: Option<String>,
    #[command(flatten)]
    pub(crate) of: Named,
}

/// `placet permit revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) of: Named,
}

/// `placet permit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The permit, or - for the standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The hub's key, as `placet audit checkpoint --key` tells it.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    /// The payload that it must be for: JSON, or @FILE.
    #[arg(long, value_name = "JSON")]
    pub(crate) action: Option<String>,
    /// Tell what it says as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--begin`, and the command behind `--`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Wait, then run the command behind -- once, if it is approved, and tell the record how it ended. Exit as the command
    /// does; of a request that is not approved, as --wait.
    #[arg(long, requires = "command")]
    pub(crate) begin: bool,
    /// The command, with its arguments. It finds the permit in PLACET_PERMIT and the request in PLACET_REQUEST_ID.
    #[arg(last = true, value_name = "COMMAND", requires = "begin")]
    pub(crate) command: Vec<std::ffi::OsString>,
}
