//! Whole documents from small materials: golden pages of extraction, and a model over a real socket.
//!
//! `UPDATE=1 cargo test -p nightshift-effects --test compose` writes the golden pages anew; read the difference.

mod support;

use nightshift_domain::{
    content::{
        Brief, Composer, Failure, FailureClass, Item, Material, MaterialGroup, Omission, SourceSnapshot, SourceSpec,
    },
    ids::UserId,
};
use nightshift_effects::{EffectsConfig, LlmConfig, digest_of};
use support::{Act, Http, NOW, answer, build, call, extract, inline};

const HOUR: i64 = 3_600_000;

fn item(id: &str, title: &str, text: &str, facts: &[(&str, &str)]) -> Item {
    Item {
        item_id: id.into(),
        title: title.into(),
        link: None,
        author: None,
        source_at: Some(NOW.plus_ms(-30 * HOUR)),
        text: inline(text),
        facts: facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn commit(digit: char, author: &str, title: &str, body: &str, size: (&str, &str, &str)) -> Item {
    let sha = digit.to_string().repeat(40);
    let (part, insertions, deletions) = size;
    let facts = [
        ("short", &sha[..8]),
        ("files_changed", "3"),
        ("insertions", insertions),
        ("deletions", deletions),
        ("written_lines", insertions),
        ("parts", part),
        ("content", "code"),
    ];
    let mut item = item(&sha, title, &format!("{title}\n\n{body}\n\nChanged files:\n- x (+1 -1)\n"), &facts);
    item.author = Some(author.into());
    item.link = Some(format!("https://git.test/o/r/commit/{sha}"));
    item
}

fn note(path: &str, title: &str, text: &str) -> Item {
    let mut item = item(path, title, text, &[("path", path)]);
    item.link = Some(format!("file:///notes/{path}"));
    item
}

fn entry(id: &str, title: &str, text: &str) -> Item {
    let mut item = item(id, title, &format!("{title}\n\n{text}"), &[("feed", "Example Blog")]);
    item.link = Some(format!("https://blog.test/{id}"));
    item.author = Some("Zoë".into());
    item
}

fn group(spec: &SourceSpec, items: Vec<Item>) -> MaterialGroup {
    let snapshot = SourceSnapshot {
        source_id: spec.source_id(&UserId::default(), 64),
        platform: spec.platform().into(),
        resource_id: spec.resource_id(),
        resource_name: spec.resource_name(),
        synced_at: NOW,
        upto_version: 1,
        platform_cursor: None,
        item_count: u32::try_from(items.len()).unwrap(),
        source_latest_at: items.iter().filter_map(|item| item.source_at).max(),
        digest: digest_of(b""),
        error: None,
    };
    MaterialGroup { snapshot, items, removed: vec![], omitted: vec![] }
}

fn git() -> MaterialGroup {
    let spec = SourceSpec::Git { path: "/srv/nightshift".into(), branch: None };
    group(
        &spec,
        vec![
            commit(
                'a',
                "Ana",
                "feat(queue): age waiting jobs",
                "Jobs that wait gain one step of priority each minute.",
                ("crates/actors", "120", "8"),
            ),
            commit(
                'b',
                "Ben",
                "fix: panic on an empty log (#12)",
                "The fold of a log without events divided by zero.",
                ("crates/store", "30", "4"),
            ),
            commit(
                'c',
                "Ana",
                "feat(store)!: refuse logs of another cluster",
                "BREAKING CHANGE: a log carries the id of its cluster.",
                ("crates/store", "80", "2"),
            ),
            commit('d', "dependabot[bot]", "Bump tokio from 1.53 to 1.54", "", ("(top level)", "2", "2")),
            commit('e', "Ben", "docs: explain *leases* & <fences>", "", ("docs", "40", "1")),
            commit('f', "Ana", "Rework `Lane` start-up", "", ("crates/actors", "60", "60")),
        ],
    )
}

fn notes() -> MaterialGroup {
    let spec = SourceSpec::Folder { path: "/notes".into(), include: vec![], exclude: vec![] };
    let roadmap = "---\ntitle: x\n---\n# Roadmap\n\nThe queue now ages jobs so that none of them starves behind urgent work. \
        Lunch was good. PostgreSQL stays optional, since most people run Nightshift on one machine. \
        The first release needs a replay of every incident that was captured in production.\n\n\
        Decision: ship the first release without clustering.\n\n- [ ] Write the migration guide\n- [x] Measure the append path\n\n\
        Who will review the queue before the release? The release is due by 2026-12-01.\n\n```rust\nlet x = 1;\n```\n";
    let mut group = group(
        &spec,
        vec![
            note("roadmap.md", "Roadmap", roadmap),
            note("leer.md", "leer.md", ""),
            note("東京.md", "東京", "# 東京\n\n今日の会議では新しい計画を決めました。次の会議は来週の月曜日です。\n"),
        ],
    );
    group.removed = vec!["old_plan.md".into()];
    group.omitted =
        vec![Omission { item_id: "photo.md".into(), reason: "it is binary: a NUL byte at offset 1 of 9 bytes".into() }];
    group
}

fn feed() -> MaterialGroup {
    let spec = SourceSpec::Feed { url: "https://blog.test/feed.xml".into() };
    group(
        &spec,
        vec![
            entry(
                "1",
                "Queues without starvation",
                "Priority queues starve old work unless waiting jobs gain priority with age. We measured three ways of ageing. The simplest one won.",
            ),
            entry("2", "Release notes [beta]", "A short note."),
        ],
    )
}

fn material(strategy: &str, sections: &[&str], groups: Vec<MaterialGroup>) -> Material {
    let brief = Brief {
        title: "Weekly status: Nightshift".into(),
        description: "What changed, what was decided, what is open.".into(),
        deliverable_type: "weekly_status".into(),
        strategy: strategy.into(),
        recipient: Some("the team".into()),
        sections: sections.iter().map(|heading| (*heading).to_owned()).collect(),
        nominal: NOW,
        timezone: "Europe/Berlin".into(),
        version_number: 2,
        previous_at: Some(NOW.plus_ms(-168 * HOUR)),
    };
    Material { brief, groups, feedback: vec!["Shorter, please.".into()] }
}

#[expect(clippy::disallowed_methods, reason = "the switch of a developer, not configuration")]
fn golden(name: &str, page: &str) {
    let path = format!("{}/tests/golden/{name}.md", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == expected, "{name}.md differs; UPDATE=1 writes it anew.\n{page}");
}

#[tokio::test]
async fn golden_pages() {
    let all = || vec![git(), notes(), feed()];
    for (name, material) in [
        ("platform_bound", material("platform_bound", &[], all())),
        ("cross_platform", material("cross_platform", &[], all())),
        ("research", material("research", &[], all())),
        ("hybrid", material("hybrid", &[], all())),
        (
            "sections",
            material(
                "platform_bound",
                &["Summary", "What's new", "Bug fixes", "Decisions", "Next steps", "Starvation", "Budget"],
                all(),
            ),
        ),
        (
            "nothing",
            material(
                "platform_bound",
                &[],
                vec![group(&SourceSpec::Git { path: "/srv/quiet".into(), branch: None }, vec![])],
            ),
        ),
    ] {
        let (page, _) = extract(&material).await;
        assert_eq!(page, extract(&material).await.0, "the same material gives the same bytes");
        golden(name, &page);
    }
}

#[tokio::test]
async fn a_failing_source_is_told_and_warned_of() {
    let mut broken = group(&SourceSpec::Folder { path: "/gone".into(), include: vec![], exclude: vec![] }, vec![]);
    broken.snapshot.error = Some("the folder /gone does not exist".into());
    let mut material = material("platform_bound", &[], vec![git(), broken]);
    material.brief.timezone = "Mars/Olympus".into();
    material.groups[0].items[0].text.inline = None;
    let (page, warnings) = extract(&material).await;
    assert!(page.contains("nothing from gone, which could not be read"), "{page}");
    assert!(page.contains("## Not read\n\n- **gone:** the folder /gone does not exist."), "{page}");
    for said in ["1 of 2 sources", "Mars/Olympus", "1 texts are no longer"] {
        assert!(warnings.iter().any(|warning| warning.contains(said)), "{said}: {warnings:?}");
    }
}

#[tokio::test]
async fn hostile_and_odd_texts_do_no_harm() {
    let odd = [
        "```\nunclosed",
        "|a|b|\n|-|-|\n|1|2|",
        "---\nkey: [",
        "# \n## \n",
        "\u{202e}rtl\u{0}",
        "- [ ]\n- [x]\n",
        "> > > > >",
        &"word ".repeat(20_000),
        &"x".repeat(100_000),
        "<script>alert(1)</script> The page has a script in its text today.",
        "[a](javascript:alert(1)) The link in this line leads to nowhere at all.",
        "..)..(..!?..",
        "\\\\\\`` ` ``` ",
    ];
    let items = odd
        .iter()
        .enumerate()
        .map(|(n, text)| note(&format!("`{n}`|*[x](y)<z>.md"), "# ]( `tick\n> x", text))
        .collect();
    let spec = SourceSpec::Folder { path: "/notes".into(), include: vec![], exclude: vec![] };
    let (page, _) = extract(&material("cross_platform", &[], vec![group(&spec, items)])).await;
    assert_eq!(page.matches("```").count() % 2, 0, "no fence stays open");
    let html: Vec<_> = pulldown_cmark::Parser::new(&page)
        .filter(|event| matches!(event, pulldown_cmark::Event::Html(_) | pulldown_cmark::Event::InlineHtml(_)))
        .collect();
    assert!(html.is_empty(), "{html:?}");
    assert!(page.len() < 20_000 && page.lines().all(|line| line.chars().count() < 2_000));
}

fn with_model(url: &str) -> EffectsConfig {
    let llm = LlmConfig {
        base_url: format!("{url}/v1/"),
        model: "small".into(),
        api_key: None,
        timeout_ms: 60_000,
        max_input_bytes: 256 * 1024,
    };
    EffectsConfig { llm: Some(llm), ..EffectsConfig::default() }
}

/// The same with these limits: time of a call, bytes of a question.
fn with_limited_model(url: &str, timeout_ms: u64, max_input_bytes: usize) -> EffectsConfig {
    let mut config = with_model(url);
    let llm = config.llm.as_mut().unwrap();
    (llm.timeout_ms, llm.max_input_bytes) = (timeout_ms, max_input_bytes);
    config
}

async fn ask(act: Act, timeout_ms: u64) -> (Result<nightshift_domain::content::Draft, Failure>, Http) {
    let server = Http::start(vec![act]).await;
    let mut call = call();
    call.timeout_ms = timeout_ms;
    let composing = build(with_model(&server.url)).composing;
    (composing.compose(&material("hybrid", &["Risks"], vec![git(), notes()]), &call).await, server)
}

#[tokio::test]
async fn a_model_is_asked_as_openai_is() {
    let said = r##"{"id":"r1","choices":[{"message":{"content":"# Hi\n"},"finish_reason":"length"}],"usage":{"prompt_tokens":11,"completion_tokens":3}}"##;
    let (draft, server) = ask(answer("200 OK", &[], said), 20_000).await;
    let draft = draft.unwrap();
    assert_eq!(draft.text.inline.as_deref(), Some("# Hi\n"));
    let made = Composer::Model {
        model: "small".into(),
        prompt_tokens: 11,
        completion_tokens: 3,
        response_id: Some("r1".into()),
    };
    assert_eq!(draft.composer, made);
    assert!(draft.warnings[0].contains("limit of tokens"));
    let request = server.request(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{head}");
    for header in ["x-idempotency-key: key-1", "x-attempt: 2", "traceparent: 00-"] {
        assert!(head.contains(header), "{head}");
    }
    assert!(!head.contains("authorization"));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["model"], &body["temperature"]), (&"small".into(), &0.2.into()));
    let asked = body["messages"][1]["content"].as_str().unwrap();
    for part in [
        "Weekly status: Nightshift",
        "Risks",
        "feat(queue): age waiting jobs",
        "ship the first release without clustering",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

#[tokio::test]
async fn answers_of_models_are_classed() {
    for (act, class, says) in [
        (answer("429 Too Many Requests", &["retry-after: 3"], ""), FailureClass::RateLimited, "wait 3 s"),
        (answer("408 Request Timeout", &[], ""), FailureClass::Transient, "408"),
        (answer("502 Bad Gateway", &[], ""), FailureClass::Transient, "502"),
        (answer("401 Unauthorized", &[], r#"{"error":"bad key"}"#), FailureClass::Permanent, "bad key"),
        (answer("400 Bad Request", &[], "context too long"), FailureClass::Permanent, "context too long"),
        (answer("200 OK", &[], "<html>proxy</html>"), FailureClass::Permanent, "<html>proxy"),
        (
            answer("200 OK", &[], r#"{"choices":[{"message":{"content":" "},"finish_reason":"content_filter"}]}"#),
            FailureClass::Permanent,
            "content_filter",
        ),
        (answer("200 OK", &[], r#"{"choices":[]}"#), FailureClass::Permanent, "without any text"),
        (Act::Flood, FailureClass::Permanent, "more than 4 MiB"),
        (Act::Short, FailureClass::Transient, "small at"),
        (Act::Close, FailureClass::Transient, "small at"),
    ] {
        let (outcome, _) = ask(act, 20_000).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        assert_eq!(failure.retry_after_ms, (class == FailureClass::RateLimited).then_some(3_000));
    }
    let (outcome, _) = ask(Act::Hang, 200).await;
    assert_eq!(outcome.unwrap_err().class, FailureClass::Timeout);
    let server = Http::start(vec![Act::Hang]).await;
    let failure = build(with_limited_model(&server.url, 200, 4096))
        .composing
        .compose(&material("hybrid", &[], vec![git()]), &call())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.ends_with("did not answer within 200 ms"), "{failure}");
}

/// Both messages of the first request, and what the draft warns of.
async fn asked(server: &Http, max_input_bytes: usize, material: &Material) -> (String, Vec<String>) {
    let draft = build(with_limited_model(&server.url, 60_000, max_input_bytes))
        .composing
        .compose(material, &call())
        .await
        .unwrap();
    let request = server.request(server.count() - 1);
    let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    let said = |at: usize| body["messages"][at]["content"].as_str().unwrap().to_owned();
    (said(0) + &said(1), draft.warnings)
}

#[tokio::test]
async fn a_prompt_is_bounded() {
    let sentence = "Der Speicher behält jedes Ereignis in der Reihenfolge, in der es angehängt wurde – für immer. ";
    let items = (0..40).map(|n| note(&format!("{n}.md"), &format!("Note {n}"), &sentence.repeat(n + 1))).collect();
    let spec = SourceSpec::Folder { path: "/notes".into(), include: vec![], exclude: vec![] };
    let said = answer("200 OK", &[], r#"{"choices":[{"message":{"content":"x"}}]}"#);
    let server = Http::start(vec![said]).await;
    let mut material = material("hybrid", &[], vec![group(&spec, items), git()]);
    for (max, left_out) in [(4_096, 1), (16_384, 0), (65_536, 0)] {
        let (prompt, warnings) = asked(&server, max, &material).await;
        assert!(prompt.len() <= max && prompt.len() > 3_000, "{} of {max}", prompt.len());
        assert!(warnings[0].contains("in excerpts"), "{warnings:?}");
        assert_eq!(prompt.matches("(further items did not fit)").count(), left_out, "{max}");
    }
    let (prompt, warnings) = asked(&server, 256 * 1024, &material).await;
    assert!(warnings.is_empty() && !prompt.contains("(excerpt"), "{warnings:?}");

    material.brief.description = "ä".repeat(100_000);
    let (prompt, _) = asked(&server, 4096, &material).await;
    assert!(prompt.len() <= 4096 && prompt.contains("Note 0"), "{}", prompt.len());
}
