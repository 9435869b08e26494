//! What sources bring and what goes out: feeds, HTML, commits, mails, documents, addresses.
//!
//! Owns: that whatever a stranger publishes becomes items or a refusal, and never markup of ours. Refuses to know: the
//! network.

use std::collections::BTreeSet;

use nightshift_domain::{codec, content::Material};
use nightshift_effects::fuzz;
use nightshift_spec::validate::validate_against;

use super::{headed, owned, texts, with_head};
use crate::{Target, trees::Form};

pub const FEED: Target = Target {
    name: "feed",
    about: "RSS, Atom, JSON Feed or anything else: entries with ids of their own and with texts, twice the same, or a refusal",
    form: Form::Json,
    seeds: feeds,
    words: || {
        owned(&[
            "<rss version=\"2.0\">",
            "<channel>",
            "<item>",
            "</item>",
            "<title>",
            "<link>",
            "<guid>",
            "<pubDate>",
            "<description>",
            "<entry>",
            "<feed xmlns=\"http://www.w3.org/2005/Atom\">",
            "<content type=\"html\">",
            "<![CDATA[",
            "]]>",
            "&lt;p&gt;",
            "&amp;",
            "&#0;",
            "&x;",
            "<!DOCTYPE a [<!ENTITY x \"yyyy\">]>",
            "<table>",
            "<tr><td>",
            "<ul><li>",
            "<div>",
            "<b>",
            "<pre>",
            "\u{feff}",
            "items",
            "id",
            "content_html",
            "Mon, 02 Nov 2026 08:00:00 GMT",
            "9999-99-99",
            "<html",
            "href=",
            "'",
        ])
    },
    frame: None,
    bytes_max: 24 << 10,
    short: 700,
    run: feed,
};

pub const GIT_LOG: Target = Target {
    name: "git-log",
    about: "what `git log` prints, or a history made to confuse: commits with full names, one line of subject and numbers",
    form: Form::Plain,
    seeds: || {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let commit = format!(
            "{sha}\0{sha} {sha}\0Ann\01790000000\0Subject: more\0Body\nof it\0\n3\t1\tsrc/a.rs\0-\t-\tlogo.png\01\t1\t\0old.rs\0new.rs\0"
        );
        vec![commit.clone().into_bytes(), commit.repeat(3).into_bytes(), format!("{sha}\0\0\0x\0\0\0").into_bytes()]
    },
    words: || {
        owned(&[
            "\0",
            "\t",
            "\n",
            "-\t-\t",
            "0123456789abcdef0123456789abcdef01234567",
            "9223372036854775807",
            "18446744073709551615\t1\ta\0",
            "-1",
            " ",
            "/",
        ])
    },
    frame: None,
    bytes_max: 16 << 10,
    short: 1500,
    run: git_log,
};

pub const MAIL: Target = Target {
    name: "mail",
    about: "Markdown as a mail: no element but those of Markdown, no address but http, https, mailto, file or an anchor",
    form: Form::Plain,
    seeds: || {
        texts(&[
            "# T\n\n*a* **b** `c` [x](https://a.b) ![y](http://p.q/i.png) <script>alert(1)</script>\n\n| a | b |\n|---|:-:|\n| 1 | <b> |\n",
            "- [ ] todo\n- [x] done\n\n> quote\n\n```rust\nfn a() {}\n```\n\n<https://a.b> <a@b.c> [e]: javascript:alert(1)\n\n[e] [f](JaVaScRiPt:x \"t\")\n",
            "[a](data:text/html,x) [b](\"onmouseover=alert(1)\") <img src=x onerror=y> &lt;b&gt; &#x3c;i&#62;\n",
        ])
    },
    words: || {
        owned(&[
            "<",
            ">",
            "[",
            "](",
            ")",
            "javascript:",
            "data:",
            "\"",
            "'",
            "&lt;",
            "&#60;",
            "`",
            "```\n",
            "|",
            "---",
            "#",
            "![",
            "<!--",
            "-->",
            "<a@b>",
            "mailto:",
            "\\",
            "\n\n",
            "    ",
        ])
    },
    frame: None,
    bytes_max: 12 << 10,
    short: 600,
    run: mail,
};

pub const COMPOSED: Target = Target {
    name: "composed",
    about: "any material becomes a document, twice the same, and a document can be held against it",
    form: Form::Pack,
    seeds: materials,
    words: || {
        owned(&[
            "research",
            "platform_bound",
            "cross_platform",
            "hybrid",
            "weekly_status",
            "# Heading",
            "- [ ] todo",
            "TODO: x",
            "Decision: y",
            "fix(api): z",
            "by Friday.",
            "e.g. this. And that!",
            "| a | b |",
            "```",
            "---\ntitle: x\n---\n",
            "2026-11-02",
            "Europe/Berlin",
            "日本語。",
            "title",
            "items",
            "inline",
        ])
    },
    frame: None,
    bytes_max: 48 << 10,
    short: 250,
    run: composed,
};

pub const ADDRESS: Target = Target {
    name: "address",
    about: "what is written as a path of a call never leaves the base address, however it is spelled",
    form: Form::Plain,
    seeds: || {
        texts(&[
            "/agents/search?x=1#y",
            "agents/../../x",
            "//evil.example/x",
            "https://other.example/x",
            "/a/%2e%2e/%2E./b",
            "\\\\evil\\x",
            "/a\tb",
            "@evil.example",
        ])
    },
    words: || {
        owned(&[
            "/",
            "..",
            "%2e",
            "%2F",
            "\\",
            "//",
            "@",
            ":",
            "?",
            "#",
            "http:",
            "https://",
            "\t",
            "\n",
            "evil.example",
            ".",
            "%00",
            "é",
            "[::1]",
        ])
    },
    frame: None,
    bytes_max: 2 << 10,
    short: 4_000,
    run: address,
};

fn feeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>http://x.test/</link><item><title>A &amp;amp; B</title><link>http://x.test/1</link><guid>1</guid><pubDate>Mon, 02 Nov 2026 08:00:00 GMT</pubDate><description>&lt;p&gt;First &lt;b&gt;bold&lt;/b&gt; text.&lt;/p&gt;</description></item><item><description>Only words.</description></item></channel></rss>"#,
        r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><id>f</id><updated>2026-11-02T08:00:00Z</updated><entry><id>1</id><title>A &amp; B</title><link href="http://x.test/1"/><updated>2026-11-02T08:00:00Z</updated><content type="html">&lt;table&gt;&lt;tr&gt;&lt;td&gt;a&lt;/td&gt;&lt;td&gt;b&lt;/td&gt;&lt;/tr&gt;&lt;/table&gt;</content></entry></feed>"#,
        r#"{"version":"https://jsonfeed.org/version/1.1","title":"News","items":[{"id":"1","url":"http://x.test/1","title":"A & B","content_html":"<p>First <b>bold</b> <ul><li>x</ul> text.</p>","date_published":"2026-11-02T08:00:00Z"},{"id":"2","content_text":"t"}]}"#,
        r#"<!doctype html><html><head><link rel="alternate" type="application/rss+xml" href="/feed.xml"></head></html>"#,
        "<p>One<br>two &amp; three <a href=\"x\">four</a><img src=y alt=five></p><pre>\n a\n  b</pre><blockquote><ol><li>1<li>2</ol></blockquote>",
    ])
}

fn feed(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let plain = fuzz::html_text(&text, "text/html");
    assert_eq!(fuzz::html_text(&text, "text/html"), plain, "the same page is the same text");
    assert!(plain.len() <= 4_096 + 40 * input.len(), "{} bytes of text came of {} bytes", plain.len(), input.len());
    match fuzz::feed_entries(input, "http://x.test/feed") {
        Ok(entries) => {
            let ids: BTreeSet<&str> = entries.iter().map(|(id, ..)| id.as_str()).collect();
            assert_eq!(ids.len(), entries.len(), "every entry has an id of its own");
            for (id, title, text) in &entries {
                assert!(!id.trim().is_empty() && !title.is_empty() && !text.is_empty(), "an entry says something");
                assert!(!title.contains('\n') && title.chars().count() <= 301, "{title:?} is a title");
            }
            assert_eq!(fuzz::feed_entries(input, "http://x.test/feed").as_ref(), Ok(&entries), "twice the same");
            format!("{} {}", "e".repeat(entries.len().min(6)), plain.lines().count().min(8))
        }
        Err(why) => {
            assert!(why.len() < 600 + 4 * input.len(), "{} bytes are no message", why.len());
            why
        }
    }
}

fn git_log(input: &[u8]) -> String {
    let items = fuzz::commits(input, false);
    assert!(fuzz::commits(input, true).len() <= items.len());
    for item in &items {
        assert!(matches!(item.item_id.len(), 40 | 64), "{} is no full name", item.item_id);
        assert!(!item.title.contains('\n'), "{:?} is one line", item.title);
        for fact in ["insertions", "deletions", "files_changed", "written_lines"] {
            assert!(item.facts.get(fact).is_some_and(|fact| fact.parse::<u64>().is_ok()), "{fact} is a number");
        }
    }
    let files = items.iter().filter_map(|item| item.facts.get("files_changed")).cloned().collect::<String>();
    format!("{} {}", "c".repeat(items.len().min(5)), "f".repeat(files.len().min(5)))
}

fn mail(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let page = fuzz::mail_page(&text, &text);
    let known: BTreeSet<&str> = [
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "a",
        "em",
        "strong",
        "code",
        "pre",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "blockquote",
        "hr",
        "br",
        "del",
        "input",
        "!DOCTYPE",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "sup",
        "div",
    ]
    .into();
    let mut seen = BTreeSet::new();
    for tag in page.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap_or_default();
        let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        assert!(known.contains(name), "<{inside}> is in the mail");
        if let Some(address) = inside.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            let lower = address.to_ascii_lowercase();
            let good = ["http://", "https://", "mailto:", "file://", "#"].iter().any(|start| lower.starts_with(start));
            assert!(address.is_empty() || good, "the mail leads to {address:?}");
        }
        let outside: String = inside.split('"').step_by(2).collect();
        assert!(!outside.contains(" on"), "<{inside}> has a handler");
        seen.insert(name.to_owned());
    }
    seen.into_iter().collect::<Vec<_>>().join(" ")
}

/// Materials of the recorded incidents whose texts are with them.
fn materials() -> Vec<Vec<u8>> {
    let kept = super::log::KEPT;
    (kept.seeds)()
        .into_iter()
        .filter_map(|input| Some(with_head("material", input.strip_prefix(b"material\n")?)))
        .collect()
}

fn composed(input: &[u8]) -> String {
    let (_, data) = headed(input);
    let Ok(material) = codec::from_bytes::<Material>("material", data) else { return "no material".to_owned() };
    let texts: Vec<Vec<Option<String>>> =
        material.groups.iter().map(|group| group.items.iter().map(|item| item.text.inline.clone()).collect()).collect();
    let page = fuzz::composed(&material, &texts);
    assert_eq!(fuzz::composed(&material, &texts), page, "the same material gives the same bytes");
    assert!(page.len() < (256 << 10) + 60 * input.len(), "{} bytes of document came of {}", page.len(), input.len());
    let warnings = validate_against(&page, &material);
    let headings = page.lines().filter(|line| line.starts_with("## ")).collect::<Vec<_>>().join(" ");
    format!("{} {headings}", warnings.len())
}

fn address(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let base = "https://agents.example.org/base";
    let Some((url, below)) = fuzz::call_target(&text, base) else { return "refused".to_owned() };
    assert!(url.starts_with("http://") || url.starts_with("https://"), "{url} is no web address");
    let absolute = text.trim().split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    assert!(absolute || below, "{text:?} leads to {url}, out of {base}");
    format!("{absolute} {below} {}", url.matches(['%', '?', '#', '.']).count().min(8))
}
