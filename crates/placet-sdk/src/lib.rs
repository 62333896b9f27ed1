//! Write orchestrations as plain async functions, start them, and wait for people.
