//! The shard, scripted.
