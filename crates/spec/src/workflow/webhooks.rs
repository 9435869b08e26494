//! Who outside is told how runs of a workflow go.
//!
//! Owns: `webhooks`. Refuses to know: what a message says, the webhooks of the configuration, which hold where nothing is
//! said here.

use nightshift_domain::run::{REPORTS, Receiver, Reports};

use super::{
    keys,
    work::{Work, is_slug},
};
use crate::{
    fault::{did_you_mean, quote},
    reader::{Field, Map},
};

/// Reads `webhooks`; nothing when the document has none.
pub(super) fn read<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<Reports> {
    let Some(field) = map.get("webhooks") else { return Some(Reports::default()) };
    let map = work.reader.table(&field, &keys::WEBHOOKS)?;
    let progress = work.optional(&map, "progress", address);
    let checkpoint = work.optional(&map, "checkpoint", address);
    let secret = work.optional(&map, "secret", secret);
    let events = work.optional(&map, "events", events);
    let (progress, checkpoint, secret, events) = (progress?, checkpoint?, secret?, events?);
    if progress.is_none() && checkpoint.is_none() {
        work.reader.fault(&field, "no webhook".to_owned(), "progress, checkpoint or both", None);
        return None;
    }
    let receiver = |url: String| Receiver::Address { url, secret: secret.clone() };
    Some(Reports {
        progress: progress.map(receiver),
        checkpoint: checkpoint.map(receiver),
        events: events.unwrap_or_default(),
    })
}

fn address(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<String> {
    let text = work.reader.text(field)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let whole = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !whole || text.contains(|c: char| c.is_whitespace() || c.is_control() || "{}".contains(c)) {
        work.reader.refuse(field, "a whole address that begins with http:// or https://; no template", None);
        return None;
    }
    Some(text)
}

fn secret(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<String> {
    let text = work.reader.text(field)?;
    if !text.is_ascii() || !is_slug(&text, "_-") {
        let remedy = Some("secrets have their names in the file of workflows.secrets_file".to_owned());
        work.reader.refuse(field, "the name of a configured secret: letters, digits, _ and -", remedy);
        return None;
    }
    Some(text)
}

fn events(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for (item, name) in work.reader.distinct_lines(field) {
        if !REPORTS.contains(&name.as_str()) {
            work.reader.fault(&item, quote(&name), &REPORTS.join(", "), did_you_mean(&name, REPORTS));
            return None;
        }
        found.push(name);
    }
    (!found.is_empty()).then_some(found)
}
