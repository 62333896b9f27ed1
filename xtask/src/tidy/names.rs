//! Names of modules that say nothing about what is inside.

use super::{Finding, TextFile};

/// A name that a module must not have, and what to do instead.
const BANNED: [(&str, &str); 8] = [
    ("util", "a thing lives with its subject: name the file after that"),
    ("utils", "a thing lives with its subject: name the file after that"),
    ("common", "say what they have in common"),
    ("helper", "say what it helps with"),
    ("helpers", "say what they help with"),
    ("misc", "two subjects, two files"),
    ("types", "a type lives with its subject"),
    ("models", "a type lives with its subject"),
];

pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    if !["rs", "py", "js"].iter().any(|extension| file.has_extension(extension)) || file.is_generated() {
        return Vec::new();
    }
    let (stem, _) = file.path.rsplit_once('.').expect("it has an extension");
    let parts = stem.split('/');
    parts
        .filter_map(|part| BANNED.iter().find(|(name, _)| *name == part))
        .map(|(name, why)| Finding::new(&file.path, 0, format!("a module named `{name}`"), why))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn an_empty_name_is_found_wherever_it_stands_in_the_path() {
        for path in ["crates/a/src/util.rs", "crates/a/src/common/mod.rs", "crates/a/tests/it/helpers.rs", "types.py"] {
            assert_eq!(check(&file(path, "")).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_name_with_a_subject_is_fine() {
        for path in ["crates/a/src/utilisation.rs", "crates/a/src/common_law.rs", "docs/types.md"] {
            assert!(check(&file(path, "")).is_empty(), "{path}");
        }
    }
}
