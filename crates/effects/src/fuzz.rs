//! Doors for the fuzz targets to what reads sources and shapes documents.
//!
//! Owns: plain functions over bytes and texts. Refuses to know: what is asked of them; `tests/fuzz` says it.

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Item, Material, Text},
    time::Timestamp,
};
use reqwest::Url;

use crate::{
    compose::{extract, is_markdown},
    deliver::html,
    http,
    sources::{feed, git_log},
    steps::address::{Base, target},
    text::{digest_of, excerpt, one_line},
};

/// The entries of a feed as `(id, title, text)`, oldest first.
///
/// # Errors
/// It is none.
pub fn feed_entries(body: &[u8], base: &str) -> Result<Vec<(String, String, String)>, String> {
    let (entries, _) = feed::read(body, base, &BTreeMap::new())?;
    Ok(entries.into_iter().map(|entry| (entry.id, entry.title, entry.text)).collect())
}

/// The text of a fragment of HTML.
#[must_use]
pub fn html_text(body: &str, kind: &str) -> String {
    feed::text_from(body, kind)
}

/// What `git log` printed, as items.
#[must_use]
pub fn commits(printed: &[u8], truncated: bool) -> Vec<Item> {
    let item = |commit: git_log::Commit| {
        let text = commit.text();
        let digest = digest_of(text.as_bytes());
        let bytes = text.len() as u64;
        commit.into_item(String::new(), Text { digest, bytes, inline: Some(text) })
    };
    git_log::parse(printed, truncated).into_iter().map(item).collect()
}

/// A document composed by extraction: its Markdown.
#[must_use]
pub fn composed(material: &Material, texts: &[Vec<Option<String>>]) -> String {
    extract::compose(material, texts).markdown
}

/// A Markdown document as the page of a mail.
#[must_use]
pub fn mail_page(title: &str, markdown: &str) -> String {
    html::page(title, markdown)
}

/// Whether a text reads like Markdown, and it in one line and in an excerpt.
#[must_use]
pub fn read_text(name: &str, text: &str) -> (bool, String, String) {
    (is_markdown(name, text), one_line(text), excerpt(text, 80))
}

/// Where a call goes that is written as `text`, and whether that is below `base`.
#[must_use]
pub fn call_target(text: &str, base: &str) -> Option<(String, bool)> {
    let base = Base::new(Url::parse(base).ok()?);
    let url = target(text, Some(&base)).ok()?;
    let below = base.holds(&url);
    Some((url.to_string(), below))
}

/// How long a `Retry-After` asks to wait, in milliseconds.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<u64> {
    http::wait_ms(value, now)
}
