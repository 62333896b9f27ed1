//! For tests only: real `placet` processes on free ports, killed, stopped and started again as a test wants.
//!
//! A [`Launch`] describes a process, a [`Server`] is one that runs, an [`Ended`] one that has ended, with all that
//! it said. [`Http`] makes the calls that a browser, `curl` or a program elsewhere would make. Nothing here knows
//! the server from inside: what it says of itself, the ready file tells.

mod http;
mod launch;
mod os;
mod server;
mod wait;

pub use http::{Answer, Http};
pub use launch::Launch;
pub use server::{Announced, Ended, Server};
pub use wait::{PATIENCE, eventually};
