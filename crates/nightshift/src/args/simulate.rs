//! What `nightshift simulate` is told.

use std::path::PathBuf;

use clap::Args;

/// What to simulate.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Workflow documents to try out; none: the built-in ones, which use every kind of step.
    pub files: Vec<PathBuf>,
    /// How many seeds, from 1.
    #[arg(long, default_value_t = 20, conflicts_with = "seed")]
    pub seeds: u64,
    /// This seed alone, as a failure names it.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// Days of each seed with faults and traffic; the calm behind them comes on top.
    #[arg(long, default_value_t = 30)]
    pub days: u32,
    /// all, none, or a list: crash, unknown, database, results, leases, takeover, clock, poison, clients.
    #[arg(long, default_value = "all")]
    pub faults: String,
    /// Standing orders, each with a schedule. Default: 10; 0 with documents of your own.
    #[arg(long)]
    pub deliverables: Option<u32>,
    /// Requests for runs, each day.
    #[arg(long, default_value_t = 20)]
    pub runs: u32,
    /// Seeds side by side. Default: one for each core.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Of so many streams one is decided again at the end; 1: all, 0: none.
    #[arg(long, default_value_t = 4)]
    pub replay_one_in: u64,
    /// Leave the read models out.
    #[arg(long)]
    pub no_tables: bool,
    /// Keep this file up to date with how far it is, as JSON. What the same command began in it goes on.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    pub report: Option<PathBuf>,
    /// Simulate nothing: print the figures of such a file as Markdown.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "seed", "files"])]
    pub render: Option<PathBuf>,
    /// With --render: put the figures between the marks of this document instead.
    #[arg(long, value_name = "DOCUMENT", requires = "render")]
    pub into: Option<PathBuf>,
    /// Do not look for a smaller history that fails in the same way.
    #[arg(long)]
    pub no_shrink: bool,
}
