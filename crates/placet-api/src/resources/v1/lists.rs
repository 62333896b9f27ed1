//! `GET /api/v1/requests` and `GET /api/v1/inbox`: lists of requests, with filters and full-text search, page by page.

use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::{Extension, Json};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use placet_approval::{Approver, Directory, Person, Priority, REQUEST_ROWS, RequestRow, terms};
use placet_sdk::Code;
use placet_sdk::published::{AnyTerm, ListPublishedRequest, ListedRow, any_of, beginning};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::requests::{Listed, published};
use crate::guard::BaseUrl;
use crate::openapi::{About, Answer, Content, Inputs, Takes};
use crate::problem::{self, Kind, Problem};
use crate::rights;
use crate::{Api, Shared};

/// Requests on a page if nobody says, and at most.
const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 500;

/// A page that has none of the requests that are looked for may be followed by one that has: so often it is.
const PAGES_LOOKED_AT: u32 = 20;

/// What may be asked of a list: each narrows it, and several values of one, with commas between them, widen it again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// `pending` (or `open`), `approved`, `rejected`, `expired`, `withdrawn`, or one of these by what it was
    /// (`approved_by_override`).
    status: Option<String>,
    /// Who asked.
    requester: Option<String>,
    /// For whom it waits now: `user:ann`, `group:sre`, `email:bob@example.org`, `anyone`.
    approver: Option<String>,
    /// Who has voted on it.
    decided_by: Option<String>,
    /// Of which kind it is.
    category: Option<String>,
    /// A word to find it by.
    tag: Option<String>,
    /// `low`, `high` or `critical`.
    priority: Option<String>,
    /// `admins` or `fallback`: requests that nobody whom their plan names can decide.
    queue: Option<String>,
    /// Words of item, requester, category and tags, each by its beginning; or a request's whole id.
    q: Option<String>,
    /// Made then or later.
    created_from: Option<Timestamp>,
    /// Made before.
    created_before: Option<Timestamp>,
    /// Due then or later.
    due_from: Option<Timestamp>,
    /// Due before.
    due_before: Option<Timestamp>,
    /// `created` or `due`, with a `-` before it for the last first; `-created` if nobody says.
    sort: Option<String>,
    /// How many are on a page, if not as many as the server likes.
    #[schemars(range(min = 1, max = PAGE_MAX))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// In the inbox: whose.
    person: Option<String>,
    /// Of an export: `jsonl`, if nobody says, or `csv`.
    pub(crate) format: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked, Problem> {
        let query = Query::<Asked>::from_request_parts(parts, state).await;
        let Query(asked) = query.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let what = source.unwrap_or_else(|| error.body_text());
            // `limit: invalid digit`, or unknown field `x`: which one it is stands in the message.
            let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            match what.split_once(": ").filter(|(name, _)| is_name(name)) {
                Some((name, wrong)) => Problem::field(name, wrong),
                None => Problem::field(what.split('`').nth(1).unwrap_or("query"), &what),
            }
        })?;
        Ok(asked.without_blanks())
    }
}

/// What is asked of a list.
pub(crate) struct ListQuery(Asked);

/// What is asked of an inbox, and whose it is.
pub(crate) struct InboxQuery(pub(super) Asked);

/// What is asked of an export.
pub(crate) struct ExportQuery(pub(super) Asked);

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ListQuery, Problem> {
        let asked = Asked::from_request_parts(parts, state).await?;
        if asked.person.is_some() {
            return Err(Problem::field("person", "belongs to /api/v1/inbox; here it is approver=user:NAME"));
        }
        asked.is_no_export()?;
        Ok(ListQuery(asked))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InboxQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<InboxQuery, Problem> {
        let asked = Asked::from_request_parts(parts, state).await?;
        asked.is_no_export()?;
        Ok(InboxQuery(asked))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ExportQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ExportQuery, Problem> {
        let asked = Asked::from_request_parts(parts, state).await?;
        if asked.cursor.is_some() || asked.limit.is_some() || asked.person.is_some() {
            return Err(Problem::field("query", "an export has all of a list: leave out limit, cursor and person"));
        }
        Ok(ExportQuery(asked))
    }
}

impl Takes for ListQuery {
    fn describe(input: &mut Inputs<'_>) {
        input.query::<Asked>(|name| !["person", "format"].contains(&name), &[]);
    }
}

impl Takes for InboxQuery {
    fn describe(input: &mut Inputs<'_>) {
        input.query::<Asked>(|name| name != "format", &["person"]);
    }
}

impl Takes for ExportQuery {
    fn describe(input: &mut Inputs<'_>) {
        input.query::<Asked>(|name| !["person", "limit", "cursor"].contains(&name), &[]);
    }
}

/// A page of requests.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RequestPage")]
pub(crate) struct Page {
    requests: Vec<Listed>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a list is answered.
const PAGE: &[Answer] = &[Answer::new(200, "A page of it", &[Content::json::<Page>()])];

pub(crate) const LIST: About = About {
    id: "listRequests",
    summary: "Requests, page by page",
    details: "Each filter narrows the list; several values of one, with commas between them, widen it again.",
    answers: PAGE,
    ..About::NOTHING
};

/// `GET /api/v1/requests`.
pub(crate) async fn list(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    ListQuery(asked): ListQuery,
) -> Result<Json<Page>, Problem> {
    if let Some(row) = by_id(&api, &asked).await? {
        return Ok(Json(Page { requests: vec![Listed::new(&base, row)], next: None }));
    }
    let question = asked.question(&(api.configuration)().directory)?;
    page(&api, &base, question, |_| true).await
}

pub(crate) const INBOX: About = About {
    id: "getInbox",
    summary: "What waits for somebody",
    details: "By himself or by a group that holds him, but what he has voted on.",
    answers: PAGE,
    ..About::NOTHING
};

/// `GET /api/v1/inbox?person=ann`: what waits for somebody, by himself or by a group that holds him, but what he has voted on.
pub(crate) async fn inbox(
    State(api): State<Shared>,
    Extension(base): Extension<BaseUrl>,
    InboxQuery(asked): InboxQuery,
) -> Result<Json<Page>, Problem> {
    let inbox = Inbox::of(&api, asked)?;
    let question = inbox.question(&api)?;
    page(&api, &base, question, |row| !has_voted(row, &inbox.person)).await
}

/// Somebody's inbox, and what is asked of it.
pub(super) struct Inbox {
    person: Person,
    asked: Asked,
}

impl Inbox {
    pub(super) fn of(api: &Api, asked: Asked) -> Result<Inbox, Problem> {
        let name = asked.person.as_deref().ok_or_else(|| Problem::field("person", "must say whose inbox it is"))?;
        let inbox = Inbox { person: rights::person(api, "person", name)?, asked };
        inbox.question(api)?;
        Ok(inbox)
    }

    /// The ways in which something may come to wait in it, as the configuration is now.
    pub(super) fn terms(&self, api: &Api) -> Vec<String> {
        waits_for(&(api.configuration)().directory, &self.person)
    }

    fn question(&self, api: &Api) -> Result<ListPublishedRequest, Problem> {
        let mut question = self.asked.question(&(api.configuration)().directory)?;
        question.all.push(any_of(self.terms(api)));
        Ok(question)
    }

    /// All that waits in it, as many as a page may have.
    pub(super) async fn requests(&self, api: &Api, base: &BaseUrl) -> Result<Vec<Listed>, Problem> {
        let question = ListPublishedRequest { limit: PAGE_MAX, ..self.question(api)? };
        let Json(Page { requests, .. }) = page(api, base, question, |row| !has_voted(row, &self.person)).await?;
        Ok(requests)
    }
}

/// Each way in which a request may wait for somebody.
fn waits_for(directory: &Directory, person: &Person) -> Vec<String> {
    let groups = directory.groups_of(person).into_iter().map(|group| terms::of_approver(&Approver::Group(group)));
    let addresses =
        directory.addresses_of(person).map(|address| terms::of_approver(&Approver::Email(address.to_lowercase())));
    let mut ways = vec![terms::of_asked(person), terms::of_approver(&Approver::Anyone)];
    ways.extend(groups);
    ways.extend(addresses);
    ways
}

fn has_voted(row: &RequestRow, person: &Person) -> bool {
    row.stage.as_ref().is_some_and(|stage| stage.votes.iter().any(|vote| vote.person == *person))
}

/// The request whose whole id is looked for.
async fn by_id(api: &Api, asked: &Asked) -> Result<Option<RequestRow>, Problem> {
    let id = asked.q.as_deref().unwrap_or_default().trim();
    if id.is_empty() || asked.cursor.is_some() { Ok(None) } else { published(api, REQUEST_ROWS, id).await }
}

/// A page of those for which this holds, too.
async fn page(
    api: &Api,
    base: &BaseUrl,
    mut question: ListPublishedRequest,
    is_meant: impl Fn(&RequestRow) -> bool,
) -> Result<Json<Page>, Problem> {
    let wanted = question.limit;
    let mut requests = Vec::new();
    for _ in 0..PAGES_LOOKED_AT {
        question.limit = wanted - u32::try_from(requests.len()).unwrap_or(wanted);
        let (rows, next) = rows(api, &question).await?;
        requests.extend(rows.into_iter().filter(&is_meant).map(|row| Listed::new(base, row)));
        match next {
            None => return Ok(Json(Page { requests, next: None })),
            Some(next) if requests.len() >= usize::try_from(wanted).unwrap_or(usize::MAX) => {
                return Ok(Json(Page { requests, next: Some(next) }));
            }
            Some(next) => question.after = next,
        }
    }
    Ok(Json(Page { requests, next: Some(question.after) }))
}

/// All that is asked for, page by page.
pub(crate) async fn all(
    api: Shared,
    asked: &Asked,
) -> Result<BoxStream<'static, Result<Vec<RequestRow>, Problem>>, Problem> {
    if let Some(row) = by_id(&api, asked).await? {
        return Ok(stream::iter([Ok(vec![row])]).boxed());
    }
    let question = ListPublishedRequest { limit: PAGE_MAX, ..asked.question(&(api.configuration)().directory)? };
    let pages = stream::try_unfold(Some(question), move |question| {
        let api = api.clone();
        async move {
            let Some(question) = question else { return Ok(None) };
            let (rows, next) = rows(&api, &question).await?;
            Ok(Some((rows, next.map(|after| ListPublishedRequest { after, ..question }))))
        }
    });
    Ok(pages.boxed())
}

/// The rows of a page of the index, and where the next one begins.
pub(super) async fn rows(
    api: &Api,
    question: &ListPublishedRequest,
) -> Result<(Vec<RequestRow>, Option<String>), Problem> {
    let page = api.client.list_published(question.clone()).await.map_err(|error| match error.code {
        Code::InvalidArgument if question.after.is_empty() => Problem::field("query", &error.message),
        Code::InvalidArgument => Problem::field("cursor", "is not one that this server gave for such a list"),
        _ => problem::of_call("", &error),
    })?;
    let read = |row: &ListedRow| {
        serde_json::from_slice(&row.body).map_err(|error| {
            Problem::new(Kind::SchedulerFailed, format!("the row of {} is not what was written: {error}", row.key))
        })
    };
    let rows = page.value.rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok((rows, page.value.next))
}

impl Asked {
    fn is_no_export(&self) -> Result<(), Problem> {
        if self.format.is_some() {
            return Err(Problem::field("format", "belongs to /api/v1/requests/export"));
        }
        Ok(())
    }

    /// What is left empty, as a form leaves it, asks for nothing.
    fn without_blanks(mut self) -> Asked {
        for field in [
            &mut self.status,
            &mut self.requester,
            &mut self.approver,
            &mut self.decided_by,
            &mut self.category,
            &mut self.tag,
            &mut self.priority,
            &mut self.queue,
            &mut self.sort,
            &mut self.format,
        ] {
            field.take_if(|text| text.trim().is_empty());
        }
        self
    }

    fn question(&self, directory: &Directory) -> Result<ListPublishedRequest, Problem> {
        let mut question = ListPublishedRequest {
            kind: REQUEST_ROWS.to_owned(),
            all: self.conditions(directory)?,
            after: self.cursor.clone().unwrap_or_default(),
            limit: self.limit()?,
            ..ListPublishedRequest::default()
        };
        let sort = self.sort.as_deref().unwrap_or("-created");
        let (column, descending) = sort.strip_prefix('-').map_or((sort, false), |column| (column, true));
        let (created, due) = ((self.created_from, self.created_before), (self.due_from, self.due_before));
        let (from, before) = match column {
            "created" if due == (None, None) => created,
            "created" => return Err(Problem::field("sort", "must be due or -due with due_from or due_before")),
            "due" if created == (None, None) => due,
            "due" => {
                return Err(Problem::field("sort", "must be created or -created with created_from or created_before"));
            }
            _ => return Err(Problem::field("sort", "must be created, -created, due or -due")),
        };
        if column == "due" {
            terms::DUE.clone_into(&mut question.sort);
        }
        question.descending = descending;
        question.from = from.map(Timestamp::as_microsecond);
        question.before = before.map(Timestamp::as_microsecond);
        Ok(question)
    }

    fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(PAGE_DEFAULT) {
            limit @ 1..=PAGE_MAX => Ok(limit),
            _ => Err(Problem::field("limit", format!("must be from 1 to {PAGE_MAX}"))),
        }
    }

    fn conditions(&self, directory: &Directory) -> Result<Vec<AnyTerm>, Problem> {
        let mut all = vec![self.statuses()?];
        if let Some(names) = &self.requester {
            all.push(any_of(values(names).map(|name| terms::of_requester(directory.person(name).as_str()))));
        }
        if let Some(approvers) = &self.approver {
            let parsed = values(approvers).map(str::parse::<Approver>).collect::<Result<Vec<_>, _>>();
            let parsed = parsed.map_err(|error| Problem::field("approver", error))?;
            all.push(any_of(parsed.iter().map(terms::of_approver)));
        }
        if let Some(people) = &self.decided_by {
            all.push(any_of(values(people).map(|name| terms::of_decider(directory.person(name).as_str()))));
        }
        all.extend(self.category.as_deref().map(|of| any_of(values(of).map(terms::of_category))));
        all.extend(self.tag.as_deref().map(|of| any_of(values(of).map(terms::of_tag))));
        if let Some(priorities) = &self.priority {
            let parsed =
                values(priorities).map(|name| serde_json::from_value(name.into())).collect::<Result<Vec<_>, _>>();
            // What is normal is no term: most requests are.
            let parsed = parsed.ok().filter(|parsed| !parsed.contains(&Priority::Normal));
            let parsed = parsed.ok_or_else(|| Problem::field("priority", "must be low, high or critical"))?;
            all.push(any_of(parsed.into_iter().map(terms::of_priority)));
        }
        match self.queue.as_deref() {
            None => {}
            Some(queue @ ("admins" | "fallback")) => all.push(any_of([format!("q:{queue}")])),
            Some(_) => return Err(Problem::field("queue", "must be admins or fallback")),
        }
        let words = self.q.iter().flat_map(|text| terms::words(text));
        all.extend(words.map(|word| beginning(terms::of_word(&word))));
        Ok(all)
    }

    fn statuses(&self) -> Result<AnyTerm, Problem> {
        let Some(statuses) = &self.status else { return Ok(beginning(terms::of_status(""))) };
        let details = values(statuses).map(|status| {
            let of = details_of(status);
            of.ok_or_else(|| Problem::field("status", "must be pending, approved, rejected, expired or withdrawn"))
        });
        let details = details.collect::<Result<Vec<_>, _>>()?.concat();
        Ok(any_of(details.into_iter().map(terms::of_status)))
    }
}

/// What a status of a filter stands for, as outcomes tell it.
fn details_of(status: &str) -> Option<&'static [&'static str]> {
    Some(match status {
        "pending" | "open" => &["pending"],
        "approved" => &["approved", "approved_by_override", "approved_by_policy"],
        "approved_by_override" => &["approved_by_override"],
        "approved_by_policy" => &["approved_by_policy"],
        "rejected" => &["rejected", "rejected_by_policy"],
        "rejected_by_policy" => &["rejected_by_policy"],
        "expired" | "timeout" => &["expired"],
        "withdrawn" => &["withdrawn"],
        _ => return None,
    })
}

fn values(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|value| !value.is_empty())
}
