//! `placet policy check`: the same function as the server's, over a file of one's own.

use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use placet_approval::{Needs, NewRequest, OnTimeout, Proof, Stage};

use super::say;
use crate::config;
use crate::exit::Failure;
use crate::flags::policy::{Check, Policy, PolicyCommand};

pub(super) fn run(flags: &Policy) -> Result<(), Failure> {
    match &flags.command {
        PolicyCommand::Check(flags) => check(flags),
    }
}

fn check(flags: &Check) -> Result<(), Failure> {
    let configuration = config::read(&flags.file).map_err(|what| Failure::Config { what })?;
    let Some(path) = &flags.request else {
        let names: Vec<&str> = configuration.policies.names().collect();
        let names = if names.is_empty() { "no policies".to_owned() } else { names.join(", ") };
        say(&format!("{}: can be taken: {names}", flags.file.display()));
        return Ok(());
    };
    let mut asked = request(path)?;
    asked.requester = configuration.directory.person(&asked.requester).to_string();
    let now = Timestamp::now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let needs = configuration.needs(&asked, now);
    let needs = needs.map_err(|error| Failure::Data { what: error.to_string() })?;
    let json = || serde_json::to_string_pretty(&needs).expect("what is needed is JSON");
    say(&if flags.json { json() } else { words(&needs) });
    Ok(())
}

fn request(path: &Path) -> Result<NewRequest, Failure> {
    let wrong = |what: String| Failure::Data { what: format!("{}: {what}", path.display()) };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// What is needed, line by line.
fn words(needs: &Needs) -> String {
    let plan = &needs.plan;
    let mut lines = vec![match &plan.policy {
        Some(version) => format!("policy {} ({})", version.name, version.digest.get(..12).unwrap_or(&version.digest)),
        None => "no policy: whoever asks says who decides".to_owned(),
    }];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
    line("due", needs.due.to_string());
    for (number, stage) in plan.stages.iter().enumerate() {
        line(&format!("stage {}", number + 1), stage_in_words(stage));
    }
    match plan.on_timeout {
        OnTimeout::Expire => {}
        OnTimeout::Approve => line("then", "silence is consent".to_owned()),
        OnTimeout::Reject => line("then", "it is rejected".to_owned()),
        OnTimeout::Escalate => line("then", format!("as long again for {}", listed(&plan.fallback))),
    }
    if plan.proof != Proof::None {
        line("proof", plan.proof.to_string());
    }
    if !plan.editable.is_empty() {
        line("editable", plan.editable.join(", "));
    }
    if plan.critical {
        line("critical", "yes".to_owned());
    }
    if !needs.content.details.is_empty() {
        line("details", needs.content.details.trim().replace('\n', "\n             "));
    }
    lines.join("\n")
}

/// "manager: 1 of group:managers, and 2 of group:finance".
fn stage_in_words(stage: &Stage) -> String {
    let seats: Vec<String> =
        stage.seats.iter().map(|seat| format!("{} of {}", seat.need, listed(&seat.from))).collect();
    let name = if stage.name.is_empty() { String::new() } else { format!("{}: ", stage.name) };
    format!("{name}{}", seats.join(", and "))
}

fn listed(approvers: &[placet_approval::Approver]) -> String {
    approvers.iter().map(ToString::to_string).collect::<Vec<String>>().join(" or ")
}
