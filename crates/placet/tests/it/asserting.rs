//! Snapshots of what a process says, without what differs from run to run.

/// [`insta::assert_snapshot`], with addresses, process ids and folders replaced.
macro_rules! assert_snap {
    ($text:expr, @$expected:literal) => {
        insta::assert_snapshot!(crate::asserting::settled(&$text), @$expected)
    };
}

/// The text with every number of a port or process replaced, and every path that is a test's own.
pub(crate) fn settled(text: &str) -> String {
    let mut settled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        settled.push_str(before);
        let is_port = before.ends_with(':') && number[..end].len() >= 4;
        let is_pid = before.ends_with("pid ");
        settled.push_str(if is_port || is_pid { "N" } else { &number[..end] });
        rest = &number[end..];
    }
    settled.push_str(rest);
    let words = settled.split_inclusive([' ', '\n', ',']).map(|word| match word.find("placet-test-") {
        Some(at) => {
            let folder_end = word[at..].find(['/', ' ', '\n', ',', ':']).map_or(word.len(), |end| at + end);
            format!("FOLDER{}", &word[folder_end..])
        }
        None => word.to_owned(),
    });
    words.collect()
}
