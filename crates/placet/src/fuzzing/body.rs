//! Bodies: what the API takes, nearly that, other JSON, and what is none.

use placet_core::fuzzing::Source;

/// Lists within lists, at most.
const DEPTH_MAX: usize = 4;

/// What the fields of the API's bodies say, when they are sound.
const NEW: [(&str, &str); 3] = [("requester", "\"Alice\""), ("item", "\"Vacation\""), ("timeout_hours", "0.5")];
const DECISION: [(&str, &str); 3] =
    [("is_approved", "true"), ("approver", "\"Manager\""), ("comments", "\"So be it\"")];

/// Values at which things break.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "-0",
    "1e-400",
    "1e999",
    "876000",
    "876000.0000001",
    "5e-324",
    "18446744073709551616",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\" \"",
    "\"9999-12-31T23:59:59Z\"",
    "\"\"",
];

/// The body of a decision, or of a new request.
pub(super) fn body(source: &mut Source<'_>, decides: bool) -> Vec<u8> {
    let body = match source.byte() % 8 {
        6 => return source.bytes().to_vec(),
        7 => value(source, 0),
        _ => object(source, if decides { &DECISION } else { &NEW }),
    };
    if source.byte() % 8 == 7 { source.changed(body.into_bytes()) } else { body.into_bytes() }
}

fn object(source: &mut Source<'_>, fields: &[(&str, &str)]) -> String {
    let mut members = Vec::new();
    for (name, sound) in fields {
        match source.byte() % 16 {
            12 => {}
            13 => members.push(format!("\"{name}\":{}", value(source, 0))),
            14 => members.extend([format!("\"{name}\":{sound}"), format!("\"{name}\":{sound}")]),
            15 => members.push(format!("{}:{}", string(&source.text()), value(source, 0))),
            _ => members.push(format!("\"{name}\":{sound}")),
        }
    }
    format!("{{{}}}", members.join(","))
}

fn value(source: &mut Source<'_>, depth: usize) -> String {
    match source.byte() % 8 {
        0 => source.number().to_string(),
        1 => string(&source.text()),
        2 => string(&"é".repeat(usize::from(source.byte()) * 64)),
        3 if depth < DEPTH_MAX => {
            let values = source.list(|source| value(source, depth + 1));
            format!("[{}]", values.join(","))
        }
        4 if depth < DEPTH_MAX => {
            let members = source.list(|source| format!("{}:{}", string(&source.text()), value(source, depth + 1)));
            format!("{{{}}}", members.join(","))
        }
        5 => "[".repeat(usize::from(source.byte())),
        _ => VALUES[usize::from(source.byte()) % VALUES.len()].to_owned(),
    }
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
