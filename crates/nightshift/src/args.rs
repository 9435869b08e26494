//! The command line.

mod bench;
mod simulate;
mod work;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use bench::{Bench, Inside};
pub use simulate::Simulate;
pub use work::{
    Approval, Approve, Bulk, Event, Job, Letters, Limit, Queue, Run, Start, StepOf, Test, WhichQueue, Workflow,
};

/// Headless orchestrator for the work AI agents do while nobody looks.
#[derive(Debug, Parser)]
#[command(name = "nightshift", version, about, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// Configuration file (TOML). Default: $NIGHTSHIFT_CONFIG, else none.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key of the configuration, e.g. --set queue.concurrency=4. May be repeated.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the embedded store; short for --set store.data_dir=DIR.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub json: bool,
    /// Rehearse: act as if it were this instant (RFC 3339), not before the newest event of the store. Not with a daemon.
    #[arg(long, global = true, value_name = "INSTANT")]
    pub at: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or faulty document, 3 replay diverged, 4 undecodable, \
5 log corrupt, 6 not found, 69 store unavailable, 70 a vital part gave up, 73 store in use, 75 shards taken over, \
78 configuration.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See the whole thing work on real files of this machine, in a folder of its own. No network, no key.
    Demo {
        /// Folder to work in. Default: a new folder under the system's temporary folder.
        folder: Option<PathBuf>,
    },
    /// Run as a daemon until SIGTERM or SIGINT.
    Serve,
    /// One pass: do everything that is due, then end. For deployments driven by cron.
    Tick,
    /// Standing orders for documents.
    #[command(subcommand, alias = "deliverables")]
    Deliverable(Deliverable),
    /// Produced documents.
    #[command(subcommand, alias = "versions")]
    Version(Version),
    /// Triggers in time.
    #[command(subcommand, alias = "schedules")]
    Schedule(Schedule),
    /// Executions.
    #[command(subcommand, alias = "runs")]
    Run(Run),
    /// Definitions of workflows.
    #[command(subcommand, alias = "workflows")]
    Workflow(Workflow),
    /// Questions to people.
    #[command(subcommand, alias = "approvals")]
    Approval(Approval),
    /// Answer a question: the run goes on, unless --retry or --abort.
    Approve(Approve),
    /// Steps in the queue.
    #[command(subcommand, alias = "jobs")]
    Job(Job),
    /// Limits of the queue: tokens, places, steps at once.
    #[command(subcommand, alias = "limits")]
    Limit(Limit),
    /// The queue: who waits, pausing, resuming.
    #[command(subcommand, alias = "queues")]
    Queue(Queue),
    /// Events that start and wake runs.
    #[command(subcommand, alias = "events")]
    Event(Event),
    /// Say why a thing stands where it stands, and what will move it.
    Explain {
        /// Id, or the beginning of one, of a run, deliverable, schedule or approval; a deliverable's title; a job as `run/step`;
        /// a workflow as `owner/name`.
        id: String,
    },
    /// Write what happened as a fixture that replays anywhere.
    Capture(Capture),
    /// Decide everything again from a recording and compare.
    Replay(Replay),
    /// Check the store against its invariants.
    Verify,
    /// Ask the tables in SQL; nothing is changed. The same queries work on PostgreSQL and on SQLite.
    Sql(Sql),
    /// The database.
    #[command(subcommand)]
    Db(Db),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure this machine: appends, replay, queue, workflows, schedules and more, beside what the database can do at best.
    Bench(Bench),
    /// Live through weeks of a simulated world in which everything goes wrong, and check what must hold.
    Simulate(Simulate),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Standing orders.
#[derive(Debug, Subcommand)]
pub enum Deliverable {
    /// Take an order from a YAML or JSON document.
    Create {
        /// The document; `-` for standard input.
        file: PathBuf,
        /// Start paused.
        #[arg(long)]
        paused: bool,
        /// The same key twice is the same order. Default: none, each call is a new order.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Replace the order; versions made so far stay.
    Update {
        /// Id, the beginning of one, or the title.
        id: String,
        /// The document; `-` for standard input.
        file: PathBuf,
    },
    /// Print a commented document to start from.
    Template {
        /// Kind of document.
        #[arg(default_value = "weekly_status")]
        kind: String,
    },
    /// List them.
    List {
        /// Only in this state: active, paused, archived.
        #[arg(long)]
        status: Option<String>,
    },
    /// Show one with its latest versions.
    Show {
        /// Id, the beginning of one, or the title.
        id: String,
    },
    /// Make a version now, and wait for it.
    Run {
        /// Id, the beginning of one, or the title.
        id: String,
        /// Also when nothing is new.
        #[arg(long)]
        force: bool,
    },
    /// Make nothing until resumed.
    Pause {
        /// Id, the beginning of one, or the title.
        id: String,
        /// Why, for people.
        #[arg(long, default_value = "paused by hand")]
        note: String,
    },
    /// Go on.
    Resume {
        /// Id, the beginning of one, or the title.
        id: String,
    },
    /// Stop for ever; what was made stays.
    Archive {
        /// Id, the beginning of one, or the title.
        id: String,
    },
}

/// Which version of which deliverable.
#[derive(Debug, Args)]
pub struct Which {
    /// Deliverable: id, the beginning of one, or the title.
    pub deliverable: String,
    /// Version number. Default: the newest.
    pub number: Option<u32>,
}

/// Produced documents.
#[derive(Debug, Subcommand)]
pub enum Version {
    /// List the versions of a deliverable, or of all.
    List {
        /// Deliverable: id, the beginning of one, or the title.
        deliverable: Option<String>,
        /// Only in this state, e.g. staged.
        #[arg(long)]
        status: Option<String>,
    },
    /// Print the document.
    Show {
        /// Which version.
        #[command(flatten)]
        which: Which,
        /// Also where it came from and what became of it.
        #[arg(long)]
        details: bool,
    },
    /// Compare two versions, or the draft of one with its edited text.
    Diff {
        /// Deliverable: id, the beginning of one, or the title.
        deliverable: String,
        /// The earlier version. Default: the one before the newest.
        from: Option<u32>,
        /// The later version. Default: the newest.
        to: Option<u32>,
    },
    /// Agree to it; it is delivered.
    Approve {
        /// Which version.
        #[command(flatten)]
        which: Which,
        /// Why, for people.
        #[arg(long)]
        note: Option<String>,
        /// SHA-256 of the text you read; refused when it reads otherwise now.
        #[arg(long)]
        digest: Option<String>,
    },
    /// Refuse it; the next version is made with the reason in mind.
    Reject {
        /// Which version.
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Replace its text with that of a file, before it is approved.
    Edit {
        /// Which version.
        #[command(flatten)]
        which: Which,
        /// The file; `-` for standard input.
        #[arg(long)]
        file: PathBuf,
    },
    /// Deliver it once more.
    Deliver {
        /// Which version.
        #[command(flatten)]
        which: Which,
    },
}

/// Triggers in time.
#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// List them with their next instants.
    List,
    /// Start nothing until it is resumed. For schedules of workflows; a deliverable is paused itself.
    Pause {
        /// Id, or the beginning of one; or the workflow, when it has one schedule.
        id: String,
        /// Why, for people.
        #[arg(long, default_value = "paused by hand")]
        note: String,
    },
    /// Go on from now; instants that passed meanwhile are not made up for.
    Resume {
        /// Id, or the beginning of one; or the workflow, when it has one schedule.
        id: String,
    },
    /// Start what it starts, now, also while it is paused.
    Trigger {
        /// Id, or the beginning of one; or the workflow or deliverable, when it has one schedule.
        id: String,
    },
    /// Start what it starts for each due instant of a range of the past; slots it had are not done again.
    Backfill {
        /// Id, or the beginning of one; or the workflow, when it has one schedule.
        id: String,
        /// The first instant that counts (RFC 3339).
        #[arg(long)]
        from: String,
        /// The last instant that counts (RFC 3339). Default: now.
        #[arg(long)]
        upto: Option<String>,
    },
    /// The next instants of a schedule, what daylight saving does to them, and what will happen to each.
    Preview {
        /// A schedule, workflow or deliverable; a document of either; or a cron expression in quotes.
        what: String,
        /// Zone for a cron expression.
        #[arg(long, default_value = "UTC")]
        timezone: String,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 10)]
        count: u32,
        /// Start from this instant (RFC 3339). Default: now.
        #[arg(long)]
        from: Option<String>,
    },
}

/// What to capture.
#[derive(Debug, Args)]
pub struct Capture {
    /// A run, with everything that led to it and followed from it.
    #[arg(long, conflicts_with_all = ["since", "deliverable"])]
    pub run: Option<String>,
    /// A deliverable, with all its runs.
    #[arg(long, conflicts_with = "since")]
    pub deliverable: Option<String>,
    /// Everything that changed since an instant (RFC 3339); `all` for everything.
    #[arg(long)]
    pub since: Option<String>,
    /// Folder to write, or a file ending in .nsfix.
    #[arg(long, short = 'o')]
    pub out: PathBuf,
    /// Replace personal text by consistent tokens: names, addresses, titles, contents.
    #[arg(long)]
    pub redact: bool,
}

/// What to replay.
#[derive(Debug, Args)]
pub struct Replay {
    /// Fixture folders or .nsfix files; a folder of fixtures replays all of them.
    pub fixtures: Vec<PathBuf>,
    /// Replay the store itself.
    #[arg(long, conflicts_with = "fixtures")]
    pub store: bool,
    /// Also cut each recording at every commit, recover, and go on to its end.
    #[arg(long)]
    pub prefixes: bool,
}

/// The database.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Make the store, or bring its schema up to date.
    Migrate,
    /// What the store is and holds.
    Info,
    /// Build the read models anew from the log, beside the live ones, and swap.
    Rebuild,
}

/// A question in SQL.
#[derive(Debug, Args)]
pub struct Sql {
    /// The query, e.g. "SELECT status, COUNT(*) FROM job_queue GROUP BY status"; `-` for standard input.
    #[arg(allow_hyphen_values = true)]
    pub query: String,
    /// At most so many rows.
    #[arg(long, default_value_t = 1_000)]
    pub limit: usize,
}

/// The configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check it and show where each value came from.
    Check,
    /// Print the commented example.
    Example,
    /// Print all keys as a Markdown table.
    Reference,
}
