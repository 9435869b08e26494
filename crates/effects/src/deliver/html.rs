//! Markdown as HTML for mail readers.
//!
//! Owns: a plain page with the little style that mail programs keep.
//! Refuses to know: mail.
//!
//! Invariant: raw HTML in the document is shown as text, never passed on; links lead to http, https, mailto or nowhere.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, html};

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:44em;margin:1em auto;padding:0 1em;color:#222}\
h1{font-size:1.5em}h2{font-size:1.2em;margin-top:1.6em}h3{font-size:1em}\
code{font-family:monospace;background:#f3f3f3}pre{background:#f3f3f3;padding:.6em;overflow:auto}\
table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}\
blockquote{color:#555;border-left:3px solid #ccc;margin-left:0;padding-left:1em}a{color:#0b57d0}";

/// A whole page.
pub(crate) fn page(title: &str, markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(markdown, options).map(harmless);
    let mut body = String::with_capacity(markdown.len() * 2);
    html::push_html(&mut body, events);
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: safe(link_type, dest_url), title, id })
        }
        // A picture would tell its server who reads the mail.
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: safe(link_type, dest_url), title, id })
        }
        Event::End(pulldown_cmark::TagEnd::Image) => Event::End(pulldown_cmark::TagEnd::Link),
        other => other,
    }
}

fn safe(kind: LinkType, url: CowStr<'_>) -> CowStr<'_> {
    let lower = url.to_ascii_lowercase();
    let known = ["http://", "https://", "mailto:", "file://", "#"].iter().any(|start| lower.starts_with(start));
    if known || kind == LinkType::Email { url } else { CowStr::Borrowed("") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_kept_and_harm_is_not() {
        let page = page(
            "<T>",
            "# A\n\n- [x](https://x.test) **b**\n- [y](javascript:alert(1))\n\n<script>alert(1)</script>\n\n![p](https://track.test/p.png)\n\n| a |\n|---|\n| 1 |\n",
        );
        assert!(
            page.contains("<h1>A</h1>") && page.contains("<a href=\"https://x.test\">x</a> <strong>b</strong>"),
            "{page}"
        );
        assert!(page.contains("<table>") && page.contains("&lt;T&gt;"));
        for harm in ["<script", "javascript:", "<img"] {
            assert!(!page.contains(harm), "{harm} in {page}");
        }
    }
}
