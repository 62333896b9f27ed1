//! Turns that are completed in several pieces, as .NET and Java do: each piece is a call of its own, made once the one
//! before it is answered.

use std::collections::VecDeque;

use placet_core::command::{CompleteTurn, Refusal, Reply};

use super::workers::{Completion, WorkerStep};
use super::{Event, Mark, SECOND, World};

/// What is left of a turn's completion, the piece that is under way first, and whose it is: the worker, in its n-th life.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(super) worker: usize,
    pub(super) life: u64,
    pub(super) pieces: VecDeque<CompleteTurn>,
}

impl World {
    /// A turn's completion as this run's workers bring it: whole, or in pieces.
    pub(super) fn cut(&mut self, turn: CompleteTurn) -> Completion {
        let actions = turn.response.actions.len() as u64;
        if !self.plan.pieces || actions < 2 || self.chance.one_in(2) {
            return Completion::Turn(turn);
        }
        let last = usize::try_from(self.chance.between(1, (actions - 1).min(4))).expect("it is small");
        let each = turn.response.actions.len().div_ceil(last + 1);
        let mut pieces: VecDeque<CompleteTurn> = turn.response.actions.chunks(each).map(|_| turn.clone()).collect();
        let last = pieces.len() - 1;
        for (number, (piece, actions)) in pieces.iter_mut().zip(turn.response.actions.chunks(each)).enumerate() {
            piece.response.actions = actions.to_vec();
            piece.response.is_partial = number < last;
            piece.response.chunk_index = i32::try_from(number).ok();
        }
        Completion::Pieces(pieces)
    }

    /// A piece was answered: the next one follows, unless the turn is no longer this worker's. One whose commit failed is
    /// sent again: the turn may be with this worker still.
    pub(super) fn piece_answered(&mut self, mut rest: Rest, reply: &Result<Reply, Refusal>) {
        match reply {
            Ok(Reply::Done) => drop(rest.pieces.pop_front()),
            Err(_) => self.reach(Mark::PieceSentAgain),
            Ok(_) => {
                self.reach(Mark::PieceInVain);
                return;
            }
        }
        let wait = self.latency() + if reply.is_err() { SECOND / 4 } else { 0 };
        let step = WorkerStep::Complete(Box::new(Completion::Pieces(rest.pieces)));
        self.after(wait, Event::Worker(rest.worker, rest.life, step));
    }
}
