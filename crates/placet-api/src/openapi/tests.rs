//! What every description holds to, and ours as it stands.

use std::collections::BTreeSet;

use super::*;

/// Each operation: its path, its method, and what is said of it.
fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Whatever an operation, or a schema, refers to.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let here = fields.get("$ref").and_then(Value::as_str);
            here.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_document_is_this_one() {
    insta::assert_snapshot!(format!("{:#}", *DOCUMENT));
}

#[test]
fn all_that_is_referred_to_is_there_and_all_that_is_there_is_referred_to() {
    let there: BTreeSet<&str> =
        DOCUMENT["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    let named = |to: &'static str| to.strip_prefix("#/components/schemas/").unwrap();
    let referred_to: BTreeSet<&str> = references(&DOCUMENT).into_iter().map(named).collect();
    assert_eq!(referred_to, there);
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_how_it_is_answered() {
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations() {
        let name = operation["operationId"].as_str().unwrap();
        assert!(!name.is_empty() && names.insert(name), "{method} {path}: {name:?}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name}");
        assert!(answers.keys().all(|status| status.parse::<u16>().is_ok()), "{name}: no default");
        let in_path = path.contains("{id}");
        let parameters = operation["parameters"].as_array().unwrap();
        assert_eq!(parameters.iter().any(|parameter| parameter["in"] == "path"), in_path, "{name}");
    }
}

#[test]
fn an_operation_that_takes_a_body_gives_an_example_of_it() {
    for (_, _, operation) in operations() {
        let Some(content) = operation.pointer("/requestBody/content/application~1json") else { continue };
        let name = &operation["operationId"];
        let known = |name: &str| content["schema"]["properties"].get(name).is_some();
        let example = content["example"].as_object().unwrap_or_else(|| panic!("{name} has no example that is JSON"));
        let schema = content["schema"]["$ref"].as_str();
        let schema = schema.map(|to| DOCUMENT.pointer(to.trim_start_matches('#')).unwrap());
        let known = |name: &str| schema.map_or_else(|| known(name), |schema| schema["properties"].get(name).is_some());
        assert!(example.keys().all(|name| known(name)), "{name}: {example:?}");
    }
}

#[test]
fn the_page_tells_of_every_operation_and_of_every_type() {
    for (path, _, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(HTML.contains(&format!("id=\"{id}\"")) && HTML.contains(path), "{id}");
    }
    for name in DOCUMENT["components"]["schemas"].as_object().unwrap().keys() {
        assert!(HTML.contains(&format!("id=\"type-{name}\"")), "{name}");
    }
    // Also of what is one of several, and of what those have in common.
    for way in ["href=\"#type-TimedOut\"", "href=\"#type-Withdrawn\"", "<code>&#34;none&#34;</code>"] {
        assert!(HTML.contains(way), "{way}");
    }
    let ids: BTreeSet<&str> = HTML.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let links = HTML.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    links.for_each(|link| assert!(ids.contains(link), "{link}"));
    assert!(!HTML.contains('`'), "what stands between backquotes is shown as code");
}
