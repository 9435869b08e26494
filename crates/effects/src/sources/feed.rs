//! Entries of an RSS, Atom or JSON feed.
//!
//! Owns: the conditional request, the limits on size and number, and how an entry becomes an item.
//! Refuses to know: classes of HTTP answers (`http`), what entries mean.

use std::collections::{BTreeMap, BTreeSet};

use feed_rs::{model, parser};
use nightshift_domain::{
    content::{Cursor, Digest, Failure, Item, Observation, Omission, SourceFailure},
    time::Timestamp,
};
use nightshift_ports::performer::Look;
use reqwest::{Response, StatusCode, Url, header};

use super::{Keep, blocking, from_failure, permanent, stored};
use crate::{
    http::{self, Clients},
    text::{digest_of, excerpt, one_line},
};

/// Larger feeds are archives.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Kept of an answer that is an error.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Entries that are taken, the newest first.
const ENTRIES_MAX: usize = 500;
/// HTML of one entry that is turned into text; the parser's work grows with nesting, so this is bounded apart.
const HTML_BYTES_MAX: usize = 256 * 1024;
/// Wide enough that no line is broken: paragraphs are broken where they are shown.
const TEXT_WIDTH: usize = 100_000;
/// Elements inside each other: no page that people read has more, and the time to lay one out grows with the square.
const NESTING_MAX: usize = 200;
const TITLE_CHARS_MAX: usize = 300;
const ACCEPT: &str = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, application/json;q=0.8, text/xml;q=0.8, */*;q=0.1";

const ETAG: &str = "etag";
const LAST_MODIFIED: &str = "last_modified";

pub(super) async fn observe(
    clients: &Clients,
    url: &str,
    look: &Look,
    keep: &Keep<'_>,
) -> Result<Observation, SourceFailure> {
    let url = http::web_address(url).map_err(from_failure)?;
    let Some(fetched) = fetch(clients, &url, look).await.map_err(from_failure)? else {
        let cursor = look.cursor.clone();
        return Ok(Observation { items: Vec::new(), removed: Vec::new(), omitted: Vec::new(), cursor });
    };
    let whom = http::shown(&url);
    let known = look.known.clone();
    let Fetched { body, cursor, base } = fetched;
    let read = blocking("feed", move || read(&body, &base, &known)).await?;
    let (entries, mut omitted) = read.map_err(|reason| permanent(format!("{whom} {reason}")))?;
    let mut items = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(omission) = keep.too_large(&entry.id, entry.text.len(), "entries") {
            omitted.push(omission);
            continue;
        }
        let text = stored(entry.text, keep.blobs).await?;
        let facts = BTreeMap::from([("feed".to_owned(), entry.feed)]);
        let (link, author) = (entry.link, entry.author);
        items.push(Item { item_id: entry.id, title: entry.title, link, author, source_at: entry.at, text, facts });
    }
    Ok(Observation { items, removed: Vec::new(), omitted, cursor })
}

struct Fetched {
    body: Vec<u8>,
    cursor: Cursor,
    base: String,
}

/// None when nothing changed since the cursor.
async fn fetch(clients: &Clients, url: &Url, look: &Look) -> Result<Option<Fetched>, Failure> {
    let whom = http::shown(url);
    let mut request = clients.fetch(url).get(url.clone()).header(header::ACCEPT, ACCEPT);
    for (key, name) in [(ETAG, header::IF_NONE_MATCH), (LAST_MODIFIED, header::IF_MODIFIED_SINCE)] {
        if let Some(value) = look.cursor.get(key) {
            request = request.header(name, value);
        }
    }
    let mut response = request.send().await.map_err(|error| http::no_answer(&whom, error))?;
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    if !status.is_success() {
        let wait = http::retry_after_ms(&response, look.now);
        let (body, _) = http::bounded_body(&mut response, ERROR_BYTES_MAX).await.unwrap_or_default();
        let body = if looks_like_html(&body) { &[][..] } else { &body };
        let mut failure = http::refused(&whom, status, wait, body);
        failure.message.push_str(hint(status));
        return Err(failure);
    }
    let cursor = cursor_of(&response);
    let base = response.url().to_string();
    let (body, more) =
        http::bounded_body(&mut response, BODY_BYTES_MAX).await.map_err(|error| http::no_answer(&whom, error))?;
    if more {
        return Err(http::permanent(format!(
            "{whom} is larger than {} MiB; feeds of that size are not read",
            BODY_BYTES_MAX / 1024 / 1024
        )));
    }
    Ok(Some(Fetched { body, cursor, base }))
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "; the feed wants a login, which a feed source cannot give",
        404 => "; check the address of the feed",
        410 => "; the feed was taken down for good: remove the source or find its new address",
        _ => "",
    }
}

fn cursor_of(response: &Response) -> Cursor {
    [(ETAG, header::ETAG), (LAST_MODIFIED, header::LAST_MODIFIED)]
        .into_iter()
        .filter_map(|(key, name)| Some((key.to_owned(), response.headers().get(name)?.to_str().ok()?.to_owned())))
        .collect()
}

/// An entry on its way to an item.
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) title: String,
    link: Option<String>,
    author: Option<String>,
    at: Option<Timestamp>,
    feed: String,
    pub(crate) text: String,
}

/// Parses a feed into its new and changed entries, oldest first.
pub(crate) fn read(
    body: &[u8],
    base: &str,
    known: &BTreeMap<String, Digest>,
) -> Result<(Vec<Entry>, Vec<Omission>), String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err("answered with an empty body, which is no feed".to_owned());
    }
    if looks_like_html(body) {
        let found = alternate(body, base).map_or_else(
            || "look for a link to its RSS, Atom or JSON feed".to_owned(),
            |feed| format!("the page names this feed: {feed}"),
        );
        return Err(format!("is a web page, not a feed; {found}"));
    }
    let feed = parser::Builder::new()
        .base_uri(Some(base))
        // Without this, an entry that has neither link nor title would get a random id.
        .id_generator(|_, _, _| String::new())
        .build()
        .parse(body)
        .map_err(|error| {
            format!("could not be read as RSS, Atom or JSON Feed: {}", excerpt(&error.to_string(), 200))
        })?;
    let name = feed.title.as_ref().map(plain).filter(|title| !title.is_empty());
    let name = name.unwrap_or_else(|| base.split("://").last().unwrap_or(base).to_owned());
    let mut entries: Vec<Entry> = feed.entries.into_iter().map(|entry| entry_of(entry, &name)).collect();
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.id.clone()));
    // Newest first, so that the limit keeps the newest; entries without a date stay in the feed's own order.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at.unwrap_or(Timestamp(i64::MIN))));
    let omitted = over_limit(&entries);
    entries.truncate(ENTRIES_MAX);
    entries.retain(|entry| known.get(&entry.id) != Some(&digest_of(entry.text.as_bytes())));
    entries.reverse();
    Ok((entries, omitted))
}

fn over_limit(entries: &[Entry]) -> Vec<Omission> {
    let over = entries.len().saturating_sub(ENTRIES_MAX);
    (over > 0)
        .then(|| Omission {
            item_id: entries[ENTRIES_MAX].id.clone(),
            reason: format!(
                "{over} of {} entries were not read: a feed source takes the newest {ENTRIES_MAX}",
                entries.len()
            ),
        })
        .into_iter()
        .collect()
}

fn entry_of(entry: model::Entry, feed: &str) -> Entry {
    let body = entry
        .content
        .as_ref()
        .and_then(|content| Some((content.body.as_deref()?, content.content_type.as_ref())))
        .filter(|(body, _)| !body.trim().is_empty())
        .or_else(|| entry.summary.as_ref().map(|summary| (summary.content.as_str(), summary.content_type.as_ref())))
        .map(|(body, kind)| text_from(body, kind))
        .unwrap_or_default();
    let title = entry.title.as_ref().map(plain).unwrap_or_default();
    let title = if title.is_empty() { excerpt(&one_line(&body), 80) } else { excerpt(&title, TITLE_CHARS_MAX) };
    let title = if title.is_empty() { "(untitled)".to_owned() } else { title };
    let link = entry
        .links
        .iter()
        .find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"))
        .or(entry.links.first())
        .map(|link| link.href.clone())
        .filter(|href| href.starts_with("http://") || href.starts_with("https://"));
    let author =
        entry.authors.iter().filter_map(|person| person.name.as_deref()).map(one_line).find(|name| !name.is_empty());
    // The title is part of the text, so that a changed headline is a changed entry.
    let text = if body.is_empty() { title.clone() } else { format!("{title}\n\n{body}") };
    let id = Some(entry.id).filter(|id| !id.trim().is_empty()).or_else(|| link.clone());
    let id = id.unwrap_or_else(|| digest_of(text.as_bytes()).0);
    let at = entry.published.or(entry.updated).map(Timestamp::from);
    Entry { id, title, link, author, at, feed: feed.to_owned(), text }
}

/// A title in one line, without markup.
fn plain(text: &model::Text) -> String {
    one_line(&text_from(&text.content, text.content_type.as_ref()))
}

/// Text of a fragment. RSS does not say whether it holds HTML, so plain text with tags or entities is taken as HTML.
pub(crate) fn text_from(body: &str, kind: &str) -> String {
    let markup = kind.contains("html") || kind.contains("xml") || has_markup(body);
    if !markup {
        return body.trim().to_owned();
    }
    let end = (0..=body.len().min(HTML_BYTES_MAX)).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
    let html = &body[..end];
    if nesting(html) > NESTING_MAX {
        return without_tags(html);
    }
    let text = html2text::config::plain_no_decorate()
        .no_table_borders()
        .allow_width_overflow()
        .string_from_read(html.as_bytes(), TEXT_WIDTH);
    text.unwrap_or_else(|_| html.to_owned()).trim().to_owned()
}

/// How many elements are open at most, roughly: elements that need no end are not counted.
fn nesting(html: &str) -> usize {
    const OPEN_ENDED: [&str; 12] = ["br", "img", "hr", "p", "li", "td", "tr", "th", "dt", "dd", "input", "wbr"];
    // An end closes only an element of its own name, so stray ends hide no depth.
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    let (mut depth, mut most) = (0_usize, 0);
    for tag in html.split('<').skip(1) {
        let (end, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
        if name.is_empty() || OPEN_ENDED.contains(&name.as_str()) {
            continue;
        }
        let count = open.entry(name).or_default();
        if !end {
            *count += 1;
            depth += 1;
            most = most.max(depth);
        } else if *count > 0 {
            *count -= 1;
            depth -= 1;
        }
    }
    most
}

/// What stands between the tags; for markup that is too deep to be laid out.
fn without_tags(html: &str) -> String {
    let texts = html.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    one_line(&texts.collect::<Vec<_>>().join(" "))
}

fn has_markup(body: &str) -> bool {
    const TAGS: [&str; 12] = ["<p", "<a ", "<br", "<div", "<ul", "<ol", "<img", "<h", "<b>", "<i>", "<em", "<code"];
    let lower = body.to_ascii_lowercase();
    TAGS.iter().any(|tag| lower.contains(tag)) || (lower.contains('&') && lower.contains(';'))
}

fn looks_like_html(body: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&body[..body.len().min(1024)]).to_ascii_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || (start.contains("<html") && !start.contains("<rss") && !start.contains("<feed"))
}

/// The feed that a web page names in a `<link rel="alternate">`.
fn alternate(body: &[u8], base: &str) -> Option<String> {
    let page = String::from_utf8_lossy(&body[..body.len().min(256 * 1024)]).into_owned();
    let tag = page.split('<').find(|tag| {
        let tag = tag.to_ascii_lowercase();
        tag.starts_with("link")
            && ["application/rss+xml", "application/atom+xml", "application/feed+json"]
                .iter()
                .any(|kind| tag.contains(kind))
    })?;
    let href = tag.split_once("href=")?.1;
    let quote = href.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let href = href[1..].split(quote).next()?;
    Url::parse(base).ok()?.join(href).ok().map(|url| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(body: &str) -> Vec<Entry> {
        read(body.as_bytes(), "http://x.test/feed", &BTreeMap::new()).unwrap().0
    }

    #[test]
    fn the_three_formats_give_the_same_entry() {
        let rss = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>http://x.test/</link><item><title>A &amp;amp; B</title><link>http://x.test/1</link><guid>1</guid><pubDate>Mon, 02 Nov 2026 08:00:00 GMT</pubDate><description>&lt;p&gt;First &lt;b&gt;bold&lt;/b&gt; text.&lt;/p&gt;</description></item></channel></rss>"#;
        let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><id>f</id><updated>2026-11-02T08:00:00Z</updated><entry><id>1</id><title>A &amp; B</title><link href="http://x.test/1"/><updated>2026-11-02T08:00:00Z</updated><content type="html">&lt;p&gt;First &lt;b&gt;bold&lt;/b&gt; text.&lt;/p&gt;</content></entry></feed>"#;
        let json = r#"{"version":"https://jsonfeed.org/version/1.1","title":"News","items":[{"id":"1","url":"http://x.test/1","title":"A & B","content_html":"<p>First <b>bold</b> text.</p>","date_published":"2026-11-02T08:00:00Z"}]}"#;
        for body in [rss, atom, json] {
            let entries = items(body);
            let entry = &entries[0];
            assert_eq!((entry.id.as_str(), entry.title.as_str()), ("1", "A & B"), "{body}");
            assert_eq!(entry.link.as_deref(), Some("http://x.test/1"));
            assert_eq!(entry.at.unwrap().to_string(), "2026-11-02T08:00:00Z");
            assert_eq!(entry.text, "A & B\n\nFirst bold text.", "{body}");
            assert_eq!(entry.feed, "News");
        }
    }

    #[test]
    fn entries_without_id_link_or_title_keep_their_identity() {
        let body = r#"<rss version="2.0"><channel><title>t</title><link>http://x.test</link><description>d</description><item><description>Only words.</description></item></channel></rss>"#;
        assert_eq!(items(body)[0].id, items(body)[0].id);
        assert_eq!(items(body)[0].title, "Only words.");
    }

    #[test]
    fn known_entries_are_left_out_and_order_is_oldest_first() {
        let body = r#"{"version":"https://jsonfeed.org/version/1.1","title":"N","items":[
            {"id":"new","title":"New","date_published":"2026-11-03T00:00:00Z"},
            {"id":"old","title":"Old","date_published":"2026-11-01T00:00:00Z"},
            {"id":"mid","title":"Mid","date_published":"2026-11-02T00:00:00Z"}]}"#;
        assert_eq!(items(body).iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["old", "mid", "new"]);
        let known = BTreeMap::from([("mid".to_owned(), digest_of(b"Mid")), ("old".to_owned(), digest_of(b"Older"))]);
        let (entries, _) = read(body.as_bytes(), "http://x.test/", &known).unwrap();
        assert_eq!(entries.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["old", "new"]);
    }

    #[test]
    fn what_is_no_feed_is_told_apart() {
        let read = |body: &str| read(body.as_bytes(), "http://x.test/blog/", &BTreeMap::new()).err().unwrap();
        assert!(read(" \n").contains("empty"));
        assert!(read("<!DOCTYPE html><html><head></head></html>").contains("web page, not a feed; look for"));
        let page = r#"<html><head><link rel="alternate" type="application/rss+xml" href="../rss.xml"></head></html>"#;
        assert!(read(page).contains("names this feed: http://x.test/rss.xml"));
        for broken in ["<rss version=\"2.0\"><channel>", "{\"a\":1}", "just words", "<svg/>"] {
            assert!(read(broken).contains("could not be read as RSS"), "{broken}");
        }
    }

    #[test]
    fn deeply_nested_html_is_survived() {
        let html = format!("{}deep{}", "<div>".repeat(20_000), "</div>".repeat(20_000));
        assert_eq!(text_from(&html, "text/html"), "deep");
        assert!(nesting(&"<p>a<br><li>b".repeat(1_000)) == 0 && nesting("<b><i>x</i></b><b>y</b>") == 2);
        assert_eq!(nesting(&"<div></x></p>".repeat(300)), 300);
    }
}
