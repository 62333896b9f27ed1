//! Replay, tested: programs of many shapes, run live and run again.
