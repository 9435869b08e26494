//! Every pair of phase and command of the definition.

use super::*;
use crate::{
    ids::{RunId, ShardId, derive},
    schedule::Cause,
    testing::{covers_every_pair, word},
};

fn slot(n: i64) -> Command {
    Command::SlotDue { schedule: schedule_id(definition(), 0), nominal: at(60 * n), cause: Cause::Timer }
}

fn phase(name: &str) -> Definitions {
    let document = || document("1", vec![timer(every(60)), hears(&["order"])]);
    let in_force = || unborn().after(register(document()));
    match name {
        "unborn" => unborn(),
        "kept" => unborn().after(keep(document())),
        "active" => in_force(),
        "busy" => in_force().at(60).after(slot(1)),
        "deprecated" => in_force().after(deprecate("1")),
        _ => in_force().after(archive("1")),
    }
}

fn command(verb: &str) -> Command {
    match verb {
        "register" => register(document("2", vec![])),
        "activate" => activate("1"),
        "deprecate" => deprecate("1"),
        "archive" => archive("1"),
        "slot_due" => slot(2),
        "event_arrived" => Command::EventArrived { event: json!({"type": "order", "id": "e"}) },
        "start" => Command::Start(Box::new(Start {
            run: RunId::on_shard(derive("test", &[b"run"]), ShardId(1)),
            version: Some("1".to_owned()),
            parameters: Json::Null,
            user: user("eve"),
            trigger: json!({"type": "api"}),
            parent: None,
            priority: None,
        })),
        _ => Command::RunEnded { run: slot_run_id(schedule_id(definition(), 0), at(60), SHARDS), end: done() },
    }
}

#[test]
fn every_command_in_every_phase() {
    const VERBS: [&str; 8] =
        ["register", "activate", "deprecate", "archive", "slot_due", "event_arrived", "start", "run_ended"];
    // In the order of the verbs: facts joined by `+`, `-` for nothing, or the rejection.
    let phases = [
        ("unborn", "registered+activated unknown unknown unknown unknown unknown unknown unknown"),
        ("kept", "registered+activated activated deprecated archived run_refused run_refused run_requested -"),
        ("active", "registered+activated - deprecated archived run_requested run_requested run_requested -"),
        ("busy", "registered+activated - deprecated archived run_refused run_requested run_requested run_ended"),
        ("deprecated", "registered+activated activated - archived run_refused run_refused run_requested -"),
        ("archived", "registered+activated not_startable not_startable - run_refused run_refused not_startable -"),
    ];
    let table: Vec<(String, String)> = phases
        .iter()
        .flat_map(|(phase, outcomes)| {
            let outcomes: Vec<&str> = outcomes.split(' ').collect();
            assert_eq!(outcomes.len(), VERBS.len(), "{phase}");
            VERBS
                .iter()
                .zip(outcomes)
                .map(move |(verb, came_of)| (format!("{phase} {verb}"), came_of.replace('+', " ")))
        })
        .collect();
    let table: Vec<(&str, &str)> = table.iter().map(|(pair, came_of)| (pair.as_str(), came_of.as_str())).collect();
    let names: Vec<&str> = phases.iter().map(|(name, _)| *name).collect();
    covers_every_pair::<DefinitionDecider>(&names, &table, |name, verb| {
        let when = phase(name).at(120).when(command(verb));
        when.result.map(|events| events.iter().map(word).collect())
    });
}
