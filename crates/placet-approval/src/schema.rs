//! JSON Schemas: what an approver fills in is what the request asks for.

use serde_json::Value;

/// Whether it is a schema.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_schema(schema: &Value) -> Result<(), String> {
    jsonschema::validator_for(schema).map(drop).map_err(|error| error.to_string())
}

/// Whether a value is what a schema asks for.
///
/// # Errors
/// What of it is not, and where.
pub(crate) fn check(field: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let validator =
        jsonschema::validator_for(schema).map_err(|error| format!("{field}: its schema is none: {error}"))?;
    let Err(error) = validator.validate(value) else { return Ok(()) };
    Err(format!("{field}{}: {}", error.instance_path(), error.masked()))
}
