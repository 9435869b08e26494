//! Promises of the append, of ownership and of resolving.

use nightshift_domain::{ids::ShardId, recorded::Recorded};

use super::{
    SHARDS,
    pen::{NOON, Pen, Plan, command_id, job, owner, stream},
};
use crate::{
    log::{AppendError, Resolution, ShardBatch, Verdict},
    store::Store,
};

const ALL: u32 = u32::MAX;

/// The events that a committed batch stands for.
fn as_recorded(batch: &ShardBatch) -> Vec<Recorded> {
    let events = batch.commits.iter().flat_map(|commit| commit.events.iter().map(move |event| (commit, event)));
    events
        .map(|(commit, event)| Recorded {
            shard: batch.shard,
            seq: event.seq,
            stream: commit.stream,
            version: event.version,
            event_type: event.event_type.clone(),
            type_version: event.type_version,
            hlc: event.hlc,
            epoch: batch.epoch,
            at: commit.at,
            command_id: commit.command_id,
            meta: commit.meta.clone(),
            data: event.data.clone(),
        })
        .collect()
}

/// Nothing of shard and commands is in any table.
async fn assert_nothing(store: &dyn Store, shard: u16, after_seq: u64, commands: &[u64]) {
    let shard = ShardId(shard);
    assert_eq!(store.read_shard(shard, after_seq, ALL).await.expect("read"), []);
    for command in commands {
        assert_eq!(store.command(shard, command_id(*command)).await.expect("read"), None, "command {command}");
    }
}

fn is_contradiction(outcome: &Result<Vec<Verdict>, AppendError>) -> bool {
    matches!(outcome, Err(AppendError::Contradiction { .. }))
}

pub(super) async fn appended_events_come_back_as_they_were(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let first = pen.write(1, &[Plan::of(stream(1, 1), 1, 3), Plan::of(stream(1, 2), 2, 1)]).await;
    let second = pen.write(1, &[Plan::of(stream(1, 1), 3, 2)]).await;
    let all = [as_recorded(&first), as_recorded(&second)].concat();
    assert_eq!(store.read_shard(ShardId(1), 0, ALL).await.expect("read"), all);
    let own: Vec<Recorded> = all.into_iter().filter(|event| event.stream == stream(1, 1)).collect();
    assert_eq!(store.read_stream(stream(1, 1), 0, ALL).await.expect("read"), own);
    assert_eq!(own.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let kept = store.command(ShardId(1), command_id(3)).await.expect("read").expect("recorded");
    assert_eq!((kept.first_seq, kept.last_seq, kept.stream), (5, 6, stream(1, 1)));
    assert_eq!(Some(&kept.record), second.commits[0].command.as_ref());
}

pub(super) async fn an_empty_group_is_nothing(store: &dyn Store) {
    let pen = Pen::take(store).await;
    assert_eq!(store.append(&[]).await, Ok(vec![]));
    assert_eq!(store.append(&[pen.batch(1, &[])]).await, Ok(vec![Verdict::Committed]));
    assert_nothing(store, 1, 0, &[]).await;
}

pub(super) async fn a_stale_epoch_writes_nothing(store: &dyn Store) {
    let pen = Pen::take(store).await;
    for epoch in [pen.epochs[&ShardId(1)] - 1, pen.epochs[&ShardId(1)] + 1, 0] {
        let batch = ShardBatch { epoch, ..pen.batch(1, &[Plan::of(stream(1, 1), 1, 1)]) };
        assert_eq!(store.append(&[batch]).await, Ok(vec![Verdict::Fenced]), "epoch {epoch}");
    }
    let mut batch = pen.batch(1, &[]);
    batch.shard = ShardId(SHARDS);
    assert_eq!(store.append(&[batch]).await, Ok(vec![Verdict::Fenced]), "a shard that is not");
    assert_nothing(store, 1, 0, &[1]).await;
}

pub(super) async fn in_a_mixed_group_each_shard_counts_for_itself(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let stale = pen.batch(2, &[Plan::of(stream(2, 2), 2, 1).open(job("b", NOON))]);
    let before = pen.epochs[&ShardId(2)];
    pen.acquire(&[ShardId(2)], 2).await;
    assert!(pen.epochs[&ShardId(2)] > before);
    let mine = pen.batch(1, &[Plan::of(stream(1, 1), 1, 1).open(job("a", NOON))]);
    let verdicts = store.append(&[mine.clone(), stale.clone()]).await;
    assert_eq!(verdicts, Ok(vec![Verdict::Committed, Verdict::Fenced]));
    assert_eq!(store.read_shard(ShardId(1), 0, ALL).await.expect("read"), as_recorded(&mine));
    assert_nothing(store, 2, 0, &[2]).await;
    assert_eq!(store.owed_by(stream(1, 1)).await.expect("read").len(), 1);
    assert_eq!(store.owed_by(stream(2, 2)).await.expect("read"), []);
    pen.note(&mine);
    let next = pen.batch(1, &[Plan::of(stream(1, 1), 3, 1)]);
    assert_eq!(
        store.append(&[stale, next]).await,
        Ok(vec![Verdict::Fenced, Verdict::Committed]),
        "the order of batches"
    );
}

pub(super) async fn a_wrong_head_is_fenced(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    pen.write(1, &[Plan::of(stream(1, 1), 1, 3)]).await;
    for head in [0, 2, 4, 99] {
        for events in [0, 1] {
            pen.heads.insert(ShardId(1), head);
            let batch = pen.batch(1, &[Plan::of(stream(1, 9), 9, events)]);
            assert_eq!(store.append(&[batch]).await, Ok(vec![Verdict::Fenced]), "head {head}, {events} events");
        }
    }
    assert_nothing(store, 1, 3, &[9]).await;
}

pub(super) async fn a_command_is_recorded_once(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    pen.write(1, &[Plan::of(stream(1, 1), 1, 1)]).await;
    let again = pen.batch(1, &[Plan::of(stream(1, 2), 2, 1).open(job("x", NOON)), Plan::of(stream(1, 1), 1, 1)]);
    let other = pen.batch(2, &[Plan::of(stream(2, 2), 3, 1)]);
    let outcome = store.append(&[other, again]).await;
    assert!(is_contradiction(&outcome), "{outcome:?}");
    let twice = pen.batch(1, &[Plan::of(stream(1, 1), 4, 1), Plan::of(stream(1, 2), 4, 0)]);
    let outcome = store.append(&[twice]).await;
    assert!(is_contradiction(&outcome), "twice in a batch: {outcome:?}");
    assert_nothing(store, 1, 1, &[2, 4]).await;
    assert_nothing(store, 2, 0, &[3]).await;
    assert_eq!(store.owed_by(stream(1, 2)).await.expect("read"), []);
    pen.write(1, &[Plan::of(stream(1, 1), 5, 1)]).await;
    // The same id on another shard is another command.
    pen.write(2, &[Plan::of(stream(2, 2), 1, 1)]).await;
}

pub(super) async fn a_stream_version_exists_once(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    pen.write(1, &[Plan::of(stream(1, 1), 1, 2)]).await;
    let mut batch = pen.batch(1, &[Plan::of(stream(1, 1), 2, 1)]);
    batch.commits[0].events[0].version = 2;
    let outcome = store.append(&[batch]).await;
    assert!(is_contradiction(&outcome), "{outcome:?}");
    assert_nothing(store, 1, 2, &[2]).await;
}

pub(super) async fn gaps_and_strangers_are_refused(store: &dyn Store) {
    let pen = Pen::take(store).await;
    let plan = Plan::of(stream(1, 1), 1, 2);
    let mut gap = pen.batch(1, std::slice::from_ref(&plan));
    gap.commits[0].events[1].seq = 3;
    let mut stranger = pen.batch(1, std::slice::from_ref(&plan));
    stranger.commits[0].stream = stream(2, 1);
    let foreign_close = pen.batch(1, &[plan.clone().close(stream(2, 1), "x")]);
    let twice = pen.batch(1, &[plan]);
    for group in [vec![gap], vec![stranger], vec![foreign_close], vec![twice.clone(), twice]] {
        let outcome = store.append(&group).await;
        assert!(is_contradiction(&outcome), "{outcome:?}");
    }
    assert_nothing(store, 1, 0, &[1]).await;
}

pub(super) async fn a_rejected_command_is_recorded(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let batch = pen.write(1, &[Plan::rejected(stream(1, 1), 1)]).await;
    let kept = store.command(ShardId(1), command_id(1)).await.expect("read").expect("recorded");
    assert_eq!((kept.first_seq, kept.last_seq), (1, 0));
    assert_eq!(Some(kept.record), batch.commits[0].command);
    pen.write(1, &[Plan::of(stream(1, 1), 2, 1), Plan::rejected(stream(1, 1), 3)]).await;
    let kept = store.command(ShardId(1), command_id(3)).await.expect("read").expect("recorded");
    assert_eq!((kept.first_seq, kept.last_seq), (2, 1));
}

pub(super) async fn a_bare_discharge_writes_no_command(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    pen.write(1, &[Plan::of(stream(1, 1), 1, 1).open(job("a", NOON))]).await;
    let bare = Plan { bare: true, ..Plan::of(stream(1, 1), 2, 0) };
    pen.write(1, &[bare.close(stream(1, 1), "a")]).await;
    assert_eq!(store.owed_by(stream(1, 1)).await.expect("read"), []);
    assert_nothing(store, 1, 1, &[2]).await;
}

pub(super) async fn a_group_may_span_many_shards(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    for round in 0..3 {
        let plans = |shard: u16| {
            let command = round * 100 + u64::from(shard) * 10;
            [
                Plan::of(stream(shard, 1), command, 2).open(job(&format!("r{round}"), NOON)),
                Plan::of(stream(shard, 2), command + 1, 1),
            ]
        };
        let group: Vec<ShardBatch> = (0..SHARDS).rev().map(|shard| pen.batch(shard, &plans(shard))).collect();
        assert_eq!(store.append(&group).await, Ok(vec![Verdict::Committed; group.len()]));
        group.iter().for_each(|batch| pen.note(batch));
    }
    for shard in 0..SHARDS {
        assert_eq!(store.read_shard(ShardId(shard), 0, ALL).await.expect("read").len(), 9);
        assert_eq!(store.owed_by(stream(shard, 1)).await.expect("read").len(), 3);
    }
}

pub(super) async fn large_and_strange_payloads_survive(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let payloads = vec![
        large,
        Vec::new(),
        vec![0],
        (0..=255).collect(),
        "Ünïcødé \u{1f600} \u{202e} '\"\\ \n".as_bytes().to_vec(),
        b"\n\n0 0 0 0\n".to_vec(),
    ];
    let mut plan = Plan { payloads, ..Plan::of(stream(1, 1), 1, 0) };
    let key = "att'empt:\"\u{1f600}\\:\u{fc}";
    plan.opens.push(job(key, NOON));
    let batch = pen.write(1, &[plan]).await;
    assert!(store.read_shard(ShardId(1), 0, ALL).await.expect("read") == as_recorded(&batch), "payloads differ");
    assert!(store.read_stream(stream(1, 1), 0, ALL).await.expect("read") == as_recorded(&batch), "payloads differ");
    assert_eq!(store.owed_by(stream(1, 1)).await.expect("read")[0].obligation, job(key, NOON));
    pen.write(1, &[Plan::of(stream(1, 1), 2, 1).close(stream(1, 1), key)]).await;
    assert_eq!(store.owed_by(stream(1, 1)).await.expect("read"), []);
}

pub(super) async fn five_thousand_events_go_in_at_once(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    let plans: Vec<Plan> = (0..1_000).map(|n| Plan::of(stream(1, n % 37), n, 5)).collect();
    let batch = pen.write(1, &plans).await;
    let read = store.read_shard(ShardId(1), 0, ALL).await.expect("read");
    assert!(read == as_recorded(&batch), "{} events came back", read.len());
    assert_eq!(store.read_shard(ShardId(1), 4_990, ALL).await.expect("read").len(), 10);
}

pub(super) async fn an_unknown_outcome_is_resolved(store: &dyn Store) {
    let mut pen = Pen::take(store).await;
    pen.write(1, &[Plan::of(stream(1, 1), 1, 1)]).await;
    let epoch = pen.epochs[&ShardId(1)];
    let written = store.resolve(owner(1), ShardId(1), epoch, command_id(1), NOON).await.expect("resolved");
    let Resolution::Written { epoch: second } = written else { panic!("{written:?}") };
    assert!(second > epoch);
    let again = store.resolve(owner(1), ShardId(1), epoch, command_id(1), NOON).await.expect("resolved");
    let Resolution::Written { epoch: third } = again else { panic!("asking twice, the answer was lost: {again:?}") };
    assert!(third > second);
    let second = third;
    let lost = store.resolve(owner(2), ShardId(1), epoch, command_id(1), NOON).await;
    assert_eq!(lost, Ok(Resolution::Lost), "by somebody who does not own the shard");
    let late = pen.batch(1, &[Plan::of(stream(1, 1), 2, 1)]);
    let not =
        store.resolve(owner(1), ShardId(1), second, command_id(2), NOON.plus_ms(86_400_000)).await.expect("resolved");
    let Resolution::NotWritten { epoch: third } = not else { panic!("{not:?}") };
    assert!(third > second && third >= NOON.plus_ms(86_400_000).micros() / 1_000);
    assert_eq!(store.append(&[late]).await, Ok(vec![Verdict::Fenced]), "it never will be");
    pen.epochs.insert(ShardId(1), third);
    pen.write(1, &[Plan::of(stream(1, 1), 2, 1)]).await;
}

pub(super) async fn acquiring_raises_the_epoch(store: &dyn Store) {
    let shards = [ShardId(3), ShardId(1)];
    let first = store.acquire(owner(1), &shards, NOON).await.expect("acquired");
    assert_eq!(first.iter().map(|owned| owned.shard).collect::<Vec<_>>(), shards, "in the order asked for");
    assert!(first.iter().all(|owned| owned.epoch >= NOON.micros() / 1_000 && owned.head == 0 && owned.hlc == 0));
    let second = store.acquire(owner(1), &shards, NOON.plus_ms(-5_000)).await.expect("acquired");
    assert!(first.iter().zip(&second).all(|(before, after)| after.epoch > before.epoch), "a clock that went back");
    let mut pen = Pen::take(store).await;
    pen.write(3, &[Plan::of(stream(3, 1), 1, 2)]).await;
    let third = store.acquire(owner(2), &shards, NOON).await.expect("acquired");
    assert_eq!((third[0].head, third[0].hlc, third[1].head), (2, (1 << 60) + 2, 0));
    assert_eq!(store.acquire(owner(2), &[], NOON).await, Ok(vec![]));
    let known = store.acquire(owner(2), &[ShardId(1)], NOON).await.expect("acquired")[0].epoch;
    store.acquire(owner(2), &[ShardId(1), ShardId(SHARDS)], NOON).await.expect_err("no such shard");
    let after = store.acquire(owner(2), &[ShardId(1)], NOON).await.expect("acquired")[0].epoch;
    assert_eq!(after, known + 1, "a failed takeover changes nothing");
}

pub(super) async fn a_writer_whose_shard_was_taken_is_fenced(store: &dyn Store) {
    let mut old = Pen::take(store).await;
    old.write(1, &[Plan::of(stream(1, 1), 1, 1)]).await;
    let mut new = Pen::take(store).await;
    let late = old.batch(1, &[Plan::of(stream(1, 2), 2, 1)]);
    assert_eq!(store.append(std::slice::from_ref(&late)).await, Ok(vec![Verdict::Fenced]));
    new.write(1, &[Plan::of(stream(1, 3), 3, 1)]).await;
    assert_eq!(store.append(&[late]).await, Ok(vec![Verdict::Fenced]));
    let epochs: Vec<i64> =
        store.read_shard(ShardId(1), 0, ALL).await.expect("read").iter().map(|event| event.epoch).collect();
    assert_eq!(epochs, [old.epochs[&ShardId(1)], new.epochs[&ShardId(1)]]);
}
