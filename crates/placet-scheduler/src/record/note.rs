//! Signed notes (c2sp.org/signed-note): a text that people read, and under it who signed it, with Ed25519.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Ed25519 as the format numbers it.
const ED25519: u8 = 1;

/// Before each signature.
const DASH: &str = "\u{2014} ";

/// What a hub signs its notes with.
#[derive(Debug)]
pub(crate) struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    pub(crate) fn new(name: String, seed: &[u8; 32]) -> Signer {
        Signer { name, key: SigningKey::from_bytes(seed) }
    }

    /// What others know it by.
    pub(crate) fn verifier(&self) -> NoteKey {
        NoteKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The note of a text, which ends with a line.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let signed = [&self.verifier().id()[..], &signature].concat();
        format!("{text}\n{DASH}{} {}\n", self.name, BASE64.encode(signed))
    }
}

/// The public half of a key: whoever has it can tell whether a note is its owner's. As text it is
/// `NAME+ID+KEY` (c2sp.org/signed-note, "Verifier keys").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteKey {
    name: String,
    key: VerifyingKey,
}

/// What is no key, or no note of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The key is written otherwise.
    #[error("no verifier key: write NAME+ID+KEY, as `placet audit checkpoint` tells it")]
    NoKey,
    /// It has no text, or no signature of this name.
    #[error("the note is not signed by {0}")]
    Unsigned(String),
    /// The signature is another's, or the text is another.
    #[error("the note's signature by {0} is not that of its text: it was changed, or signed by another key")]
    Forged(String),
}

impl NoteKey {
    fn id(&self) -> [u8; 4] {
        let sum =
            Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]).chain_update(self.key.as_bytes());
        let sum: [u8; 32] = sum.finalize().into();
        [sum[0], sum[1], sum[2], sum[3]]
    }

    /// The text of a note that was signed with this key.
    ///
    /// # Errors
    /// If it was not.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let unsigned = || NoteError::Unsigned(self.name.clone());
        let (text, signatures) = split(note).ok_or_else(unsigned)?;
        let of_it = |line: &str| {
            let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
            let signature = BASE64.decode(signature).ok().filter(|_| name == self.name)?;
            let (id, signature) = signature.split_at_checked(4)?;
            (*id == self.id()).then(|| Signature::from_slice(signature).ok())?
        };
        // Behind the text there are signatures and nothing else: others may have signed it, too.
        if !signatures.ends_with('\n') || !signatures.lines().all(|line| line.starts_with(DASH)) {
            return Err(unsigned());
        }
        let signature = signatures.lines().find_map(of_it).ok_or_else(unsigned)?;
        let is_its = self.key.verify_strict(text.as_bytes(), &signature);
        is_its.map(|()| text).map_err(|_| NoteError::Forged(self.name.clone()))
    }
}

/// A note's text, whoever signed it.
pub(crate) fn split(note: &str) -> Option<(&str, &str)> {
    let at = note.rfind("\n\n")?;
    Some((&note[..=at], &note[at + 2..]))
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, BASE64.encode([&[ED25519], &self.key.as_bytes()[..]].concat()))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<NoteKey, NoteError> {
        let read = || {
            let (name, rest) = text.trim().split_once('+')?;
            let (_, key) = rest.split_once('+')?;
            let key = BASE64.decode(key).ok()?;
            let (kind, key) = key.split_first()?;
            let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok().filter(|_| *kind == ED25519)?;
            let key = NoteKey { name: name.to_owned(), key };
            (key.to_string() == text.trim()).then_some(key)
        };
        read().ok_or(NoteError::NoKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::new("placet/default".to_owned(), &[7; 32])
    }

    #[test]
    fn a_note_is_its_signers_and_nobody_elses() {
        let note = signer().sign("one\ntwo\n");
        let key: NoteKey = signer().verifier().to_string().parse().unwrap();
        assert_eq!(key.open(&note), Ok("one\ntwo\n"));
        let name = || "placet/default".to_owned();
        assert_eq!(key.open(&note.replace("two", "too")), Err(NoteError::Forged(name())));
        let other = Signer::new(name(), &[8; 32]);
        assert_eq!(other.verifier().open(&note), Err(NoteError::Unsigned(name())));
        let resigned = other.sign("one\ntwo\n");
        assert_eq!(key.open(&resigned), Err(NoteError::Unsigned(name())), "the id tells which key is meant");
        assert_eq!(key.open("one\ntwo\n"), Err(NoteError::Unsigned(name())));
        let witnessed = format!("{note}{DASH}witness.example AAAAAAAA\n");
        assert_eq!(key.open(&witnessed), Ok("one\ntwo\n"), "others may sign it, too");
        for more in ["more\n", "\n", "more"] {
            assert_eq!(key.open(&format!("{note}{more}")), Err(NoteError::Unsigned(name())), "{more:?}");
        }
    }

    #[test]
    fn a_key_that_is_written_otherwise_is_none() {
        let key = signer().verifier().to_string();
        for other in ["", "placet", "a+b+c", &key.replace("+0", "+1").replace("+f", "+e"), &key[..key.len() - 1]] {
            assert!(other == key || other.parse::<NoteKey>() == Err(NoteError::NoKey), "{other}");
        }
    }

    /// The example of c2sp.org/signed-note: other programs' keys are read, and their notes.
    #[test]
    fn the_formats_own_example_holds() {
        let key: NoteKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(key.open(note).is_ok());
    }
}
