//! A turn's completion that comes in pieces: .NET and Java split what would be too large for one message. The
//! pieces are kept with the turn that is out, and die with it; the last one makes the whole (PROTOCOL.md §7.6).

use std::collections::BTreeMap;

use placet_proto::durabletask::OrchestratorResponse;
use prost::Message as _;

use crate::command::Refusal;
use crate::limits;
use crate::reach::{Corner, reach};

/// The pieces that have come, by their number: a repeated one is the same one.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    before_last: BTreeMap<i32, OrchestratorResponse>,
    bytes: usize,
}

impl Pieces {
    /// How many bytes have come.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a piece; gives the whole if it is the last one. A completion in one piece is its own whole.
    ///
    /// # Errors
    /// If a piece is missing, or they are too large together. Nothing is kept then.
    pub(crate) fn take(&mut self, piece: OrchestratorResponse) -> Result<Option<OrchestratorResponse>, Refusal> {
        if !piece.is_partial && piece.chunk_index.is_none() {
            // It is no last piece: what came of another attempt is not to be added to it.
            *self = Pieces::default();
            return Ok(Some(piece));
        }
        let checked = self.check(&piece);
        if checked.is_err() {
            *self = Pieces::default();
        }
        checked?;
        if !piece.is_partial {
            return Ok(Some(self.whole(piece)));
        }
        let number = piece.chunk_index.unwrap_or(0);
        if !self.before_last.contains_key(&number) {
            self.bytes += piece.encoded_len();
            self.before_last.insert(number, piece);
            reach(Corner::PieceKept);
        }
        Ok(None)
    }

    fn check(&self, piece: &OrchestratorResponse) -> Result<(), Refusal> {
        if piece.is_partial {
            let bytes = self.bytes + piece.encoded_len();
            let most = limits::TURN_PIECES_BYTES_MAX;
            if bytes > most {
                let what = format!("chunkIndex: {bytes} bytes in all pieces, {most} at most");
                return Err(Refusal::InvalidArgument(what));
            }
            return Ok(());
        }
        let came = i32::try_from(self.before_last.len()).unwrap_or(i32::MAX);
        match piece.chunk_index {
            Some(number) if number != came => {
                Err(Refusal::InvalidArgument(format!("chunkIndex: piece {number} is the last, {came} came before it")))
            }
            _ => Ok(()),
        }
    }

    /// All actions in order; what else a piece says counts once, and these two in the first piece.
    fn whole(&mut self, last: OrchestratorResponse) -> OrchestratorResponse {
        let mut pieces = std::mem::take(self).before_last.into_values();
        let Some(mut whole) = pieces.next() else { return last };
        whole.custom_status = last.custom_status;
        for piece in pieces {
            whole.actions.extend(piece.actions);
        }
        whole.actions.extend(last.actions);
        whole.is_partial = false;
        whole
    }
}

#[cfg(test)]
mod tests {
    use placet_proto::durabletask::OrchestratorAction;

    use super::*;

    fn piece(number: i32, is_partial: bool, actions: &[i32]) -> OrchestratorResponse {
        OrchestratorResponse {
            actions: actions.iter().map(|&id| OrchestratorAction { id, ..Default::default() }).collect(),
            num_events_processed: Some(if number == 0 { 3 } else { 0 }),
            chunk_index: Some(number),
            is_partial,
            ..Default::default()
        }
    }

    fn ids(whole: &OrchestratorResponse) -> Vec<i32> {
        whole.actions.iter().map(|action| action.id).collect()
    }

    #[test]
    fn a_completion_in_one_piece_is_the_whole() {
        let only = piece(0, false, &[1, 2]);
        assert_eq!(Pieces::default().take(only.clone()), Ok(Some(only)));
    }

    #[test]
    fn the_last_piece_makes_the_whole_in_the_order_of_their_numbers_and_repeats_count_once() {
        let mut pieces = Pieces::default();
        for number in [0, 2, 1, 2, 0] {
            assert_eq!(pieces.take(piece(number, true, &[number * 2, number * 2 + 1])), Ok(None));
        }
        let whole = pieces.take(piece(3, false, &[6])).unwrap().unwrap();
        assert_eq!(ids(&whole), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((whole.num_events_processed, whole.is_partial), (Some(3), false));
    }

    #[test]
    fn a_completion_in_one_piece_is_the_whole_though_pieces_came_before_it() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.take(piece(0, true, &[1])), Ok(None));
        let whole = OrchestratorResponse { chunk_index: None, ..piece(0, false, &[1, 2]) };
        assert_eq!(pieces.take(whole.clone()), Ok(Some(whole)));
        assert_eq!(pieces.bytes(), 0);
    }

    #[test]
    fn a_last_piece_whose_predecessors_are_missing_is_refused() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.take(piece(0, true, &[1])), Ok(None));
        assert!(matches!(pieces.take(piece(2, false, &[3])), Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn pieces_may_be_as_large_together_as_one_message_may_be() {
        let mut pieces = Pieces::default();
        let large = |number| OrchestratorResponse {
            custom_status: Some("x".repeat(limits::TURN_PIECES_BYTES_MAX / 2)),
            ..piece(number, true, &[])
        };
        assert_eq!(pieces.take(large(0)), Ok(None));
        assert!(matches!(pieces.take(large(1)), Err(Refusal::InvalidArgument(_))));
    }
}
