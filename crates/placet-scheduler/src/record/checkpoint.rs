//! Checkpoints: the ends of all chains of a hub, in a note that the hub signs. Whoever has kept one finds out later whether
//! anything that was in the record then is missing or another, though he believes nobody.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use placet_core::chain::{Hash, Head};
use placet_core::ids::{Hub, PartitionId};
use placet_core::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::note;

/// What a note says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Whose record it is.
    pub hub: Hub,
    /// Its number, from 1 on.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The hash of the note before it, if there was one.
    pub before: Option<Hash>,
    /// The ends of the chains that have any entry.
    pub heads: BTreeMap<PartitionId, Head>,
}

const TITLE: &str = "placet record checkpoint 1";

impl Checkpoint {
    /// The text that is signed.
    pub(crate) fn text(&self) -> String {
        let at = jiff::Timestamp::from_microsecond(self.at.0).unwrap_or_default();
        let before = self.before.map_or_else(|| "-".to_owned(), |hash| BASE64.encode(hash));
        let lines = [
            TITLE.to_owned(),
            format!("hub {}", self.hub),
            format!("number {}", self.number),
            format!("at {at}"),
            format!("before {before}"),
        ];
        let head = |(partition, head): (&PartitionId, &Head)| {
            format!("{} {} {}", partition.0, head.number, BASE64.encode(head.link))
        };
        lines.into_iter().chain(self.heads.iter().map(head)).map(|line| line + "\n").collect()
    }

    /// What a note says, whoever signed it; nothing, if it is no checkpoint.
    pub fn of_note(note: &str) -> Option<Checkpoint> {
        let mut lines = note::split(note)?.0.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        field(TITLE.strip_suffix(" 1")?).filter(|version| *version == "1")?;
        let hub = Hub::new(field("hub")?);
        let number = field("number")?.parse().ok()?;
        let at = field("at")?.parse::<jiff::Timestamp>().ok()?;
        let before = match field("before")? {
            "-" => None,
            text => Some(hash(text)?),
        };
        let head = |line: &str| {
            let mut words = line.split(' ');
            let (partition, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let link = hash(words.next()?)?;
            words.next().is_none().then_some((PartitionId(partition), Head { number, link }))
        };
        let heads = lines.map(head).collect::<Option<_>>()?;
        Some(Checkpoint { hub, number, at: Timestamp(at.as_microsecond()), before, heads })
    }
}

/// The hash by which the next note names one.
pub(crate) fn hash_of(note: &str) -> Hash {
    Sha256::digest(note).into()
}

fn hash(text: &str) -> Option<Hash> {
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::note::Signer;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let head = |number| Head { number, link: [9; 32] };
        let checkpoint = Checkpoint {
            hub: Hub::new("default"),
            number: 3,
            at: Timestamp(1_700_000_000_000_000),
            before: Some([1; 32]),
            heads: [(PartitionId(0), head(2)), (PartitionId(255), head(70_000))].into(),
        };
        let note = Signer::new("placet/default".to_owned(), &[7; 32]).sign(&checkpoint.text());
        assert_eq!(Checkpoint::of_note(&note), Some(checkpoint.clone()));
        let first = Checkpoint { before: None, heads: BTreeMap::new(), ..checkpoint };
        let note = Signer::new("placet/default".to_owned(), &[7; 32]).sign(&first.text());
        assert_eq!(Checkpoint::of_note(&note), Some(first));
        for change in
            [("checkpoint 1", "checkpoint 2"), ("number 3", "number x"), ("before -", "before x"), ("hub ", "hob ")]
        {
            assert_eq!(Checkpoint::of_note(&note.replace(change.0, change.1)), None, "{change:?}");
        }
    }
}
