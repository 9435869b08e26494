//! The commands, one module each.

mod capture;
mod config;
mod db;
mod deliverable;
pub mod demo;
mod explain;
mod run;
mod schedule;
mod serve;
mod tick;
mod timeline;
mod verify;
mod version;

use clap::CommandFactory;

use crate::{
    app,
    args::{Cli, Command},
    config::{Config, Loaded},
    exit::{Code, Exit},
};

/// What every command is given.
pub struct Env {
    /// The configuration in force.
    pub config: Config,
    /// Where its values came from.
    pub loaded: Loaded,
    /// Print JSON.
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub fn run(cli: Cli) -> Result<Code, Exit> {
    if let Command::Completions { shell } = &cli.command {
        clap_complete::generate(*shell, &mut Cli::command(), "nightshift", &mut std::io::stdout());
        return Ok(Code::Ok);
    }
    let loaded = app::load_config(&cli)?;
    let env = Env { config: loaded.config.clone(), loaded, json: cli.json };
    let level = if matches!(cli.command, Command::Serve | Command::Tick { .. }) { None } else { Some("error") };
    start_logging(&env, level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(dispatch(env, cli.command))
}

/// Commands of a person are quiet unless the filter says otherwise; daemons say what happens.
fn start_logging(env: &Env, quiet: Option<&str>) -> Result<(), Exit> {
    let telemetry = &env.config.telemetry;
    let asked = env.loaded.provenance("telemetry.log_filter").is_some_and(|from| *from != crate::config::Provenance::Default);
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
        Command::Tick { at } => tick::run(&env, at).await,
        Command::Deliverable(command) => deliverable::run(&env, command).await,
        Command::Version(command) => version::run(&env, command).await,
        Command::Schedule(command) => schedule::run(&env, command).await,
        Command::Run(command) => run::run(&env, command).await,
        Command::Explain { id } => explain::run(&env, &id).await,
        Command::Capture(args) => capture::capture(&env, args).await,
        Command::Replay(args) => capture::replay(&env, args).await,
        Command::Verify => verify::run(&env).await,
        Command::Db(command) => db::run(&env, command).await,
        Command::Config(command) => config::run(&env, command),
        Command::Bench(args) => crate::bench::run(&env, args).await,
        Command::Completions { .. } => Ok(Code::Ok),
    }
}
