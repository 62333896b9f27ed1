//! The record: entries that are never changed, chained by hashes per hub and partition, so that whoever has kept one hash finds
//! out whether anything before it was changed, left out or put in.
//!
//! An entry's *commitment* is the hash of its bytes, which begin with a salt; its *link* is the hash of the link before it,
//! its number and its commitment. So an entry can be erased, content and salt, and leaves a commitment by which the chain can still be
//! checked and nothing can be guessed.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::ids::{Hub, InstanceId, PartitionId};

pub use placet_proto::{ENTRIES, SALT_BYTES};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// A salt of [`SALT_BYTES`], and what was written, unread.
    Whole(Bytes),
    /// It was erased: its commitment.
    Erased(Hash),
}

impl Said {
    /// The hash by which the chain holds it.
    pub fn commitment(&self) -> Hash {
        match self {
            Said::Whole(body) => Sha256::digest(body).into(),
            Said::Erased(commitment) => *commitment,
        }
    }

    /// The same, erased.
    #[must_use]
    pub fn erased(&self) -> Said {
        Said::Erased(self.commitment())
    }

    /// What was written, without its salt; nothing if it was erased.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Said::Whole(body) => body.get(SALT_BYTES..),
            Said::Erased(_) => None,
        }
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
        crate::ids::InstanceKey::new(self.hub.clone(), self.owner.clone()).partition()
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

    /// The end with one entry more.
    #[must_use]
    pub fn and(&self, commitment: &Hash) -> Head {
        let number = self.number + 1;
        let link = Sha256::new()
            .chain_update(b"placet link 1\0")
            .chain_update(self.link)
            .chain_update(number.to_be_bytes())
            .chain_update(commitment)
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
        let head = self.0.and(&entry.said.commitment());
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

    fn chain(bodies: &[&'static str]) -> Vec<Entry> {
        let (hub, partition) = (Hub::new("hub"), PartitionId(3));
        let mut head = Head::none(&hub, partition);
        let link = |body: &&'static str| {
            let said = Said::Whole(Bytes::from_static(body.as_bytes()));
            head = head.and(&said.commitment());
            Entry { partition, number: head.number, link: head.link, owner: InstanceId::new("i"), said }
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
        let other = || Said::Whole(Bytes::from_static(b"other"));
        assert_eq!(changed(&|entries| entries[1].said = other()), Err(Broken::Link(2)));
        assert_eq!(changed(&|entries| entries[2].link[0] ^= 1), Err(Broken::Link(3)));
        assert_eq!(changed(&|entries| drop(entries.remove(1))), Err(Broken::Number { expected: 2, found: 3 }));
        assert_eq!(changed(&|entries| entries.swap(0, 1)), Err(Broken::Number { expected: 1, found: 2 }));
        assert_eq!(changed(&|entries| entries.insert(0, whole[0].clone())), Err(Broken::Number { expected: 2, found: 1 }));
        let cut = changed(&|entries| drop(entries.pop()));
        assert_eq!(cut.unwrap().number, 3, "what is cut off shows only in a head that somebody has kept");
        let elsewhere = Verifier::from(Head::none(&Hub::new("other"), PartitionId(3))).next(&whole[0]);
        assert_eq!(elsewhere, Err(Broken::Link(1)), "a chain is its hub's");
    }

    #[test]
    fn what_is_erased_leaves_the_chain_as_it_is_and_nothing_to_read() {
        let mut entries = chain(&["0123456789abcdefsaid", "0123456789abcdefelse"]);
        assert_eq!(entries[0].said.text(), Some(&b"said"[..]));
        let head = verify(&entries).unwrap();
        entries[0].said = entries[0].said.erased();
        entries[0].said = entries[0].said.erased();
        assert_eq!((verify(&entries).unwrap(), entries[0].said.text()), (head, None));
    }

    #[test]
    fn links_stay_the_same_for_ever() {
        let head = Head::none(&Hub::new("default"), PartitionId(0)).and(&Said::Whole(Bytes::new()).commitment());
        let hex: String = head.link.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "149d6169b9431c762efee73ca2c4b312a0ccd39617b8912c70611fc98c825f2e");
    }
}
