//! The suites in `tests/sdk/` need more than cargo has: Python, node, and Microsoft's SDKs. `cargo xtask test` installs
//! that and runs them; a plain `cargo test` cannot, and says so here.

use std::io::Write as _;
use std::path::Path;

const SUITES: [(&str, &str); 2] = [("python", "conftest.py"), ("javascript", "package.json")];

#[test]
fn a_plain_cargo_test_says_which_suites_it_could_not_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    for (suite, file) in SUITES {
        assert!(folder.join(suite).join(file).is_file(), "{suite} is not where this says that it is");
    }
    if std::env::var_os("PLACET_SUITES").is_none() {
        // Not by `eprintln!`: the harness keeps what tests print that way to itself.
        let suites = SUITES.map(|(suite, _)| suite).join(", ");
        let hint = format!(
            "\nNot run here: the suites in {suites}, and the crashes under clients in both. `cargo xtask test` runs \
             everything.\n\n"
        );
        std::io::stderr().write_all(hint.as_bytes()).expect("stderr is open");
    }
}
