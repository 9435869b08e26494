//! Gathering: the content of a range of each source, read from the log itself, never from a read model.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    content::{Brief, Failure, FailureClass, Item, Material, MaterialGroup, Omission, SourceSnapshot},
    run::GatherSource,
    source::{Event, State},
    streams::AnyEvent,
};
use nightshift_ports::blobs::digest_of;

use crate::context::Context;

/// Events read at once.
const PAGE: u32 = 500;

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

#[derive(Default)]
struct Collected {
    items: BTreeMap<String, (u64, Item)>,
    removed: Vec<String>,
    omitted: Vec<Omission>,
}

async fn group(context: &Arc<Context>, source: &GatherSource) -> Result<MaterialGroup, Failure> {
    let transient = |error: &dyn std::fmt::Display| Failure::new(FailureClass::Transient, error.to_string());
    let mut collected = Collected::default();
    let mut after = source.from_version;
    while after < source.upto_version {
        let page = context.log.read_stream(source.source_id.stream(), after, PAGE).await;
        let page = page.map_err(|error| transient(&error))?;
        let Some(last) = page.last() else { break };
        after = last.version;
        for recorded in page.iter().filter(|recorded| recorded.version <= source.upto_version) {
            let event = recorded.decode().map_err(|error| transient(&error))?;
            if let AnyEvent::Source(event) = event {
                collected.take(recorded.version, event);
            }
        }
    }
    let facts = context
        .router()
        .ask(source.source_id.stream(), |state: &State, _| (state.synced_at, state.cursor.clone(), state.latest_at))
        .await
        .map_err(|error| transient(&error))?;
    Ok(collected.finish(source, facts, context.clock_port.now()))
}

type Facts = (
    Option<nightshift_domain::time::Timestamp>,
    nightshift_domain::content::Cursor,
    Option<nightshift_domain::time::Timestamp>,
);

impl Collected {
    /// A later look at an item replaces an earlier one.
    fn take(&mut self, version: u64, event: Event) {
        match event {
            Event::ContentObserved { items, removed, omitted, .. } => {
                for item in items {
                    self.removed.retain(|id| *id != item.item_id);
                    self.items.insert(item.item_id.clone(), (version, item));
                }
                for id in removed {
                    self.items.remove(&id);
                    self.removed.push(id);
                }
                self.omitted = omitted;
            }
            Event::Checked { omitted, .. } => self.omitted = omitted,
            _ => {}
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
