//! What becomes of each field of a command, an observation or a material.
//!
//! Owns: which field is a person, a text, a path; and that digests and ids follow what they are made of.
//! Refuses to know: which commands came from outside (`retell`).

use std::collections::BTreeMap;

use nightshift_domain::{
    content::SourceSpec,
    deliverable::Order,
    ids::{SourceId, UserId},
};
use nightshift_ports::blobs::digest_of;
use serde_json::{Map, Value};

use super::{Mode, personal::Personal, secrets::Secrets};

/// Replaces, consistently over a whole fixture.
pub struct Walker {
    mode: Mode,
    pub secrets: Secrets,
    pub personal: Personal,
    digests: BTreeMap<String, String>,
    /// Ids of sources follow from user and path: old to new, as text.
    sources: BTreeMap<String, String>,
    shard_count: u16,
    /// What is walked through belongs to a document that says what is to be done.
    in_document: bool,
}

/// Fields that hold values of workflows: everything in them came from people or from outside.
const VALUES: &[&str] = &["payload", "parameters", "modifications", "value"];

/// Fields that hold what a workflow is to do.
const DOCUMENTS: &[&str] = &["document", "plan"];

impl Walker {
    pub fn new(mode: Mode, shard_count: u16) -> Self {
        let (secrets, personal) = (Secrets::default(), Personal::default());
        let (digests, sources) = (BTreeMap::new(), BTreeMap::new());
        Self { mode, secrets, personal, digests, sources, shard_count, in_document: false }
    }

    /// A text under a digest has become another.
    pub fn note_digest(&mut self, old: &str, new: &str) {
        if old != new {
            self.digests.insert(old.to_owned(), new.to_owned());
        }
    }

    /// The digest that a text has now.
    pub fn digest(&self, old: &str) -> String {
        self.digests.get(old).cloned().unwrap_or_else(|| old.to_owned())
    }

    /// The id that a source has now.
    pub fn source(&self, old: &str) -> Option<&String> {
        self.sources.get(old)
    }

    /// Learns what the sources of an order are called now.
    pub fn note_order(&mut self, (old_user, new_user): (&UserId, &UserId), old: &Order, new: &Order) {
        for (old, new) in old.sources.iter().zip(&new.sources) {
            let id = old.source_id(old_user, self.shard_count);
            self.note_source((old_user, new_user), (old, new), id);
        }
    }

    /// Learns what a source is called now.
    pub fn note_source(
        &mut self,
        (old_user, new_user): (&UserId, &UserId),
        (old, new): (&SourceSpec, &SourceSpec),
        id: SourceId,
    ) {
        if !old.is_source(old_user, id) {
            return;
        }
        let now = SourceId::on_shard(new.source_id(new_user, self.shard_count).uuid(), id.shard());
        if now != id {
            self.sources.insert(id.to_string(), now.to_string());
        }
    }

    /// A whole text, such as the content of an item or a document.
    pub fn content(&mut self, text: &str) -> String {
        let clean = self.secrets.scrub(text);
        if self.mode == Mode::Personal { self.personal.text(&clean) } else { clean }
    }

    /// Who stands behind a command.
    pub fn actor(&mut self, actor: &str) -> String {
        let clean = self.secrets.scrub(actor);
        if self.mode == Mode::Personal { self.personal.person(&clean) } else { clean }
    }

    /// Replaces in a value and in everything below it.
    pub fn value(&mut self, value: &mut Value) {
        self.walk(("", ""), value);
    }

    fn walk(&mut self, (parent, name): (&str, &str), value: &mut Value) {
        match value {
            Value::String(text) => *text = self.string((parent, name), text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk((parent, name), item)),
            Value::Object(fields) if is_text(fields) => self.text(fields),
            Value::Object(fields) => {
                for (field, value) in fields.iter_mut() {
                    let outside = self.in_document;
                    // What a version wants to be given is part of its document; elsewhere parameters are values.
                    let wanted = (name, field.as_str()) == ("migrate", "parameters");
                    self.in_document = outside || wanted || DOCUMENTS.contains(&field.as_str());
                    let is_given =
                        VALUES.contains(&field.as_str()) || (name, field.as_str()) == ("skip_step", "output");
                    match value {
                        Value::Object(_) | Value::Array(_) if is_given && !self.in_document => self.given(value),
                        _ => self.walk((name, field), value),
                    }
                    self.in_document = outside;
                }
                self.ids_in_names(fields);
            }
            _ => {}
        }
    }

    /// A value that somebody gave: nobody knows what its fields mean, so every text in it is one of a person.
    fn given(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if !self.digests.contains_key(text) && !crate::capture::is_digest(text) => {
                *text = self.content(text);
            }
            Value::String(text) => *text = self.digest(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.given(item)),
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    if let Value::String(text) = value {
                        *text = self.secrets.field(name, text);
                    }
                    self.given(value);
                }
            }
            _ => {}
        }
    }

    /// A text with its digest and length.
    fn text(&mut self, fields: &mut Map<String, Value>) {
        let old = fields["digest"].as_str().unwrap_or_default().to_owned();
        let Some(inline) = fields["inline"].as_str().map(str::to_owned) else {
            let now = self.digest(&old);
            fields.insert("digest".to_owned(), Value::from(now));
            return;
        };
        let clean = self.content(&inline);
        if clean != inline {
            let digest = digest_of(clean.as_bytes()).0;
            self.note_digest(&old, &digest);
            fields.insert("digest".to_owned(), Value::from(digest));
            fields.insert("bytes".to_owned(), Value::from(clean.len()));
            fields.insert("inline".to_owned(), Value::from(clean));
        }
    }

    fn ids_in_names(&self, fields: &mut Map<String, Value>) {
        if fields.keys().any(|name| self.sources.contains_key(name)) {
            let named = std::mem::take(fields).into_iter();
            *fields = named.map(|(name, value)| (self.sources.get(&name).cloned().unwrap_or(name), value)).collect();
        }
    }

    fn string(&mut self, (parent, name): (&str, &str), text: &str) -> String {
        if let Some(now) = self.digests.get(text).or_else(|| self.sources.get(text)) {
            return now.clone();
        }
        if crate::capture::is_digest(text) {
            return text.to_owned();
        }
        let clean = self.secrets.field(name, text);
        // What refers to a value stays: it says where the value is, not what.
        let refers = self.in_document && (clean.contains("{{") || clean.contains("${") || clean.starts_with('$'));
        let personal = self.mode == Mode::Personal && !refers;
        let clean = if personal { self.by_field((parent, name), &clean) } else { clean };
        self.ids_within(clean)
    }

    /// Ids inside of longer texts, such as the keys of obligations.
    fn ids_within(&self, text: String) -> String {
        if text.len() <= 36 {
            return text;
        }
        self.sources
            .iter()
            .fold(text, |text, (old, new)| if text.contains(old) { text.replace(old, new) } else { text })
    }

    /// Fields that hold words of the program (states, types, rules, names of steps) are not among these and stay.
    fn by_field(&mut self, (parent, name): (&str, &str), text: &str) -> String {
        let personal = &mut self.personal;
        match (parent, name) {
            (_, "user" | "by" | "author" | "recipient" | "to" | "notify" | "worker") => personal.person(text),
            (
                _,
                "title" | "description" | "note" | "value" | "subject" | "body" | "sections" | "feedback" | "warnings",
            )
            | ("reject" | "cancel", "reason")
            | ("facts", _) => personal.text(text),
            // Of a token bucket: whose it is stands inside.
            (_, "key" | "buckets") => match text.strip_prefix("user:").and_then(|rest| rest.split_once(":agent:")) {
                Some((user, agent)) if user != "*" => format!("user:{}:agent:{agent}", personal.person(user)),
                _ => text.to_owned(),
            },
            (_, "item_id" | "removed" | "items") => personal.item(text),
            (_, "link" | "external_url") => personal.link(text),
            (_, "path" | "folder" | "url" | "resource_id") => personal.homes(text),
            (
                _,
                "message" | "reason" | "error" | "detail" | "platform_cursor" | "external_id" | "resource_name"
                | "response_id",
            )
            | ("cursor", _) => personal.scrub(text),
            _ => text.to_owned(),
        }
    }
}

/// `content::Text`: the one shape with just these fields.
fn is_text(fields: &Map<String, Value>) -> bool {
    fields.len() == 3 && ["digest", "bytes", "inline"].iter().all(|name| fields.contains_key(*name))
}
