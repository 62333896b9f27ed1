//! The deadline that a call brings (`grpc-timeout`). The transport cuts a call off at it with `CANCELLED`, which the
//! SDKs do not take for a timeout; a call that waits ends just before, with `DEADLINE_EXCEEDED` (PROTOCOL.md §2.3).

use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

/// How much earlier than the transport: more than its timer's grain.
const AHEAD: Duration = Duration::from_millis(5);

/// What `call` answers, if it does so in the time that its caller gives it.
pub(super) async fn within<T>(
    metadata: &MetadataMap,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    let Some(timeout) = timeout(metadata) else { return call.await };
    match tokio::time::timeout(timeout.saturating_sub(AHEAD), call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded("the time that the caller gave is over")),
    }
}

/// A number of at most eight digits and its unit. What makes no sense is none.
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_header_is_understood_and_nonsense_is_no_deadline() {
        let table = [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("30S", Some(Duration::from_secs(30))),
            ("200m", Some(Duration::from_millis(200))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("", None),
            ("S", None),
            ("-1S", None),
            ("5", None),
            ("5x", None),
            ("999999999S", None),
        ];
        for (text, expected) in table {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(timeout(&metadata), expected, "{text:?}");
        }
        assert_eq!(timeout(&MetadataMap::new()), None);
    }
}
