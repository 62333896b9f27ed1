//! Durations as people write them: `24h`, `1d`, `90m`, `1d 12h`, `PT24H`.

use std::time::Duration;

/// Reads one. A day has 24 hours; months and years have no length of their own, and are refused.
///
/// # Errors
/// In words, what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refused = |error: jiff::Error| format!("{text:?} is no duration such as 24h, 1d or 90m: {error}");
    let duration = placet_approval::duration(text).map_err(refused)?;
    Duration::try_from(duration).map_err(|_| format!("{text:?} must not be negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        const HOUR: u64 = 3_600;
        let table = [
            ("24h", Duration::from_secs(24 * HOUR)),
            ("1d", Duration::from_secs(24 * HOUR)),
            ("2w", Duration::from_secs(14 * 24 * HOUR)),
            ("1d 12h", Duration::from_secs(36 * HOUR)),
            ("90m", Duration::from_secs(5_400)),
            (" 1.5s ", Duration::from_millis(1_500)),
            ("100ms", Duration::from_millis(100)),
            ("0s", Duration::ZERO),
            ("PT24H", Duration::from_secs(24 * HOUR)),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for (text, said) in
            [("", "no duration"), ("24", "no duration"), ("soon", "no duration"), ("1mo", "no duration")]
        {
            assert!(duration(text).unwrap_err().contains(said), "{text}");
        }
        assert_eq!(duration("-1h"), Err("\"-1h\" must not be negative".to_owned()));
        assert_eq!(duration("1h ago"), Err("\"1h ago\" must not be negative".to_owned()));
    }
}
