//! Simulated time, network, disk and workers; the checkers of the promises.
