//! An event that cannot be folded stops its shard only, and who waits for that shard is told so instead of waiting.

mod support;

use nightshift_domain::{
    ids::{CommandId, RunId, ShardId, derive},
    recorded::Meta,
};
use nightshift_ports::log::{Commit, EventLog as _, NewEvent, ShardBatch, Verdict};
use support::{MONDAY_8, Stage, register};

const BROKEN: ShardId = ShardId(1);

/// Writes an event of a newer program.
async fn poison(stage: &Stage) {
    let owned = stage.store.acquire(derive("writer", &[]), &[BROKEN], MONDAY_8).await.unwrap();
    let stream = RunId::on_shard(derive("run", &[]), BROKEN).stream();
    let event = NewEvent {
        seq: 1,
        version: 1,
        event_type: "run.of_tomorrow".to_owned(),
        type_version: 1,
        hlc: 1,
        data: vec![0x80],
    };
    let commit = Commit {
        stream,
        command: None,
        events: vec![event],
        at: MONDAY_8,
        command_id: CommandId(derive("command", &[])),
        meta: Meta::default(),
        opens: vec![],
        closes: vec![],
    };
    let batch = ShardBatch { shard: BROKEN, epoch: owned[0].epoch, expected_head: 0, commits: vec![commit] };
    assert_eq!(stage.store.append(&[batch]).await, Ok(vec![Verdict::Committed]));
}

#[tokio::test]
async fn who_waits_for_a_shard_that_stands_still_is_told_so() {
    let mut stage = Stage::new();
    poison(&stage).await;
    let system = stage.start().await;
    let stuck = system.caught_up().await.unwrap_err();
    assert_eq!((stuck.shard, stuck.at), (BROKEN, 0));
    assert!(stuck.to_string().contains("shard 1") && stuck.to_string().contains("run.of_tomorrow"), "{stuck}");
    let projector = &system.context().projector;
    assert_eq!(projector.all_stuck(), std::slice::from_ref(&stuck));
    // Others go on, also those who wait for several.
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for name in names {
        register(&system, &format!("name: {name}\nsteps:\n  - {{id: x, set: {{a: 1}}}}\n")).await;
    }
    system.settled().await;
    let heads = system.context().journal.heads();
    let sound: Vec<_> = heads.iter().copied().filter(|(shard, _)| *shard != BROKEN).collect();
    assert!(sound.iter().any(|(_, head)| *head > 0), "{heads:?}");
    assert_eq!(projector.caught_up(&sound).await, Ok(()));
    assert_eq!(projector.caught_up(&heads).await.unwrap_err().shard, BROKEN);
    // Before the event nothing is missing.
    assert_eq!(projector.caught_up(&[(BROKEN, 0)]).await, Ok(()));
}
