//! Gathering: the content of a range of each source, read from the log itself, never from a read model.
//!
//! Owns: what is read for a range, and how it becomes the material of a document.
//! Refuses to know: whether the range is the right one; that was decided with the run.
//!
//! Invariant: cost follows content, not how often a source was looked at meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    content::{Brief, Failure, FailureClass, Item, Material, MaterialGroup, Omission, SourceSnapshot},
    run::GatherSource,
    source::{Event, State, Stretch},
    streams::AnyEvent,
};
use nightshift_ports::blobs::digest_of;

use crate::context::Context;

/// Events read at once.
const PAGE: u32 = 500;

/// Events before the end of a range among which the last look is expected.
const TAIL: u64 = 16;

/// Collects what the sources gave in their ranges.
///
/// # Errors
/// The store did not answer; a source that cannot be read is part of the material.
pub async fn gather(
    context: &Arc<Context>,
    sources: &[GatherSource],
    brief: &Brief,
    feedback: &[String],
) -> Result<Material, Failure> {
    let mut groups = Vec::with_capacity(sources.len());
    for source in sources {
        groups.push(group(context, source).await?);
    }
    Ok(Material { brief: brief.clone(), groups, feedback: feedback.to_vec() })
}

/// What was read of a source, each event once and in any order but for those with content, which come in theirs.
#[derive(Default)]
struct Collected {
    items: BTreeMap<String, (u64, Item)>,
    removed: Vec<String>,
    omitted: Vec<Omission>,
    /// Version of the last look that was read.
    looked: u64,
}

async fn group(context: &Arc<Context>, source: &GatherSource) -> Result<MaterialGroup, Failure> {
    let GatherSource { source_id, from_version, upto_version, .. } = source;
    let (from, upto) = (*from_version, *upto_version);
    let question = move |state: &State, _| {
        let facts = (state.synced_at, state.cursor.clone(), state.latest_at);
        (state.places.stretches(from, upto), state.places.last_look(), facts)
    };
    let asked = context.router().ask(source_id.stream(), question).await;
    let (stretches, last_look, facts) = asked.map_err(|error| transient(&error))?;
    let mut collected = Collected::default();
    for stretch in stretches {
        read(context, source, stretch, &mut collected).await?;
    }
    read_last_look(context, source, last_look, &mut collected).await?;
    Ok(collected.finish(source, facts, context.clock_port.now()))
}

fn transient(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureClass::Transient, error.to_string())
}

async fn read(
    context: &Arc<Context>,
    source: &GatherSource,
    stretch: Stretch,
    collected: &mut Collected,
) -> Result<(), Failure> {
    let Stretch { mut after, upto } = stretch;
    while after < upto {
        let limit = u32::try_from(upto - after).unwrap_or(PAGE).min(PAGE);
        let page = context.log.read_stream(source.source_id.stream(), after, limit).await;
        let page = page.map_err(|error| transient(&error))?;
        let Some(last) = page.last() else { break };
        after = last.version;
        for recorded in &page {
            if let AnyEvent::Source(event) = recorded.decode().map_err(|error| transient(&error))? {
                collected.take(recorded.version, event);
            }
        }
    }
    Ok(())
}

/// What the last good look of the range left out is said in its event, which need not have content. When others have
/// looked since, it is shortly before the end of the range, and is looked for from there.
async fn read_last_look(
    context: &Arc<Context>,
    source: &GatherSource,
    last_look: u64,
    collected: &mut Collected,
) -> Result<(), Failure> {
    let upto = source.upto_version;
    if last_look <= upto {
        if last_look > source.from_version.max(collected.looked) {
            read(context, source, Stretch { after: last_look - 1, upto: last_look }, collected).await?;
        }
        return Ok(());
    }
    let (mut end, mut length) = (upto, TAIL);
    loop {
        let begin = source.from_version.max(collected.looked);
        if end <= begin {
            return Ok(());
        }
        let after = end.saturating_sub(length).max(begin);
        read(context, source, Stretch { after, upto: end }, collected).await?;
        if collected.looked > begin {
            return Ok(());
        }
        (end, length) = (after, length * 2);
    }
}

type Facts = (
    Option<nightshift_domain::time::Timestamp>,
    nightshift_domain::content::Cursor,
    Option<nightshift_domain::time::Timestamp>,
);

impl Collected {
    /// A later look at an item replaces an earlier one.
    fn take(&mut self, version: u64, event: Event) {
        let omitted = match event {
            Event::ContentObserved { items, removed, omitted, .. } => {
                for item in items {
                    self.removed.retain(|id| *id != item.item_id);
                    self.items.insert(item.item_id.clone(), (version, item));
                }
                for id in removed {
                    self.items.remove(&id);
                    self.removed.push(id);
                }
                omitted
            }
            Event::Checked { omitted, .. } => omitted,
            _ => return,
        };
        if version > self.looked {
            (self.looked, self.omitted) = (version, omitted);
        }
    }

    fn finish(
        self,
        source: &GatherSource,
        (synced_at, cursor, source_latest_at): Facts,
        now: nightshift_domain::time::Timestamp,
    ) -> MaterialGroup {
        let mut items: Vec<Item> = self.items.into_values().map(|(_, item)| item).collect();
        items.sort_by(|a, b| (a.source_at, &a.item_id).cmp(&(b.source_at, &b.item_id)));
        let digests: Vec<&str> = items.iter().map(|item| item.text.digest.0.as_str()).collect();
        let cursor: Vec<String> = cursor.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let snapshot = SourceSnapshot {
            source_id: source.source_id,
            platform: source.spec.platform().to_owned(),
            resource_id: source.spec.resource_id(),
            resource_name: source.spec.resource_name(),
            synced_at: synced_at.unwrap_or(now),
            upto_version: source.upto_version,
            platform_cursor: (!cursor.is_empty()).then(|| cursor.join(";")),
            item_count: u32::try_from(items.len()).unwrap_or(u32::MAX),
            source_latest_at,
            digest: digest_of(digests.join("\n").as_bytes()),
            error: source.error.clone(),
        };
        MaterialGroup { snapshot, items, removed: self.removed, omitted: self.omitted }
    }
}
