//! Where a server listens, and what happens if somebody else does.

use std::net::TcpListener;

use placet_testkit::{Http, Launch};

use crate::PLACET;

#[tokio::test]
async fn port_zero_picks_a_free_one_and_the_ready_file_tells_which() {
    let (one, other) = (crate::server().await, crate::server().await);
    assert_ne!(one.announced().http, other.announced().http);
    for server in [&one, &other] {
        assert_eq!(server.http().get("/healthz").await.unwrap().status, 204);
        server.client().hello().await.unwrap();
    }
}

#[tokio::test]
async fn a_default_port_that_is_taken_gives_way_to_the_next_free_one_and_that_is_said() {
    // Somebody else may have them already, which is as good, unless he leaves in the meantime.
    let held = [TcpListener::bind("127.0.0.1:8000"), TcpListener::bind("127.0.0.1:8080")];
    let server = Launch::new(PLACET).start().await.unwrap();
    let said = server.stderr();
    let port = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let http = port(server.announced().http.as_deref().unwrap());
    let ports = [("HTTP", 8000, http), ("gRPC", 8080, port(server.endpoint()))];
    for ((what, default, port), held) in ports.into_iter().zip(&held) {
        assert!((default..default + 50).contains(&port), "{what}: {port}");
        assert!(held.is_err() || port != default, "{what}: {port} is ours");
        let note = format!("{what}: port {default} is in use by");
        assert_eq!(said.contains(&note), port != default, "{what}: {port}\n{said}");
    }
    assert!(said.lines().count() <= 10, "{said}");
    // The same port, by both of the computer's own addresses and by its name.
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let answer = Http::new(&format!("http://{host}:{http}")).get("/healthz").await;
        assert_eq!(answer.unwrap_or_else(|error| panic!("{host}: {error:#}")).status, 204);
    }
}

#[tokio::test]
async fn an_address_that_was_asked_for_and_is_taken_ends_the_server_with_a_line_that_names_the_holder() {
    for (flag, other) in [("--http-addr", "--grpc-addr=127.0.0.1:0"), ("--grpc-addr", "--http-addr=127.0.0.1:0")] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let launch = Launch::new(PLACET).args(["serve", other, flag, &addr.to_string()]);
        let data = launch.folder().join("placet-data");
        let ended = launch.clone().run().await.unwrap();
        assert_eq!(ended.code, Some(69), "{ended:?}");
        let line = ended.stderr.lines().next().unwrap();
        assert!(line.starts_with(&format!("placet: {flag}: {addr} is in use by ")), "{line}");
        if cfg!(target_os = "linux") {
            assert!(line.contains(&format!("(pid {})", std::process::id())), "{line}");
        }
        assert!(!data.exists(), "a folder was made for nothing");
    }
}

#[tokio::test]
async fn an_address_that_is_none_of_this_computer_is_refused() {
    let ended = Launch::new(PLACET)
        .args(["serve", "--insecure", "--grpc-addr=127.0.0.1:0", "--http-addr=192.0.2.1:8000"])
        .run()
        .await
        .unwrap();
    assert_eq!(ended.code, Some(69));
    assert_snap!(ended.stderr, @"placet: --http-addr: cannot listen on 192.0.2.1:N: Cannot assign requested address (os error 99)");
}
