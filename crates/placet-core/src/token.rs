//! Completion tokens: what a worker hands back with its result. Opaque to Microsoft's SDKs; ours reads the
//! head, `pl1.<events>.<presumed>`, to know which state the server presumes it to hold (DESIGN.md §5).

use std::fmt;
use std::str::FromStr;

use crate::ids::{Epoch, Iid, PartitionId, Seq, Turn};

/// A short digest of an execution id, for [`Token::Activity`].
pub fn execution_digest(execution_id: &str) -> u32 {
    u32::try_from(xxhash_rust::xxh3::xxh3_64(execution_id.as_bytes()) >> 32).expect("32 bits")
}

/// One delivery of one work item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Token {
    /// Of an orchestrator turn: good for exactly this delivery, in this epoch.
    Turn {
        /// Where the instance lives.
        partition: PartitionId,
        /// Whose turn.
        iid: Iid,
        /// In which epoch it was handed out.
        epoch: Epoch,
        /// Which turn.
        turn: Turn,
        /// Which delivery of it.
        delivery: u32,
        /// How many history events stand before it.
        events: u32,
        /// Whether `pastEvents` was left out.
        presumed: bool,
    },
    /// Of an activity: good as long as that scheduling has no result, whoever was given it.
    Activity {
        /// Where the instance lives.
        partition: PartitionId,
        /// Whose activity.
        iid: Iid,
        /// Which scheduling.
        seq: Seq,
        /// A digest of the execution that scheduled it: keys of deleted instances may be given again after a
        /// restart, and a worker may hold an activity for days.
        execution: u32,
    },
}

impl Token {
    /// Where the instance lives.
    pub fn partition(&self) -> PartitionId {
        match *self {
            Token::Turn { partition, .. } | Token::Activity { partition, .. } => partition,
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Turn { partition, iid, epoch, turn, delivery, events, presumed } => write!(
                f,
                "pl1.{events}.{}.t.{partition}.{iid}.{}.{}.{turn}.{delivery}",
                u8::from(*presumed),
                epoch.incarnation,
                epoch.resets
            ),
            Token::Activity { partition, iid, seq, execution } => {
                write!(f, "pl1.0.0.a.{partition}.{iid}.{seq}.{execution}")
            }
        }
    }
}

/// The text is not a token of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a completion token of this server")]
pub struct NotAToken;

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Token, NotAToken> {
        fn number<T: FromStr>(part: Option<&str>) -> Result<T, NotAToken> {
            part.and_then(|part| part.parse().ok()).ok_or(NotAToken)
        }
        let mut parts = text.strip_prefix("pl1.").ok_or(NotAToken)?.split('.');
        let events = number(parts.next())?;
        let presumed = number::<u8>(parts.next())? == 1;
        let kind = parts.next();
        let partition = PartitionId(number(parts.next())?);
        let iid = Iid(number(parts.next())?);
        let token = match kind {
            Some("t") => {
                let epoch = Epoch { incarnation: number(parts.next())?, resets: number(parts.next())? };
                let turn = Turn(number(parts.next())?);
                Token::Turn { partition, iid, epoch, turn, delivery: number(parts.next())?, events, presumed }
            }
            Some("a") => {
                let seq = Seq(number(parts.next())?);
                Token::Activity { partition, iid, seq, execution: number(parts.next())? }
            }
            _ => return Err(NotAToken),
        };
        if parts.next().is_some() { Err(NotAToken) } else { Ok(token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let tokens = [
            Token::Turn {
                partition: PartitionId(7),
                iid: Iid(u64::MAX),
                epoch: Epoch { incarnation: 3, resets: 1 },
                turn: Turn(12),
                delivery: 2,
                events: 90,
                presumed: true,
            },
            Token::Activity { partition: PartitionId(255), iid: Iid(1), seq: Seq(4), execution: 77 },
        ];
        for token in tokens {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for text in ["", "pl1", "pl1.0.0", "pl1.0.0.x.1.2.3", "pl1.0.0.a.256.1.1", "pl1.0.0.a.1.1.1.1.1", "0b5f-uuid"] {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
    }
}
