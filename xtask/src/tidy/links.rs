//! Links between our documents lead somewhere: the file is there, and so is the heading.

use super::{Finding, TextFile};

const WHY: &str = "a link that leads nowhere costs each reader a search";

/// Checks the links of one document. `exists` tells whether a path below the root is there.
pub(super) fn check(file: &TextFile, all: &[TextFile], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    if !file.has_extension("md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, target) in links(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let path = if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
        let Some(path) = path.filter(|path| exists(path)) else {
            findings.push(Finding::new(&file.path, line, format!("`{target}` is not there"), WHY));
            continue;
        };
        let document = all.iter().find(|other| other.path == path && other.has_extension("md"));
        if let (Some(anchor), Some(document)) = (anchor, document)
            && !headings(&document.text).any(|heading| slug(heading) == anchor)
        {
            findings.push(Finding::new(&file.path, line, format!("`{target}` names no heading"), WHY));
        }
    }
    findings
}

/// The targets of all links outside of code, with the numbers of their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // What stands between backticks is no link: every other piece.
        let mut rest = line;
        let mut in_code = false;
        while let Some(at) = rest.find(['`', ']']) {
            let (mark, after) = (&rest[at..=at], &rest[at + 1..]);
            rest = after;
            if mark == "`" {
                in_code = !in_code;
            } else if !in_code && let Some(target) = after.strip_prefix('(').and_then(|after| after.split_once(')')) {
                // A title may follow the target.
                links.push((number, target.0.split(' ').next().unwrap_or_default()));
            }
        }
    }
    links
}

/// The lines that are not inside a block of code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        (!in_block && !is_fence).then_some((index + 1, line))
    })
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.trim())
    })
}

/// The name by which a page links to a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// The path below the root that `target` means in the document `from`; `None` if it leads out of the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect::<Vec<_>>().split_last()?.1.to_vec(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn whats(text: &str) -> Vec<String> {
        let all = [file("docs/a.md", text), file("README.md", "# Placet\n\n## How it's run, in short\n")];
        let exists = |path: &str| ["docs/a.md", "README.md", "docs", "proto/b.proto"].contains(&path);
        check(&all[0], &all, &exists).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn links_to_what_is_there_are_fine() {
        let fine = "# Top\n[a](../README.md) [b](../proto/b.proto \"title\") [c](https://example.org/x) [d](#top)
            [e](../README.md#how-its-run-in-short) [f](/README.md) [g](mailto:a@example.org) [h](../docs/)\n";
        assert_eq!(whats(fine), [""; 0]);
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(whats("[a](b.md)\n"), ["`b.md` is not there"]);
        assert_eq!(whats("[a](../../outside.md)\n"), ["`../../outside.md` is not there"]);
        assert_eq!(whats("[a](../README.md#nowhere)\n"), ["`../README.md#nowhere` names no heading"]);
        assert_eq!(whats("[a](#nowhere)\n"), ["`#nowhere` names no heading"]);
    }

    #[test]
    fn code_has_no_links() {
        assert_eq!(whats("`[a](b.md)`\n```\n[a](b.md)\n# Not a heading\n```\n"), [""; 0]);
        assert_eq!(whats("`x` [a](b.md) `y`\n"), ["`b.md` is not there"]);
    }
}
