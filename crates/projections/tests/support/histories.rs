//! Scripted histories through the real deciders.

use nightshift_domain::{
    content::{Item, Observation, SourceFailure},
    deliverable::{self, EditMeasure, SourceAssessment, produce_run_id, schedule_id},
    ids::{RunId, UserId},
    run::{self, StepOutput},
    schedule, source,
    streams::AnyEvent,
};

use super::{
    World, draft, folder, material, order, receipt, samples, samples::item, secs, store::Store, text, the_deliverable,
    the_source,
};

pub fn assessment(fresh_items: u64) -> SourceAssessment {
    SourceAssessment {
        source_id: the_source(),
        resource_name: "notes".to_owned(),
        upto_version: 2,
        fresh_items,
        measurable: true,
        synced_at: Some(secs(3600)),
        stale: false,
        error: None,
    }
}

pub fn observation(items: Vec<Item>, removed: &[&str]) -> Observation {
    Observation {
        items,
        removed: removed.iter().map(|id| (*id).to_owned()).collect(),
        omitted: vec![],
        cursor: [("seen".to_owned(), "1".to_owned())].into(),
    }
}

pub fn look(world: &mut World, found: Result<Observation, SourceFailure>) {
    let command = source::Command::Record { user: UserId::default(), spec: folder(), found };
    world.send(the_source().stream(), command);
}

/// Takes the order and lets the slot of 01:00 come; the run that makes its version.
pub fn slot_taken(world: &mut World, order: deliverable::Order) -> RunId {
    let stream = the_deliverable().stream();
    let create = deliverable::Command::Create { user: UserId::default(), order: Box::new(order), paused: false };
    world.at(10).send(stream, create);
    let items = vec![item("a.md", "alpha"), item("b.md", "beta")];
    look(world.at(3590), Ok(observation(items, &[])));
    let due = schedule::Command::Fire { nominal: secs(3600) };
    world.at(3600).send(schedule_id(the_deliverable()).stream(), due);
    let slot = due_slot(world);
    world.at(3601).send(stream, deliverable::Command::Assessed { slot, sources: vec![assessment(2)] });
    produce_run_id(the_deliverable(), slot)
}

pub fn due_slot(world: &World) -> uuid::Uuid {
    let found = world.log.iter().rev().find_map(|(_, event)| match event {
        AnyEvent::Deliverable(deliverable::Event::SlotDue { slot, .. }) => Some(*slot),
        _ => None,
    });
    found.expect("a slot is due")
}

/// Makes version 1 with one failed attempt on the way.
pub fn staged() -> World {
    let mut world = World::default();
    let run = slot_taken(&mut world, order());
    world.at(3602).attempt(run, "gather", 1, Ok(material()));
    world.at(3603).attempt(run, "compose", 1, Err(samples::failure()));
    let retry = run::Command::RetryDue { step: "compose".to_owned(), attempt: 2 };
    world.at(3610).send(run.stream(), retry);
    world.at(3611).attempt(run, "compose", 2, Ok(StepOutput::Draft(draft("# Hello"))));
    world.at(3612).attempt(run, "validate", 1, Ok(StepOutput::Validated { warnings: vec!["no links".to_owned()] }));
    world
}

/// The usual end: edited, approved, delivered, people told by mail.
pub fn delivered() -> World {
    let mut world = staged();
    let (stream, number, by) = (the_deliverable().stream(), 1, "ann".to_owned());
    let measure =
        EditMeasure { distance_permille: 125, diff: text("-a\n+b"), categories: vec!["shortened".to_owned()] };
    world.at(3700).send(stream, deliverable::Command::StartReview { number, by: by.clone() });
    let base = text("# Hello").digest;
    let edit = deliverable::Command::Edit { number, by: by.clone(), base, text: text("# Better"), measure };
    world.at(3701).send(stream, edit);
    let note = Some("good".to_owned());
    world.at(3702).send(stream, deliverable::Command::Approve { number, by, note, digest: None });
    let deliver = run_of(&world, "deliverable.deliver@1");
    world.at(3703).attempt(deliver, "deliver", 1, Ok(StepOutput::Receipt(receipt())));
    world
}

pub fn run_of(world: &World, definition: &str) -> RunId {
    let found = world.log.iter().rev().find_map(|(recorded, event)| match event {
        AnyEvent::Run(run::Event::Created(created)) if created.plan.definition == definition => {
            Some(recorded.stream.id)
        }
        _ => None,
    });
    RunId::from_uuid(found.expect("such a run"))
}

pub fn rows_of(world: &World) -> Store {
    Store::folded(&world.log, &[world.log.len()])
}
