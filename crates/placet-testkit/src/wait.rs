//! Waiting for what nobody tells: at the edge of a process, where all that a test can do is look again.

use std::time::{Duration, Instant};

/// How long anything may take that takes milliseconds, on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Looks until there is something to see, and gives it back.
///
/// # Panics
/// If there is nothing within [`PATIENCE`]; `what` says what was hoped for.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "not within {} s: {what}", PATIENCE.as_secs());
        // sleep: between two looks at what cannot be awaited
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
