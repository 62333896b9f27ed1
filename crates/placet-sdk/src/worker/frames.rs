//! Completions on their way: what ended together is cut into frames that a scheduler takes.

use placet_proto::placet::v1::Completions;
use prost::Message as _;

/// A frame is closed before it would be longer. A scheduler takes 65 MiB at most, and gives room to what is short before
/// what is long; a completion that is longer is alone in its frame.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// These completions in frames, in order: turns, then activities, then what is given back.
pub(super) fn frames_of(completions: Completions) -> Vec<Completions> {
    // Most are few.
    let bytes = completions.encoded_len();
    if bytes <= FRAME_BYTES_MAX {
        return if bytes == 0 { Vec::new() } else { vec![completions] };
    }
    let mut frames = Frames::default();
    for turn in completions.turns {
        frames.room(turn.encoded_len()).turns.push(turn);
    }
    for activity in completions.activities {
        frames.room(activity.encoded_len()).activities.push(activity);
    }
    for token in completions.abandoned {
        frames.room(token.len()).abandoned.push(token);
    }
    frames.closed.extend(frames.open);
    frames.closed
}

#[derive(Default)]
struct Frames {
    closed: Vec<Completions>,
    open: Option<Completions>,
    /// Of the open one.
    bytes: usize,
}

impl Frames {
    /// The frame in which there is room for so many bytes more.
    fn room(&mut self, bytes: usize) -> &mut Completions {
        if self.bytes.saturating_add(bytes) > FRAME_BYTES_MAX {
            self.closed.extend(self.open.take());
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.open.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::ActivityResponse;

    use super::*;

    fn lengths(results: &[usize]) -> Vec<Vec<usize>> {
        let activity = |bytes: &usize| ActivityResponse { result: Some("x".repeat(*bytes)), ..Default::default() };
        let completions = Completions { activities: results.iter().map(activity).collect(), ..Completions::default() };
        let length = |activity: &ActivityResponse| activity.result.as_ref().map_or(0, String::len);
        let frames = frames_of(completions);
        frames.iter().map(|frame| frame.activities.iter().map(length).collect()).collect()
    }

    #[test]
    fn what_is_short_shares_a_frame_and_what_is_long_has_one_of_its_own() {
        let (long, half) = (8 << 20, 600 << 10);
        assert_eq!(lengths(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(lengths(&[1, 2, 3]), [[1, 2, 3]]);
        assert_eq!(lengths(&[half, half, 1]), [vec![half], vec![half, 1]]);
        assert_eq!(lengths(&[1, long, long, 2, 3]), [vec![1], vec![long], vec![long], vec![2, 3]]);
    }
}
