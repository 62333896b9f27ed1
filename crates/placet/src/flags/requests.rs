//! What people do with requests from a shell: they speak to the HTTP API.

use std::time::Duration;

use clap::Args;

use super::permit::Run;

/// Whom to ask, and who asks.
#[derive(Debug, Args)]
pub(crate) struct Speaker {
    /// The HTTP API.
    #[arg(long, env = "PLACET_URL", default_value = "http://localhost:8000", value_name = "URL")]
    pub(crate) url: String,
    /// Who you are [default: your name on this computer].
    #[arg(long = "as", env = "PLACET_USER", value_name = "NAME")]
    pub(crate) person: Option<String>,
    /// Tell it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A request, and who speaks of it.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The request's id.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

/// `placet request`.
#[derive(Debug, Args)]
pub(crate) struct Request {
    /// For what: a line.
    #[arg(value_name = "ITEM")]
    pub(crate) item: String,
    /// Who may decide, any one of them: NAME, user:NAME, group:NAME, email:ADDRESS. May be given more than once; without
    /// any, whoever answers decides.
    #[arg(long, short, value_name = "APPROVER")]
    pub(crate) approver: Vec<String>,
    /// The whole plan, with stages and quorums (docs/requests.md): JSON, or @FILE.
    #[arg(long, conflicts_with = "approver", value_name = "JSON")]
    pub(crate) plan: Option<String>,
    /// More about it, in Markdown: text, or @FILE.
    #[arg(long, value_name = "TEXT")]
    pub(crate) details: Option<String>,
    /// What it is about, for programs: JSON, or @FILE.
    #[arg(long, value_name = "JSON")]
    pub(crate) payload: Option<String>,
    /// Of which kind it is: its policy says what it needs.
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// A word to find it by. May be given more than once.
    #[arg(long, value_name = "WORD")]
    pub(crate) tag: Vec<String>,
    /// How long it can be answered [default: as its policy says, or 24h].
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    /// Ask once, however often this is run with the same key.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Wait until it is decided: exit 0 if it was approved, 1 rejected, 2 timed out, 3 withdrawn.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long what was approved may be begun, from the approval on [default: as its policy says, or seven days].
    #[arg(long, value_name = "DURATION")]
    pub(crate) valid_for: Option<String>,
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

/// `placet list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Words of item, requester, category and tags, each by its beginning; or a request's id.
    #[arg(value_name = "WORD")]
    pub(crate) words: Vec<String>,
    /// Only what waits for you, by yourself or by a group that holds you.
    #[arg(long)]
    pub(crate) inbox: bool,
    /// Those that are pending, approved, rejected, expired or withdrawn, several with commas between them; or all.
    #[arg(long, default_value = "pending", value_name = "STATUS")]
    pub(crate) status: String,
    /// What this person has asked for.
    #[arg(long, value_name = "NAME")]
    pub(crate) requester: Option<String>,
    /// What waits for this user, group or address.
    #[arg(long, short, value_name = "APPROVER")]
    pub(crate) approver: Option<String>,
    /// What this person has voted on.
    #[arg(long, value_name = "NAME")]
    pub(crate) decided_by: Option<String>,
    /// Of this category.
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// With this tag.
    #[arg(long, value_name = "WORD")]
    pub(crate) tag: Option<String>,
    /// Of this priority.
    #[arg(long, value_name = "PRIORITY")]
    pub(crate) priority: Option<String>,
    /// By the time of the request or by its deadline, with a - before it for the last first.
    #[arg(long, default_value = "-created", value_name = "created|due", allow_hyphen_values = true)]
    pub(crate) sort: String,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

/// `placet show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Wait until it is decided, at most so long [default: for ever]: exit 0 if it was approved, 1 rejected, 2 timed out, 3
    /// withdrawn, 75 if it is still open.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "100y",
        value_parser = patience)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) of: Named,
}

fn patience(text: &str) -> Result<Duration, String> {
    if text == "100y" { Ok(Duration::MAX) } else { placet_api::duration(text) }
}

/// `placet approve`, `placet reject`.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// What you say to it.
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// What the request asks to be filled in: JSON, or @FILE.
    #[arg(long, value_name = "JSON")]
    pub(crate) input: Option<String>,
    /// One of the request's own outcomes, instead of plain yes or no.
    #[arg(long, value_name = "NAME")]
    pub(crate) choice: Option<String>,
    /// The revision that you were shown; if there is another now, nothing is decided.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) revision: Option<u32>,
    #[command(flatten)]
    pub(crate) of: Named,
}

/// `placet watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// A request: each time when something happens to it, until it is decided. Exit as `placet show --wait` does.
    #[arg(value_name = "ID", required_unless_present = "inbox", conflicts_with = "inbox")]
    pub(crate) id: Option<String>,
    /// What waits for you: what is there, then what comes, changes and goes, until you stop it.
    #[arg(long)]
    pub(crate) inbox: bool,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

/// `placet comment`.
#[derive(Debug, Args)]
pub(crate) struct Comment {
    #[command(flatten)]
    pub(crate) of: Named,
    /// What you say.
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
}

/// `placet withdraw`.
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) of: Named,
}
