//! Schedules of workflows that fall due: one after the other, and all at one instant.
//!
//! Owns: how late they fire and their runs begin, by the log and by the performer, and the proof that each fired once.
//! Refuses to know: how a schedule is kept; it is the whole real system.

use std::{sync::Arc, time::Duration};

use nightshift_actors::system::System;
use nightshift_domain::{
    calendar::{Overlap, Rule, Schedule},
    definition::{self, Document, Trigger},
    ids::{CommandId, DefinitionId, ScheduleId, UserId},
    schedule,
    streams::AnyEvent,
    time::Timestamp,
};
use nightshift_ports::clock::{Clock, IdSource};
use serde_json::json;

use super::{
    Bench,
    append::{Groups, RAW, Raw, Work},
    flows::{self, Noop, ONE},
    orders,
    place::{self, Place},
    report::{Figure, Goal, Report, percentile},
    traffic::finish,
    wake::Timers,
};
use crate::{
    app::AnyStore,
    exit::Exit,
    real::{RandomIds, SystemClock, elapsed},
};

/// Between two instants of those that come one after the other, in milliseconds.
const STEP_MS: u64 = 5;

/// Requests for definitions under way at once.
const AT_ONCE: usize = 128;

/// A bare timer in the same process, at the same instants.
const TIMERS: &str = "bare timers";

/// What one round gave.
struct Round {
    /// From its instant until each fired, in milliseconds.
    fired: Vec<f64>,
    /// From its instant until each run's step began.
    begun: Vec<f64>,
    timers: Vec<f64>,
    events: f64,
    commits: f64,
}

/// Both ways, some times.
pub(super) async fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<(), Exit> {
    let count = bench.sizes.schedules;
    let place = bench.target.fresh(bench.env, "fires").await?;
    let raws = bench.target.fresh(bench.env, "fires_raw").await?;
    place::close(raws.open().await?).await;
    let mut raw = Raw::beside(&raws).await?;
    let store = place.open().await?;
    let (groups, noop) = (Arc::new(Groups::default()), Arc::new(Noop::default()));
    let system = flows::start(&place, &store, &noop, groups.clone()).await?;
    let parts = Parts { system: &system, store: &store, groups: &groups, noop: &noop };
    let (mut steady, mut burst) = (Vec::new(), Vec::new());
    for n in 0..bench.sizes.repeats {
        report.doing(&format!("{count} schedules of workflows are due, one after the other, then all at once"));
        steady.push(parts.round((&format!("steady-{n}"), count), STEP_MS).await?);
        let round = parts.round((&format!("burst-{n}"), count), 0).await?;
        let work = Work::draw(1_024, (round.events as usize).min(100_000))?;
        let rate = raw.insert(work, round.events / round.commits.max(1.0)).await?;
        // As many schedules a second as raw inserts of their events allow.
        burst.push((rate * count as f64 / round.events, round));
    }
    system.stop().await;
    drop(system);
    raw.close().await;
    place::close(store).await;
    close(place, raws).await?;
    add(bench, report, &steady, &burst);
    Ok(())
}

async fn close(place: Place, raws: Place) -> Result<(), Exit> {
    place.remove().await?;
    raws.remove().await
}

fn add(bench: &Bench<'_>, report: &mut Report, steady: &[Round], burst: &[(f64, Round)]) {
    let (of, count) = (("fires", bench.target.name()), bench.sizes.schedules);
    let part = |waits: fn(&Round) -> &Vec<f64>, part: f64| {
        steady.iter().map(|round| percentile(waits(round), part)).collect::<Vec<f64>>()
    };
    let per_s = 1_000 / STEP_MS;
    for (what, at, goal) in [("p50", 0.5, None), ("p99", 0.99, Some(Goal::AtMost(10.0)))] {
        let timers = part(|round| &round.timers, at);
        let name = format!("{per_s} due a second: fired, {what}");
        let fired = Figure::new(of, name, "ms", part(|round| &round.fired, at)).scale("schedules", count);
        let fired = fired.beside(TIMERS, &timers);
        report.add(goal.map_or(fired.clone(), |goal| fired.goal(goal)));
        let name = format!("{per_s} due a second: first step begun, {what}");
        let begun = Figure::new(of, name, "ms", part(|round| &round.begun, at)).scale("schedules", count);
        report.add(begun.beside(TIMERS, &timers));
    }
    let rate = |waits: fn(&Round) -> &Vec<f64>| {
        let last = |round: &Round| percentile(waits(round), 1.0) / 1_000.0;
        burst.iter().map(|(_, round)| count as f64 / last(round)).collect::<Vec<f64>>()
    };
    let raw: Vec<f64> = burst.iter().map(|(raw, _)| *raw).collect();
    // An event's instant is that of its decision, which is before it is durable: no baseline fits.
    let fired = Figure::new(of, "all due at once: decided", "schedules/s", rate(|round| &round.fired));
    report.add(fired.scale("schedules", count));
    let begun = Figure::new(of, "all due at once: first steps begun", "runs/s", rate(|round| &round.begun));
    report.add(begun.scale("schedules", count).beside(RAW, &raw));
}

/// What every round uses.
struct Parts<'a> {
    system: &'a System,
    store: &'a AnyStore,
    groups: &'a Groups,
    noop: &'a Noop,
}

impl Parts<'_> {
    /// Registers so many workflows, each with one instant of its own, and waits until all of it is over.
    async fn round(&self, (name, count): (&str, u64), step_ms: u64) -> Result<Round, Exit> {
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let begin = SystemClock.now().plus_ms(millis(1_000 + count * 4));
        let instants: Vec<Timestamp> = (0..count).map(|n| begin.plus_ms(millis(n * step_ms))).collect();
        let schedules = self.register(name, &instants).await?;
        self.system.settled().await;
        let timers = Timers::at(instants.iter().copied());
        let before = self.groups.so_far();
        let clocks = (SystemClock.now(), elapsed());
        SystemClock.sleep_until(begin.plus_ms(millis(count * step_ms))).await;
        finish(self.system, Duration::from_secs(60 + count / 20)).await?;
        let after = self.groups.so_far();
        let (mut fired, mut begun) = (Vec::new(), Vec::new());
        for schedule in schedules {
            let (late, first) = self.look(schedule, clocks).await?;
            fired.push(late);
            begun.push(first);
        }
        let timers = timers.late_ms().await?;
        Ok(Round { fired, begun, timers, events: after.1 - before.1, commits: after.0 - before.0 })
    }

    async fn register(&self, name: &str, instants: &[Timestamp]) -> Result<Vec<ScheduleId>, Exit> {
        let document = flows::parsed(ONE)?;
        let mut schedules = Vec::with_capacity(instants.len());
        for chunk in instants.chunks(AT_ONCE) {
            let mut asked = Vec::new();
            for at in chunk {
                let n = schedules.len();
                let document = due(&document, format!("{name}-{n}"), *at);
                let definition = DefinitionId::of(&document.owner, &document.name, self.system.context().shard_count());
                schedules.push(definition::schedule_id(definition, 0));
                let user = UserId("bench".to_owned());
                let command = definition::Command::Register { document: Arc::new(document), user, activate: true };
                let (system, id) = (self.system.clone(), CommandId(RandomIds.fresh()));
                asked.push(tokio::spawn(async move {
                    system.submit(definition.stream(), command, (id, "bench")).await.map(drop).map_err(Exit::failed)
                }));
            }
            for one in asked {
                one.await.map_err(Exit::failed)??;
            }
        }
        Ok(schedules)
    }

    /// When a schedule fired and when its run's step began, in milliseconds after its instant.
    async fn look(&self, id: ScheduleId, (wall, since): (Timestamp, Duration)) -> Result<(f64, f64), Exit> {
        let mut fired = Vec::new();
        for recorded in self.store.log().read_stream(id.stream(), 0, 100).await? {
            let event = recorded.decode().map_err(Exit::failed)?;
            if let AnyEvent::Schedule(schedule::Event::Fired { nominal, .. }) = event {
                fired.push((nominal, recorded.at));
            }
        }
        let [(nominal, at)] = fired.as_slice() else {
            return Err(Exit::failed(format!("schedule {id} fired {} times instead of once", fired.len())));
        };
        let run = definition::slot_run_id(id, *nominal, self.system.context().shard_count());
        let begun = self.noop.begun(run).ok_or_else(|| Exit::failed(format!("the run of schedule {id} was lost")))?;
        let begun_ms = (begun.as_secs_f64() - since.as_secs_f64()) * 1_000.0;
        let nominal_ms = nominal.micros_since(wall) as f64 / 1_000.0;
        Ok((at.micros_since(*nominal) as f64 / 1_000.0, begun_ms - nominal_ms))
    }
}

/// The same workflow under another name, due once.
fn due(document: &Document, name: String, at: Timestamp) -> Document {
    let schedule = Schedule { overlap: Overlap::Allow, ..orders::at_rule(Rule::Once { at }) };
    Document { name, triggers: vec![Trigger::Schedule { schedule, parameters: json!({}) }], ..document.clone() }
}
