//! Redaction: a fixture that says the same without saying who and what.
//!
//! Owns: that secrets never stay, that personal texts go when asked, that the result is still a history of this program.
//! Refuses to know: files.
//!
//! Only what came from outside is replaced: what people asked for, what sources showed, what performers brought back.
//! All else is said again by the deciders, command by command in causal order, so that everything derived from a
//! replaced value (documents, notices, digests, ids of sources, ids of commands that were told) follows by itself. A
//! payload of an old version that nothing was replaced in keeps its old bytes; one that changed is written in the newest
//! version.
//!
//! Invariant: a fixture comes out only if it replays without a difference and no secret is left in it.

mod personal;
mod retell;
pub(crate) mod secrets;
mod walk;

use std::collections::BTreeMap;

use nightshift_domain::{codec, content::Material};
use nightshift_ports::blobs::digest_of;
use serde_json::Value;

use crate::{
    error::Error,
    fixture::{Fixture, Redaction},
    folding::{delta_of, event_json, json, reply_json, typed, unborn},
    golden, order,
    replay::{Options, decisions},
};
use secrets::Secrets;
use walk::Walker;

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Secrets only. There is no mode that keeps them.
    Secrets,
    /// Secrets, names, addresses, home folders and free text.
    Personal,
}

impl Mode {
    /// The word in `fixture.json` and on command lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Personal => "personal",
        }
    }
}

/// Replaces secrets, and personal texts when asked, by consistent typed tokens.
///
/// # Errors
/// The history cannot be told again without them: it does not replay with this program, or the deciders take another
/// way with the tokens. Nothing is half redacted.
pub fn redact(fixture: &Fixture, mode: Mode) -> Result<Fixture, Error> {
    let mut walker = Walker::new(mode, fixture.about.shard_count);
    let commits = order::commits(fixture)?;
    let found = retell::learn(&commits, &mut walker)?;
    let blobs = blobs(fixture, &mut walker)?;
    let mut redacted = if found || blobs != fixture.blobs {
        must_replay(fixture, "as it was captured")?;
        // Everything is known now; a second look finds digests that were met before their texts.
        retell::learn(&commits, &mut walker)?;
        let mut told = retell::retell(fixture, &commits, &mut walker)?;
        told.blobs = blobs;
        let goldens = golden::goldens(&told)?;
        (told.obligations, told.rows) = (goldens.obligations, goldens.rows);
        told.sort();
        must_replay(&told, "with the tokens in place")?;
        told
    } else {
        fixture.clone()
    };
    redacted.about.redaction = counts(mode, &walker);
    redacted.readme = walker.secrets.scrub(&redacted.readme);
    must_be_clean(&redacted, &walker.secrets)?;
    Ok(redacted)
}

fn counts(mode: Mode, walker: &Walker) -> Redaction {
    let counted = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Redaction {
        mode: mode.as_str().to_owned(),
        secrets: counted(walker.secrets.count()),
        persons: counted(walker.personal.persons()),
        texts: counted(walker.personal.texts()),
    }
}

/// Texts first: materials name them.
fn blobs(fixture: &Fixture, walker: &mut Walker) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut out = BTreeMap::new();
    let mut materials = Vec::new();
    for (digest, content) in &fixture.blobs {
        match codec::from_bytes::<Material>("material", content) {
            Ok(material) => materials.push((digest, content, material)),
            Err(_) => {
                let text = std::str::from_utf8(content).map_err(|_| not_text(digest))?;
                let clean = walker.content(text).into_bytes();
                let now = digest_of(&clean).0;
                walker.note_digest(digest, &now);
                out.insert(now, clean);
            }
        }
    }
    for (digest, content, material) in materials {
        let place = || format!("blob {digest}");
        let mut value = json(&material).map_err(|error| Error::decode(place(), error))?;
        walker.value(&mut value);
        retotal(&mut value, walker);
        let clean: Material = typed("material", value).map_err(|error| Error::decode(place(), error))?;
        let clean = if clean == material {
            content.clone()
        } else {
            codec::to_bytes(&clean).map_err(|error| Error::decode(place(), error))?
        };
        let now = digest_of(&clean).0;
        walker.note_digest(digest, &now);
        out.insert(now, clean);
    }
    Ok(out)
}

fn not_text(digest: &str) -> Error {
    let why = "it is neither text nor material, so nobody can say what is in it; capture without it".to_owned();
    Error::NotRedacted { place: format!("blob {digest}"), why }
}

/// The digest of a group is made of those of its items.
fn retotal(material: &mut Value, walker: &mut Walker) {
    let groups = material.get_mut("groups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten() {
        let items = group["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let digests: Vec<&str> = items.iter().filter_map(|item| item["text"]["digest"].as_str()).collect();
        let now = digest_of(digests.join("\n").as_bytes()).0;
        let Some(old) = group["snapshot"]["digest"].as_str().map(str::to_owned) else { continue };
        walker.note_digest(&old, &now);
        group["snapshot"]["digest"] = Value::from(now);
    }
}

/// Decisions only: the golden files follow from them.
fn must_replay(fixture: &Fixture, when: &str) -> Result<(), Error> {
    let report = decisions(fixture, &Options::default());
    if report.is_same() {
        return Ok(());
    }
    let why = format!(
        "{when}, the history does not replay with this program; redact it with the program that wrote it\n{report}"
    );
    Err(Error::NotRedacted { place: fixture.name.clone(), why })
}

/// Looks for secrets in everything that would be written.
fn must_be_clean(redacted: &Fixture, secrets: &Secrets) -> Result<(), Error> {
    for event in &redacted.events {
        let place = || format!("{} version {}", event.stream, event.version);
        clean(event_json(event).map_err(|error| Error::decode(place(), error))?, secrets, place)?;
        let meta = json(&event.meta).map_err(|error| Error::decode(place(), error))?;
        clean(meta, secrets, place)?;
    }
    for command in &redacted.commands {
        let place = || format!("command {} of {}", command.record.id, command.stream);
        let record = &command.record;
        let parts = [
            unborn(command.stream.kind).command_json(&record.payload),
            reply_json(&record.reply),
            delta_of(&record.delta).and_then(|delta| json(&delta)),
        ];
        for part in parts {
            clean(part.map_err(|error| Error::decode(place(), error))?, secrets, place)?;
        }
    }
    for (digest, content) in &redacted.blobs {
        clean(Value::from(String::from_utf8_lossy(content)), secrets, || format!("blob {digest}"))?;
    }
    Ok(())
}

fn clean(value: Value, secrets: &Secrets, place: impl Fn() -> String + Copy) -> Result<(), Error> {
    match value {
        Value::String(text) if secrets.is_in(&text) => {
            let why = "what reads like a secret is still there; remove it from the source and capture again".to_owned();
            Err(Error::NotRedacted { place: place(), why })
        }
        Value::Array(items) => items.into_iter().try_for_each(|item| clean(item, secrets, place)),
        Value::Object(fields) => fields.into_iter().try_for_each(|(_, item)| clean(item, secrets, place)),
        _ => Ok(()),
    }
}
