//! Looks at sources, as in `actors::importer`, one source of a slot after the other.
//!
//! Owns: what a slot is told. Refuses to know: what is in a source (`world`), whether it is worth a version.

use std::rc::Rc;

use nightshift_domain::{
    content::SourceSpec,
    deliverable::{Command, SourceAssessment},
    ids::CommandId,
    source,
};

use super::{
    fault::Class,
    mind::Mind,
    node::{Entity, Envelope, NodeRef, Outcome, ReplyTo, SlotKey},
    sim::{Act, Sim},
};

impl Sim<'_> {
    /// Looks at the next source of a slot, or tells the slot when all were looked at.
    pub fn look(&mut self, at: NodeRef, key: SlotKey) {
        let Some(assessing) = self.nodes[at.node].slots.get(&key) else { return };
        let nth = assessing.seen.len();
        let Some(spec) = assessing.order.sources.get(nth).cloned() else { return self.assessed(at, key) };
        let user = assessing.user.clone();
        let stream = spec.source_id(&user, self.settings.shards).stream();
        let known = match self.source_state(at, stream) {
            Some(Mind::Source(state)) => state.digests(),
            _ => {
                return self.looked(at, key, nth, Some("the store did not answer".to_owned()), &Outcome::Unanswered);
            }
        };
        let found = self.observe(&spec, &known);
        let error = found.as_ref().err().map(ToString::to_string);
        if self.crash_here(at.node, Class::CrashLooked, 3_000) {
            return;
        }
        let envelope = Envelope {
            to: stream,
            command: Rc::new(source::Command::Record { user, spec, found }.into()),
            id: CommandId(self.chance.id()),
            discharges: None,
            from_client: false,
            reply: ReplyTo::Looked(key, nth, error),
        };
        self.send(at, envelope);
    }

    /// What the source's stream remembers, asked of its actor.
    fn source_state(&mut self, at: NodeRef, stream: nightshift_domain::ids::StreamId) -> Option<Mind> {
        if let Some(mind) = self.nodes[at.node].streams.get(&stream).and_then(|entity| entity.mind.clone()) {
            return Some(mind);
        }
        let mut entity = Entity::default();
        self.load(stream, &mut entity).then_some(entity.mind).flatten()
    }

    /// A look was recorded, or not.
    pub fn looked(&mut self, at: NodeRef, key: SlotKey, nth: usize, error: Option<String>, outcome: &Outcome) {
        let Some(assessing) = self.nodes[at.node].slots.get(&key) else { return };
        let Some(spec) = assessing.order.sources.get(nth).cloned() else { return };
        let source_id = spec.source_id(&assessing.user, self.settings.shards);
        let since = assessing.consumed.get(&source_id.to_string()).copied().unwrap_or(0);
        let stream = source_id.stream();
        let entity = self.nodes[at.node].streams.get(&stream);
        let version_here = entity.filter(|entity| entity.mind.is_some()).map(|entity| entity.version);
        let version = version_here.unwrap_or_else(|| self.db.stream(stream, 0).count() as u64);
        let state = self.source_state(at, stream);
        let (fresh_items, synced_at) = match (&state, outcome) {
            (Some(Mind::Source(state)), Outcome::Done) => (state.fresh_since(since), state.synced_at),
            _ => (0, None),
        };
        let error = match outcome {
            Outcome::Done => error,
            _ => Some(error.unwrap_or_else(|| "the look was not recorded".to_owned())),
        };
        let upto = if *outcome == Outcome::Done { version } else { 0 };
        let Some(assessing) = self.nodes[at.node].slots.get_mut(&key) else { return };
        assessing.seen.push(SourceAssessment {
            source_id,
            resource_name: spec.resource_name(),
            upto_version: upto.max(since),
            fresh_items,
            measurable: !matches!(spec, SourceSpec::Description { .. }),
            synced_at,
            stale: synced_at.is_none(),
            error,
        });
        self.after_us(2_000, Act::Look(at, key));
    }

    /// The slot is told, until it has heard.
    pub fn assessed(&mut self, at: NodeRef, key: SlotKey) {
        let Some(assessing) = self.nodes[at.node].slots.get(&key) else { return };
        let (deliverable, slot) = key;
        let obligation = format!("assess:{slot}");
        let stream = deliverable.stream();
        let envelope = Envelope {
            to: stream,
            command: Rc::new(Command::Assessed { slot, sources: assessing.seen.clone() }.into()),
            id: CommandId::of_obligation(stream, &obligation, "assessed"),
            discharges: Some((stream, obligation.into())),
            from_client: false,
            reply: ReplyTo::Assessed(key),
        };
        self.send(at, envelope);
    }
}
