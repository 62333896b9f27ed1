//! `GET /api/v1/requests/export` and `POST /api/v1/requests/import`: requests as tables (CSV) and as lines of JSON.

use std::collections::BTreeMap;

use axum::body::Body as Outgoing;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use csv::{StringRecord, Writer};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use placet_approval::{NewRequest, Outcome, RequestRow};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::lists::{ExportQuery, all};
use super::requests::{Listed, create_one};
use crate::Shared;
use crate::body::{self, Sheet};
use crate::guard::BaseUrl;
use crate::idempotency::IdempotencyKey;
use crate::openapi::{About, Answer, Content};
use crate::problem::Problem;

/// Requests that are taken at once.
const LINES_MAX: usize = 2_000;

/// The columns of an export.
const COLUMNS: [&str; 14] = [
    "request_id",
    "status",
    "status_detail",
    "requester",
    "item",
    "category",
    "priority",
    "tags",
    "submitted_at",
    "due",
    "decided_at",
    "decided_by",
    "comments",
    "policy",
];

/// What separates several values in a cell.
const BETWEEN: &str = ";";

pub(crate) const EXPORT: About = About {
    id: "exportRequests",
    summary: "All that a list would show",
    details: "As lines of JSON, or as a table.",
    answers: &[Answer::new(
        200,
        "The requests, as they are read",
        &[Content::text("application/x-ndjson"), Content::text("text/csv")],
    )
    .with(&[("Content-Disposition", "The name of the file")])],
    ..About::NOTHING
};

/// `GET /api/v1/requests/export`: all that a list would show, page by page as it is read.
pub(crate) async fn export(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    ExportQuery(asked): ExportQuery,
) -> Result<Response, Problem> {
    let is_csv = match asked.format.as_deref() {
        None | Some("jsonl") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::field("format", "must be jsonl or csv")),
    };
    let pages = all(api, &asked).await?.map_err(|problem| std::io::Error::other(format!("{problem:?}")));
    let as_text = move |rows: Vec<RequestRow>| {
        if is_csv { in_csv(rows.iter().map(cells)) } else { Ok(in_lines(&base, rows)) }
    };
    let pages = pages.map(move |rows| as_text(rows?));
    let title = if is_csv { in_csv([COLUMNS.map(str::to_owned)]) } else { Ok(String::new()) };
    let content_type = if is_csv { "text/csv; charset=utf-8; header=present" } else { "application/x-ndjson" };
    let name = format!("attachment; filename=\"requests.{}\"", if is_csv { "csv" } else { "jsonl" });
    let headers = [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Outgoing::from_stream(stream::iter([title]).chain(pages))).into_response())
}

fn in_lines(base: &BaseUrl, rows: Vec<RequestRow>) -> String {
    let line = |row| serde_json::to_string(&Listed::new(base, row)).expect("its keys are texts") + "\n";
    rows.into_iter().map(line).collect()
}

fn in_csv(lines: impl IntoIterator<Item = [String; COLUMNS.len()]>) -> std::io::Result<String> {
    let mut table = Writer::from_writer(Vec::new());
    for line in lines {
        table.write_record(line.map(harmless))?;
    }
    let bytes = table.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

/// A cell that begins so is a formula to whoever opens the table (OWASP, "CSV Injection").
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

fn cells(row: &RequestRow) -> [String; COLUMNS.len()] {
    let (at, by, comments) = match &row.outcome {
        Some(Outcome::Approved(decided) | Outcome::Rejected(decided)) => {
            (decided.processed_at.to_string(), decided.approver.clone(), decided.comments.clone())
        }
        Some(Outcome::Withdrawn(withdrawn)) => {
            (withdrawn.withdrawn_at.to_string(), withdrawn.by.clone(), withdrawn.reason.clone())
        }
        Some(Outcome::Timeout(timeout)) => (timeout.timed_out_at.to_string(), String::new(), String::new()),
        None => Default::default(),
    };
    let priority = serde_json::to_value(row.priority).ok();
    [
        row.request_id.clone(),
        row.status.clone(),
        row.outcome.as_ref().map_or("pending", Outcome::detail).to_owned(),
        row.requester.clone(),
        row.item.clone(),
        row.category.clone().unwrap_or_default(),
        priority.and_then(|priority| priority.as_str().map(str::to_owned)).unwrap_or_default(),
        row.tags.join(BETWEEN),
        row.submitted_at.to_string(),
        row.due.to_string(),
        at,
        by,
        comments,
        row.policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default(),
    ]
}

/// What became of each line, in their order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Imported {
    results: Vec<Line>,
}

/// What the request of a line by itself would have been answered.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ImportedLine")]
struct Line {
    /// Which one, from 1 on.
    line: u64,
    /// The status of its answer.
    status: u16,
    /// The body of its answer.
    answer: Value,
}

pub(crate) const IMPORT: About = About {
    id: "importRequests",
    summary: "Ask for many approvals",
    details: "A request on each line, some thousand of them.",
    answers: &[Answer::new(200, "What became of each", &[Content::json::<Imported>()])],
    ..About::NOTHING
};

/// `POST /api/v1/requests/import`: each line is a request.
pub(crate) async fn import(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    key: IdempotencyKey,
    sheet: Sheet,
) -> Result<Json<Imported>, Problem> {
    let lines = match &sheet {
        Sheet::Lines(text) => of_lines(text),
        Sheet::Csv(text) => of_csv(text)?,
    };
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(Problem::field("body", format!("must have 1 to {LINES_MAX} requests")));
    }
    let one = async |(line, asked): (u64, Result<NewRequest, Problem>)| {
        let created = match asked {
            Ok(asked) => create_one(&api, &base, &key.of_line(line), asked).await,
            Err(problem) => Err(problem),
        };
        let (status, answer) = super::told_apart(created).await;
        Line { line, status, answer }
    };
    let results = stream::iter(lines.into_iter().map(one)).buffered(super::AT_ONCE).collect().await;
    Ok(Json(Imported { results }))
}

type Lines = Vec<(u64, Result<NewRequest, Problem>)>;

fn of_lines(text: &[u8]) -> Lines {
    let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).take(LINES_MAX + 1);
    lines.map(|(line, text)| (line, body::read(text))).collect()
}

fn of_csv(text: &[u8]) -> Result<Lines, Problem> {
    let mut table = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text);
    let wrong = |error: csv::Error| Problem::field("body", error.to_string());
    let names = table.headers().map_err(wrong)?.clone();
    let mut lines = Vec::new();
    // Which one it is, not on which line of the file it begins: the same table has other line ends elsewhere.
    for (line, record) in (1..).zip(table.records().take(LINES_MAX + 1)) {
        let record = record.map_err(wrong)?;
        let asked = of_cells(&names, &record).and_then(|asked| body::read(asked.to_string().as_bytes()));
        lines.push((line, asked));
    }
    Ok(lines)
}

/// A line as the body of one request: texts as they are, lists with semicolons, all else as JSON. What is empty is left out.
fn of_cells(names: &StringRecord, cells: &StringRecord) -> Result<Value, Problem> {
    let mut asked = Map::new();
    let cells: BTreeMap<&str, &str> = names.iter().zip(cells).filter(|(_, cell)| !cell.trim().is_empty()).collect();
    for (name, cell) in cells {
        let value = match name {
            "requester" | "item" | "details" | "category" | "priority" | "timeout" | "due" => json!(cell),
            "tags" | "approvers" => json!(cell.split(BETWEEN).map(str::trim).collect::<Vec<_>>()),
            _ => serde_json::from_str(cell).map_err(|error| Problem::field(name, format!("is no JSON: {error}")))?,
        };
        asked.insert(name.to_owned(), value);
    }
    Ok(Value::Object(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula() {
        for (cell, written) in [("=1+1", "'=1+1"), ("@x", "'@x"), ("-1", "'-1"), ("a=b", "a=b"), ("", "")] {
            assert_eq!(harmless(cell.to_owned()), written);
        }
    }

    #[test]
    fn a_table_of_requests_is_read_by_its_columns() {
        let text =
            "requester,item,tags,payload,timeout\nann,\"A, chair\",a; b,\"{\"\"n\"\": 1}\",3d\nben,Two,,,\ncem,x,,{,\n";
        let read = of_csv(text.as_bytes()).unwrap();
        let first = read[0].1.as_ref().unwrap();
        assert_eq!(
            (first.item.as_str(), &first.tags, &first.payload),
            ("A, chair", &vec!["a".into(), "b".into()], &Some(json!({"n": 1})))
        );
        assert_eq!(read[1].1.as_ref().unwrap().timeout, None);
        assert_eq!((read[2].0, read[2].1.is_err()), (3, true));
    }
}
