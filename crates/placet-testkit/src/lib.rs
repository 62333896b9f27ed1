//! For tests only: a real server on a free port.
