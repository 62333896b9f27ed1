//! The commit, alone.
