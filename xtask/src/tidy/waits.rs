//! Tests do not sleep: they wait for the thing, or own the clock. An exception says why, in a comment on the same line
//! or the one above: `// sleep: …` or `# sleep: …`.

use super::{Finding, TextFile};

const WHY: &str = "await the thing or own the clock; if neither can be, say why in a `sleep:` comment";

/// How each language sleeps.
const SLEEPS: [(&str, &[&str]); 3] = [
    ("rs", &["thread::sleep(", "time::sleep(", "time::sleep_until("]),
    ("py", &["time.sleep(", "asyncio.sleep("]),
    ("js", &["setTimeout("]),
];

pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let Some((_, sleeps)) = SLEEPS.iter().find(|(extension, _)| file.has_extension(extension)) else {
        return Vec::new();
    };
    if file.is_about_tidiness() {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let tests_begin = first_line_of_tests(file, &lines);
    let mut findings = Vec::new();
    for (number, line) in lines.iter().enumerate().skip(tests_begin) {
        let is_explained = |line: &str| line.contains("// sleep: ") || line.contains("# sleep: ");
        let explained = is_explained(line) || number > 0 && is_explained(lines[number - 1]);
        if !explained && sleeps.iter().any(|sleep| line.contains(sleep)) {
            findings.push(Finding::new(&file.path, number + 1, "a test sleeps", WHY));
        }
    }
    findings
}

/// The index of the first line that is only there for tests; past the end if there is none.
fn first_line_of_tests(file: &TextFile, lines: &[&str]) -> usize {
    let in_tests = file.path.contains("/tests/") || file.path.starts_with("tests/");
    if in_tests || file.path.ends_with("/tests.rs") || file.path.starts_with("crates/placet-testkit/") {
        return 0;
    }
    let is_module_of_tests = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod ");
    lines.windows(2).position(is_module_of_tests).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    const SLEEP: &str = "    std::thread::sleep(SECOND);\n";

    #[test]
    fn a_test_that_sleeps_is_found() {
        assert_eq!(check(&file("crates/a/tests/it/main.rs", SLEEP)).len(), 1);
        assert_eq!(check(&file("crates/a/src/b/tests.rs", SLEEP)).len(), 1);
        assert_eq!(check(&file("crates/a/tests/sdk/python/test_a.py", "time.sleep(1)\n")).len(), 1);
        assert_eq!(check(&file("crates/a/tests/sdk/javascript/a.test.js", "await setTimeout(9);\n")).len(), 1);
    }

    #[test]
    fn in_other_files_only_the_module_of_tests_counts() {
        let text = format!("{SLEEP}#[cfg(test)]\nmod tests {{\n{SLEEP}}}\n");
        let findings = check(&file("crates/a/src/b.rs", &text));
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
        assert!(check(&file("crates/a/src/b.rs", SLEEP)).is_empty());
    }

    #[test]
    fn a_reason_is_an_exception() {
        let above = format!("// sleep: nothing tells when the port is free\n{SLEEP}");
        assert!(check(&file("crates/a/tests/it/main.rs", &above)).is_empty());
        assert!(check(&file("tests/a.py", "time.sleep(1)  # sleep: between two looks\n")).is_empty());
        assert_eq!(check(&file("tests/a.py", "time.sleep(1)  # well\n")).len(), 1);
    }
}
