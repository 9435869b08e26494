//! Properties of the deliverable: any story of commands keeps it sane.

use proptest::prelude::*;

use super::*;
use crate::{testing::uuid, time::Timestamp};

fn any_order() -> impl Strategy<Value = Order> {
    let governance = prop_oneof![Just(Governance::Manual), Just(Governance::SemiAuto), Just(Governance::FullAuto)];
    let overlap = prop_oneof![Just(Overlap::Skip), Just(Overlap::BufferOne)];
    let catch_up = prop_oneof![Just(CatchUp::Latest), (0..4_u32).prop_map(|max| CatchUp::All { max })];
    let schedule = prop::option::of((overlap, catch_up).prop_map(|(overlap, catch_up)| Schedule {
        overlap,
        catch_up,
        ..every(3_600)
    }));
    let sources = prop_oneof![
        Just(vec![folder("/notes")]),
        Just(vec![folder("/notes"), feed()]),
        Just(vec![feed(), SourceSpec::Description { value: "always".to_owned() }]),
    ];
    let binding = prop_oneof![Just(Binding::PlatformBound), Just(Binding::Research)];
    (governance, schedule, sources, binding, any::<bool>(), any::<bool>()).prop_map(
        |(governance, schedule, sources, binding, sent, mailed)| Order {
            governance,
            schedule,
            sources,
            type_classification: Classification {
                binding,
                primary_platform: Some("feed".to_owned()),
                freshness_requirement_hours: 1,
            },
            destination: sent.then(|| Destination::File { folder: "/out".to_owned() }),
            notify: if mailed { vec!["ann@example.org".to_owned()] } else { vec![] },
            ..order()
        },
    )
}

/// The runs that were told to start and have not ended: the world beside the deliverable.
type Going = Vec<(RunId, &'static str)>;

/// Tells what is to be told; runs among it begin.
fn carry_out(it: &mut Deliverables, going: &mut Going) {
    it.ledger.open.retain(|_, open| {
        let Duty::Tell { to, command } = &open.duty else {
            return true;
        };
        if let AnyCommand::Run(run::Command::Create(created)) = &**command {
            let what = match created.plan.definition.as_str() {
                "deliverable.deliver@1" => "deliver",
                "deliverable.notify@1" => "notify",
                _ => "produce",
            };
            going.push((RunId::from_uuid(to.id), what));
        }
        false
    });
}

fn run_end(going: &Going, (pick, fails): (usize, bool)) -> Option<Command> {
    let (run, what) = *going.get(pick % going.len().max(1))?;
    let failure = Failure::new(FailureClass::Permanent, "no");
    let end = match what {
        _ if fails => End::Failed { step: what.to_owned(), failure },
        "produce" => made("the draft", vec![snapshot(&folder("/notes")), snapshot(&feed())]),
        step => receipt_end(step),
    };
    Some(Command::RunEnded { run, end })
}

/// The command a drawn number means here.
fn next_command(it: &Deliverables, going: &Going, (pick, verb, order): (usize, u8, Order)) -> Command {
    let Some(deliverable) = it.state.taken() else {
        return Command::Resume {};
    };
    let number = deliverable.newest().saturating_sub((pick % 2) as u32);
    let text = deliverable.versions.get(&number).and_then(|version| version.text.clone()).unwrap_or(text("none"));
    match verb {
        0 => revise(order),
        1 => pause(),
        2 | 3 => Command::Resume {},
        4 if pick % 5 == 0 => Command::Archive {},
        5 => Command::RunNow { force: pick % 2 == 0 },
        6 => start_review(number),
        7 => edit(number, &text, &format!("edit {pick}")),
        8 => approve(number, (pick % 3 == 0).then(|| text.digest.clone())),
        9 => reject(number),
        10 => deliver(number),
        11 => {
            Command::SlotDue { nominal: Timestamp(it.now.micros() - (pick % 9) as i64 * H * 1_000_000), next_due: None }
        }
        12 | 13 => Command::SlotDue { nominal: it.now, next_due: None },
        14 => Command::WindowElapsed { number },
        15..=17 => match &deliverable.current {
            Some(current) => {
                let sources = deliverable.order.sources.iter().map(|spec| seen(spec, (pick % 2) as u64)).collect();
                Command::Assessed { slot: current.slot.id, sources }
            }
            None => assessed(uuid(pick as u64), 1),
        },
        _ => run_end(going, (pick, verb == 18)).unwrap_or(Command::SlotDue { nominal: it.now, next_due: None }),
    }
}

/// What holds after every command: each thing that is not done has a wake-up, runs, or waits for a person.
fn sane(it: &Deliverables, going: &Going) {
    let Some(deliverable) = it.state.taken() else { return };
    let runs = |run: &RunId| going.iter().any(|(other, _)| other == run);
    let assess = it.ledger.with("assess:");
    match &deliverable.current {
        Some(Current { slot, stage: Stage::Assessing { .. }, .. }) => {
            assert_eq!(assess.len(), 1);
            assert_eq!(assess[0].key, format!("assess:{}", slot.id));
        }
        Some(Current { stage: Stage::Producing { run, number }, .. }) => {
            assert!(assess.is_empty() && runs(run));
            assert_eq!(deliverable.versions[number].status, VersionStatus::Generating);
        }
        None => assert!(assess.is_empty() && deliverable.buffered.is_none()),
    }
    assert!(deliverable.buffered.is_some() || deliverable.waiting.is_empty());
    let mut slots: Vec<_> = deliverable.versions.values().map(|version| version.slot_id).collect();
    slots.sort_unstable();
    assert!(slots.windows(2).all(|pair| pair[0] != pair[1]), "two versions of one slot");
    for (number, version) in &deliverable.versions {
        let windows = it.ledger.with(&format!("window:{number}")).into_iter();
        let windows = windows.filter(|open| open.key == format!("window:{number}")).count();
        assert_eq!(windows, usize::from(version.window_open), "window of {number}");
        assert!(!version.window_open || version.status == VersionStatus::Staged);
        if let Delivery::Delivering { run } = &version.delivery {
            assert!(runs(run), "{number} is being delivered by nobody");
        }
        if version.status == VersionStatus::Generating {
            assert!(
                matches!(&deliverable.current, Some(Current { stage: Stage::Producing { number: other, .. }, .. }) if other == number)
            );
        }
        assert!(version.notices.values().flatten().all(runs), "{number} has a notice that nobody mails");
    }
}

proptest! {
    #[test]
    fn any_story_of_a_deliverable_stays_sane(
        first in any_order(),
        draws in prop::collection::vec((any::<usize>(), 0..24_u8, any_order(), 0..4_i64), 1..60),
    ) {
        let mut it = taken(first);
        let mut going: Going = Vec::new();
        let mut settled: BTreeMap<u32, Text> = BTreeMap::new();
        for (pick, verb, order, hours) in draws {
            let now = it.now.micros() / 1_000_000 + hours * H;
            it = it.at(now);
            let command = next_command(&it, &going, (pick, verb, order));
            let before = (it.state.clone(), it.ledger.clone());
            let when = it.when(command.clone());
            it = when.after;
            if when.result.is_err() {
                prop_assert_eq!(&(it.state.clone(), it.ledger.clone()), &before);
                continue;
            }
            if let Command::RunEnded { run, .. } = &command {
                going.retain(|(other, _)| other != run);
            }
            // Said twice at the same instant, it makes no second version and sends nothing out again.
            let again = it.clone().when(command);
            let (versions, deliveries) = totals(&it);
            prop_assert_eq!(totals(&again.after), (versions, deliveries));
            carry_out(&mut it, &mut going);
            sane(&it, &going);
            // What was agreed to, refused or delivered never changes its text.
            for (number, version) in &it.state.taken().unwrap().versions {
                if matches!(version.status, VersionStatus::Approved | VersionStatus::Rejected | VersionStatus::Delivered) {
                    let text = version.text.clone().unwrap();
                    prop_assert_eq!(settled.entry(*number).or_insert(text.clone()), &text);
                }
            }
        }
    }
}

fn totals(it: &Deliverables) -> (usize, u32) {
    it.state
        .taken()
        .map_or((0, 0), |it| (it.versions.len(), it.versions.values().map(|version| version.deliveries).sum()))
}
