//! `/docs`: the document, as a page that people read.

use askama::Template;
use serde_json::{Map, Value};

/// The page, as `templates/docs.html` has it.
#[derive(Template)]
#[template(path = "docs.html")]
struct Page<'a> {
    version: &'a str,
    says: Vec<Word>,
    parts: Vec<Part<'a>>,
    types: Vec<Type<'a>>,
}

struct Part<'a> {
    name: &'a str,
    says: Vec<Word>,
    operations: Vec<Operation<'a>>,
}

struct Operation<'a> {
    id: &'a str,
    method: String,
    path: &'a str,
    summary: &'a str,
    says: Vec<Word>,
    /// A call that could be made.
    example: Option<String>,
    parameters: Vec<Field<'a>>,
    /// The media types of what is sent.
    sent_as: Vec<&'a str>,
    sent: Option<Type<'a>>,
    answers: Vec<Answer<'a>>,
    refusals: Vec<Answer<'a>>,
}

struct Answer<'a> {
    status: &'a str,
    says: Vec<Word>,
    /// Each form: a media type, and what is written in it.
    contents: Vec<(&'a str, Vec<Word>)>,
}

/// A schema.
struct Type<'a> {
    name: &'a str,
    says: Vec<Word>,
    /// What it is, if it has no fields; and what else belongs to it, if it has.
    kind: Vec<Word>,
    fields: Vec<Field<'a>>,
    /// If it is one of several.
    ways: Vec<Type<'a>>,
}

struct Field<'a> {
    name: &'a str,
    /// Where a parameter stands.
    place: &'a str,
    kind: Vec<Word>,
    is_required: bool,
    says: Vec<Word>,
}

/// A piece of a line.
enum Word {
    Text(String),
    Code(String),
    /// The name of a type.
    Type(String),
}

/// The page of a document.
pub(super) fn of(document: &Value) -> String {
    let parts = list(document, "/tags").iter().map(|tag| {
        let name = text(tag, "/name");
        let operations = fields(document, "/paths").flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            let of_part = methods.filter(|(_, operation)| text(operation, "/tags/0") == name);
            of_part.map(move |(method, of)| operation(document, path, method, of)).collect::<Vec<_>>()
        });
        Part { name, says: said(text(tag, "/description")), operations: operations.collect() }
    });
    let page = Page {
        version: text(document, "/info/version"),
        says: said(text(document, "/info/description")),
        parts: parts.collect(),
        types: fields(document, "/components/schemas").map(|(name, schema)| of_schema(name, schema)).collect(),
    };
    page.render().expect("it is written into memory")
}

fn operation<'a>(document: &'a Value, path: &'a str, method: &str, of: &'a Value) -> Operation<'a> {
    let parameter = |of: &'a Value| Field {
        name: text(of, "/name"),
        place: text(of, "/in"),
        kind: of.get("schema").map(kind).unwrap_or_default(),
        is_required: is(of, "/required"),
        says: said(text(of, "/description")),
    };
    let sent = fields(of, "/requestBody/content").next();
    let example = sent.and_then(|(_, content)| content.get("example"));
    let responses = fields(of, "/responses").map(|(status, of)| {
        let form =
            |(media_type, of): (&'a str, &'a Value)| (media_type, of.get("schema").map(kind).unwrap_or_default());
        Answer { status, says: said(text(of, "/description")), contents: fields(of, "/content").map(form).collect() }
    });
    let is_refusal = |answer: &Answer<'_>| answer.contents.iter().any(|(of, _)| *of == "application/problem+json");
    let (refusals, answers) = responses.partition(is_refusal);
    Operation {
        id: text(of, "/operationId"),
        method: method.to_uppercase(),
        path,
        summary: text(of, "/summary"),
        says: said(text(of, "/description")),
        example: example.map(|example| curl(path, example)),
        parameters: list(of, "/parameters").iter().map(parameter).collect(),
        sent_as: fields(of, "/requestBody/content").map(|(media_type, _)| media_type).collect(),
        sent: sent.and_then(|(_, content)| content.get("schema")).map(|schema| {
            let there = schema.get("$ref").and_then(Value::as_str).map(|to| to.trim_start_matches('#'));
            of_schema("", there.and_then(|to| document.pointer(to)).unwrap_or(schema))
        }),
        answers,
        refusals,
    }
}

fn curl(path: &str, body: &Value) -> String {
    let path = path.replace("{id}", "REQUEST_ID");
    format!("curl http://localhost:8000{path} \\\n     -H 'Content-Type: application/json' \\\n     -d '{body}'")
}

fn of_schema<'a>(name: &'a str, schema: &'a Value) -> Type<'a> {
    let required = list(schema, "/required");
    let field = |(name, schema): (&'a str, &'a Value)| Field {
        name,
        place: "",
        kind: kind(schema),
        is_required: required.iter().any(|required| required == name),
        says: said(text(schema, "/description")),
    };
    let all: Vec<Field<'a>> = fields(schema, "/properties").map(field).collect();
    let ways = || ["/oneOf", "/anyOf"].into_iter().flat_map(|of| list(schema, of));
    // Of plain ones their kinds say all in a line.
    let is_told = ways().any(|way| way.get("properties").is_some() || way.get("description").is_some());
    let ways: Vec<Type<'a>> = ways().filter(|_| is_told).map(|way| of_schema("", way)).collect();
    let is_plain = all.is_empty() && ways.is_empty();
    let kind = if is_plain || schema.get("$ref").is_some() { kind(schema) } else { Vec::new() };
    Type { name, says: said(text(schema, "/description")), kind, fields: all, ways }
}

/// What a value is.
fn kind(schema: &Value) -> Vec<Word> {
    let word = |text: &str| vec![Word::Text(text.to_owned())];
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.rsplit('/').next()) {
        return vec![Word::Type(name.to_owned())];
    }
    if let Some(value) = schema.get("const") {
        return vec![Word::Code(value.to_string())];
    }
    let values = list(schema, "/enum");
    if !values.is_empty() {
        return joined(values.iter().map(|value| vec![Word::Code(value.to_string())]));
    }
    for of in ["/oneOf", "/anyOf"] {
        let ways = list(schema, of);
        if !ways.is_empty() {
            return joined(ways.iter().map(kind));
        }
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return word("any JSON"),
    };
    joined(types.into_iter().map(|of| match of {
        "array" => word("list of ").into_iter().chain(schema.get("items").map(kind).unwrap_or_default()).collect(),
        "string" => match text(schema, "/format") {
            "date-time" => word("time (RFC 3339)"),
            "date" => word("date"),
            "duration" => word("duration"),
            _ => word("text"),
        },
        "integer" => word("whole number"),
        other => word(other),
    }))
}

fn joined(ways: impl Iterator<Item = Vec<Word>>) -> Vec<Word> {
    let mut words = Vec::new();
    for way in ways {
        if !words.is_empty() {
            words.push(Word::Text(" or ".to_owned()));
        }
        words.extend(way);
    }
    words
}

/// Our own words, of which some stand between backquotes.
fn said(text: &str) -> Vec<Word> {
    let is_code = [false, true].into_iter().cycle();
    let pieces = text.split('`').zip(is_code).filter(|(text, _)| !text.is_empty());
    pieces.map(|(text, is_code)| if is_code { Word::Code(text.into()) } else { Word::Text(text.into()) }).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn is(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn fields<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    let fields: Option<&'a Map<String, Value>> = value.pointer(pointer).and_then(Value::as_object);
    fields.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
