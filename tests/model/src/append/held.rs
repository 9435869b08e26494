//! The model's store held against a real one: the same calls, the same answers.
//!
//! Owns: which histories are tried, and how a call of the model is made through the port. Refuses to know: which store it is.

use nightshift_domain::{
    ids::{CommandId, RunId, ShardId, StreamId, derive},
    recorded::Meta,
    time::Timestamp,
};
use nightshift_ports::log::{
    AppendError, CommandRecord, Commit, EventLog, NewEvent, Ownership, Resolution, ShardBatch, Verdict,
};

use super::{
    Append, Call, Cmd, Engine, Faults, Order, Session, State, Step,
    database::{Batch, Landed},
};
use crate::explore::{Model, Seen, ways};

/// Epochs are counted from here, in milliseconds.
const EPOCH_ZERO: Timestamp = Timestamp(0);

/// Of the states that are found, every so many is gone to on the store as well.
const EVERY: usize = 199;

/// The world whose histories are tried: two shards, everything goes wrong that can.
#[must_use]
pub fn world() -> Append {
    let order = |shard, events| Order { shard, events };
    let faults = Faults { crashes: 1, stalls: 1, unknown: 1, unheard: 1, ..Faults::NONE };
    let orders = vec![order(0, 1), order(1, 0), order(0, 2)];
    Append { engine: Engine::Sqlite, orders, faults, mutation: None }
}

/// Histories of a world: the shortest to each kind of call and answer, and a sample of all.
#[must_use]
pub fn histories(world: &Append) -> Vec<(String, Vec<Step>)> {
    let classes = |state: &State, states: usize| {
        let sampled = states.is_multiple_of(EVERY).then(|| format!("sample {states}"));
        state.asked.0.iter().map(|call| class(state, call)).chain(sampled).collect()
    };
    ways(world, 60_000, classes).into_iter().collect()
}

/// What kind of call it is: what was asked under which circumstances, and what was answered.
fn class(state: &State, call: &Call) -> String {
    let shard = |shard: u8| state.db.shard(shard);
    match call {
        Call::Acquire(_, taken) => {
            let (again, empty) = (taken.iter().any(|(epoch, _)| *epoch > 1), taken.iter().all(|(_, head)| *head == 0));
            format!("acquire: again {again}, empty {empty}")
        }
        Call::Append(batches, landed) => {
            let of = |batch: &Batch| {
                let (epoch, head) =
                    (shard(batch.shard).epoch.cmp(&batch.epoch), shard(batch.shard).head() > batch.head);
                format!("[epoch is {epoch:?}, head moved {head}, {} commands]", batch.cmds.len())
            };
            let batches: Vec<String> = batches.iter().map(of).collect();
            format!("append {}: {landed:?}", batches.join(" "))
        }
        Call::Resolve(session, at, epoch, _, answer) => {
            let owner = shard(*at).owner == Some(*session);
            let raised = answer.map(|(raised, there)| (raised - epoch, there));
            format!("resolve: owner {owner}, raised and there {raised:?}")
        }
        Call::Look(_, _, there) => format!("look: {there}"),
    }
}

fn owner(session: Session) -> uuid::Uuid {
    derive("model session", &[&[session]])
}

fn command_id(cmd: Cmd) -> CommandId {
    CommandId(derive("model command", &[&[cmd]]))
}

/// Each command has a stream of its own: what one stream says to two commands is the deciders' matter.
fn stream(shard: ShardId, cmd: Cmd) -> StreamId {
    RunId::on_shard(derive("model stream", &[&[cmd]]), shard).stream()
}

/// Shards that a history needs.
const SHARDS: u16 = 2;

/// How many shards a store needs for so many histories.
#[must_use]
pub fn shards_for(histories: usize) -> u16 {
    u16::try_from(histories).unwrap_or(u16::MAX / SHARDS) * SHARDS
}

/// Goes each history on shards of its own: what differs from the model.
///
/// # Errors
/// The first history that is not gone as the model has it: the call, or the events at the end.
pub async fn go_all(store: &dyn EventLog, world: &Append, histories: &[(String, Vec<Step>)]) -> Result<(), String> {
    for (nth, (class, steps)) in (0..).zip(histories) {
        let gone = go(store, nth * SHARDS, world, steps).await;
        gone.map_err(|why| format!("{class}: {why}\n{steps:#?}"))?;
    }
    Ok(())
}

/// Goes a history on unused shards of a store, the first of which is `base`: what differs from the model.
async fn go(store: &dyn EventLog, base: u16, world: &Append, steps: &[Step]) -> Result<(), String> {
    let mut state = world.start();
    let mut calls = state.asked.0.clone();
    for step in steps {
        state = world.take(&state, step, &mut Seen::default());
        calls.extend(state.asked.0.clone());
    }
    for (nth, call) in calls.iter().enumerate() {
        let answer = ask(store, base, world, call).await?;
        if answer != *call {
            return Err(format!("call {nth}: the model says {call:?}, the store {answer:?}"));
        }
    }
    for (nth, shard) in (0..).zip(&state.db.shards) {
        let events = store.read_shard(ShardId(base + nth), 0, u32::MAX).await.map_err(|error| error.to_string())?;
        let found: Vec<(u64, i64, CommandId)> =
            events.iter().map(|event| (event.seq, event.epoch, event.command_id)).collect();
        let expected: Vec<(u64, i64, CommandId)> =
            shard.events.iter().map(|row| (row.seq.into(), row.epoch.into(), command_id(row.cmd))).collect();
        if found != expected {
            return Err(format!("shard {nth}: the model has {expected:?}, the store {found:?}"));
        }
    }
    Ok(())
}

/// Makes a call; the answer in the words of the model.
async fn ask(store: &dyn EventLog, base: u16, world: &Append, call: &Call) -> Result<Call, String> {
    let small = |number: u64| u8::try_from(number).map_err(|_| format!("{number} is more than the model has"));
    let small_epoch = |epoch: i64| u8::try_from(epoch).map_err(|_| format!("epoch {epoch} is none of the model's"));
    match call {
        Call::Acquire(session, shards) => {
            let shards: Vec<ShardId> = (base..).take(shards.len()).map(ShardId).collect();
            let taken = store.acquire(owner(*session), &shards, EPOCH_ZERO).await.map_err(|error| error.to_string())?;
            let one = |taken: &Ownership| Ok::<_, String>((small_epoch(taken.epoch)?, small(taken.head)?));
            Ok(Call::Acquire(*session, taken.iter().map(one).collect::<Result<_, _>>()?))
        }
        Call::Append(batches, _) => {
            let group: Vec<ShardBatch> = batches.iter().map(|batch| shard_batch(world, base, batch)).collect();
            let landed = match store.append(&group).await {
                Ok(verdicts) => Landed::Done(verdicts.iter().map(|one| *one == Verdict::Committed).collect()),
                Err(AppendError::Contradiction { .. }) => Landed::Contradiction,
                Err(error) => return Err(error.to_string()),
            };
            Ok(Call::Append(batches.clone(), landed))
        }
        Call::Resolve(session, shard, epoch, cmd, _) => {
            let (at, command) = (ShardId(base + u16::from(*shard)), command_id(*cmd));
            let resolution = store.resolve(owner(*session), at, i64::from(*epoch), command, EPOCH_ZERO).await;
            let answer = match resolution.map_err(|error| error.to_string())? {
                Resolution::Written { epoch } => Some((small_epoch(epoch)?, true)),
                Resolution::NotWritten { epoch } => Some((small_epoch(epoch)?, false)),
                Resolution::Lost => None,
            };
            Ok(Call::Resolve(*session, *shard, *epoch, *cmd, answer))
        }
        Call::Look(shard, cmd, _) => {
            let kept = store.command(ShardId(base + u16::from(*shard)), command_id(*cmd)).await;
            Ok(Call::Look(*shard, *cmd, kept.map_err(|error| error.to_string())?.is_some()))
        }
    }
}

fn shard_batch(world: &Append, base: u16, batch: &Batch) -> ShardBatch {
    let (mut seq, epoch) = (u64::from(batch.head), i64::from(batch.epoch));
    let shard = ShardId(base + u16::from(batch.shard));
    let commit = |cmd: &Cmd| {
        let id = command_id(*cmd);
        let mut event = |version: u64| {
            seq += 1;
            NewEvent {
                seq,
                version,
                event_type: "run.happened".to_owned(),
                type_version: 1,
                hlc: seq,
                data: vec![*cmd],
            }
        };
        let events: Vec<NewEvent> = (1..=u64::from(world.orders[usize::from(*cmd)].events)).map(&mut event).collect();
        let (payload, ctx, reply, delta) = (vec![*cmd], vec![], vec![], vec![]);
        let accepted = !events.is_empty();
        Commit {
            stream: stream(shard, *cmd),
            command: Some(CommandRecord { id, payload, ctx, accepted, reply, delta }),
            events,
            at: EPOCH_ZERO,
            command_id: id,
            meta: Meta::default(),
            opens: vec![],
            closes: vec![],
        }
    };
    let commits = batch.cmds.iter().map(commit).collect();
    ShardBatch { shard, epoch, expected_head: batch.head.into(), commits }
}
