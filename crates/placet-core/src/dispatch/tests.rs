//! The dispatch, alone.
