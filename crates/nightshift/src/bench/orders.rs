//! Standing orders in bulk: exactly what the deciders write, in large groups.
//!
//! Owns: orders with tiny sources, and the commits that taking them makes: the deliverable's, and that of its schedule.
//! Schedules of nothing in particular, too.
//! Refuses to know: what is measured on them.

use std::path::{Path, PathBuf};

use nightshift_actors::projector;
use nightshift_domain::{
    calendar::{Calendar, CatchUp, Overlap, Rule, Schedule},
    codec::{self, Encoded},
    content::{Destination, SourceSpec},
    decider::{Ctx, Decider, Delta, Duty, Obligation, RecordedCtx, decide_once},
    deliverable::{
        Binding, Classification, Command, DeliverableDecider, DeliverableType, Governance, Order, deliverable_id,
    },
    expression::NoExpressions,
    ids::{self, CommandId, DefinitionId, DeliverableId, ScheduleId, StreamId, UserId, derive},
    recorded::Meta,
    schedule::{self, ScheduleDecider},
    streams::AnyCommand,
    time::Timestamp,
};
use nightshift_ports::{
    clock::{Clock, IdSource},
    log::{CommandRecord, Commit, NewEvent, Ownership, ShardBatch, Verdict},
};
use nightshift_spec::ZonedCalendar;

use crate::{
    app::{self, AnyStore},
    exit::Exit,
    real::{RandomIds, SystemClock},
};

/// Orders written in one group.
const GROUP: u64 = 1_000;

/// Orders that share a folder as their source.
const SHARING: u64 = 32;

/// Orders over small folders.
pub(super) struct Orders {
    folders: Vec<PathBuf>,
    documents: PathBuf,
}

impl Orders {
    /// Makes the folders for so many orders, each with three short notes.
    pub(super) fn over(files: &Path, count: u64) -> Result<Self, Exit> {
        let mut folders = Vec::new();
        for n in 0..count.div_ceil(SHARING) {
            let folder = files.join("notes").join(format!("team-{n}"));
            std::fs::create_dir_all(&folder)?;
            for (name, text) in [
                ("plan.md", format!("# Plan of team {n}\n\nThe migration of the archive begins on Monday.\n")),
                (
                    "risks.md",
                    "# Risks\n\nThe supplier has not confirmed the date. A second quote is on its way.\n".to_owned(),
                ),
                ("done.txt", "Shipped the report of last week. Closed four tickets.\n".to_owned()),
            ] {
                std::fs::write(folder.join(name), text)?;
            }
            folders.push(folder);
        }
        let documents = files.join("documents");
        std::fs::create_dir_all(&documents)?;
        Ok(Self { folders, documents })
    }

    /// The `n`-th order, for a rule.
    pub(super) fn order(&self, n: u64, rule: Rule, governance: Governance) -> Order {
        let team = n % self.folders.len() as u64;
        let folder = &self.folders[team as usize];
        let delivered = governance == Governance::FullAuto;
        Order {
            title: format!("Status of team {team} ({n})"),
            description: "What changed since the last report".to_owned(),
            deliverable_type: DeliverableType::StatusReport,
            type_classification: Classification {
                binding: Binding::CrossPlatform,
                primary_platform: None,
                freshness_requirement_hours: 4,
            },
            recipient: None,
            sections: Vec::new(),
            sources: vec![SourceSpec::Folder {
                path: folder.display().to_string(),
                include: Vec::new(),
                exclude: Vec::new(),
            }],
            schedule: Some(at_rule(rule)),
            destination: delivered.then(|| Destination::File { folder: self.documents.display().to_string() }),
            governance,
            semi_auto_window_s: 0,
            notify: Vec::new(),
        }
    }
}

/// Writes `count` orders and brings the read models up to date, as they are in a system that took them one by one.
///
/// # Errors
/// The store did not take them.
pub(super) async fn take(
    store: &AnyStore,
    count: u64,
    order: impl Fn(u64) -> Order,
) -> Result<Vec<DeliverableId>, Exit> {
    let mut taken = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    write(store, count, |clerk, command, n, group| {
        taken.push(clerk.take(command, order(n), group)?);
        Ok(())
    })
    .await?;
    Ok(taken)
}

/// Writes `count` schedules of a workflow that nobody registered: they wait as any other.
///
/// # Errors
/// The store did not take them.
pub(super) async fn take_schedules(store: &AnyStore, count: u64, rule: impl Fn(u64) -> Rule) -> Result<(), Exit> {
    let target = DefinitionId::of("bench", "nothing", store.log().info().shard_count).stream();
    write(store, count, |clerk, id, n, group| {
        let stream = ScheduleId::on_shard(id.0, ids::place(id.0, clerk.shard_count())).stream();
        let create = schedule::Command::Create { schedule: at_rule(rule(n)), target, paused: false };
        let asked = Asked { stream, id, actor: "bench", closes: Vec::new() };
        group.push(clerk.decide::<ScheduleDecider>(asked, &create)?);
        Ok(())
    })
    .await
}

/// Writes what a clerk decides, in large groups.
async fn write(
    store: &AnyStore,
    count: u64,
    mut decide: impl FnMut(&Clerk, CommandId, u64, &mut Vec<Commit>) -> Result<(), Exit>,
) -> Result<(), Exit> {
    let log = store.log();
    let shards: Vec<_> = (0..log.info().shard_count).map(ids::ShardId).collect();
    let owned = log.acquire(RandomIds.fresh(), &shards, SystemClock.now()).await?;
    let seed = RandomIds.fresh();
    let mut clerk = Clerk { owned, calendar: app::calendar() };
    for begin in (0..count).step_by(GROUP as usize) {
        let mut group = Vec::new();
        for n in begin..(begin + GROUP).min(count) {
            let command = CommandId(derive("bench order", &[seed.as_bytes(), &n.to_be_bytes()]));
            decide(&clerk, command, n, &mut group)?;
        }
        let verdicts = log.append(&clerk.batches(group)).await.map_err(Exit::failed)?;
        if verdicts.contains(&Verdict::Fenced) {
            return Err(Exit::failed("somebody else writes to the store that is measured"));
        }
    }
    projector::rebuild(log, store.read_models(), |_| ()).await?;
    Ok(())
}

/// A schedule in UTC with nothing special about it.
pub(super) fn at_rule(rule: Rule) -> Schedule {
    Schedule {
        rule,
        timezone: "UTC".to_owned(),
        catch_up: CatchUp::Latest,
        catch_up_window_s: None,
        overlap: Overlap::Skip,
        jitter_s: 0,
    }
}

/// Decides as the shell does, and gives each commit its place as the journal does.
struct Clerk {
    owned: Vec<Ownership>,
    calendar: ZonedCalendar,
}

/// One decision with its commit.
struct Asked<'a> {
    stream: StreamId,
    id: CommandId,
    actor: &'a str,
    closes: Vec<(StreamId, String)>,
}

impl Clerk {
    /// Takes an order, and makes its schedule.
    fn take(&self, id: CommandId, order: Order, group: &mut Vec<Commit>) -> Result<DeliverableId, Exit> {
        let deliverable = deliverable_id(id, self.shard_count());
        let create = Command::Create { user: UserId::default(), order: Box::new(order), paused: false };
        let asked = Asked { stream: deliverable.stream(), id, actor: "bench", closes: Vec::new() };
        let taken = self.decide::<DeliverableDecider>(asked, &create)?;
        for Obligation { key, duty, .. } in &taken.opens {
            let Duty::Tell { to, command } = duty else { continue };
            let AnyCommand::Schedule(create) = &**command else { continue };
            let asked = Asked {
                stream: *to,
                id: CommandId::of_obligation(taken.stream, key, "tell"),
                actor: "courier",
                closes: vec![(taken.stream, key.clone())],
            };
            group.push(self.decide::<ScheduleDecider>(asked, create)?);
        }
        // In front of what it caused.
        group.insert(group.len() - 1, taken);
        Ok(deliverable)
    }

    fn shard_count(&self) -> u16 {
        u16::try_from(self.owned.len()).unwrap_or(u16::MAX)
    }

    fn decide<D: Decider>(&self, asked: Asked<'_>, command: &D::Command) -> Result<Commit, Exit> {
        let now = SystemClock.now();
        let Asked { stream, id, actor, mut closes } = asked;
        let ctx = Ctx {
            stream,
            now,
            command_id: id,
            shard_count: self.shard_count(),
            calendar: &self.calendar,
            expressions: &NoExpressions,
            reports: nightshift_domain::run::Reports::NONE,
        };
        let decision = decide_once::<D>(&D::State::default(), command, &ctx).map_err(Exit::failed)?;
        let recorded = RecordedCtx {
            now,
            shard_count: self.shard_count(),
            tz_revision: self.calendar.tz_revision().to_owned(),
            code_revision: env!("CARGO_PKG_VERSION").to_owned(),
            reports: nightshift_domain::run::Reports::default(),
            request: None,
        };
        let bytes = |bytes: Result<Vec<u8>, codec::DecodeError>| bytes.map_err(Exit::failed);
        let delta = if decision.delta == Delta::none() { Vec::new() } else { bytes(codec::to_bytes(&decision.delta))? };
        let record = CommandRecord {
            id,
            payload: bytes(codec::to_bytes(command))?,
            ctx: bytes(codec::to_bytes(&recorded))?,
            accepted: true,
            reply: Vec::new(),
            delta,
        };
        closes.extend(decision.delta.closes.into_iter().map(|key| (stream, key)));
        let events = decision.events.iter().zip(1..).map(|(event, version)| {
            codec::encode(D::KIND, event).map(|encoded| placeless(encoded, version)).map_err(Exit::failed)
        });
        Ok(Commit {
            stream,
            command: Some(record),
            events: events.collect::<Result<_, _>>()?,
            at: now,
            command_id: id,
            meta: Meta { actor: actor.to_owned(), ..Meta::default() },
            opens: decision.delta.opens,
            closes,
        })
    }

    /// Gives each commit its place, shard by shard.
    fn batches(&mut self, group: Vec<Commit>) -> Vec<ShardBatch> {
        let mut batches: Vec<ShardBatch> = self.owned.iter().map(empty).collect();
        for mut commit in group {
            let at = usize::from(commit.stream.shard().0);
            place(&mut commit, &mut self.owned[at]);
            batches[at].commits.push(commit);
        }
        batches.retain(|batch| !batch.commits.is_empty());
        batches
    }
}

/// A batch without commits, behind the head.
pub(super) const fn empty(own: &Ownership) -> ShardBatch {
    ShardBatch { shard: own.shard, epoch: own.epoch, expected_head: own.head, commits: Vec::new() }
}

/// An event that has no place in the log yet.
pub(super) fn placeless(encoded: Encoded, version: u64) -> NewEvent {
    let Encoded { event_type, type_version, data } = encoded;
    NewEvent { seq: 0, version, event_type, type_version, hlc: 0, data }
}

/// Puts a commit behind the head of its shard, which moves on.
pub(super) fn place(commit: &mut Commit, own: &mut Ownership) {
    for event in &mut commit.events {
        own.head += 1;
        own.hlc = (u64::try_from(commit.at.micros() / 1_000).unwrap_or(0) << 16).max(own.hlc + 1);
        (event.seq, event.hlc) = (own.head, own.hlc);
    }
}

/// A rule that falls due in at least a day, at an instant of its own within the next four weeks, every four weeks.
pub(super) fn in_some_weeks(n: u64, now: Timestamp) -> Rule {
    const DAY_S: u64 = 86_400;
    let spread_s = ids::derive_u64("bench idle", &[&n.to_be_bytes()]) % (27 * DAY_S);
    let anchor = now.plus_ms(i64::try_from((DAY_S + spread_s) * 1_000).unwrap_or(i64::MAX));
    Rule::Interval { every_s: 28 * DAY_S, anchor }
}
