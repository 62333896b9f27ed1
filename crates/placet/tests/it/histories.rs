//! Records the histories under `tests/histories/`, with `PLACET_RECORD_HISTORIES=1` and for a new release only: what an
//! older one has recorded stays as it is. The built-in worker's tests finish them under the code of today.

mod recorded;

use placet_testkit::Launch;
use serde_json::json;

use crate::PLACET;
use crate::requests::{ask, decide, id};

/// More than a generation takes.
const REFUSED: usize = 55;

#[tokio::test]
async fn the_histories_of_this_release_are_recorded_if_that_is_asked_for() {
    if std::env::var_os("PLACET_RECORD_HISTORIES").is_none() {
        return;
    }
    let server = Launch::serve(PLACET).start().await.unwrap();
    let (http, client) = (server.http(), server.client());
    let nonsense = json!({"is_approved": "perhaps"});
    let table = [
        ("approved", 0, 1.0, Some(true)),
        ("rejected", 0, 1.0, Some(false)),
        ("timed-out", 0, 0.0001, None),
        ("refused-then-approved", 3, 1.0, Some(true)),
        ("continued-as-new", REFUSED, 1.0, Some(true)),
        ("continued-as-new-timed-out", REFUSED, 0.001, None),
        ("parked", 0, 87_600.0, None),
        ("parked-continued-as-new", REFUSED, 87_600.0, None),
    ];
    for (name, refused, hours, decision) in table {
        let id = id(&ask(&http, hours).await);
        client.wait_for_start(&id).await.unwrap();
        for _ in 0..refused {
            client.ask(&id, "approval_response", &nonsense).await.unwrap();
        }
        if let Some(is_approved) = decision {
            assert_eq!(decide(&http, &id, is_approved, "Manager").await.status, 200);
        } else if hours < 1.0 {
            client.wait_for_completion(&id).await.unwrap();
        }
        recorded::write(name, client.history(&id).await.unwrap());
    }
}
