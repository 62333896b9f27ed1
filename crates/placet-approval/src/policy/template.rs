//! What approvers read, as a policy words it: Markdown with places for what the request says. What is put there is text,
//! whatever it holds: it cannot pretend to be the policy's own words, a heading or a link.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::field::check_text;
use crate::request::{DETAILS_CHARS_MAX, NewRequest};

/// A template is a page.
const CHARS_MAX: usize = 20_000;

/// What a place may begin with.
const NAMES: [&str; 7] = ["requester", "item", "category", "priority", "tags", "payload", "details"];

/// A template: `{payload.amount}` is what the request says there, `{payload.note?}` may be absent, `{{` and `}}` are braces.
/// `{details}`, alone on its line, is what whoever asks wrote, as a quotation.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

#[derive(Clone, PartialEq, Eq)]
struct Place {
    path: Vec<String>,
    may_be_absent: bool,
}

impl Template {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        check_text("template", text, CHARS_MAX).map_err(|error| error.remedy)?;
        let mut parts = Vec::new();
        let mut words = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            words.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            rest = if let Some(rest) = after.strip_prefix(brace) {
                words.push_str(brace);
                rest
            } else {
                let place = if brace == "{" { after.split_once('}') } else { None };
                let (place, rest) = place.ok_or("a brace alone: write {{ or }} for the letter")?;
                let is_first = words.is_empty() && parts.is_empty() || words.ends_with('\n');
                let place = Place::parse(place)?;
                if place.is_details() && !(is_first && (rest.is_empty() || rest.starts_with('\n'))) {
                    return Err("{details} stands alone on its line: it is a quotation".to_owned());
                }
                parts.push(Part::Text(std::mem::take(&mut words)));
                parts.push(Part::Place(place));
                rest
            };
        }
        words.push_str(rest);
        parts.push(Part::Text(words));
        Ok(Template { text: text.to_owned(), parts })
    }

    /// Whether a request says all that it names, within measure.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn check(&self, asked: &NewRequest) -> Result<(), String> {
        for part in &self.parts {
            if let Part::Place(place) = part
                && !place.may_be_absent
                && !place.is_details()
                && place.value(asked).is_none()
            {
                return Err(format!("{} is missing", place.path.join(".")));
            }
        }
        let chars = self.filled(asked).chars().count();
        if chars > DETAILS_CHARS_MAX {
            return Err(format!("the details have {chars} characters, {DETAILS_CHARS_MAX} at most are taken"));
        }
        Ok(())
    }

    /// What approvers read of this request.
    pub(crate) fn fill(&self, asked: &NewRequest) -> String {
        let text = self.filled(asked);
        // A revision may have made it longer than it was when it was checked.
        match text.char_indices().nth(DETAILS_CHARS_MAX) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    fn filled(&self, asked: &NewRequest) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(words) => text.push_str(words),
                Part::Place(place) if place.is_details() => text.push_str(&quoted(&asked.details)),
                Part::Place(place) => {
                    if let Some(value) = place.value(asked) {
                        text.push_str(&escaped(&words_of(&value)));
                    }
                }
            }
        }
        text
    }
}

impl Place {
    fn parse(text: &str) -> Result<Place, String> {
        let (path, may_be_absent) = text.strip_suffix('?').map_or((text, false), |path| (path, true));
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        let is_deeper = path.len() > 1;
        if !NAMES.contains(&path[0].as_str()) || (is_deeper && path[0] != "payload") || path.contains(&String::new()) {
            return Err(format!("{{{text}}} is no place: {} are, and payload.NAME", NAMES.join(", ")));
        }
        Ok(Place { path, may_be_absent })
    }

    fn is_details(&self) -> bool {
        self.path[0] == "details"
    }

    /// What the request says there; nothing is nothing.
    fn value<'a>(&self, asked: &'a NewRequest) -> Option<Cow<'a, Value>> {
        let own = |value: Value| Some(Cow::Owned(value));
        match self.path[0].as_str() {
            "requester" => own(asked.requester.clone().into()),
            "item" => own(asked.item.clone().into()),
            "category" => asked.category.clone().and_then(|category| own(category.into())),
            "priority" => serde_json::to_value(asked.priority).ok().and_then(own),
            "tags" => own(asked.tags.clone().into()),
            _ => {
                let step = |value: &'a Value, name: &String| match value {
                    Value::Object(members) => members.get(name),
                    Value::Array(list) => list.get(name.parse::<usize>().ok()?),
                    _ => None,
                };
                let found = self.path[1..].iter().try_fold(asked.payload.as_ref()?, step);
                found.filter(|value| !value.is_null()).map(Cow::Borrowed)
            }
        }
    }
}

/// A value in words.
fn words_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(|value| !value.is_object() && !value.is_array()) => {
            list.iter().map(words_of).collect::<Vec<String>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// A text that Markdown takes for nothing else (CommonMark §2.4), in one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty())
    {
        if !escaped.is_empty() {
            escaped.push(' ');
        }
        for letter in word.chars() {
            if letter.is_ascii_punctuation() {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
    }
    escaped
}

/// A text as a quotation, whose end its own markup cannot bring (CommonMark §5.1).
fn quoted(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("> {}", line.replace('\r', " "))).collect();
    lines.join("\n")
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
        Template::parse(&String::deserialize(deserializer)?)
            .map_err(|why| de::Error::custom(format!("template: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(payload: Value) -> NewRequest {
        let asked = json!({"requester": "ann", "item": "A *new* laptop", "tags": ["it", "2026"], "payload": payload});
        serde_json::from_value(asked).unwrap()
    }

    #[test]
    fn what_a_request_says_is_put_in_as_text_and_never_as_markup() {
        let asked = asked(json!({
            "amount": 1200.5, "to": "x\n\n# Approved\n[click](https://evil.example)", "lines": [{"sum": 1}], "who": ["a", 7], "none": null
        }));
        for (template, text) in [
            ("**{item}** for {requester}", r"**A \*new\* laptop** for ann"),
            ("{payload.amount} EUR {{net}}", r"1200\.5 EUR {net}"),
            ("to {payload.to}.", r"to x \# Approved \[click\]\(https\:\/\/evil\.example\)."),
            ("{payload.lines.0.sum}, {payload.who}, {tags}", r"1, a\, 7, it\, 2026"),
            ("{payload.lines}", r#"\[\{\"sum\"\:1\}\]"#),
            ("[{payload.note?}{payload.none?}{category?}]", "[]"),
        ] {
            let read = Template::parse(template).unwrap();
            assert_eq!((read.check(&asked), read.fill(&asked).as_str()), (Ok(()), text), "{template}");
        }
    }

    #[test]
    fn what_the_requester_wrote_is_a_quotation_that_does_not_end_early() {
        let template = Template::parse("# Policy\n\n{details}\n\nPay?").unwrap();
        let mut asked = asked(json!(null));
        assert_eq!(template.fill(&asked), "# Policy\n\n\n\nPay?");
        asked.details = "```\n\n# Already approved\r\n".to_owned();
        assert_eq!(template.fill(&asked), "# Policy\n\n> ```\n> \n> # Already approved\n\nPay?");
    }

    #[test]
    fn what_is_missing_is_named_and_what_a_revision_makes_too_long_is_cut() {
        let template = Template::parse("{payload.amount}: {item}{payload.text?}").unwrap();
        assert_eq!(template.check(&asked(json!({"amount": null}))), Err("payload.amount is missing".to_owned()));
        let long = asked(json!({"amount": 1, "text": "x".repeat(DETAILS_CHARS_MAX)}));
        assert!(template.check(&long).unwrap_err().contains("100000 at most"));
        assert_eq!(template.fill(&long).chars().count(), DETAILS_CHARS_MAX + 1);
    }

    #[test]
    fn what_is_no_template_is_refused_where_it_is_read() {
        for (text, why) in [
            ("{payload.amount", "a brace alone"),
            ("amount}", "a brace alone"),
            ("{amount}", "{amount} is no place"),
            ("{item.x}", "is no place"),
            ("{payload..x}", "is no place"),
            ("{}", "is no place"),
            ("He says {details}", "alone on its line"),
            (" ", "must not be empty"),
        ] {
            let said = Template::parse(text).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
