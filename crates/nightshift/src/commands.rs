//! The commands, one module each.

mod approval;
mod bulk;
mod capture;
mod config;
mod db;
mod deliverable;
pub mod demo;
mod event;
mod explain;
mod job;
mod limit;
mod queue;
mod report;
mod run;
mod schedule;
mod serve;
mod simulate;
mod sql;
mod tick;
mod timeline;
mod trial;
mod verify;
mod version;
mod watch;
pub mod workflow;

pub use schedule::parse_instant;

use std::{pin::Pin, sync::Arc};

use clap::CommandFactory;
use nightshift_domain::time::Timestamp;
use nightshift_ports::clock::{Clock, ManualClock};

use crate::{
    app,
    args::{Cli, Command},
    config::{Config, Loaded},
    exit::{Code, Exit},
    real::SystemClock,
};

/// What every command is given.
pub struct Env {
    /// The configuration in force.
    pub config: Config,
    /// Where its values came from.
    pub loaded: Loaded,
    /// Print JSON.
    pub json: bool,
    /// The instant that is rehearsed.
    pub at: Option<Timestamp>,
}

impl Env {
    /// The clock of this command: the machine's, or one that stands at the rehearsed instant.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        match self.at {
            None => Arc::new(SystemClock),
            Some(at) => Arc::new(ManualClock::at(at)),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub fn run(cli: Cli) -> Result<Code, Exit> {
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "nightshift", &mut script);
        print!("{}", String::from_utf8_lossy(&script));
        return Ok(Code::Ok);
    }
    let loaded = app::load_config(&cli)?;
    let at = cli.at.as_deref().map(parse_instant).transpose()?;
    if at.is_some() && matches!(cli.command, Command::Serve | Command::Demo { .. }) {
        return Err(Exit::new(
            Code::Usage,
            "--at rehearses one command or one pass; a daemon follows the machine's clock",
        ));
    }
    let env = Env { config: loaded.config.clone(), loaded, json: cli.json, at };
    let level = if matches!(cli.command, Command::Serve | Command::Tick) { None } else { Some("error") };
    start_logging(&env, level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // In a box: `block_on` is compiled for each kind of runtime, and what a command does need not be.
    let done: Pin<Box<dyn Future<Output = Result<Code, Exit>>>> = Box::pin(dispatch(env, cli.command));
    runtime.block_on(done)
}

/// Commands of a person are quiet unless the filter says otherwise; daemons say what happens.
fn start_logging(env: &Env, quiet: Option<&str>) -> Result<(), Exit> {
    let telemetry = &env.config.telemetry;
    let asked =
        env.loaded.provenance("telemetry.log_filter").is_some_and(|from| *from != crate::config::Provenance::Default);
    let filter = match quiet {
        Some(level) if !asked => level.to_owned(),
        _ => telemetry.log_filter.clone(),
    };
    crate::observe::start_logging(telemetry.log_format, &filter)
}

async fn dispatch(env: Env, command: Command) -> Result<Code, Exit> {
    match command {
        Command::Demo { folder } => demo::run(&env, folder).await,
        Command::Serve => serve::run(&env).await,
        Command::Tick => tick::run(&env).await,
        Command::Deliverable(command) => deliverable::run(&env, command).await,
        Command::Version(command) => version::run(&env, command).await,
        Command::Schedule(command) => schedule::run(&env, command).await,
        Command::Run(command) => run::run(&env, command).await,
        Command::Workflow(command) => workflow::run(&env, command).await,
        Command::Approval(command) => approval::run(&env, command).await,
        Command::Approve(answer) => approval::approve(&env, answer).await,
        Command::Job(command) => job::run(&env, command).await,
        Command::Limit(command) => limit::run(&env, command).await,
        Command::Queue(command) => queue::run(&env, command).await,
        Command::Event(command) => event::run(&env, command).await,
        Command::Explain { id } => explain::run(&env, &id).await,
        Command::Capture(args) => capture::capture(&env, args).await,
        Command::Replay(args) => capture::replay(&env, args).await,
        Command::Verify => verify::run(&env).await,
        Command::Sql(asked) => sql::run(&env, asked).await,
        Command::Db(command) => db::run(&env, command).await,
        Command::Config(command) => config::run(&env, command),
        Command::Bench(args) => crate::bench::run(&env, args).await,
        Command::Simulate(args) => simulate::run(&env, args),
        Command::Completions { .. } => Ok(Code::Ok),
    }
}
