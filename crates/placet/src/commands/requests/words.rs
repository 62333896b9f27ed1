//! Requests in words, for people.

use serde_json::Value;

/// A text as it is; what is none, as JSON; nothing, as nothing.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What was asked, and where.
pub(super) fn asked(shown: &Value) -> String {
    let field = |name: &str| text(&shown[name]);
    format!("{}: asked for {:?}, until {}", field("request_id"), field("item"), field("due"))
}

/// What it waits for.
pub(super) fn waits(shown: &Value) -> String {
    let stage = &shown["stage"];
    let due = text(&shown["due"]);
    if stage.is_null() {
        return format!("waits for an answer, until {due}");
    }
    let of: Vec<String> = seats(stage).collect();
    format!("waits for {} more of {}, until {due}", text(&stage["more"]), of.join(" and "))
}

fn seats(stage: &Value) -> impl Iterator<Item = String> {
    stage["seats"].as_array().into_iter().flatten().map(|seat| {
        let from: Vec<String> = seat["from"].as_array().into_iter().flatten().map(text).collect();
        from.join(", ")
    })
}

/// What stands over the rows of a list.
pub(super) fn heading() -> String {
    columns("ID", "STATUS", "ASKED BY", "DUE", "ITEM")
}

/// A request in a list.
pub(super) fn row(shown: &Value) -> String {
    let field = |name: &str| text(&shown[name]);
    // To the second, as far as people look.
    let due: String = field("due").chars().take(16).map(|letter| if letter == 'T' { ' ' } else { letter }).collect();
    columns(&field("request_id"), &field("status_detail").replace('_', " "), &field("requester"), &due, &field("item"))
}

fn columns(id: &str, status: &str, requester: &str, due: &str, item: &str) -> String {
    format!("{id:<36}  {status:<10}  {requester:<12}  {due:<16}  {item}").trim_end().to_owned()
}

/// A request, line by line.
pub(super) fn shown(shown: &Value) -> String {
    let field = |name: &str| text(&shown[name]);
    let mut lines = format!("{}: {}\n", field("request_id"), field("item"));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push_str(&format!("  {name:<10} {value}\n"));
        }
    };
    line("status", field("status_detail").replace('_', " "));
    line("asked by", field("requester"));
    line("asked at", field("submitted_at"));
    line("due", field("due"));
    line("category", field("category"));
    line("revision", field("revision"));
    line("details", field("details").replace('\n', "\n             "));
    line("payload", field("payload"));
    if shown["status"] == "Pending" {
        line("", waits(shown));
        line("claimed by", text(&shown["stage"]["claim"]["holder"]));
        line("returned", text(&shown["returned"]["text"]));
    }
    for vote in shown["stage"]["votes"].as_array().into_iter().flatten() {
        let comments = text(&vote["comments"]);
        let comments = if comments.is_empty() { comments } else { format!(": {comments}") };
        line(
            &format!("{}s", text(&vote["ballot"])),
            format!("{} at {}{comments}", text(&vote["person"]), text(&vote["at"])),
        );
    }
    let outcome = &shown["outcome"];
    for (name, member) in [
        ("by", "approver"),
        ("comments", "comments"),
        ("choice", "choice"),
        ("input", "input"),
        ("approved", "approved"),
        ("by", "by"),
        ("reason", "reason"),
    ] {
        line(name, text(&outcome[member]));
    }
    lines.trim_end().to_owned()
}

/// How far a permit is.
pub(super) fn permit(shown: &Value) -> String {
    let (id, status) = (text(&shown["request_id"]), text(&shown["status"]));
    let by_at = |what: &Value| match text(&what["by"]) {
        by if by.is_empty() => format!("at {}", text(&what["at"])),
        by => format!("by {by} at {}", text(&what["at"])),
    };
    let more = match status.as_str() {
        "granted" => format!("until {}", text(&shown["not_after"])),
        "begun" => by_at(&shown["begun"]),
        "finished" => format!("{}: {}", by_at(&shown["finished"]), shown["finished"]["result"]),
        "revoked" => format!("{} {}", by_at(&shown["revoked"]), text(&shown["revoked"]["reason"])),
        _ => format!("at {}", text(&shown["not_after"])),
    };
    line(format!("{id}: {status} {more}").trim_end())
}

/// A text as one line, whatever somebody has put into it.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// The innermost reason of an error.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
