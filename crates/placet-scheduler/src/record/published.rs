//! What a hub says of a row that is published there, in a note that it signs: whoever has the hub's key can tell it offline.

use placet_core::ids::Hub;

const TITLE: &str = "placet published 1";

/// What such a note says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published<'a> {
    /// Where.
    pub hub: Hub,
    /// In which projection.
    pub kind: &'a str,
    /// Under which key.
    pub key: &'a str,
    /// What.
    pub body: &'a str,
}

/// The text that is signed.
pub(super) fn text(hub: &Hub, [kind, key, body]: [&str; 3]) -> String {
    format!("{TITLE}\nhub {hub}\nkind {kind}\nkey {key}\n{body}\n")
}

impl Published<'_> {
    /// What the text of a note says; nothing, if it is about something else.
    pub fn of_text(text: &str) -> Option<Published<'_>> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut line = |before: &str| lines.next()?.strip_prefix(before);
        line(TITLE).filter(|rest| rest.is_empty())?;
        let hub = Hub::new(line("hub ")?);
        let published = Published { hub, kind: line("kind ")?, key: line("key ")?, body: line("")? };
        lines.next().is_none().then_some(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let hub = Hub::new("default");
        let written = text(&hub, ["permit_begun", "r 1", "{}"]);
        let read = Published { hub, kind: "permit_begun", key: "r 1", body: "{}" };
        assert_eq!(Published::of_text(&written), Some(read));
        for other in ["", "placet record checkpoint 1\n", &written[1..], &format!("{written}more\n")] {
            assert_eq!(Published::of_text(other), None, "{other}");
        }
    }
}
