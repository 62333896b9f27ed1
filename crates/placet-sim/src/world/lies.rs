//! Workers that lie: what they bring is not theirs to bring, or contradicts itself. It is refused or ignored, and nobody's
//! history changes: the ledger and the checkers would see it there.

use bytes::Bytes;
use placet_core::command::{CompleteTurn, Refusal, Reply};
use placet_core::ids::{Iid, PARTITIONS, PartitionId, Seq, Turn};
use placet_core::token::Token;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    ActivityResponse, CompleteOrchestrationAction, OrchestrationStatus, OrchestratorAction, OrchestratorResponse,
};
use placet_proto::placet::v1::PublishedRow;

use super::server::{Arrival, ReplyTo};
use super::{Event, Mark, Violation, World};
use crate::struck::FaultKind;

/// What a liar says.
const LIE: &str = "\"a lie\"";

/// More than any turn may publish.
static MUCH: [u8; placet_core::limits::PUBLISHED_BYTES_MAX + 1] = [0; placet_core::limits::PUBLISHED_BYTES_MAX + 1];

impl World {
    /// A worker that was given this item says something else than it should, and what it should later.
    pub(super) fn maybe_lie(&mut self, token: Token) {
        if !self.goes_wrong(FaultKind::Lied) {
            return;
        }
        let forged = self.forge(token);
        let reply_to = ReplyTo::Liar(forged == token);
        let lie = match forged {
            Token::Turn { .. } => Arrival::Turn(reply_to, Box::new(self.false_turn(forged, forged == token))),
            Token::Activity { .. } => Arrival::Activity(reply_to, forged, Box::new(false_result(forged))),
        };
        self.trace.note(self.now, &[28], || format!("a worker that has {token} lies: {lie:?}"));
        let wait = self.latency();
        let process = self.running().unwrap_or(0);
        self.after(wait, Event::Arrive(process, Box::new(lie)));
    }

    /// A token that no worker was given, near one that this one was; a turn's may be the true one.
    fn forge(&mut self, token: Token) -> Token {
        let which = self.chance.below(6);
        match token {
            Token::Turn { partition, iid, epoch, turn, delivery, events, presumed } => {
                let forged = Token::Turn { partition, iid, epoch, turn, delivery: delivery + 1_000, events, presumed };
                match which {
                    0 => forged,
                    1 => {
                        Token::Turn { partition, iid, epoch, turn: Turn(turn.0 + 1), delivery: 1_000, events, presumed }
                    }
                    2 => Token::Turn {
                        partition,
                        iid: self.another(iid),
                        epoch,
                        turn,
                        delivery: 1_000,
                        events,
                        presumed,
                    },
                    // The item of the other kind.
                    3 => Token::Activity { partition, iid, seq: Seq(turn.0.into()), execution: 0 },
                    _ => token,
                }
            }
            Token::Activity { partition, iid, seq, execution } => {
                let execution = execution ^ 1;
                match which {
                    0 | 1 => Token::Activity { partition, iid, seq, execution },
                    2 => Token::Activity { partition, iid: self.another(iid), seq, execution },
                    3 => Token::Activity { partition, iid, seq: Seq(seq.0 + 1), execution },
                    // Of a partition in which the instance does not live.
                    _ => Token::Activity { partition: next_to(partition), iid, seq, execution },
                }
            }
        }
    }

    /// Another instance of the store, if there is one.
    fn another(&mut self, iid: Iid) -> Iid {
        let others: Vec<Iid> = self.ledger.lives.keys().copied().filter(|other| *other != iid).collect();
        if others.is_empty() { Iid(iid.0 + 1) } else { *self.chance.pick(&others) }
    }

    /// An end that no code came to. With a true token it contradicts itself.
    fn false_turn(&mut self, token: Token, is_true: bool) -> CompleteTurn {
        let end = CompleteOrchestrationAction {
            orchestration_status: OrchestrationStatus::Completed.into(),
            result: Some(LIE.to_owned()),
            ..Default::default()
        };
        let action = OrchestratorAction { id: 0, orchestrator_action_type: Some(Action::CompleteOrchestration(end)) };
        let mut response = OrchestratorResponse { actions: vec![action], ..Default::default() };
        let mut publish = Vec::new();
        if is_true && self.chance.one_in(2) {
            // The last of pieces that never came.
            response.chunk_index = Some(7);
        } else if is_true {
            // More rows than a turn may have, or rows that only the built-in orchestrations may.
            let body = Some(Bytes::from_static(&MUCH));
            publish.push(PublishedRow { kind: "lie".to_owned(), key: "lie".to_owned(), body, terms: Vec::new() });
        }
        CompleteTurn { token, sticky: None, response, publish, replies: None, waits: None }
    }

    /// Nobody believes it.
    pub(super) fn lie_answered(&mut self, is_true: bool, reply: &Result<Reply, Refusal>) -> Result<(), Violation> {
        match reply {
            Err(Refusal::InvalidArgument(_)) if is_true => self.reach(Mark::LieRefused),
            Ok(Reply::Stale) => self.reach(Mark::LieIgnored),
            // The instance could not be read, or nobody knows.
            Err(_) => {}
            Ok(reply) => return Err(format!("a lie is answered {reply:?}").into()),
        }
        Ok(())
    }
}

fn false_result(token: Token) -> ActivityResponse {
    ActivityResponse { result: Some(LIE.to_owned()), completion_token: token.to_string(), ..Default::default() }
}

fn next_to(partition: PartitionId) -> PartitionId {
    PartitionId::all().nth((partition.index() + 1) % PARTITIONS).expect("there are so many")
}
