//! What each command means: one file for each, named alike.

mod ask;
mod complete_activity;
mod complete_turn;
mod continue_as_new;
mod failure;
mod fire_timer;
mod poison;
mod purge;
mod raise_event;
mod record;
mod rewind;
mod start;
mod suspend;
mod tell;
mod terminate;
mod too_long;
mod wait;
mod why;

pub(crate) use ask::check_ask;
pub(crate) use record::check_record;
pub(crate) use start::check_start;
pub(crate) use tell::Heard;
