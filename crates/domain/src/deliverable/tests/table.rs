//! Every pair of phase and command of the deliverable.

use super::*;
use crate::testing::covers_every_pair;

const VERBS: [&str; 15] = [
    "create",
    "revise",
    "pause",
    "resume",
    "archive",
    "run_now",
    "slot_due",
    "assessed",
    "run_ended",
    "start_review",
    "approve",
    "reject",
    "edit",
    "deliver",
    "window_elapsed",
];
/// What each verb comes to in each phase, in the order of [`VERBS`]: facts joined by `+`, `-` for nothing, or the rejection.
const PHASES: [(&str, &str); 11] = [
    (
        "unborn",
        "created unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown unknown",
    ),
    (
        "idle",
        "exists revised paused - archived slot_due slot_due other_slot other_run no_such_version no_such_version no_such_version no_such_version no_such_version -",
    ),
    (
        "assessing",
        "exists revised paused - archived busy skipped sources_assessed+run_requested other_run no_such_version no_such_version no_such_version no_such_version no_such_version -",
    ),
    (
        "producing",
        "exists revised paused - archived busy skipped - version_staged+notice_raised version_is version_is version_is version_is version_is -",
    ),
    (
        "staged",
        "exists revised paused - archived slot_due slot_due other_slot other_run review_started version_approved+delivery_requested version_rejected version_edited version_is version_approved+delivery_requested",
    ),
    (
        "reviewing",
        "exists revised paused - archived slot_due slot_due other_slot other_run - version_approved+delivery_requested version_rejected version_edited version_is -",
    ),
    (
        "approved",
        "exists revised paused - archived slot_due slot_due other_slot delivered+notice_raised version_is version_is version_is version_is being_delivered -",
    ),
    (
        "rejected",
        "exists revised paused - archived slot_due slot_due other_slot other_run version_is version_is version_is version_is version_is -",
    ),
    (
        "delivered",
        "exists revised paused - archived slot_due slot_due other_slot other_run version_is version_is version_is version_is delivery_requested -",
    ),
    (
        "paused",
        "exists revised - resumed archived paused skipped other_slot other_run review_started version_approved+delivery_requested version_rejected version_edited version_is -",
    ),
    (
        "archived",
        "exists archived archived archived - archived archived other_slot other_run review_started version_approved+delivery_requested version_rejected version_edited version_is -",
    ),
];

/// Every pair of phase and command. In `staged` and behind, the commands are about version 1.
#[test]
fn every_phase_answers_every_command() {
    let phase = |phase: &str| match phase {
        "unborn" => given(the_deliverable().stream(), []).at(H),
        "idle" => taken(order()).at(H),
        "assessing" => taken(order()).at(H).after(due(1)),
        "producing" => producing(order()),
        "staged" => staged(governed(Governance::SemiAuto)),
        "reviewing" => staged(order()).after(start_review(1)),
        "approved" => staged(order()).after(approve(1, None)),
        "rejected" => staged(order()).after(reject(1)),
        "delivered" => staged(order()).after(approve(1, None)).after(arrived(1, 1)),
        "paused" => staged(order()).after(pause()),
        _ => staged(order()).after(Command::Archive {}),
    };
    let command = |phase: &str, verb: &str| match verb {
        "create" => Command::Create { user: UserId("bob".to_owned()), order: Box::new(order()), paused: false },
        "revise" => revise(order()),
        "pause" => pause(),
        "resume" => Command::Resume {},
        "archive" => Command::Archive {},
        "run_now" => Command::RunNow { force: false },
        "slot_due" => due(2),
        "assessed" => assessed(slot(1), 1),
        "run_ended" if phase == "approved" => arrived(1, 1),
        "run_ended" => produced(slot(1)),
        "start_review" => start_review(1),
        "approve" => approve(1, None),
        "reject" => reject(1),
        "edit" => edit(1, &text("the draft"), "x"),
        "deliver" => deliver(1),
        _ => Command::WindowElapsed { number: 1 },
    };
    let rows: Vec<(String, String)> = PHASES
        .iter()
        .flat_map(|(phase, outcomes)| {
            let outcomes: Vec<&str> = outcomes.split(' ').collect();
            assert_eq!(outcomes.len(), VERBS.len(), "{phase}");
            VERBS
                .iter()
                .zip(outcomes)
                .map(move |(verb, outcome)| (format!("{phase} {verb}"), outcome.replace('+', " ")))
        })
        .collect();
    let table: Vec<(&str, &str)> = rows.iter().map(|(pair, outcome)| (pair.as_str(), outcome.as_str())).collect();
    let names: Vec<&str> = PHASES.iter().map(|(phase, _)| *phase).collect();
    covers_every_pair::<DeliverableDecider>(&names, &table, |at, verb| {
        phase(at).when(command(at, verb)).result.map(|events| events.iter().map(word).collect())
    });
}
