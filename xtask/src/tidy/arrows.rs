//! Which crate may use which. An arrow that the table lacks is a decision, and shows in the diff of this file.

use super::Finding;
use crate::workspace::Package;

const WHY: &str =
    "an arrow between crates is a decision: add it to xtask/src/tidy/arrows.rs and ARCHITECTURE.md, or do without";

/// A crate and those of ours that it may use.
const ALLOWED: [(&str, &[&str]); 20] = [
    ("placet-proto", &[]),
    ("placet-approval", &[]),
    ("placet-identity", &[]),
    ("placet-core", &["placet-proto"]),
    ("placet-store", &["placet-core"]),
    ("placet-store-sqlite", &["placet-store", "placet-core"]),
    ("placet-store-postgres", &["placet-store", "placet-core"]),
    ("placet-sdk", &["placet-proto"]),
    ("placet-scheduler", &["placet-core", "placet-store", "placet-proto", "placet-identity"]),
    ("placet-worker", &["placet-sdk", "placet-approval", "placet-identity"]),
    ("placet-api", &["placet-sdk", "placet-approval", "placet-identity"]),
    (
        "placet-sim",
        // The messages: its checkers read histories, its workers take items.
        &[
            "placet-core",
            "placet-proto",
            "placet-store",
            "placet-store-sqlite",
            "placet-sdk",
            "placet-approval",
            "placet-worker",
        ],
    ),
    ("placet-testkit", &["placet-sdk"]),
    ("placet-test-disk", &[]),
    (
        "placet",
        &[
            "placet-api",
            "placet-approval",
            "placet-core",
            "placet-identity",
            "placet-proto",
            "placet-scheduler",
            "placet-sdk",
            "placet-store",
            "placet-store-postgres",
            "placet-store-sqlite",
            "placet-worker",
        ],
    ),
    // It measures whatever there is.
    ("placet-instructions", &["placet-core", "placet-proto", "placet-sdk", "placet-store", "placet-store-sqlite"]),
    (
        "placet-bench",
        &[
            "placet",
            "placet-api",
            "placet-approval",
            "placet-core",
            "placet-proto",
            "placet-scheduler",
            "placet-sdk",
            "placet-store",
            "placet-store-sqlite",
            "placet-testkit",
            "placet-worker",
        ],
    ),
    // What other people's programs may use, and nothing else.
    ("rust-human-interaction", &["placet-sdk"]),
    ("rust-patterns", &["placet-approval", "placet-sdk"]),
    ("xtask", &[]),
];

/// Crates that are told everything: no clock, no input or output, no randomness, nothing asynchronous.
const PURE: [&str; 4] = ["placet-proto", "placet-core", "placet-approval", "placet-identity"];

/// What a pure crate could only want for one of those.
const IMPURE: [&str; 11] =
    ["axum", "futures-util", "getrandom", "hyper", "rand", "reqwest", "rusqlite", "tokio", "tonic", "tracing", "ureq"];

const WHY_PURE: &str = "this crate is told the time and does no input or output, so that the simulator can run it";

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let mut findings = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::new(&manifest, 0, format!("`{}` has no row in the table", package.name), WHY));
            continue;
        };
        for need in package.needs.iter().filter(|need| ours(need) && !allowed.contains(&need.as_str())) {
            findings.push(Finding::new(&manifest, 0, format!("`{}` may not use `{need}`", package.name), WHY));
        }
        if PURE.contains(&package.name.as_str()) {
            for need in package.needs.iter().filter(|need| IMPURE.contains(&need.as_str())) {
                findings.push(Finding::new(&manifest, 0, format!("`{}` may not use `{need}`", package.name), WHY_PURE));
            }
        }
        if package.folder.starts_with("crates/") && package.folder != format!("crates/{}", package.name) {
            let what = format!("`{}` does not lie in crates/{}", package.name, package.name);
            findings.push(Finding::new(&manifest, 0, what, "a folder has its crate's exact name"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, needs: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
        }
    }

    fn whats(packages: &[Package]) -> Vec<String> {
        check(packages).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_arrow_of_the_table_is_fine_and_any_other_is_found() {
        let core = package("placet-core", &["placet-proto", "bytes"]);
        let api = package("placet-api", &["placet-core", "axum"]);
        assert_eq!(whats(&[core, package("placet-proto", &[]), api]), ["`placet-api` may not use `placet-core`"]);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(whats(&[package("placet-extra", &[])]), ["`placet-extra` has no row in the table"]);
    }

    #[test]
    fn a_pure_crate_does_without_a_runtime() {
        assert_eq!(whats(&[package("placet-core", &["tokio"])]), ["`placet-core` may not use `tokio`"]);
        assert!(whats(&[package("placet-scheduler", &["tokio"])]).is_empty());
    }

    #[test]
    fn a_folder_has_its_crates_name() {
        let moved = Package { folder: "crates/kernel".to_owned(), ..package("placet-core", &[]) };
        assert_eq!(whats(&[moved]), ["`placet-core` does not lie in crates/placet-core"]);
    }

    #[test]
    fn no_row_names_a_crate_that_has_none() {
        for (name, allowed) in ALLOWED {
            for used in allowed {
                assert!(ALLOWED.iter().any(|(row, _)| row == used), "{name} may use {used}, which has no row");
            }
        }
    }
}
