//! The approval rules: a pure function from request and event to request and effects.
