//! Decider tables and properties of the bulk job.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    decider::Duty,
    ids::{ShardId, derive},
    run,
    streams::AnyCommand,
    testing::{Given, at, covers_every_pair, given, word},
};

type Bulks = Given<BulkDecider>;

fn unborn() -> Bulks {
    given(BulkId::on_shard(derive("test", &[b"bulk"]), ShardId(1)).stream(), [])
}

fn by() -> Asked {
    Asked { by: "ada".to_owned(), note: "the other side is up again".to_owned() }
}

fn create() -> Command {
    let filter = Filter { status: "dead".to_owned(), ..Filter::default() };
    let (verb, user) = (DeadVerb::Retry, UserId("ada".to_owned()));
    Command::Create(Box::new(Created { verb, filter, user, by: by(), expected: 3 }))
}

fn letter(n: u64) -> Letter {
    let run = RunId::on_shard(derive("test", &[&n.to_be_bytes()]), ShardId(2));
    Letter { run, step: "send".to_owned(), attempt: 3 }
}

fn chosen(page: u32, numbers: std::ops::Range<u64>, more: bool) -> Command {
    let letters: Vec<Letter> = numbers.map(letter).collect();
    let next = more.then(|| format!("behind {page}"));
    Command::Chosen { page, letters, next }
}

fn answered(nth: u64, refused: Option<&str>) -> Command {
    Command::Answered { nth, refused: refused.map(ToOwned::to_owned) }
}

fn cancel() -> Command {
    Command::Cancel { by: by() }
}

fn figures(it: &Bulks) -> (u64, u64, u64) {
    let bulk = it.state.bulk().expect("it exists");
    (bulk.chosen, bulk.done, bulk.refused)
}

#[test]
fn pages_are_chosen_one_after_the_other_and_each_letter_is_told_once() {
    let it = unborn().after(create()).owes(&["choose:0"]).after(chosen(0, 0..2, true)).owes(&["letter:0", "letter:1"]);
    let Duty::Ask { to, command } = &it.ledger.open["letter:1"].duty else { panic!("asked") };
    assert_eq!(*to, letter(1).run.stream());
    let AnyCommand::Run(run::Command::DeadLetter { step, attempt, verb, by }) = &**command else { panic!("letter") };
    assert_eq!((step.as_str(), *attempt, *verb, by.by.as_str()), ("send", Some(3), DeadVerb::Retry, "ada"));
    assert_eq!(by.note, format!("bulk job {}: the other side is up again", it.stream.id));
    let it =
        it.after(answered(0, None)).owes(&["letter:1"]).after(answered(1, Some("it is queued"))).owes(&["choose:1"]);
    let it = it.after(chosen(1, 2..3, false)).owes(&["letter:2"]);
    let it = it.when(answered(2, None)).then_facts(&["answered", "completed"]).owes(&[]);
    assert_eq!(figures(&it), (3, 2, 1));
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let it = unborn().after(create()).when(chosen(0, 0..0, false)).then_facts(&["chosen", "completed"]).owes(&[]);
    assert_eq!(figures(&it), (0, 0, 0));
    unborn().after(create()).after(chosen(0, 0..0, true)).owes(&["choose:1"]);
}

#[test]
fn what_is_said_again_or_too_late_changes_nothing() {
    let it = unborn().after(create()).after(chosen(0, 0..2, true));
    for late in [chosen(0, 5..6, false), chosen(1, 5..6, false), answered(7, None)] {
        it.clone().when(late).then([]);
    }
    let it = it.after(answered(0, None));
    it.clone().when(answered(0, Some("no"))).then([]);
    assert_eq!(figures(&it), (2, 1, 0));
}

#[test]
fn a_job_that_is_stopped_awaits_what_was_told() {
    let choosing = unborn().after(create());
    choosing.when(cancel()).then_facts(&["cancel_asked", "cancelled"]).owes(&[]);
    let it = unborn().after(create()).after(chosen(0, 0..2, true)).when(cancel()).then_facts(&["cancel_asked"]);
    it.clone().when(cancel()).then([]);
    let it = it.after(answered(1, None)).owes(&["letter:0"]);
    let it = it.when(answered(0, None)).then_facts(&["answered", "cancelled"]).owes(&[]);
    it.when(chosen(1, 2..3, false)).then([]);
}

#[test]
fn every_phase_answers_every_command() {
    let phases = ["unborn", "choosing", "telling", "stopping", "completed", "cancelled"];
    let rows = [
        ("create", ["created", "exists", "exists", "exists", "exists", "exists"]),
        ("chosen", ["unknown", "chosen", "-", "-", "-", "-"]),
        ("answered", ["unknown", "-", "answered", "answered cancelled", "-", "-"]),
        ("cancel", ["unknown", "cancel_asked cancelled", "cancel_asked", "-", "over", "-"]),
    ];
    let lines = rows.iter().flat_map(|(verb, row)| {
        phases.iter().zip(row).map(move |(phase, outcome)| (format!("{phase} {verb}"), *outcome))
    });
    let lines: Vec<(String, &str)> = lines.collect();
    let table: Vec<(&str, &str)> = lines.iter().map(|(pair, outcome)| (pair.as_str(), *outcome)).collect();
    let choosing = || unborn().after(create());
    let phase = |phase: &str| match phase {
        "unborn" => unborn(),
        "choosing" => choosing(),
        "telling" => choosing().after(chosen(0, 0..1, true)),
        "stopping" => choosing().after(chosen(0, 0..1, true)).after(cancel()),
        "completed" => choosing().after(chosen(0, 0..0, false)),
        _ => choosing().after(cancel()),
    };
    let command = |verb: &str| match verb {
        "create" => create(),
        "chosen" => chosen(0, 0..2, true),
        "answered" => answered(0, None),
        _ => cancel(),
    };
    covers_every_pair::<BulkDecider>(&phases, &table, |at, verb| {
        phase(at).when(command(verb)).result.map(|events| events.iter().map(word).collect())
    });
}

proptest! {
    /// However answers, repetitions and a cancel are mixed: each letter is told once and counts once, something is owed
    /// until the end and nothing after it.
    #[test]
    fn each_letter_counts_once_and_nothing_is_left(
        pages in prop::collection::vec(0_u64..4, 1..5),
        picks in prop::collection::vec(any::<usize>(), 0..60),
        stop in prop::option::of(0_usize..40),
    ) {
        let mut it = unborn().after(create()).at(1);
        let (mut told, mut n) = (BTreeSet::new(), 0);
        let mut picks = picks.into_iter();
        for turn in 0..200 {
            if stop == Some(turn) && matches!(it.state, State::Open(_)) {
                it = it.after(cancel());
            }
            let State::Open(bulk) = &it.state else { break };
            prop_assert!(!it.ledger.open.is_empty(), "an open job owes something");
            let pick = picks.next().unwrap_or(0);
            let command = match bulk.open.keys().nth(pick % bulk.open.len().max(1)) {
                Some(nth) => answered(*nth, (pick % 3 == 0).then_some("no")),
                None => {
                    let page = bulk.page as usize;
                    let length = pages.get(page).copied().unwrap_or(0);
                    n += length;
                    chosen(bulk.page, n - length..n, page + 1 < pages.len())
                }
            };
            let (again, before) = (command.clone(), it.history.len());
            it = it.after(command);
            for (event, _) in &it.history[before..] {
                if let Event::Chosen { letters, .. } = event {
                    for letter in letters {
                        prop_assert!(told.insert(letter.clone()), "told twice");
                    }
                }
            }
            if matches!(again, Command::Answered { .. }) {
                let before = figures(&it);
                it = it.after(again);
                prop_assert_eq!(figures(&it), before);
            }
        }
        prop_assert!(matches!(it.state, State::Over(..)), "it ends");
        prop_assert!(it.ledger.open.is_empty());
        let (chosen, done, refused) = figures(&it);
        prop_assert_eq!((chosen, done + refused), (told.len() as u64, told.len() as u64));
        prop_assert!(stop.is_some() || chosen == pages.iter().sum::<u64>());
        prop_assert_eq!(it.now, at(1));
    }
}
