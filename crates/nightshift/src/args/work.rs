//! Commands about workflows and the work they make: runs, definitions, questions, jobs, events.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Executions.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// List them, newest first.
    List {
        /// Only in this state: pending, running, checkpoint, completed, failed, cancelled.
        #[arg(long)]
        status: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show one with its timeline.
    Show {
        /// Id, or the beginning of one.
        id: String,
    },
    /// Stop one.
    Cancel {
        /// Id, or the beginning of one.
        id: String,
        /// Why, for people.
        #[arg(long, default_value = "cancelled by hand")]
        reason: String,
    },
    /// Start one of a workflow.
    Start(Start),
    /// Watch one until it is over: its graph with the state of each step.
    Watch {
        /// Id, or the beginning of one.
        id: String,
    },
    /// Do a dead or waiting step again; a run that failed goes on.
    Retry {
        /// Which step.
        #[command(flatten)]
        which: StepOf,
        /// Changes to its input, as JSON.
        #[arg(long, value_name = "JSON")]
        modifications: Option<String>,
        /// Not before so many seconds.
        #[arg(long, default_value_t = 0)]
        delay: u64,
    },
    /// Go on without a step, with an output in its place.
    Skip {
        /// Which step.
        #[command(flatten)]
        which: StepOf,
        /// What later steps see, as JSON. Default: {"skipped": true}.
        #[arg(long, value_name = "JSON")]
        output: Option<String>,
    },
    /// Do steps of a run that is over once more; outputs of the others are kept.
    Rerun {
        /// Id, or the beginning of one.
        id: String,
        /// This step and all that depend on it. Default: all steps.
        #[arg(long)]
        from: Option<String>,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Go on under another version of its workflow, if what has happened so far would have happened under it as well.
    Migrate {
        /// Id, or the beginning of one.
        id: String,
        /// The version: `owner/name@version`, or `name` for the one in force.
        #[arg(long, value_name = "WORKFLOW")]
        to: String,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Start nothing more of it until it is resumed; what runs goes on.
    Pause {
        /// Id, or the beginning of one.
        id: String,
        /// Why, for people.
        #[arg(long, default_value = "paused by hand")]
        note: String,
    },
    /// Go on.
    Resume {
        /// Id, or the beginning of one.
        id: String,
    },
    /// List messages to webhooks that nobody took and that are sent no more.
    Reports {
        /// Id, or the beginning of one.
        id: String,
    },
    /// Send messages to webhooks anew that were given up, as they were.
    Resend {
        /// Id, or the beginning of one.
        id: String,
        /// Only this one, as listed. Default: all.
        message: Option<String>,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Parameters and version of a run to be started.
#[derive(Debug, Args)]
pub struct Start {
    /// `name`, `owner/name` or `owner/name@version`.
    pub name: String,
    /// A parameter, NAME=VALUE; the value is JSON, or a text when it is none. May be repeated.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// All parameters as a JSON object in a file; `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "parameters")]
    pub parameters_file: Option<PathBuf>,
    /// Lower goes first. Default: the definition's.
    #[arg(long)]
    pub priority: Option<i16>,
    /// The same key twice is the same run.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Watch it until it is over.
    #[arg(long)]
    pub watch: bool,
}

/// A step of a run.
#[derive(Debug, Args)]
pub struct StepOf {
    /// Run: id, or the beginning of one.
    pub id: String,
    /// The step.
    pub step: String,
    /// Why, for people.
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Definitions of workflows.
#[derive(Debug, Subcommand)]
pub enum Workflow {
    /// Check documents without keeping them: every fault, with line and column.
    Validate {
        /// The documents; `-` for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Try a document out with given answers, at once: no store, no network, no waiting.
    Test(Test),
    /// Keep a document as a version of its definition, and put it in force.
    Register {
        /// The document; `-` for standard input.
        file: PathBuf,
        /// Keep it without putting it in force.
        #[arg(long)]
        inactive: bool,
        /// Owner of a document that names none. Default: the configured user.
        #[arg(long)]
        owner: Option<String>,
    },
    /// List definitions and their versions.
    List {
        /// Only in this state: active, deprecated, archived.
        #[arg(long)]
        status: Option<String>,
    },
    /// Show a definition: parameters, triggers, graph.
    Show {
        /// `name`, `owner/name` or `owner/name@version`.
        name: String,
        /// Print the document as it was written.
        #[arg(long)]
        source: bool,
    },
    /// Put a version in force.
    Activate {
        /// `owner/name@version`.
        name: String,
    },
    /// Keep a version only for those who name it.
    Deprecate {
        /// `owner/name@version`.
        name: String,
    },
    /// Let no run be started of a version any more.
    Archive {
        /// `owner/name@version`.
        name: String,
    },
    /// Print the JSON Schema of documents, for editors.
    Schema,
}

/// A document to be tried out.
#[derive(Debug, Args)]
pub struct Test {
    /// The document; `-` for standard input.
    pub file: PathBuf,
    /// What its steps are answered and what is expected (docs/workflow-tests.md). Default: each step makes {}.
    #[arg(long, value_name = "FILE")]
    pub outputs: Option<PathBuf>,
    /// A parameter, NAME=VALUE; goes before that of the file. The value is JSON, or a text when it is none. May be repeated.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Fail when a step is asked that the file has no answer for.
    #[arg(long)]
    pub strict: bool,
}

/// Questions to people.
#[derive(Debug, Subcommand)]
pub enum Approval {
    /// List them, those that wait first.
    List {
        /// Only in this state: pending, approved, retried, aborted, void.
        #[arg(long, default_value = "pending")]
        status: String,
    },
    /// Show one with what is to be approved.
    Show {
        /// Id, or the beginning of one.
        id: String,
    },
}

/// An answer.
#[derive(Debug, Args)]
pub struct Approve {
    /// Id of the question, or the beginning of one.
    pub id: String,
    /// Do the step again.
    #[arg(long, conflicts_with = "abort")]
    pub retry: bool,
    /// Stop the run.
    #[arg(long)]
    pub abort: bool,
    /// For people.
    #[arg(long)]
    pub note: Option<String>,
    /// Changes to the input, as JSON.
    #[arg(long, value_name = "JSON")]
    pub modifications: Option<String>,
    /// SHA-256 of the payload you looked at; refused when it is another one now. Default: what stands there now.
    #[arg(long)]
    pub digest: Option<String>,
}

/// Steps in the queue.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// List them.
    List {
        /// Only in this state: queued, leased, running, success, failed, dead, cancelled.
        #[arg(long)]
        status: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// List dead letters: those whose last attempt failed.
    Dead {
        /// At most so many.
        #[arg(long, default_value_t = 1_000)]
        limit: u32,
    },
    /// Give a dead letter one more attempt; its run goes on.
    Retry {
        /// `run/step` as listed; the beginning of a run's id is enough.
        job: Option<String>,
        /// All dead letters, as `job bulk retry --watch`.
        #[arg(long, conflicts_with = "job")]
        all_dead: bool,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Try a dead letter again with all its attempts anew; its run goes on.
    Reset {
        /// `run/step` as listed; the beginning of a run's id is enough.
        job: String,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Give a dead letter up: its run stays as it is, and only `run rerun` brings it back.
    Discard {
        /// `run/step` as listed; the beginning of a run's id is enough.
        job: String,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Do one thing to every dead letter that fits a filter.
    #[command(subcommand)]
    Bulk(Bulk),
}

/// One thing for many dead letters.
#[derive(Debug, Subcommand)]
pub enum Bulk {
    /// Give each one more attempt.
    Retry(Letters),
    /// Try each again with all its attempts anew.
    Reset(Letters),
    /// Give each up.
    Discard(Letters),
    /// List bulk jobs, newest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show how far one is, and which letters were refused.
    Show {
        /// Id, or the beginning of one.
        id: String,
        /// Look until it is over.
        #[arg(long)]
        watch: bool,
    },
    /// Stop one: letters that were told already are awaited.
    Cancel {
        /// Id, or the beginning of one.
        id: String,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Which dead letters: those that fit everything that is given.
#[derive(Debug, Default, Args)]
pub struct Letters {
    /// Of this definition: name, or `owner/name`.
    #[arg(long)]
    pub definition: Option<String>,
    /// With this class of failure: transient, permanent, timeout, `rate_limited`, cancelled, lost.
    #[arg(long, value_name = "CLASS")]
    pub error_class: Option<String>,
    /// Of this queue.
    #[arg(long)]
    pub queue: Option<String>,
    /// Of this user.
    #[arg(long)]
    pub user: Option<String>,
    /// Of this run.
    #[arg(long)]
    pub run: Option<String>,
    /// That died before this instant, RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    pub before: Option<String>,
    /// That died after this instant, RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    pub after: Option<String>,
    /// Only count them, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Look until it is over.
    #[arg(long)]
    pub watch: bool,
    /// Why, for people.
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Events.
#[derive(Debug, Subcommand)]
pub enum Event {
    /// Publish one: definitions that hear of its type start a run, runs that wait for it go on.
    Publish {
        /// Its type.
        event_type: String,
        /// Its identity; the same one again is the same event. Default: a new one.
        #[arg(long)]
        id: Option<String>,
        /// What it is about, for those who wait for one of many.
        #[arg(long)]
        correlation: Option<String>,
        /// The rest, as JSON.
        #[arg(long, default_value = "{}", value_name = "JSON")]
        payload: String,
    },
    /// List what was published, newest first.
    List {
        /// Only of this type.
        #[arg(long = "type")]
        event_type: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
}

/// Limits of the queue.
#[derive(Debug, Subcommand)]
pub enum Limit {
    /// List the limits in force, where each comes from, and what is left of it.
    List,
    /// Set one; it counts at once, instead of one of the file, until it is cleared.
    Set {
        /// `concurrency`, `queue:<name>`, `key:<key>`, `user:<user>:agent:<agent>` or `global:agent:<agent>`; stars stand for
        /// every user or agent.
        key: String,
        /// So many steps at once; for agents, so many tokens.
        amount: f64,
        /// Tokens that come back each second. Default: 10.
        #[arg(long, value_name = "TOKENS")]
        refill: Option<f64>,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Let what was set count no more; what the file says does.
    Clear {
        /// As listed.
        key: String,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// The queue.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Show each queue: who waits, who is held back, who runs, what is paused.
    Show,
    /// Give no step of a queue a place until it is resumed; what runs goes on.
    Pause {
        /// Which queue.
        #[command(flatten)]
        which: WhichQueue,
        /// Why, for people.
        #[arg(long, default_value = "paused by hand")]
        note: String,
    },
    /// Go on.
    Resume {
        /// Which queue.
        #[command(flatten)]
        which: WhichQueue,
        /// Why, for people.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// One queue, or all.
#[derive(Debug, Args)]
pub struct WhichQueue {
    /// Its name; steps that name no queue are in `default`.
    pub name: Option<String>,
    /// All queues.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
}
