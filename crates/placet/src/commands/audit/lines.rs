//! The lines of an export: what it is of, every entry, and a checkpoint at the end.

use placet_core::chain::{Entry, Part, SALT_BYTES, Said};
use placet_core::ids::{InstanceId, PartitionId};
use serde::{Deserialize, Serialize};

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Line {
    /// The first one.
    Title {
        /// The version of the format.
        placet_record: u32,
        hub: String,
    },
    /// An entry at its place.
    Entry {
        partition: u8,
        number: u64,
        /// Hexadecimal digits, as all hashes and salts here.
        link: String,
        instance: String,
        parts: Vec<PartLine>,
    },
    /// The last one.
    Signed {
        /// A signed note.
        checkpoint: String,
        /// What it is signed with.
        key: String,
    },
}

/// A part of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum PartLine {
    Said { salt: String, text: String },
    Erased { erased: String },
}

impl Line {
    /// The line of an entry; nothing if its text is none.
    pub(super) fn of(entry: &Entry) -> Option<Line> {
        let part = |part: &Part| match part {
            Part::Salted(bytes) => {
                let (salt, text) = bytes.split_at(SALT_BYTES);
                Some(PartLine::Said { salt: hex(salt), text: std::str::from_utf8(text).ok()?.to_owned() })
            }
            Part::Erased(hash) => Some(PartLine::Erased { erased: hex(hash) }),
        };
        Some(Line::Entry {
            partition: entry.partition.0,
            number: entry.number,
            link: hex(&entry.link),
            instance: entry.owner.as_str().to_owned(),
            parts: entry.said.parts().iter().map(part).collect::<Option<_>>()?,
        })
    }
}

/// The entry of a line.
pub(super) fn entry(partition: u8, number: u64, link: &str, instance: String, parts: &[PartLine]) -> Option<Entry> {
    let part = |part: &PartLine| match part {
        PartLine::Said { salt, text } => {
            let salt = bytes(salt).filter(|salt| salt.len() == SALT_BYTES)?;
            Some(Part::Salted([&salt, text.as_bytes()].concat().into()))
        }
        PartLine::Erased { erased } => Some(Part::Erased(bytes(erased)?.try_into().ok()?)),
    };
    let said = Said::new(parts.iter().map(part).collect::<Option<_>>()?)?;
    let link = bytes(link)?.try_into().ok()?;
    Some(Entry { partition: PartitionId(partition), number, link, owner: InstanceId::new(instance), said })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let parts = vec![Part::Salted("0123456789abcdef{\"item\":\"Stühle\"}".into()), Part::Erased([0xa5; 32])];
        let entry_of = Entry {
            partition: PartitionId(7),
            number: 3,
            link: [0x5a; 32],
            owner: InstanceId::new("request-1"),
            said: Said::new(parts).unwrap(),
        };
        let line = serde_json::to_string(&Line::of(&entry_of).unwrap()).unwrap();
        let Line::Entry { partition, number, link, instance, parts } = serde_json::from_str(&line).unwrap() else {
            panic!("{line}")
        };
        assert_eq!(entry(partition, number, &link, instance, &parts), Some(entry_of));
        for (from, to) in [("5a5a", "5a5g"), ("a5a5", "a5"), ("\"salt\":\"30", "\"salt\":\"")] {
            let Ok(Line::Entry { partition, number, link, instance, parts }) =
                serde_json::from_str(&line.replace(from, to))
            else {
                panic!("{line}")
            };
            assert_eq!(entry(partition, number, &link, instance, &parts), None, "{from}");
        }
    }
}
