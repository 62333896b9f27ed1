//! How a file begins, how long it is, and what nobody should find in it later.

use super::{Finding, TextFile};

/// Longer is told.
const LINES_NOTED: usize = 800;
/// Longer fails.
const LINES_MAX: usize = 1000;

/// What must not be left in a file, and why.
const LEFTOVERS: [(&str, &str); 5] = [
    ("FIXME", "do it now, or file an issue that says what and why"),
    ("TODO", "do it now, or file an issue that says what and why"),
    ("XXX", "say in words what is odd here"),
    ("#[ignore", "a test that nobody runs proves nothing: make it quick, or put it behind `--long`"),
    ("#[should_panic", "assert on the value: any panic would do for this one, also that of a mistake in the test"),
];

pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    if file.is_generated() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if file.has_extension("rs") && !file.text.starts_with("//!") {
        let why = "the first lines say what lives here, why apart, and which promise it keeps";
        findings.push(Finding::new(&file.path, 1, "does not open with `//!`", why));
    }
    findings.extend(too_long(file));
    if !file.is_about_tidiness() {
        findings.extend(leftovers(file));
    }
    findings
}

fn too_long(file: &TextFile) -> Option<Finding> {
    if !["rs", "py", "js"].iter().any(|extension| file.has_extension(extension)) {
        return None;
    }
    let lines = file.text.lines().count();
    let why = "past some hundred lines, a subject with a name hides inside: give it a file";
    let finding = Finding::new(&file.path, 0, format!("has {lines} lines, and {LINES_MAX} are the limit"), why);
    match lines {
        0..=LINES_NOTED => None,
        _ if lines <= LINES_MAX => Some(finding.only_told()),
        _ => Some(finding),
    }
}

fn leftovers(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for (word, why) in LEFTOVERS {
            if has_word(line, word) {
                findings.push(Finding::new(&file.path, number + 1, format!("`{word}`"), why));
            }
        }
    }
    findings
}

/// Whether `word` stands in `line` by itself, and not inside a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn whats(path: &str, text: &str) -> Vec<String> {
        check(&file(path, text)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_rust_file_opens_with_its_head() {
        assert!(whats("a.rs", "//! What lives here.\n").is_empty());
        assert_eq!(whats("a.rs", "use std::fmt;\n"), ["does not open with `//!`"]);
        assert!(whats("a.py", "import os\n").is_empty());
    }

    #[test]
    fn what_is_generated_is_left_alone() {
        assert!(whats("crates/a/src/generated/b.rs", &"// TODO\n".repeat(2000)).is_empty());
    }

    #[test]
    fn leftovers_are_found_as_words_of_their_own() {
        assert_eq!(whats("a.py", "x = 1  # TODO: more\n"), ["`TODO`"]);
        assert_eq!(whats("a.md", "XXX\n"), ["`XXX`"]);
        assert_eq!(whats("a.rs", "//! x\n#[ignore = \"slow\"]\n"), ["`#[ignore`"]);
        assert!(whats("a.py", "TODOS = _TODO_ = 'PLC-XXXX'\n").is_empty());
    }

    #[test]
    fn a_long_file_is_told_and_a_longer_one_fails() {
        let lines = |count: usize| format!("//! x\n{}", "//\n".repeat(count - 1));
        assert!(check(&file("a.rs", &lines(800))).is_empty());
        assert!(!check(&file("a.rs", &lines(801)))[0].is_failure);
        assert!(!check(&file("a.rs", &lines(1000)))[0].is_failure);
        assert!(check(&file("a.rs", &lines(1001)))[0].is_failure);
        assert!(check(&file("a.md", &lines(2000))).is_empty());
    }
}
