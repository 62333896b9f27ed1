//! The record: entries that are never changed, chained by hashes per hub and partition, so that whoever has kept one hash finds
//! out whether anything before it was changed, left out or put in.
//!
//! An entry has parts: its text, and apart from it the people whom it names. Each part has a salt before it; the entry's
//! *commitment* is the hash of the hashes of its parts, its *link* the hash of the link before it, its number, its
//! commitment, and whose it is. So what an entry says can be erased, whole or a name only, and leaves hashes by which the chain can still be
//! checked and nothing can be guessed.

use bytes::Bytes;
use placet_proto::placet::v1::{EntryPart, EntryParts, entry_part};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::ids::{Hub, InstanceId, InstanceKey, PartitionId};

pub use placet_proto::{ENTRIES, SALT_BYTES};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What an entry says, in parts: a text, and apart from it the people whom it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said(Vec<Part>);

/// A part of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// A salt of [`SALT_BYTES`], and what was written, unread.
    Salted(Bytes),
    /// It was erased: the hash of both.
    Erased(Hash),
}

impl Part {
    fn hash(&self) -> Hash {
        match self {
            Part::Salted(bytes) => Sha256::digest(bytes).into(),
            Part::Erased(hash) => *hash,
        }
    }

    fn text(&self) -> Option<&[u8]> {
        match self {
            Part::Salted(bytes) => bytes.get(SALT_BYTES..),
            Part::Erased(_) => None,
        }
    }
}

/// Bytes that are no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an entry has a part or more, each with a salt of {SALT_BYTES} bytes, or a hash of 32 where it was erased")]
pub struct NoEntry;

impl Said {
    /// Of these parts; nothing, if there are none.
    pub fn new(parts: Vec<Part>) -> Option<Said> {
        (!parts.is_empty()).then_some(Said(parts))
    }

    /// From what the wire and stores hold.
    ///
    /// # Errors
    /// If it is not that.
    pub fn decode(bytes: Bytes) -> Result<Said, NoEntry> {
        Said::try_from(EntryParts::decode(bytes).map_err(|_| NoEntry)?)
    }

    /// What the wire and stores hold.
    pub fn encode(&self) -> Vec<u8> {
        EntryParts::from(self).encode_to_vec()
    }

    /// The hash by which the chain holds it.
    pub fn commitment(&self) -> Hash {
        let sum = Sha256::new().chain_update(b"placet entry 1\0");
        self.0.iter().fold(sum, |sum, part| sum.chain_update(part.hash())).finalize().into()
    }

    /// What each part says; nothing if it was erased.
    pub fn texts(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.0.iter().map(Part::text)
    }

    /// Its parts.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// About how many bytes it has.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|part| if let Part::Salted(bytes) = part { bytes.len() } else { size_of::<Hash>() }).sum()
    }
}

impl TryFrom<EntryParts> for Said {
    type Error = NoEntry;

    fn try_from(wire: EntryParts) -> Result<Said, NoEntry> {
        let part = |part: EntryPart| match part.part {
            Some(entry_part::Part::Salted(bytes)) if bytes.len() >= SALT_BYTES => Ok(Part::Salted(bytes)),
            Some(entry_part::Part::Erased(hash)) => hash[..].try_into().map(Part::Erased).map_err(|_| NoEntry),
            _ => Err(NoEntry),
        };
        Said::new(wire.parts.into_iter().map(part).collect::<Result<_, _>>()?).ok_or(NoEntry)
    }
}

impl From<&Said> for EntryParts {
    fn from(said: &Said) -> EntryParts {
        let part = |part: &Part| match part {
            Part::Salted(bytes) => entry_part::Part::Salted(bytes.clone()),
            Part::Erased(hash) => entry_part::Part::Erased(Bytes::copy_from_slice(hash)),
        };
        EntryParts { parts: said.0.iter().map(|one| EntryPart { part: Some(part(one)) }).collect() }
    }
}

/// What is to be erased of what an instance has entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// Whose entries.
    pub key: InstanceKey,
    /// Only where they name this person. All of each, if nobody is meant.
    pub person: Option<Box<str>>,
}

impl Erasure {
    /// Erases it in an entry, and tells whether there was anything to erase.
    pub fn erase(&self, said: &mut Said) -> bool {
        let mut erased = false;
        for (at, part) in said.0.iter_mut().enumerate() {
            let is_meant = self.person.as_ref().is_none_or(|person| at > 0 && part.text() == Some(person.as_bytes()));
            if is_meant && matches!(part, Part::Salted(_)) {
                *part = Part::Erased(part.hash());
                erased = true;
            }
        }
        erased
    }
}

/// An entry that is to be written at the end of its chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryRow {
    /// The hub.
    pub hub: Hub,
    /// The instance that wrote it.
    pub owner: InstanceId,
    /// What it says.
    pub said: Said,
}

impl EntryRow {
    /// The chain that it belongs to.
    pub fn partition(&self) -> PartitionId {
        InstanceKey::new(self.hub.clone(), self.owner.clone()).partition()
    }
}

/// An entry as it stands in its chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The chain's partition.
    pub partition: PartitionId,
    /// Its number there, from 1 on.
    pub number: u64,
    /// Its link.
    pub link: Hash,
    /// The instance that wrote it.
    pub owner: InstanceId,
    /// What it says.
    pub said: Said,
}

/// The end of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// How many entries it has.
    pub number: u64,
    /// The link of the last one.
    pub link: Hash,
}

impl Head {
    /// The end of a chain without entries.
    pub fn none(hub: &Hub, partition: PartitionId) -> Head {
        let link = Sha256::new()
            .chain_update(b"placet chain 1\0")
            .chain_update(hub.as_str())
            .chain_update([0, partition.0])
            .finalize()
            .into();
        Head { number: 0, link }
    }

    /// The end with one entry more: whose it is, and its commitment.
    #[must_use]
    pub fn and(&self, owner: &InstanceId, commitment: &Hash) -> Head {
        let number = self.number + 1;
        let link = Sha256::new()
            .chain_update(b"placet link 1\0")
            .chain_update(self.link)
            .chain_update(number.to_be_bytes())
            .chain_update(commitment)
            .chain_update(owner.as_str())
            .finalize()
            .into();
        Head { number, link }
    }
}

/// What is wrong with a chain, at its first bad entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// One is missing, or stands twice.
    #[error("entry {found} stands where {expected} must")]
    Number {
        /// Its number by its place.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// It, or its link, is not what was written.
    #[error("entry {0} is not what was written, or is another than the one that was")]
    Link(u64),
}

/// Goes along a chain, entry by entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verifier(Head);

impl Verifier {
    /// From the beginning, or from behind a head that is known to be right.
    pub fn from(head: Head) -> Verifier {
        Verifier(head)
    }

    /// The next entry.
    ///
    /// # Errors
    /// If it cannot be that.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Broken> {
        let head = self.0.and(&entry.owner, &entry.said.commitment());
        if entry.number != head.number {
            return Err(Broken::Number { expected: head.number, found: entry.number });
        }
        if entry.link != head.link {
            return Err(Broken::Link(entry.number));
        }
        self.0 = head;
        Ok(())
    }

    /// How far it has come.
    pub fn head(&self) -> Head {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(texts: &[&str]) -> Said {
        let part = |text: &&str| Part::Salted(Bytes::from(format!("0123456789abcdef{text}")));
        Said::new(texts.iter().map(part).collect()).unwrap()
    }

    fn chain(bodies: &[&'static str]) -> Vec<Entry> {
        let (hub, partition) = (Hub::new("hub"), PartitionId(3));
        let mut head = Head::none(&hub, partition);
        let link = |body: &&'static str| {
            let said = said(&[body]);
            let owner = InstanceId::new("i");
            head = head.and(&owner, &said.commitment());
            Entry { partition, number: head.number, link: head.link, owner, said }
        };
        bodies.iter().map(link).collect()
    }

    fn verify(entries: &[Entry]) -> Result<Head, Broken> {
        let mut verifier = Verifier::from(Head::none(&Hub::new("hub"), PartitionId(3)));
        entries.iter().try_for_each(|entry| verifier.next(entry)).map(|()| verifier.head())
    }

    #[test]
    fn whatever_is_changed_left_out_or_put_in_is_found_at_its_place() {
        let whole = chain(&["one", "two", "three", "four"]);
        assert_eq!(verify(&whole).unwrap().number, 4);
        let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
            let mut entries = whole.clone();
            change(&mut entries);
            verify(&entries)
        };
        let other = || said(&["other"]);
        assert_eq!(changed(&|entries| entries[1].said = other()), Err(Broken::Link(2)));
        assert_eq!(changed(&|entries| entries[1].owner = InstanceId::new("j")), Err(Broken::Link(2)));
        assert_eq!(changed(&|entries| entries[2].link[0] ^= 1), Err(Broken::Link(3)));
        assert_eq!(changed(&|entries| drop(entries.remove(1))), Err(Broken::Number { expected: 2, found: 3 }));
        assert_eq!(changed(&|entries| entries.swap(0, 1)), Err(Broken::Number { expected: 1, found: 2 }));
        assert_eq!(
            changed(&|entries| entries.insert(0, whole[0].clone())),
            Err(Broken::Number { expected: 2, found: 1 })
        );
        let cut = changed(&|entries| drop(entries.pop()));
        assert_eq!(cut.unwrap().number, 3, "what is cut off shows only in a head that somebody has kept");
        let elsewhere = Verifier::from(Head::none(&Hub::new("other"), PartitionId(3))).next(&whole[0]);
        assert_eq!(elsewhere, Err(Broken::Link(1)), "a chain is its hub's");
    }

    #[test]
    fn what_is_erased_leaves_the_chain_as_it_is_and_nothing_to_read() {
        let mut entries = chain(&["one", "two"]);
        let named = said(&["~1 asks ~2", "bob", "bob@example.org", "bob"]);
        entries.push(Entry { said: named, ..entries[1].clone() });
        let head = verify(&entries[..2]).unwrap();
        let commitment = entries[2].said.commitment();
        let key = InstanceKey::new(Hub::new("hub"), InstanceId::new("i"));
        let all = Erasure { key: key.clone(), person: None };
        assert_eq!([all.erase(&mut entries[0].said), all.erase(&mut entries[0].said)], [true, false]);
        assert_eq!((verify(&entries[..2]).unwrap(), entries[0].said.texts().collect::<Vec<_>>()), (head, vec![None]));
        assert_eq!(entries[1].said.texts().collect::<Vec<_>>(), [Some(&b"two"[..])]);
        let bob = Erasure { key, person: Some("bob".into()) };
        assert_eq!([bob.erase(&mut entries[2].said), bob.erase(&mut entries[2].said)], [true, false]);
        let texts: Vec<_> = entries[2].said.texts().collect();
        assert_eq!(texts, [Some(&b"~1 asks ~2"[..]), None, Some(b"bob@example.org"), None]);
        assert_eq!(entries[2].said.commitment(), commitment);
        let stored = Said::decode(entries[2].said.encode().into()).unwrap();
        assert_eq!(stored, entries[2].said);
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let parts = |parts: &[Option<entry_part::Part>]| {
            let parts = parts.iter().map(|part| EntryPart { part: part.clone() }).collect();
            Said::decode(EntryParts { parts }.encode_to_vec().into())
        };
        assert_eq!(parts(&[]), Err(NoEntry));
        assert_eq!(parts(&[None]), Err(NoEntry));
        assert_eq!(parts(&[Some(entry_part::Part::Salted(Bytes::from_static(b"short")))]), Err(NoEntry));
        assert_eq!(parts(&[Some(entry_part::Part::Erased(Bytes::from_static(&[0; 31])))]), Err(NoEntry));
        assert_eq!(Said::decode(Bytes::from_static(b"\xff")), Err(NoEntry));
    }

    /// As any other program computes it, from what the protocol's file says.
    #[test]
    fn links_stay_the_same_for_ever() {
        let said = said(&["text", "name"]);
        let head = Head::none(&Hub::new("default"), PartitionId(0)).and(&InstanceId::new("owner"), &said.commitment());
        let hex: String = head.link.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "084f1ed9b4ee5f1a12c253ef61ce5717fb6eb3c05246390490f732ec57d3f786");
    }
}
