//! Lists of orchestrations: filtered, sorted, from any place on.
//!
//! What no index has in the wanted order is looked for with patience, and no longer; the answer says when a count is a lower
//! bound, and when the part shown may not be the right one.

use std::ops::Range;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use placet_core::partition::view_of_row;
use placet_core::time::Timestamp;
use placet_proto::durabletask::OrchestrationStatus;
use placet_store::{Answer, Column, Filter, Found, Needle, Overview, Query, Search, Sort};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Rest;
use super::body::Body;
use super::hub::TaskHub;
use super::problem::Problem;
use super::shape::Orchestration;
use crate::payloads;
use crate::scheduler::damaged;

/// How many there are on a page if the call does not say, and at most.
const COUNT_DEFAULT: usize = 100;
const COUNT_MAX: usize = 1_000;

/// Where a page may begin at most: what is before it is walked over.
const START_MAX: usize = 1_000_000;

/// … and in an order that no index has, for which all that is before it is held in memory.
const START_SORTED_MAX: usize = 100_000;

/// How long a search may look. With the answer's way it stays below half a second on a busy machine, too.
const PATIENCE: Duration = Duration::from_millis(400);

/// Bytes of one page, about.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// The call.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Asked {
    filter: Option<AskedFilter>,
    pagination: Option<Pagination>,
    sort: Option<Vec<AskedSort>>,
    fields: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AskedFilter {
    orchestration_id: Option<Text>,
    /// Ours: how the id begins, case and all, which an index has.
    orchestration_id_starts_with: Option<Text>,
    name: Option<Text>,
    version: Option<Text>,
    tags: Option<Text>,
    created_at: Option<Times>,
    last_updated_at: Option<Times>,
    start_at: Option<Times>,
    completed_at: Option<Times>,
    orchestration_status: Option<Statuses>,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(default)]
    value: Option<String>,
}

/// From the start on, up to before the end.
#[derive(Debug, Deserialize)]
struct Times {
    #[serde(default)]
    start: Option<String>,
    #[serde(default)]
    end: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Statuses {
    #[serde(default)]
    status: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pagination {
    start_index: Option<usize>,
    count: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct AskedSort {
    column: AskedColumn,
    #[serde(default)]
    direction: Direction,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum AskedColumn {
    OrchestrationId,
    Name,
    Version,
    CreatedAt,
    LastUpdatedAt,
    StartAt,
    CompletedAt,
    OrchestrationStatus,
    Tags,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Direction {
    #[default]
    #[serde(rename = "ASCENDING_SORT")]
    Ascending,
    #[serde(rename = "DESCENDING_SORT")]
    Descending,
}

impl AskedColumn {
    fn column(self) -> Column {
        match self {
            AskedColumn::OrchestrationId => Column::Id,
            AskedColumn::Name => Column::Name,
            AskedColumn::Version => Column::Version,
            AskedColumn::CreatedAt => Column::Created,
            AskedColumn::LastUpdatedAt => Column::Updated,
            AskedColumn::StartAt => Column::Started,
            AskedColumn::CompletedAt => Column::Completed,
            AskedColumn::OrchestrationStatus => Column::Status,
            AskedColumn::Tags => Column::Tags,
        }
    }
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    orchestrations: Vec<Value>,
    total_count: u64,
    /// Ours: there may be more than `totalCount`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_count_is_lower_bound: bool,
    /// Ours: not all were looked at in time, and some of those belong here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
    trivia: Trivia,
}

/// The whole hub, whatever the filter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trivia {
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_timestamp: Option<String>,
    total_count: u64,
    completed_count: u64,
    running_count: u64,
    failed_count: u64,
    pending_count: u64,
}

impl From<&Overview> for Trivia {
    fn from(overview: &Overview) -> Trivia {
        let time = |at: Timestamp| at.to_proto().to_string();
        Trivia {
            earliest_timestamp: overview.created.map(|(first, _)| time(first)),
            latest_timestamp: overview.created.map(|(_, last)| time(last)),
            total_count: overview.total(),
            completed_count: overview.count(&[OrchestrationStatus::Completed]),
            running_count: overview.count(&[OrchestrationStatus::Running]),
            failed_count: overview.count(&[OrchestrationStatus::Failed]),
            pending_count: overview.count(&[OrchestrationStatus::Pending]),
        }
    }
}

pub(super) async fn query(
    State(rest): State<Rest>,
    TaskHub(hub): TaskHub,
    Body { value: asked, .. }: Body<Asked>,
) -> Result<Json<Listed>, Problem> {
    let Asked { filter, pagination, sort, fields } = asked;
    let Pagination { start_index, count } = pagination.unwrap_or_default();
    let by =
        |sort: &AskedSort| Sort { column: sort.column.column(), descending: sort.direction == Direction::Descending };
    let search = Search {
        hub,
        filter: filter.unwrap_or_default().checked()?,
        sort: sort.unwrap_or_default().iter().map(by).collect(),
        skip: start_index.unwrap_or_default(),
        take: count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX),
        patience: PATIENCE,
    };
    check_start(&search)?;
    let fields = fields.filter(|fields| !fields.trim().is_empty());
    let fields: Option<Vec<&str>> = fields.as_deref().map(|fields| fields.split(',').map(str::trim).collect());
    let _place = rest.scheduler.place_to_search().await?;
    let (found, orchestrations) = find(&rest, search).await?;
    Ok(Json(Listed {
        orchestrations: orchestrations.into_iter().map(|one| chosen(one, fields.as_deref())).collect(),
        total_count: found.matched,
        total_count_is_lower_bound: !found.is_all,
        is_partial: !found.is_exact,
        trivia: Trivia::from(&found.overview),
    }))
}

fn check_start(search: &Search) -> Result<(), Problem> {
    let is_indexed = search.only_key().is_some_and(|key| {
        (key.column == Column::Created && search.filter.is_by_status_and_creation())
            || (key.column == Column::Id && search.filter.is_by_beginning_of_id())
    });
    let most = if is_indexed { START_MAX } else { START_SORTED_MAX };
    if search.skip > most {
        let what = format!("{} is too far: {most} at most; narrow the filter, by times for example", search.skip);
        return Err(Problem::field("pagination.startIndex", what));
    }
    Ok(())
}

/// Reads what is to be shown. A page whose states are long ends before it is full: custom statuses and tags are the
/// user's.
async fn find(rest: &Rest, search: Search) -> Result<(Found, Vec<Orchestration>), Problem> {
    let read = rest.scheduler.read(move |store| {
        let mut found = match store.query(&Query::Search(Box::new(search)))? {
            Answer::Found(found) => found,
            _ => Found::default(),
        };
        let (mut orchestrations, mut bytes) = (Vec::with_capacity(found.rows.len()), 0);
        for row in std::mem::take(&mut found.rows) {
            bytes += row.body.len();
            if bytes > PAGE_BYTES_MAX && !orchestrations.is_empty() {
                found.is_exact = false;
                break;
            }
            let view = view_of_row(&row).map_err(|error| damaged(&error))?;
            orchestrations.push(Orchestration::from(payloads::trimmed(view.state, false)));
        }
        Ok((found, orchestrations))
    });
    Ok(read.await?)
}

/// The fields that are wanted, and the id.
fn chosen(orchestration: Orchestration, fields: Option<&[&str]>) -> Value {
    let mut value = serde_json::to_value(orchestration).expect("texts alone");
    if let (Some(fields), Value::Object(object)) = (fields, &mut value) {
        let kept = std::mem::take(object).into_iter();
        *object =
            kept.filter(|(name, _)| name == "instanceId" || fields.contains(&name.as_str())).collect::<Map<_, _>>();
    }
    value
}

impl AskedFilter {
    fn checked(self) -> Result<Filter, Problem> {
        let text = |text: Option<Text>| text.and_then(|text| text.value).unwrap_or_default();
        let needle = |asked: Option<Text>| Needle::new(&text(asked));
        let statuses = self.orchestration_status.map(|statuses| statuses.status).unwrap_or_default();
        Ok(Filter {
            statuses: statuses.iter().map(|name| status_named(name)).collect::<Result<_, _>>()?,
            id_starts: text(self.orchestration_id_starts_with),
            id: needle(self.orchestration_id),
            name: needle(self.name),
            version: needle(self.version),
            tags: needle(self.tags),
            created: range("filter.createdAt", self.created_at)?,
            updated: range("filter.lastUpdatedAt", self.last_updated_at)?,
            started: range("filter.startAt", self.start_at)?,
            completed: range("filter.completedAt", self.completed_at)?,
        })
    }
}

/// A status by its name in the protocol, or without what all of those begin with.
fn status_named(name: &str) -> Result<OrchestrationStatus, Problem> {
    const PREFIX: &str = "ORCHESTRATION_STATUS_";
    let full = if name.starts_with(PREFIX) { name.to_owned() } else { format!("{PREFIX}{}", name.to_uppercase()) };
    OrchestrationStatus::from_str_name(&full)
        .ok_or_else(|| Problem::field("filter.orchestrationStatus.status", format!("{name:?} is no status")))
}

fn range(field: &str, times: Option<Times>) -> Result<Option<Range<Timestamp>>, Problem> {
    let Some(Times { start, end }) = times.filter(|times| times.start.is_some() || times.end.is_some()) else {
        return Ok(None);
    };
    let at = |name: &str, text: Option<String>, absent: i64| match text {
        Some(text) => time(&format!("{field}.{name}"), &text).map(|at| Timestamp::from_proto(&at)),
        None => Ok(Timestamp(absent)),
    };
    Ok(Some(at("start", start, i64::MIN)?..at("end", end, i64::MAX)?))
}

/// A time as RFC 3339 writes it.
pub(super) fn time(field: &str, text: &str) -> Result<prost_types::Timestamp, Problem> {
    text.parse().map_err(|_| Problem::field(field, format!("{text:?} is no time such as 2026-01-31T09:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_named_in_full_or_short_and_nothing_else_is_one() {
        for name in ["ORCHESTRATION_STATUS_RUNNING", "RUNNING", "Running"] {
            assert_eq!(status_named(name), Ok(OrchestrationStatus::Running), "{name}");
        }
        assert!(status_named("Walking").is_err());
    }

    #[test]
    fn times_are_read_with_any_offset_and_any_precision() {
        let micros = |text: &str| time("x", text).map(|at| Timestamp::from_proto(&at).0);
        assert_eq!(micros("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert_eq!(micros("1970-01-01T02:00:00.5+02:00"), Ok(500_000));
        assert_eq!(micros("1970-01-01T00:00:00.123456789Z"), Ok(123_457), "no stored time lies between");
        assert!(micros("yesterday").is_err());
    }
}
