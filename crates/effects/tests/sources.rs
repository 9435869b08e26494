//! Looks at real folders, repositories and sockets.

mod support;

use std::{path::Path, process::Command};

use nightshift_domain::content::{FailureClass, INLINE_BYTES_MAX, Observation, SourceFailure, SourceSpec};
use nightshift_effects::EffectsConfig;
use nightshift_ports::performer::Look;
use support::{Act, Http, answer, build, known, look};

async fn observe(look: Look) -> Result<Observation, SourceFailure> {
    build(EffectsConfig::default()).sources.observe(look).await
}

async fn observe_up_to(max_item_bytes: u64, look: Look) -> Observation {
    let config = EffectsConfig { max_item_bytes, ..EffectsConfig::default() };
    build(config).sources.observe(look).await.unwrap()
}

fn ids(observation: &Observation) -> Vec<&str> {
    observation.items.iter().map(|item| item.item_id.as_str()).collect()
}

fn folder(path: &Path) -> SourceSpec {
    SourceSpec::Folder { path: path.to_str().unwrap().into(), include: vec![], exclude: vec![] }
}

#[tokio::test]
async fn a_folder_gives_what_is_new_changed_and_gone() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
    std::fs::create_dir_all(root.path().join("sub/.hidden")).unwrap();
    write("b.md", "\u{feff}# Heading *b*\n\nText.");
    write("a.txt", "plain");
    write("sub/c.MARKDOWN", "no heading");
    write("sub/.hidden/d.md", "hidden");
    write("code.rs", "fn main() {}");
    let first = observe(look(folder(root.path()))).await.unwrap();
    assert_eq!(ids(&first), ["a.txt", "b.md", "sub/c.MARKDOWN"]);
    assert_eq!(first.items[1].title, "Heading b");
    assert!(first.items[1].link.as_ref().unwrap().starts_with("file:///"));
    assert!(first.items.iter().all(|item| item.source_at.is_some() && item.text.inline.is_some()));

    write("a.txt", "changed");
    std::fs::remove_file(root.path().join("b.md")).unwrap();
    let second = observe(Look { known: known(&first.items), ..look(folder(root.path())) }).await.unwrap();
    assert_eq!((ids(&second), &second.removed), (vec!["a.txt"], &vec!["b.md".to_owned()]));
}

#[tokio::test]
async fn bad_files_are_omissions_and_never_count_as_gone() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    std::fs::write(path("good.md"), "# Good").unwrap();
    std::fs::write(path("nul.md"), b"a\0b").unwrap();
    std::fs::write(path("latin.md"), b"caf\xe9").unwrap();
    std::fs::write(path("huge.md"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    std::fs::write(path("full.md"), vec![b'x'; 1024 * 1024]).unwrap();
    std::os::unix::fs::symlink(root.path(), path("loop")).unwrap();
    std::os::unix::fs::symlink("/nowhere", path("broken.md")).unwrap();
    #[expect(clippy::disallowed_methods, reason = "only a program makes a pipe")]
    Command::new("mkfifo").arg(path("pipe.md")).status().unwrap();
    let seen = observe(look(folder(root.path()))).await.unwrap();
    assert_eq!(ids(&seen), ["full.md", "good.md"]);
    let reasons: Vec<_> = seen.omitted.iter().map(|o| format!("{}: {}", o.item_id, o.reason)).collect();
    for said in [
        "nul.md: it is binary: a NUL byte at offset 1",
        "latin.md: it is not UTF-8 text: an invalid byte at offset 3",
        "huge.md: it has 1048577 bytes; files over 1048576 bytes",
        "broken.md: it is a link to nothing",
        "pipe.md: it is a device",
    ] {
        assert!(reasons.iter().any(|reason| reason.starts_with(said)), "{said}: {reasons:?}");
    }
    assert!(seen.items[0].text.inline.is_none() && seen.items[0].text.bytes > INLINE_BYTES_MAX as u64);

    let mut before = (*known(&seen.items)).clone();
    before.insert("huge.md".into(), nightshift_effects::digest_of(b"it was smaller"));
    before.insert("broken.md".into(), nightshift_effects::digest_of(b"it led somewhere"));
    let again = observe(Look { known: before.into(), ..look(folder(root.path())) }).await.unwrap();
    assert!(again.items.is_empty() && again.removed.is_empty(), "{again:?}");
}

#[tokio::test]
async fn folder_limits_globs_and_failures() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..2_003 {
        std::fs::write(root.path().join(format!("{n:04}.md")), "x").unwrap();
    }
    let seen = observe(look(folder(root.path()))).await.unwrap();
    assert_eq!(seen.items.len(), 2_000);
    assert!(seen.omitted[0].reason.starts_with("3 of 2003 files were not read"), "{:?}", seen.omitted);

    let spec = |include: &str, exclude: &str| SourceSpec::Folder {
        path: root.path().to_str().unwrap().into(),
        include: vec![include.into()],
        exclude: vec![exclude.into()],
    };
    assert_eq!(ids(&observe(look(spec("000[0-3].*", "*2.md"))).await.unwrap()), ["0000.md", "0001.md", "0003.md"]);
    let file = root.path().join("0000.md");
    for (spec, says) in [
        (spec("[", ""), "glob \"[\" is malformed"),
        (folder(&root.path().join("gone")), "does not exist; create it"),
        (folder(&file), "is a file, not a folder"),
    ] {
        let failure = observe(look(spec)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent);
        assert!(failure.message.contains(says), "{failure}");
    }
}

/// A repository in a folder of its own, with a fixed author and fixed dates.
struct Repository {
    root: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self { root: tempfile::tempdir().unwrap() };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    fn git(&self, args: &[&str]) -> String {
        #[expect(clippy::disallowed_methods, reason = "the test makes its own repository")]
        let output = Command::new("git")
            .args(["-c", "user.name=Ana", "-c", "user.email=a@x.test", "-C"])
            .arg(self.root.path())
            .args(args)
            .env("GIT_AUTHOR_DATE", "2026-11-20T10:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-11-20T10:00:00Z")
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, file: &str, text: &str, message: &str) -> String {
        let path = self.root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn spec(&self, branch: Option<&str>) -> SourceSpec {
        SourceSpec::Git { path: self.root.path().to_str().unwrap().into(), branch: branch.map(Into::into) }
    }
}

#[tokio::test]
async fn commits_come_once_and_a_rewritten_history_is_noticed() {
    let repository = Repository::new();
    let one = repository.commit("crates/a/x.rs", "1\n2\n", "feat(a): add x\n\nIt does what was asked.");
    let two = repository.commit("name with\ttab.md", "1\n", "docs: a note");
    let first = observe(look(repository.spec(None))).await.unwrap();
    assert_eq!(ids(&first), [one.as_str(), two.as_str()]);
    let item = &first.items[0];
    assert_eq!((item.title.as_str(), item.author.as_deref()), ("feat(a): add x", Some("Ana")));
    assert_eq!(item.source_at.unwrap().to_string(), "2026-11-20T10:00:00Z");
    assert_eq!((item.facts["insertions"].as_str(), item.facts["parts"].as_str()), ("2", "crates/a"));
    let text = item.text.inline.as_ref().unwrap();
    assert_eq!(text, "feat(a): add x\n\nIt does what was asked.\n\nChanged files:\n- crates/a/x.rs (+2 -0)\n");
    assert_eq!(item.link.as_ref().unwrap(), &format!("git:{}#{one}", repository.root.path().display()));

    let later = |known, cursor| Look { known, cursor, ..look(repository.spec(Some("main"))) };
    let same = observe(later(known(&first.items), first.cursor.clone())).await.unwrap();
    assert!(same.items.is_empty() && same.cursor == first.cursor);
    let three = repository.commit("b", "1", "third");
    repository.git(&["remote", "add", "origin", "https://u:secret@git.test/o/r.git"]);
    let next = observe(later(known(&first.items), first.cursor.clone())).await.unwrap();
    assert_eq!(ids(&next), [three.as_str()]);
    assert_eq!(next.items[0].link.as_deref(), Some(format!("https://git.test/o/r/commit/{three}").as_str()));

    repository.git(&["reset", "-q", "--hard", &one]);
    let four = repository.commit("c", "1", "fourth");
    let all: Vec<_> = first.items.iter().chain(&next.items).cloned().collect();
    let rewritten = observe(later(known(&all), next.cursor)).await.unwrap();
    assert_eq!(ids(&rewritten), [four.as_str()]);
    let mut gone = vec![two, three];
    gone.sort();
    assert_eq!(rewritten.removed, gone);
    assert!(rewritten.omitted[0].reason.starts_with("history was rewritten"));
}

#[tokio::test]
async fn the_first_look_takes_the_latest_and_binary_names_do_no_harm() {
    let repository = Repository::new();
    for n in 0..205 {
        repository.git(&["commit", "-q", "--allow-empty", "-m", &format!("empty {n}")]);
    }
    let seen = observe(look(repository.spec(None))).await.unwrap();
    assert_eq!((seen.items.len(), seen.items[0].title.as_str(), seen.omitted.len()), (200, "empty 5", 0));
}

#[tokio::test]
async fn repositories_that_cannot_be_read_say_why() {
    let empty = Repository::new();
    let repository = Repository::new();
    repository.commit("a", "1", "one");
    let plain = tempfile::tempdir().unwrap();
    let at = |path: &Path| SourceSpec::Git { path: path.to_str().unwrap().into(), branch: None };
    for (spec, says) in [
        (empty.spec(None), "has no commits yet"),
        (repository.spec(Some("nope")), "has no branch, tag or commit \"nope\"; it has: main"),
        (repository.spec(Some("--upload-pack=touch x")), "has no branch"),
        (at(plain.path()), "is not a git repository"),
        (at(&plain.path().join("gone")), "does not exist"),
        (at(&repository.root.path().join("a")), "is a file"),
    ] {
        let failure = observe(look(spec)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent);
        assert!(failure.message.contains(says), "{failure}");
    }
    let quick = Look { timeout_ms: 0, ..look(repository.spec(None)) };
    assert_eq!(observe(quick).await.unwrap_err().class, FailureClass::Timeout);
}

const FEED: &str = r#"{"version":"https://jsonfeed.org/version/1.1","title":"News","items":[{"id":"1","title":"One","content_text":"First."}]}"#;

fn feed(server: &Http) -> SourceSpec {
    SourceSpec::Feed { url: format!("{}/feed?key=secret", server.url) }
}

#[tokio::test]
async fn a_feed_is_asked_conditionally() {
    let server = Http::start(vec![
        answer("200 OK", &["etag: \"v1\"", "last-modified: Mon, 23 Nov 2026 07:00:00 GMT"], FEED),
        answer("304 Not Modified", &[], ""),
    ])
    .await;
    let first = observe(look(feed(&server))).await.unwrap();
    assert_eq!(ids(&first), ["1"]);
    assert_eq!(first.cursor["etag"], "\"v1\"");
    let same = observe(Look { cursor: first.cursor.clone(), ..look(feed(&server)) }).await.unwrap();
    assert!(same.items.is_empty() && same.cursor == first.cursor);
    let request = server.request(1).to_lowercase();
    assert!(
        request.contains("if-none-match: \"v1\"") && request.contains("if-modified-since: mon, 23 nov 2026"),
        "{request}"
    );
    assert!(request.contains("user-agent: nightshift/"));
}

#[tokio::test]
async fn feeds_that_cannot_be_read_are_classed() {
    for (act, class, says) in [
        (
            answer("404 Not Found", &[], "<html>long page</html>"),
            FailureClass::Permanent,
            "404 Not Found; check the address",
        ),
        (answer("410 Gone", &[], ""), FailureClass::Permanent, "taken down for good"),
        (answer("403 Forbidden", &[], ""), FailureClass::Permanent, "wants a login"),
        (answer("429 Too Many Requests", &["retry-after: 90"], ""), FailureClass::RateLimited, "wait 90 s"),
        (
            answer("429 Too Many Requests", &["retry-after: Mon, 23 Nov 2026 08:02:00 GMT"], ""),
            FailureClass::RateLimited,
            "wait 120 s",
        ),
        (answer("500 Internal Server Error", &[], ""), FailureClass::Transient, "500"),
        (answer("200 OK", &[], "<!doctype html><html><body>Hi"), FailureClass::Permanent, "web page, not a feed"),
        (answer("200 OK", &[], "<rss version=\"2.0\"><chan"), FailureClass::Permanent, "could not be read as RSS"),
        (answer("200 OK", &[], ""), FailureClass::Permanent, "empty body"),
        (answer("302 Found", &["location: /feed"], ""), FailureClass::Permanent, "redirects"),
        (Act::Close, FailureClass::Transient, "127.0.0.1"),
        (Act::Short, FailureClass::Transient, "127.0.0.1"),
        (Act::Flood, FailureClass::Permanent, "larger than 10 MiB"),
    ] {
        let server = Http::start(vec![act]).await;
        let failure = observe(look(feed(&server))).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        assert!(!failure.message.contains("secret"), "{failure}");
        assert!(server.count() <= 6, "redirects are limited");
    }
    let server = Http::start(vec![Act::Hang]).await;
    let failure = observe(Look { timeout_ms: 200, ..look(feed(&server)) }).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout);
    let failure = observe(look(SourceSpec::Feed { url: "file:///etc/passwd".into() })).await.unwrap_err();
    assert!(failure.message.contains("only http:// and https://"), "{failure}");
}

#[tokio::test]
async fn an_item_over_the_cap_is_noted_and_the_others_are_read() {
    let text = |bytes: usize| "x".repeat(bytes);
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("fits.md"), text(1024)).unwrap();
    std::fs::write(root.path().join("over.md"), text(1025)).unwrap();

    let repository = Repository::new();
    let fits = repository.commit("a", "1", "short");
    let over = repository.commit("b", "1", &format!("long\n\n{}", text(1024)));

    // An entry's text is its title, an empty line and its body.
    let body = serde_json::json!({"version": "https://jsonfeed.org/version/1.1", "title": "News", "items": [
        {"id": "fits", "title": "One", "content_text": text(1024 - 5)},
        {"id": "over", "title": "Two", "content_text": text(1025 - 5)},
    ]});
    let server = Http::start(vec![answer("200 OK", &[], &body.to_string())]).await;
    for (spec, taken, left_out, reason) in [
        (folder(root.path()), "fits.md", "over.md", "it has 1025 bytes; files over 1024 bytes are not read"),
        (repository.spec(None), &fits, &over, " bytes; commits over 1024 bytes are not read"),
        (feed(&server), "fits", "over", "it has 1025 bytes; entries over 1024 bytes are not read"),
    ] {
        let seen = observe_up_to(1024, look(spec.clone())).await;
        assert_eq!(ids(&seen), [taken], "{seen:?}");
        assert_eq!((seen.omitted.len(), seen.omitted[0].item_id.as_str()), (1, left_out));
        assert!(seen.omitted[0].reason.contains(reason), "{:?}", seen.omitted);
        let seen = observe_up_to(8192, look(spec)).await;
        assert_eq!((seen.items.len(), seen.omitted.len()), (2, 0), "{seen:?}");
    }
}

#[tokio::test]
async fn a_description_is_one_item_once() {
    let spec = || SourceSpec::Description { value: "# Aim\n\nKeep it short.".into() };
    let first = observe(look(spec())).await.unwrap();
    assert_eq!((ids(&first), first.items[0].title.as_str()), (vec!["description"], "Aim"));
    let second = observe(Look { known: known(&first.items), ..look(spec()) }).await.unwrap();
    assert!(second.items.is_empty() && second.removed.is_empty());
}
