//! What `nightshift bench` is told.

use std::path::PathBuf;

use clap::Args;

/// Behind the options of `--help`.
const MORE: &str = "\
Topics, and the single measurements in them:
  append       append      events a second through the journal, by 1, 64, 1,024 producers
  projections  rebuild     read models built anew from a log
  replay       replay      a log read, decoded and folded into states
  queue        jobs        jobs that waited, drained
               limits      the same behind two buckets and keys
               latency     from a request to its first step, at two paces
               fairness    few jobs of many users beside the many jobs of one
  workflows    runs        runs of three steps
  schedules    crowd       deliverables due at one instant
               lateness    some deliverables among many that wait
               fires       schedules of workflows, in turn and all at once
  recovery     resume      a process is killed with runs in flight, the next goes on
  memory       idle        a daemon with deliverables that wait
               footprint   bytes of each deliverable, schedule and run that waits,
                           and the most that a crowd takes

Each figure stands beside a baseline that was taken right after it: what the database,
the clock or an empty process does at best. Stores are made for the purpose and removed
again, also after Ctrl-C. A run of all takes some minutes for each store.

Examples:
  nightshift bench                                  everything, on SQLite
  nightshift bench queue --postgres postgres://...  one topic, on a server too
  nightshift bench --out now.json                   keep the result
  nightshift bench --compare then.json now.json     what is better, what is worse
  nightshift bench append --compare then.json       measure, then compare
  nightshift bench --render now.json --into doc.md  put the tables into a document";

/// What to measure.
#[derive(Debug, Args)]
#[command(after_long_help = MORE, after_help = "`--help` says what the topics are, with examples.")]
pub struct Bench {
    /// Topics or single measurements: append, projections, replay, queue, workflows, schedules, recovery, memory. Default:
    /// all of them.
    #[arg(value_name = "WHAT")]
    pub which: Vec<String>,
    /// Also on this PostgreSQL server; databases named `nightshift_bench_…` are made there and removed again.
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Large sizes: a million deliverables that wait, 100,000 due at once, 100,000 jobs, 10,000 runs in flight. Takes about
    /// an hour for each store.
    #[arg(long)]
    pub full: bool,
    /// Tiny sizes, each once: shows within a minute that everything works. The figures say little.
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// How often each figure is taken; the median counts. Default: 3, with --quick 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeats: Option<u32>,
    /// Folder for the SQLite files; they lie in a new folder below it, which is removed again. Default: a temporary one.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Write the result to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Compare with the result in a file: that of another file, or that of this run. Better and worse are only what lies
    /// outside of both runs' values.
    #[arg(long, num_args = 1..=2, value_names = ["EARLIER", "NOW"])]
    pub compare: Vec<PathBuf>,
    /// With --compare: end with code 1 when a figure is worse.
    #[arg(long, requires = "compare")]
    pub fail_on_worse: bool,
    /// Measure nothing; print the tables of results in files as Markdown.
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with_all = ["compare", "which", "out"])]
    pub render: Vec<PathBuf>,
    /// With --render: put the tables into this document, between its lines `<!-- bench:begin -->` and `<!-- bench:end -->`.
    #[arg(long, requires = "render", value_name = "DOCUMENT")]
    pub into: Option<PathBuf>,
    /// Be the process that is measured, on the configured store.
    #[arg(long, hide = true)]
    pub inside: Option<Inside>,
    /// How many runs it shall have in flight, or for how many milliseconds it shall be watched.
    #[arg(long, hide = true, default_value_t = 0)]
    pub count: u64,
}

/// The process that `bench` measures from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Inside {
    /// A daemon that has nothing to do.
    Idle,
    /// A daemon that does what is due and ends.
    Busy,
    /// A daemon with runs in flight, which is killed.
    InFlight,
}
