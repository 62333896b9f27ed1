//! What lists and searches find a request by: a term for each of its properties, and one for each of its words.
//!
//! All but [`DUE`] stand in the order of the submission, so that one list may ask for several of them. A term tells of nothing
//! but what whoever may know of the request may read: none is made of its details, its payload or what people said.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::hex;
use crate::identity::{Approver, Person};
use crate::outcome::Outcome;
use crate::request::{Priority, Request};
use crate::rules::Level;

/// Requests that are open have it, in the order of their deadlines.
pub const DUE: &str = "due";

/// Words of a request at most, and letters of each of them: what comes behind is found by no search.
const WORDS_MAX: usize = 100;
const LETTERS_MAX: usize = 40;

/// Of a status in our words, as [`Outcome::detail`] has it; of an open request's, `pending`.
pub fn of_status(detail: &str) -> String {
    format!("s:{detail}")
}

/// Of whoever asked: his id, or the name that he gave, whatever its case.
pub fn of_requester(requester: &str) -> String {
    format!("r:{}", requester.to_lowercase())
}

/// Of somebody who is asked now.
pub fn of_approver(approver: &Approver) -> String {
    format!("a:{approver}")
}

/// Of one person for whom it waits now, by himself.
pub fn of_asked(person: &Person) -> String {
    let kind = if person.as_str().starts_with("email:") { "" } else { "user:" };
    format!("a:{kind}{person}")
}

/// Of somebody who has voted or decided.
pub fn of_decider(person: &str) -> String {
    format!("d:{}", person.to_lowercase())
}

/// Of a category.
pub fn of_category(category: &str) -> String {
    format!("c:{category}")
}

/// Of a tag.
pub fn of_tag(tag: &str) -> String {
    format!("t:{tag}")
}

/// Of a priority.
pub fn of_priority(priority: Priority) -> String {
    format!("p:{}", priority.name())
}

/// Of whom it was put to since nobody whom its plan names could decide.
pub fn of_level(level: Level) -> &'static str {
    match level {
        Level::Named => "q:named",
        Level::Fallback => "q:fallback",
        Level::Admins => "q:admins",
    }
}

/// Of somebody's `dedupe_key`, as a digest: it may be long, and is nobody else's to find.
pub fn of_dedupe_key(requester: &str, key: &str) -> String {
    let digest = Sha256::new().chain_update(requester).chain_update([0]).chain_update(key).finalize();
    format!("k:{}", hex(&digest[..16]))
}

/// Of a word, or of the words that begin so.
pub fn of_word(word: &str) -> String {
    format!("w:{word}")
}

/// The words of a text as searches compare them: in Unicode's compatibility form, without case and diacritics, cut where
/// UAX #29 cuts.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().filter_map(|word| {
        if word.is_ascii() {
            let letters = word.chars().filter(char::is_ascii_alphanumeric).take(LETTERS_MAX);
            let folded: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
            return (!folded.is_empty()).then_some(folded);
        }
        let folded = word.nfkc().flat_map(char::to_lowercase).nfd().filter(|letter| !is_combining_mark(*letter));
        let folded: String = folded.filter(|letter| letter.is_alphanumeric()).take(LETTERS_MAX).collect();
        (!folded.is_empty()).then_some(folded)
    })
}

impl Request {
    /// The terms of its row, each once, with its place among the requests that have it.
    pub fn terms(&self) -> Vec<(String, i64)> {
        let mut terms = BTreeSet::new();
        terms.insert(of_status(self.outcome.as_ref().map_or("pending", Outcome::detail)));
        terms.insert(of_requester(&self.asked.requester));
        terms.extend(self.asked.category.as_deref().map(of_category));
        terms.extend(self.asked.dedupe_key.as_ref().map(|key| of_dedupe_key(&self.asked.requester, key)));
        terms.extend(self.asked.tags.iter().map(|tag| of_tag(tag)));
        if !self.asked.priority.is_normal() {
            terms.insert(of_priority(self.asked.priority));
        }
        self.add_askers(&mut terms);
        self.add_deciders(&mut terms);
        terms.extend(self.words().into_iter().map(|word| of_word(&word)));
        let submitted = self.submitted_at.as_microsecond();
        let mut terms: Vec<(String, i64)> = terms.into_iter().map(|term| (term, submitted)).collect();
        if self.outcome.is_none() {
            terms.push((DUE.to_owned(), self.due.as_microsecond()));
        }
        terms
    }

    /// For whom it waits.
    fn add_askers(&self, terms: &mut BTreeSet<String>) {
        let Some(open) = self.open.as_ref().filter(|_| self.outcome.is_none()) else { return };
        if self.returned.is_some() || !self.unanswered.is_empty() {
            terms.insert(of_asked(&Person::named(&self.asked.requester)));
        }
        if self.returned.is_some() {
            return;
        }
        let has_left = |who: &Approver| open.people.iter().any(|other| other.has_left && who.is(&other.person));
        for who in open.seats.iter().flat_map(|seat| &seat.from) {
            if *who == Approver::Anyone || !has_left(who) {
                terms.insert(of_approver(who));
            }
        }
        for candidate in open.people.iter().filter(|candidate| !candidate.has_left) {
            if !candidate.given.is_empty() {
                terms.insert(of_asked(&candidate.person));
            }
            terms.extend(candidate.delegate.as_ref().map(of_asked));
        }
        if open.level != Level::Named {
            terms.insert(of_level(open.level).to_owned());
        }
    }

    /// Who has voted, and whose vote it was that counted.
    fn add_deciders(&self, terms: &mut BTreeSet<String>) {
        let votes = self.open.iter().flat_map(|open| &open.votes).map(|vote| &vote.person);
        terms.extend(self.counted.iter().chain(votes).map(|person| of_decider(person.as_str())));
        if let Some(Outcome::Approved(decided) | Outcome::Rejected(decided)) = &self.outcome {
            terms.extend(decided.approvers.iter().map(|person| of_decider(person.as_str())));
            if !decided.approver.is_empty() {
                terms.insert(of_decider(&decided.approver));
            }
        }
    }

    fn words(&self) -> BTreeSet<String> {
        let asked = &self.asked;
        let tags = asked.tags.iter().map(String::as_str);
        let texts = [asked.item.as_str(), &asked.requester].into_iter().chain(asked.category.as_deref()).chain(tags);
        // Ids that we give are looked up whole, and nobody remembers a part of one.
        let id = (!is_uuid(&self.request_id)).then_some(self.request_id.as_str());
        let mut found = BTreeSet::new();
        for word in texts.chain(id).flat_map(words) {
            if found.len() == WORDS_MAX {
                break;
            }
            found.insert(word);
        }
        found
    }
}

fn is_uuid(id: &str) -> bool {
    let is_right = |(at, letter): (usize, u8)| {
        if [8, 13, 18, 23].contains(&at) { letter == b'-' } else { letter.is_ascii_hexdigit() }
    };
    id.len() == 36 && id.bytes().enumerate().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_case_diacritics_or_forms() {
        let table: [(&str, &[&str]); 7] = [
            ("Vacation Request", &["vacation", "request"]),
            ("Über-Größe: CAFÉ", &["uber", "große", "cafe"]),
            ("release 2.3 (ﬁnal)", &["release", "23", "final"]),
            ("O'Neil", &["oneil"]),
            ("経費", &["経", "費"]),
            ("ＤＥＰＬＯＹ", &["deploy"]),
            ("… — 🦀", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text}");
        }
        assert_eq!(words(&"x".repeat(1_000)).next().unwrap().len(), LETTERS_MAX);
    }

    #[test]
    fn an_id_of_ours_is_no_word() {
        assert!(is_uuid("0190b8a4-7c5e-7d2b-9c5c-2f3f4f5f6f70"));
        assert!(!is_uuid("0190b8a4-7c5e-7d2b-9c5c-2f3f4f5f6f7x") && !is_uuid("order-7"));
    }
}
