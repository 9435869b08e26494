//! The entry point: parse, run, exit with a meaningful code.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use nightshift::{args::Cli, commands, exit};

/// Events, rows and messages are many small values that one thread makes and another one drops.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Without a provider the first TLS client panics; installing one twice is no error worth reporting.
    let _ = rustls::crypto::ring::default_provider().install_default();
    exit::end_quietly_on_a_closed_pipe();
    let cli = Cli::parse();
    let json = cli.json;
    match commands::run(cli) {
        Ok(code) => code.into(),
        Err(error) => exit::report(&error, json),
    }
}
