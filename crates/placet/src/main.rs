//! `placet`: a durable server for programs that must wait for people.
//!
//! One binary, three roles. `placet` alone (or `placet serve`) runs all of them: the scheduler, the built-in
//! worker and the HTTP API; each also runs apart. This is the one place that joins the SDK and the scheduler
//! without a socket between them.

mod allocator;
mod announce;
mod commands;
mod config;
mod exit;
mod flags;
mod http;
mod listen;
mod metrics;
mod os;
mod retention;
mod store;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: allocator::BySize = allocator::BySize;

fn main() -> ExitCode {
    allocator::give_back_large_blocks();
    let flags = match flags::Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => return exit::usage(&error),
    };
    match commands::run(flags) {
        Ok(code) => code,
        Err(error) => exit::tell(&error),
    }
}
