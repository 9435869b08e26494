//! Weeks of N processes in a second: the real deciders under one seeded scheduler, with faults.
//!
//! Owns: simulated processes, database, clocks, clients and outside world; the faults; the auditor. What decides is the
//! domain itself, the queue's order and limits, the calendar, the conditions and the read models are the real ones. The
//! journal, the router, the courier and the workers are written here once more, step by step, after `actors`.
//! Refuses to know: files, threads, the machine's clock. One seed is one history, on every machine.
//!
//! | what | where |
//! |---|---|
//! | time and order | `sim` |
//! | what is durable | `database` |
//! | a process | `node`, `stream` (the shell), `journal` (the lane), `duties`, `places` (the queue), `workers`, `importer`, `herald`, `chooser`, `projector` |
//! | beginning, crash, takeover, disasters | `start` |
//! | the outside | `world`, `people`, `traffic`, `govern`, `answers` |
//! | judgement | `audit` |
//! | wrong on purpose | `sabotage`, `decorate` |
//!
//! What is not simulated: the actors themselves (mailboxes, supervision), SQL, sockets, the window in which timers are
//! loaded, sharing of looks at one source, the content store.

mod answers;
mod audit;
mod chance;
mod chooser;
mod database;
mod decorate;
mod duties;
mod fault;
mod govern;
mod herald;
mod importer;
mod invariant;
mod journal;
mod mind;
mod node;
mod people;
mod places;
mod projector;
mod quick;
mod report;
mod sabotage;
mod shrink;
mod sim;
mod start;
mod stream;
mod summary;
mod traffic;
mod workers;
mod world;

use std::{collections::BTreeSet, sync::Arc};

use nightshift_domain::{definition::Document, ids::StreamId, time::Timestamp};
use nightshift_spec::{Faults, ZonedCalendar, expressions::Cel, workflow};

pub use self::{
    audit::Violation,
    fault::{Class, Coverage, Fault},
    invariant::{Invariant, Looks},
    report::{Asked, Report, never_looked_at, put_between_marks},
    sabotage::Sabotage,
    shrink::shrink,
    summary::Summary,
    world::Finding,
};
use self::{
    sim::{Act, Sim},
    traffic::{BEGIN, DAY_US, DOCUMENTS},
};

/// How long nobody looks, once faults and traffic have stopped: retries, windows and answers come in.
const CALM_US: i64 = 6 * 3_600_000_000;

/// How long it may take then until an instant comes at which nothing is owed.
const REST_US: i64 = 2 * DAY_US;

/// Acts that one order or request of a day may lead to; usually they are about a hundred.
const ACTS_MAX: u64 = 2_000;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Days with faults and traffic; the calm behind them comes on top.
    pub days: u32,
    /// What can go wrong.
    pub faults: BTreeSet<Fault>,
    /// Standing orders, each with a schedule.
    pub deliverables: u32,
    /// Requests for runs and events, each day; schedules start more.
    pub runs_per_day: u32,
    /// Shards of the log.
    pub shards: u16,
    /// Processes; one at a time has the shards.
    pub nodes: usize,
    /// The definitions that are registered.
    pub documents: Vec<Arc<Document>>,
    /// Of so many streams one is sampled: it is decided again at the end, and its obligations, snapshots and rows are
    /// compared; 0: none.
    pub replay_one_in: u64,
    /// Read models are kept.
    pub project: bool,
    /// When the world begins.
    pub begin: Timestamp,
    /// After so many violations the history is not lived on.
    pub violations_max: u64,
    /// What is wrong on purpose. For tests of the auditor only.
    pub sabotage: Option<Sabotage>,
}

impl Settings {
    /// The built-in definitions and a small crowd under all faults, everything compared.
    #[must_use]
    pub fn of(seed: u64, days: u32) -> Self {
        Self {
            seed,
            days,
            faults: Fault::ALL.iter().copied().collect(),
            deliverables: 10,
            runs_per_day: 20,
            shards: 4,
            nodes: 2,
            documents: Vec::new(),
            replay_one_in: 1,
            project: true,
            begin: BEGIN,
            violations_max: 50,
            sabotage: None,
        }
    }

    /// The command that makes this history again; `files` are the definitions it was given.
    #[must_use]
    pub fn command(&self, files: &[String]) -> String {
        let faults: Vec<&str> = self.faults.iter().map(|fault| fault.as_str()).collect();
        let faults = match faults.len() {
            0 => "none".to_owned(),
            all if all == Fault::ALL.len() => "all".to_owned(),
            _ => faults.join(","),
        };
        let Self { seed, days, deliverables, runs_per_day, .. } = self;
        let files: String = files.iter().map(|file| format!(" {file}")).collect();
        format!(
            "nightshift simulate{files} --seed {seed} --days {days} --faults {faults} --deliverables {deliverables} \
             --runs {runs_per_day}"
        )
    }
}

/// What became of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Simulated time, with that of calm, in microseconds.
    pub lived_us: i64,
    /// Acts of the scheduler.
    pub steps: u64,
    /// Events that became durable.
    pub events: u64,
    /// Commands that became durable.
    pub commands: u64,
    /// Runs that began.
    pub runs: u64,
    /// Calls that reached the outside.
    pub effects: u64,
    /// How often an invariant was looked at.
    pub checks: Looks,
    /// How often each class of faults happened.
    pub coverage: Coverage,
    /// The first violations, and how many there are.
    pub violations: Vec<Violation>,
    /// How many violations there are.
    pub violated: u64,
    /// What definitions allow that their authors may not want, and how often it happened.
    pub findings: Vec<(Finding, u64)>,
    /// Hash over all that became durable, in its order.
    pub hash: u64,
}

/// What seeds share: zone data and compiled conditions.
pub struct Simulator {
    calendar: ZonedCalendar,
    expressions: Cel,
}

impl Default for Simulator {
    fn default() -> Self {
        Self { calendar: ZonedCalendar::bundled(), expressions: Cel::default() }
    }
}

impl Simulator {
    /// Reads a definition for [`Settings::documents`].
    ///
    /// # Errors
    /// Every fault of the document.
    pub fn read(&self, text: &str, file: &str) -> Result<Document, Faults> {
        let context = workflow::Context {
            calendar: &self.calendar,
            now: BEGIN,
            owner: "sim",
            max_parallel_default: None,
            max_parallel_cap: None,
        };
        workflow::parse(text, file, &context)
    }

    /// The definitions that are simulated when there are no others. They use every kind of step.
    ///
    /// # Errors
    /// Never, as the tests show.
    pub fn built_in(&self) -> Result<Vec<Arc<Document>>, Faults> {
        DOCUMENTS.iter().map(|(file, text)| self.read(text, file).map(Arc::new)).collect()
    }

    /// Lives through one seed.
    #[must_use]
    pub fn run(&self, settings: &Settings) -> Outcome {
        let mut sim = Sim::new(settings, &self.calendar, &self.expressions);
        sim.begin();
        let days = i64::from(settings.days);
        let end = Timestamp(settings.begin.0 + days * DAY_US);
        let most = settings.violations_max;
        while sim.audit.count < most && sim.step(end) {}
        if sim.goes_in_circles() {
            sim.audit.violated(Invariant::I25, format!("{} acts, and no end: it goes in circles", sim.steps), sim.now);
        }
        if sim.audit.count < most {
            let quiet = sim.comes_to_rest(end);
            sim.judge(quiet);
        }
        sim.outcome()
    }
}

impl Sim<'_> {
    /// More happened than so much traffic can be the cause of.
    pub fn goes_in_circles(&self) -> bool {
        let Settings { days, deliverables, runs_per_day, .. } = self.settings;
        let traffic = u64::from(*deliverables) + u64::from(*runs_per_day) + 10;
        self.steps > ACTS_MAX * traffic * (u64::from(*days) + 3)
    }

    /// Faults and traffic stop; what is owed is paid. False: not in time.
    fn comes_to_rest(&mut self, end: Timestamp) -> bool {
        self.now = self.now.max(end);
        self.calm = true;
        (self.db.down, self.db.slow) = (false, false);
        for node in 0..self.nodes.len() {
            self.step_clock(node, 0);
        }
        self.at(end, Act::Start(0, false));
        self.set_free(CALM_US / 2);
        let calm = Timestamp(end.0 + CALM_US);
        while self.step(calm) {}
        let last = Timestamp(calm.0 + REST_US);
        loop {
            // An instant with nothing on its way: the next act is not at once.
            let pause = self.next_at().is_none_or(|next| next.micros_since(self.now) > 1_000_000);
            if pause && self.is_quiet() {
                return true;
            }
            if !self.step(last) {
                return self.is_quiet();
            }
        }
    }

    fn judge(&mut self, quiet: bool) {
        let one_in = self.settings.replay_one_in;
        let sampled = |stream: StreamId| {
            let draw = nightshift_domain::ids::derive_u64("sample", &[stream.id.as_bytes()]);
            one_in > 0 && draw.is_multiple_of(one_in)
        };
        self.audit.end(&self.db, (quiet, self.now), &sampled);
        if one_in > 0 {
            self.audit.replay(&self.db, self.now, &sampled);
        }
        if self.settings.project {
            self.audit.rows(&self.db, self.now, &sampled);
        }
    }

    fn outcome(self) -> Outcome {
        let Self { settings, audit, world, coverage, steps, now, .. } = self;
        Outcome {
            seed: settings.seed,
            lived_us: now.micros_since(settings.begin),
            steps,
            events: audit.events,
            commands: audit.commands_count,
            runs: audit.runs(),
            effects: world.effects,
            checks: audit.checks,
            coverage,
            violations: audit.violations,
            violated: audit.count,
            findings: world.findings.into_iter().collect(),
            hash: audit.hash,
        }
    }
}
