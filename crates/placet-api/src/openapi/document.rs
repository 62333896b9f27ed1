//! The document, put together: parts, paths, operations, schemas.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Inputs};
use super::{Operation, Part};
use crate::problem::Kind;

const DETAILS: &str = "Programs ask, people decide, nothing is lost in between. What is answered is on disk. Errors are problem \
                       documents (RFC 9457): `type` says which, `detail` what to do, and docs/errors.md has a paragraph on each.";

/// Where schemas stand.
const SCHEMAS: &str = "/components/schemas";

/// Whatever is called may be refused for these (`guard.rs`).
const GUARDS: [Kind; 3] = [Kind::MissingHeader, Kind::ForbiddenHost, Kind::ForbiddenOrigin];

pub(super) fn of(parts: Vec<Part>) -> Value {
    let settings = || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut taken = settings().for_deserialize().into_generator();
    let mut answered = settings().for_serialize().into_generator();
    let mut tags = Vec::new();
    let mut paths: Map<String, Value> = Map::new();
    for Part { name, details, operations } in parts {
        tags.push(json!({"name": name, "description": details}));
        for operation in operations {
            let at = paths.entry(operation.path).or_insert_with(|| json!({}));
            at[operation.method] = described(name, &operation, &mut taken, &mut answered);
        }
    }
    let mut schemas = taken.take_definitions(true);
    for (name, schema) in answered.take_definitions(true) {
        let other = schemas.insert(name.clone(), schema.clone());
        assert!(other.is_none_or(|other| other == schema), "{name} is written otherwise than it is read: two types");
    }
    schemas.insert("Problem".to_owned(), problem());
    schemas.sort_keys();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Placet",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Approvals for programs that wait for people.",
            "description": DETAILS,
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn described(part: &str, operation: &Operation, taken: &mut SchemaGenerator, answered: &mut SchemaGenerator) -> Value {
    let about = operation.about;
    let mut input = Inputs { schemas: taken, parameters: Vec::new(), body: None, problems: GUARDS.into() };
    (operation.takes)(&mut input);
    input.refuses(about.problems);
    let Inputs { parameters, body, problems, .. } = input;

    let mut responses = BTreeMap::new();
    let answers = about.answers.iter().map(|answer| (answer.status, answer_of(answer, answered)));
    let refusals = by_status(problems).into_iter().map(|(status, kinds)| (status, refused(&kinds)));
    for (status, response) in answers.chain(refusals) {
        let other = responses.insert(status, response);
        assert!(other.is_none(), "{} has two answers of status {status}", about.id);
    }
    let mut described = json!({
        "operationId": about.id,
        "tags": [part],
        "summary": about.summary,
        "description": about.details,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(mut body) = body {
        let example = about.example.and_then(|example| serde_json::from_str::<Value>(example).ok());
        if let (Some(example), Some(content)) = (example, body.pointer_mut("/content/application~1json")) {
            content["example"] = example;
        }
        described["requestBody"] = body;
    }
    described
}

fn answer_of(answer: &Answer, schemas: &mut SchemaGenerator) -> Value {
    let mut response = json!({"description": answer.says});
    if !answer.headers.is_empty() {
        let header = |says: &str| json!({"description": says, "schema": {"type": "string"}});
        let headers = answer.headers.iter().map(|(name, says)| ((*name).to_owned(), header(says)));
        response["headers"] = Map::from_iter(headers).into();
    }
    if !answer.contents.is_empty() {
        let contents = answer
            .contents
            .iter()
            .map(|content| (content.media_type.to_owned(), json!({"schema": (content.schema)(schemas).to_value()})));
        response["content"] = Map::from_iter(contents).into();
    }
    response
}

fn by_status(problems: BTreeSet<Kind>) -> BTreeMap<u16, Vec<Kind>> {
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in problems {
        by_status.entry(kind.status().as_u16()).or_default().push(kind);
    }
    by_status
}

fn refused(kinds: &[Kind]) -> Value {
    let says: Vec<String> = kinds.iter().map(|kind| format!("`{}`: {}", kind.name(), kind.title())).collect();
    let mut response = json!({
        "description": says.join(". "),
        "content": {"application/problem+json": {"schema": {"$ref": format!("#{SCHEMAS}/Problem")}}},
    });
    if kinds.iter().any(|kind| kind.passes()) {
        let says = "In so many seconds it may be tried again";
        response["headers"] = json!({"Retry-After": {"description": says, "schema": {"type": "string"}}});
    }
    response
}

fn problem() -> Value {
    let names: Vec<String> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
    json!({
        "description": "What went wrong, where, and what to do about it (RFC 9457).",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"description": "Which problem it is.", "type": "string", "enum": names},
            "title": {"description": "The same in words.", "type": "string"},
            "status": {"description": "The status of the answer.", "type": "integer"},
            "detail": {"description": "What is wrong here, and what to do about it.", "type": "string"},
            "field": {"description": "The field that is wrong.", "type": "string"},
            "request_id": {"description": "The request.", "type": "string"},
            "outcome": {"description": "What won."},
            "permit": {"description": "The permit as it stands."},
            "status_url": {"description": "Where to look.", "type": "string"},
        },
    })
}
