//! An operation: what its handler takes, as its signature says, and what is said of it beside that.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::State;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::guard::BaseUrl;
use crate::problem::Kind;
use crate::{Operations, Shared};

/// What is said of an operation beside what its handler takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// Its name in programs (`operationId`).
    pub(crate) id: &'static str,
    /// In a line.
    pub(crate) summary: &'static str,
    /// More, in Markdown.
    pub(crate) details: &'static str,
    /// What it is answered if all goes well.
    pub(crate) answers: &'static [Answer],
    /// Why it may be refused, beside what everything may be refused for that takes the same.
    pub(crate) problems: &'static [Kind],
    /// A body, as JSON, that could be sent.
    pub(crate) example: Option<&'static str>,
}

impl About {
    /// For all that an operation does not say.
    pub(crate) const NOTHING: About =
        About { id: "", summary: "", details: "", answers: &[], problems: &[], example: None };
}

/// An answer that is no problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) contents: &'static [Content],
    /// Headers, and what they say.
    pub(super) headers: &'static [(&'static str, &'static str)],
}

/// A form that an answer has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(super) media_type: &'static str,
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Content {
    /// A text of this type.
    pub(crate) const fn text(media_type: &'static str) -> Content {
        Content { media_type, schema: schema_of::<String> }
    }

    /// What is written as JSON.
    pub(crate) const fn json<T: JsonSchema>() -> Content {
        Content { media_type: "application/json", schema: schema_of::<T> }
    }
}

/// The headers of something that was made.
pub(crate) const LOCATION: &[(&str, &str)] = &[("Location", "Where it is")];

impl Answer {
    /// In one of these forms.
    pub(crate) const fn new(status: u16, says: &'static str, contents: &'static [Content]) -> Answer {
        Answer { status, says, contents, headers: &[] }
    }

    /// Without a body.
    pub(crate) const fn empty(status: u16, says: &'static str) -> Answer {
        Answer::new(status, says, &[])
    }

    /// With these headers, too.
    pub(crate) const fn with(self, headers: &'static [(&'static str, &'static str)]) -> Answer {
        Answer { headers, ..self }
    }
}

fn schema_of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

/// What a handler takes.
pub(crate) struct Inputs<'a> {
    pub(super) schemas: &'a mut SchemaGenerator,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) problems: BTreeSet<Kind>,
}

impl Inputs<'_> {
    /// A value of the query or of the header of this name.
    pub(crate) fn parameter(&mut self, place: &str, name: &str, is_required: bool, says: &str, schema: &Value) {
        self.parameters.push(json!({
            "name": name, "in": place, "required": is_required, "description": says, "schema": schema,
        }));
    }

    /// What stands in the query, each field a value.
    pub(crate) fn query<T: JsonSchema>(&mut self, is_meant: impl Fn(&str) -> bool, required: &[&str]) {
        let schema = T::json_schema(self.schemas);
        let Some(Value::Object(fields)) = schema.get("properties") else { return };
        for (name, schema) in fields.iter().filter(|(name, _)| is_meant(name)) {
            let mut schema = schema.clone();
            without_null(&mut schema);
            let says = schema.as_object_mut().and_then(|schema| schema.remove("description")).unwrap_or_default();
            self.parameter(
                "query",
                name,
                required.contains(&name.as_str()),
                says.as_str().unwrap_or_default(),
                &schema,
            );
        }
        self.refuses(&[Kind::BadBody]);
    }

    /// What is sent, in one of these forms.
    pub(crate) fn body(&mut self, media_types: &[&str], schema: &Value) {
        let contents = media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})));
        self.body = Some(json!({"required": true, "content": serde_json::Map::from_iter(contents)}));
        self.refuses(&[Kind::BadBody, Kind::BodyTooLarge, Kind::BodyTooSlow, Kind::NotJson, Kind::Overloaded]);
    }

    /// Where the schemas of what is taken are kept.
    pub(crate) fn schemas(&mut self) -> &mut SchemaGenerator {
        self.schemas
    }

    /// How what is read of a type is written.
    pub(crate) fn schema_of<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    /// Why it may be refused.
    pub(crate) fn refuses(&mut self, kinds: &[Kind]) {
        self.problems.extend(kinds);
    }
}

/// A query has no `null`: what is not said is left out.
fn without_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|of| of != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
}

/// Something that handlers take. Their signatures are read by this, so that the document knows of nothing that they do not take,
/// and of all that they do.
pub(crate) trait Takes {
    /// What a caller must know of it.
    fn describe(input: &mut Inputs<'_>);
}

/// The scheduler may be called, and may not answer.
impl Takes for State<Shared> {
    fn describe(input: &mut Inputs<'_>) {
        input.refuses(&[
            Kind::Overloaded,
            Kind::DiskFull,
            Kind::SchedulerUnreachable,
            Kind::SchedulerFailed,
            Kind::OutcomeUnknown,
        ]);
    }
}

macro_rules! of_the_server {
    ($($of:ty),*) => {
        $(impl Takes for $of {
            fn describe(_: &mut Inputs<'_>) {}
        })*
    };
}

of_the_server!(State<Operations>, Extension<BaseUrl>);

// The first of a handler's types is axum's own.
macro_rules! signatures {
    ($(($($of:ident)*))*) => {
        $(impl<Via, $($of: Takes),*> Takes for (Via, $($of),*) {
            fn describe(_input: &mut Inputs<'_>) {
                $($of::describe(_input);)*
            }
        })*
    };
}

signatures! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) }
