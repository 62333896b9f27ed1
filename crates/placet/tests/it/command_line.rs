//! Flags: what `--help` says, and what is said against wrong ones.

use placet_testkit::{Ended, Launch};

use crate::PLACET;

async fn run(args: &[&str]) -> Ended {
    Launch::new(PLACET).args(args).run().await.unwrap()
}

#[tokio::test]
async fn every_command_tells_its_flags_and_their_variables() {
    let commands: [&[&str]; 48] = [
        &[],
        &["serve"],
        &["scheduler"],
        &["emulator"],
        &["worker"],
        &["api"],
        &["health"],
        &["time"],
        &["time", "accept"],
        &["time", "advance"],
        &["time", "show"],
        &["instances"],
        &["instances", "list"],
        &["instances", "show"],
        &["instances", "terminate"],
        &["instances", "suspend"],
        &["instances", "resume"],
        &["instances", "raise-event"],
        &["instances", "restart"],
        &["instances", "rewind"],
        &["instances", "purge"],
        &["instances", "operations"],
        &["instances", "operation"],
        &["why"],
        &["request"],
        &["show"],
        &["list"],
        &["approve"],
        &["reject"],
        &["comment"],
        &["withdraw"],
        &["instances", "retry"],
        &["audit"],
        &["audit", "verify"],
        &["audit", "export"],
        &["audit", "checkpoint"],
        &["erase"],
        &["completions"],
        &["man"],
        &["watch"],
        &["permit"],
        &["permit", "show"],
        &["permit", "begin"],
        &["permit", "finish"],
        &["permit", "revoke"],
        &["permit", "verify"],
        &["policy"],
        &["policy", "check"],
    ];
    for command in commands {
        let ended = run(&[command, &["--help"]].concat()).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let name = format!("help_{}", if command.is_empty() { "placet".to_owned() } else { command.join("_") });
        insta::assert_snapshot!(name, ended.stdout);
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_crate() {
    let ended = run(&["--version"]).await;
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("placet {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_wrong_command_line_is_refused_with_the_code_for_it_and_nothing_is_started() {
    let table: [(&[&str], &str); 18] = [
        (&["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        (&["no-such-command"], "unrecognized subcommand 'no-such-command'"),
        (&["serve", "--http-addr"], "a value is required for '--http-addr <ADDR>'"),
        (&["serve", "--json", "--quiet"], "cannot be used with '--quiet'"),
        (&["serve", "--taskhub=no hub"], "--taskhub: "),
        (&["serve", "--log=placet=loudly"], "--log: "),
        (&["serve", "--http-addr=0.0.0.0:0", "--grpc-addr=127.0.0.1:0"], "--http-addr: 0.0.0.0:0 can be reached"),
        (
            &["serve", "--rest-addr=0.0.0.0:0", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"],
            "--rest-addr: 0.0.0.0:0 can",
        ),
        (
            &[
                "emulator",
                "--task-hubs=a-hub, no hub",
                "--grpc-addr=127.0.0.1:0",
                "--rest-addr=127.0.0.1:0",
                "--dashboard-addr=127.0.0.1:0",
            ],
            "--task-hubs: taskhub: \"no hub\"",
        ),
        (&["emulator", "--dynamic-task-hubs=perhaps"], "invalid value 'perhaps'"),
        (&["emulator", "--log-level=Loudly=x=y"], "--log: "),
        (&["--virtual-time"], "--virtual-time: only with --ephemeral"),
        (&["scheduler", "--virtual-time=auto"], "--virtual-time: only with --ephemeral"),
        (&["--ephemeral", "--virtual-time", "--auto-after=1s"], "--auto-after: only with --virtual-time=auto"),
        (&["time", "advance", "-24h"], "\"-24h\" must not be negative"),
        (&["time", "advance", "tomorrow"], "\"tomorrow\" is no duration such as 24h, 1d or 90m"),
        (&["worker", "--endpoint=::not an address::"], "--endpoint: "),
        (&["api", "--endpoint=::not an address::", "--http-addr=127.0.0.1:0"], "--endpoint: "),
    ];
    for (args, expected) in table {
        let ended = run(args).await;
        assert_eq!(ended.code, Some(64), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{args:?} is told\n{}and not {expected:?}", ended.stderr);
        assert!(ended.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_flag_wins_over_its_variable_and_a_variable_over_the_default() {
    let launch = Launch::serve(PLACET).variable("TASKHUB", "from-env").variable("PLACET_DATA_DIR", "from-env");
    let server = launch.args(["--data-dir=from-flag"]).start().await.unwrap();
    assert_eq!(server.announced().taskhub.as_deref(), Some("from-env"));
    assert!(server.announced().data_dir.as_ref().unwrap().ends_with("from-flag"));
}

#[tokio::test]
async fn shells_and_manuals_know_every_command() {
    for (shell, says) in [("bash", "complete -F _placet"), ("zsh", "#compdef placet"), ("fish", "complete -c placet")] {
        let ended = run(&["completions", shell]).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.stdout.contains(says) && ended.stdout.contains("audit"), "{shell}: {}", ended.stdout);
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    let ended = run(&["man", dir.to_str().unwrap()]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for page in ["placet.1", "placet-request.1", "placet-audit-verify.1"] {
        let text = std::fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
}
