//! `nightshift schedule preview`: the next instants of schedules, and what will happen to each.
//!
//! Owns: which schedules a word means, and how the policies of each are said for an instant to come.
//! Refuses to know: the calendar (`spec`), what a target does in the end: between now and then people and runs have a say.

use std::path::Path;

use nightshift_domain::{
    calendar::{Calendar, Overlap, Schedule},
    definition::{DefinitionDecider, Trigger},
    ids::{DefinitionId, ScheduleId},
    schedule::{ScheduleDecider, State},
    time::Timestamp,
};
use serde_json::json;

use super::{names, rule_words, started, target, words};
use crate::{
    app::{self, AnyStore, Mode},
    commands::{Env, deliverable, workflow},
    exit::{Code, Exit},
    facts,
    output::{self, cell},
};

/// A schedule whose instants are shown.
struct Shown {
    schedule: Schedule,
    /// What it starts; empty where nobody knows.
    starts: String,
    /// Why it starts nothing, whatever comes due.
    held: Option<String>,
    /// Something that an instant may meet.
    under_way: Option<String>,
}

impl Shown {
    fn bare(schedule: Schedule, starts: String) -> Self {
        Self { schedule, starts, held: None, under_way: None }
    }

    /// What will happen to the `nth` instant to come, from 0.
    fn fate(&self, nth: usize) -> String {
        if let Some(why) = &self.held {
            return why.clone();
        }
        if self.starts.is_empty() {
            return String::new();
        }
        let late = match self.schedule.jitter_s {
            0 => String::new(),
            most => format!(" up to {most} s later"),
        };
        let before = match (&self.under_way, nth) {
            (Some(run), 0) => run.as_str(),
            _ => "what it started before",
        };
        let meets = match self.schedule.overlap {
            Overlap::Skip => format!("skipped if {before} still goes"),
            Overlap::BufferOne => format!("waits if {before} still goes, one at most"),
            Overlap::BufferAll => format!("waits for {before}"),
            Overlap::CancelOther => format!("stops {before} first"),
            Overlap::Allow => "beside whatever goes on".to_owned(),
        };
        format!("starts {}{late}; {meets}", self.starts)
    }
}

/// Shows so many instants from an instant on.
///
/// # Errors
/// Nothing is called that, or it has no schedule.
pub async fn run(env: &Env, what: &str, timezone: String, (from, count): (Timestamp, u32)) -> Result<Code, Exit> {
    let calendar = app::calendar();
    let mut rows = Vec::new();
    for (place, shown) in meant(env, what, &timezone).await?.into_iter().enumerate() {
        let mut lines = Vec::new();
        let mut after = from;
        for nth in 0..count.min(1_000) as usize {
            let next = calendar.next_after(&shown.schedule, after);
            let Some(next) = next.map_err(|error| Exit::new(Code::Usage, error.to_string()))? else { break };
            let zone = &shown.schedule.timezone;
            let local = calendar.local_text(zone, next).unwrap_or_else(|| next.to_string());
            lines.push([next.to_string(), local, shown.fate(nth)]);
            after = next;
        }
        if env.json {
            rows.extend(lines.iter().map(|[utc, local, fate]| json!({"utc": utc, "local": local, "what": fate})));
            continue;
        }
        if place > 0 {
            println!();
        }
        let Schedule { rule, timezone, .. } = &shown.schedule;
        println!("{} in {timezone} (zone data {})", words(rule), calendar.tz_revision());
        let lines = lines.into_iter().map(Vec::from).collect();
        output::table(&["utc", "local", "what will happen"], lines, "it never falls due again");
    }
    if env.json {
        output::json(&rows);
    }
    Ok(Code::Ok)
}

/// A cron expression, the schedules of a document, or those of something in the store.
async fn meant(env: &Env, what: &str, timezone: &str) -> Result<Vec<Shown>, Exit> {
    if what.split_whitespace().count() >= 5 {
        let text = format!("cron: \"{what}\"\ntimezone: {timezone}\n");
        let schedule = nightshift_spec::schedule::parse(&text, "cron", &app::calendar(), env.clock().now())?;
        return Ok(vec![Shown::bare(schedule, String::new())]);
    }
    if Path::new(what).is_file() {
        return of_document(env, what);
    }
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let starts = started(&*models).await?;
    let mut shown = Vec::new();
    for (id, row) in names::schedules_of(&*models, what).await? {
        let target = target(&row);
        let starts = starts.get(&target).cloned().unwrap_or(target);
        let definition = cell(&row, "definition_id").parse().ok();
        let found = of_store(&store, id, definition, starts).await?;
        shown.push(found.ok_or_else(|| {
            Exit::new(Code::Usage, format!("schedule {id} ({}) has ended", rule_words(row.get("rule"))))
        })?);
    }
    Ok(shown)
}

fn of_document(env: &Env, what: &str) -> Result<Vec<Shown>, Exit> {
    let path = Path::new(what);
    let order = match deliverable::read_order(env, path) {
        Ok(read) => read.order,
        Err(no_order) => {
            // Whatever it is, its own faults are worth more than those of the other kind.
            let Ok(document) = workflow::read(env, path, None) else { return Err(no_order) };
            let name = &document.plan.definition;
            let schedules = document.triggers.iter().filter_map(|trigger| match trigger {
                Trigger::Schedule { schedule, .. } => Some(Shown::bare(schedule.clone(), name.clone())),
                _ => None,
            });
            return Ok(schedules.collect());
        }
    };
    let schedule = order.schedule.ok_or_else(|| Exit::new(Code::Usage, format!("{what} has no schedule")))?;
    Ok(vec![Shown::bare(schedule, order.title)])
}

/// A schedule as the log has it; none when it has ended.
async fn of_store(
    store: &AnyStore,
    id: ScheduleId,
    definition: Option<DefinitionId>,
    starts: String,
) -> Result<Option<Shown>, Exit> {
    let log = store.log();
    let State::Live { schedule, paused, .. } = facts::fold::<ScheduleDecider>(&*log, id.stream()).await? else {
        return Ok(None);
    };
    let mut under_way = None;
    if let Some(definition) = definition {
        let state = facts::fold::<DefinitionDecider>(&*log, definition.stream()).await?;
        under_way = state.busy.get(&id).and_then(|busy| busy.run).map(|run| format!("run {run}"));
    }
    let held = paused.then(|| format!("nothing: the schedule is paused; it would start {starts}"));
    Ok(Some(Shown { schedule, starts, held, under_way }))
}
