//! The deliverable document: what is read, every fault at once, writing and reading are inverse, no text panics.

use nightshift_domain::{
    calendar::{CatchUp, Frequency, Overlap, Rule, Schedule, Weekday},
    content::{Destination, SourceSpec},
    deliverable::{Binding, Classification, DeliverableType, Governance, Order, semi_auto_window_default_s},
    time::Timestamp,
};
use nightshift_spec::{
    Faults, ZonedCalendar,
    order_file::{Context, KEYS, OrderFile, PathKind, order_to_yaml, parse, template},
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1_772_000_000);

fn probe(path: &str) -> PathKind {
    match path {
        "/base/project" | "/base/other.git" => PathKind::Repository,
        "/base/project/notes" | "/base/project/drafts" | "/base" | "/" => PathKind::Folder,
        "/base/project/README.md" => PathKind::File,
        _ => PathKind::Missing,
    }
}

fn read_with(text: &str, probe: &dyn Fn(&str) -> PathKind) -> Result<OrderFile, Faults> {
    let calendar = ZonedCalendar::bundled();
    parse(text, &Context { file: "weekly.yaml", base_dir: "/base/project", probe, calendar: &calendar, now: NOW })
}

fn read(text: &str) -> Result<OrderFile, Faults> {
    read_with(text, &probe)
}

const WHOLE: &str = r#"
title: Weekly status
description: |
  What changed.
  What is stuck.
type: weekly_status
strategy: platform_bound
primary_platform: git
freshness_hours: 12
recipient: the team
sections: [Done, Next]
sources:
  - git: .
    branch: release/1.10
  - type: git
    path: ../other.git
  - folder: ./notes
    include: ["**/*.md"]
    exclude: "drafts/**"
  - {type: feed, url: "https://example.org/feed.xml"}
  - description: Mention the freeze.
schedule: {frequency: weekly, day: friday, time: 16:00, timezone: Europe/Berlin}
destination:
  webhook: https://hooks.example.org/x
  secret: env:HOOK_SECRET
governance: semi_auto
semi_auto_window: 2h
notify: [a@example.org, b@example.org]
user: ann
"#;

#[test]
fn a_whole_document_is_read() {
    let read = read(WHOLE).unwrap();
    assert_eq!(read.user.unwrap().0, "ann");
    let order = read.order;
    assert_eq!(order.description, "What changed.\nWhat is stuck.");
    assert_eq!(
        order.type_classification,
        Classification {
            binding: Binding::PlatformBound,
            primary_platform: Some("git".into()),
            freshness_requirement_hours: 12,
        }
    );
    assert_eq!(
        order.sources,
        [
            SourceSpec::Git { path: "/base/project".into(), branch: Some("release/1.10".into()) },
            SourceSpec::Git { path: "/base/other.git".into(), branch: None },
            SourceSpec::Folder {
                path: "/base/project/notes".into(),
                include: vec!["**/*.md".into()],
                exclude: vec!["drafts/**".into()]
            },
            SourceSpec::Feed { url: "https://example.org/feed.xml".into() },
            SourceSpec::Description { value: "Mention the freeze.".into() },
        ]
    );
    assert_eq!(
        order.destination,
        Some(Destination::Webhook {
            url: "https://hooks.example.org/x".into(),
            secret: Some("env:HOOK_SECRET".into()),
        })
    );
    assert_eq!((order.governance, order.semi_auto_window_s), (Governance::SemiAuto, 7_200));
    assert_eq!(order.notify, ["a@example.org", "b@example.org"]);
    assert_eq!(order.schedule.unwrap().timezone, "Europe/Berlin");
}

#[test]
fn defaults_come_from_the_type() {
    let order = read(r#"{"title": "Brief", "type": "research_brief", "sources": [{"feed": "https://example.org/a"}]}"#)
        .unwrap()
        .order;
    assert_eq!(order.type_classification.binding, Binding::Research);
    assert_eq!(order.type_classification.freshness_requirement_hours, 24);
    assert_eq!((order.schedule, order.destination, order.governance), (None, None, Governance::Manual));
    assert_eq!(order.semi_auto_window_s, semi_auto_window_default_s());
}

/// A sound document with one line exchanged or added.
fn with(line: &str) -> String {
    let key = line.split(':').next().unwrap();
    let base = [("title", "title: T"), ("type", "type: custom"), ("sources", "sources: [{description: x}]")];
    let kept: Vec<&str> = base.iter().filter(|(name, _)| *name != key).map(|(_, line)| *line).collect();
    format!("{}\n{line}\n", kept.join("\n"))
}

#[test]
fn each_wrong_field_is_refused_with_a_remedy() {
    for (line, message) in [
        ("title:", "title: found nothing; allowed: the title"),
        ("title: true", "put it in quotes"),
        ("title: \"a\\nBcc: x@y.z\"", "one line of at most 200 characters"),
        ("sections: [\"a\\tb\"]", "one line of at most 200 characters"),
        ("type: weekly-status", "did you mean \"weekly_status\"?"),
        ("strategy: hybird", "did you mean \"hybrid\"?"),
        ("titel: x", "titel: found the unknown key \"titel\"; allowed: title, description, "),
        ("freshness_hours: 0", "a whole number from 1 to 8760"),
        ("freshness_hours: 1.5", "found the number 1.5"),
        ("primary_platform: git", "write strategy: platform_bound"),
        ("sections: [a, a]", "sections[1]: found \"a\"; allowed: each entry once"),
        ("sources: []", "at least one source"),
        ("sources: {folder: notes}", "begin each source with"),
        ("sources: [notes]", "sources[0]: found \"notes\"; allowed: {folder: path}"),
        ("sources: [{foldr: notes}]", "did you mean \"folder\"?"),
        (
            "sources: [{folder: missing}]",
            "found \"/base/project/missing\", where nothing is; allowed: a folder that exists",
        ),
        ("sources: [{folder: README.md}]", "write folder: /base/project with include: [\"README.md\"]"),
        ("sources: [{folder: ~/notes}]", "~ is not expanded"),
        (
            "sources: [{folder: notes, branch: x}]",
            "the key \"branch\" in a folder source; allowed: folder, include, exclude",
        ),
        ("sources: [{folder: notes, include: ['../*']}]", "stay in it"),
        ("sources: [{folder: notes, include: ['a[b']}]", "a bracket is not closed"),
        ("sources: [{git: notes}]", "which is a folder without a repository"),
        ("sources: [{git: ., branch: --upload-pack=x}]", "the name of a branch"),
        ("sources: [{git: ., folder: notes}]", "write two entries"),
        ("sources: [{type: git, url: x}]", "sources[0].path: found nothing"),
        ("sources: [{type: gti, path: .}]", "did you mean \"git\"?"),
        ("sources: [{include: ['*']}]", "a source of no kind"),
        ("sources: [{feed: example.org/feed}]", "did you mean \"https://example.org/feed\"?"),
        ("sources: [{feed: 'ftp://example.org'}]", "an http or https address with a host"),
        ("sources: [{feed: 'https://u:p@example.org'}]", "must not carry a name or password"),
        (
            "sources: [{git: .}, {git: ../project/}]",
            "sources[1]: found git \"project\" again; allowed: each source once; it is sources[0] already",
        ),
        ("schedule: weekly", "schedule: found \"weekly\"; allowed: a map with the keys cron"),
        ("destination: {}", "exactly one of file, email, webhook"),
        ("destination: {file: notes, email: a@b.c}", "found file and email"),
        ("destination: {file: README.md}", "which is a file"),
        ("destination: {file: a/b/c}", "a new one in a folder that exists"),
        ("destination: {email: []}", "at least one mail address"),
        ("destination: {email: [a.b.c]}", "destination.email[0]: found \"a.b.c\"; allowed: a mail address"),
        ("destination: {webhook: 'https://h.org', secret: hunter2}", "never the secret itself"),
        ("destination: {webhook: 'https://h.org', secret: 'env:'}", "a reference env:NAME"),
        ("destination: {webhook: 'https://h.org', secret: 'file:rel'}", "a reference env:NAME"),
        ("destination: {email: a@b.c, secret: 'env:X'}", "secret only beside webhook"),
        ("governance: full", "did you mean \"full_auto\"?"),
        ("governance: full_auto", "add a destination"),
        ("semi_auto_window: 2h", "only beside governance: semi_auto"),
        ("notify: nobody", "a mail address"),
    ] {
        let faults = read(&with(line)).map(|_| ()).unwrap_err().to_string();
        assert!(faults.contains(message), "{line}\n{faults}");
        assert!(!faults.contains("hunter2"), "{faults}");
    }
    read(&with("destination: {file: documents}")).unwrap();
    read(&with("destination: {webhook: 'https://h.org', secret: 'file:/run/secrets/hook'}")).unwrap();
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "titel: x\ntype: nonsense\nsources:\n  - folder: gone\n  - feed: nowhere\nschedule:\n  frequency: weekley\n  timezone: Mars/Base\n\
                destination: {webhook: x, secret: s3cret}\ngovernance: auto\nnotify: [x]\n";
    let faults = read(text).unwrap_err();
    let lines: Vec<u64> = faults.0.iter().map(|fault| fault.line).collect();
    // The missing title is told where the document begins.
    assert_eq!(lines, [1, 1, 2, 4, 5, 7, 8, 9, 9, 10, 11], "{faults}");
    assert!(faults.to_string().contains("weekly.yaml:7:3 schedule.frequency: found \"weekley\""), "{faults}");
}

#[test]
fn templates_read_without_a_fault_and_differ_by_kind() {
    for kind in DeliverableType::ALL {
        let read = read(template(*kind));
        assert!(read.is_ok(), "{}: {}", kind.as_str(), read.unwrap_err());
    }
    assert_ne!(template(DeliverableType::Changelog), template(DeliverableType::ResearchBrief));
}

fn line() -> impl Strategy<Value = String> {
    "[^\\s\\p{C}][^\\p{Cc}]{0,24}[^\\s\\p{C}]|[a-z0-9#:*&!~-]{1,8}|true|null|1\\.10|0x1f|\\[a\\]|[\u{85}\u{2028}\u{feff}]x"
        .prop_map(|text| text.trim().to_owned())
        .prop_filter("not blank", |text| !text.trim().is_empty())
}

fn paths() -> impl Strategy<Value = String> {
    "(/[a-zA-Z0-9 _.'\"#:é-]{1,8}[a-z]){1,4}"
        .prop_filter("normal", |path| !path.split('/').any(|part| part == "." || part == ".."))
}

fn sources() -> impl Strategy<Value = Vec<SourceSpec>> {
    let glob = "[a-z*.]{1,8}";
    let globs = proptest::collection::btree_set(glob, 0..3)
        .prop_map(|set| set.into_iter().filter(|g| g != "..").collect::<Vec<_>>());
    let one = prop_oneof![
        (paths(), globs.clone(), globs).prop_map(|(path, include, exclude)| SourceSpec::Folder {
            path,
            include,
            exclude
        }),
        (paths(), proptest::option::of("[a-z0-9][a-z0-9/._]{0,6}[a-z]"))
            .prop_map(|(path, branch)| SourceSpec::Git { path, branch: branch.filter(|name| !name.contains("..")) }),
        "https?://[a-z]{1,8}\\.org(:8[0-9])?/[a-z0-9?=&#%.-]{0,8}".prop_map(|url| SourceSpec::Feed { url }),
        line().prop_map(|value| SourceSpec::Description { value }),
    ];
    proptest::collection::vec(one, 1..5).prop_map(|mut sources| {
        let mut seen = std::collections::BTreeSet::new();
        sources.retain(|source| seen.insert((source.platform(), source.resource_id())));
        sources
    })
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let instant = (0_i64..4_000_000_000_000_000).prop_map(Timestamp);
    let day = prop_oneof![Just(Weekday::Monday), Just(Weekday::Thursday), Just(Weekday::Sunday)];
    let frequency = prop_oneof![Just(Frequency::Weekly), Just(Frequency::Biweekly), Just(Frequency::Monthly)];
    let rule = prop_oneof![
        prop_oneof![Just("*/15 * * * *"), Just("0 18 * * SUN"), Just("0 2,14 1 JAN *")]
            .prop_map(|text| Rule::Cron { expression: text.into() }),
        (2_u64..10_000_000, instant.clone()).prop_map(|(every_s, anchor)| Rule::Interval { every_s, anchor }),
        (frequency, day, 0_u16..1_440).prop_map(|(frequency, day, minute_of_day)| Rule::Calendar {
            frequency,
            day: Some(day),
            minute_of_day
        }),
        (0_u16..1_440).prop_map(|minute_of_day| Rule::Calendar {
            frequency: Frequency::Daily,
            day: None,
            minute_of_day
        }),
        instant.prop_map(|at| Rule::Once { at }),
    ];
    let catch_up =
        prop_oneof![Just(CatchUp::Skip), Just(CatchUp::Latest), (1_u32..10_000).prop_map(|max| CatchUp::All { max })];
    let zone = prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("America/Argentina/Buenos_Aires")];
    let policies = (catch_up, proptest::option::of(1_u64..1_000_000), any::<bool>(), 0_u32..2);
    (rule, zone, policies).prop_map(|(rule, zone, (catch_up, catch_up_window_s, buffer, jitter_s))| Schedule {
        rule,
        timezone: zone.to_owned(),
        catch_up,
        catch_up_window_s,
        overlap: if buffer { Overlap::BufferOne } else { Overlap::Skip },
        jitter_s,
    })
}

fn destinations() -> impl Strategy<Value = Destination> {
    prop_oneof![
        paths().prop_map(|folder| Destination::File { folder }),
        proptest::collection::btree_set("[a-z0-9+]{1,8}@[a-z]{1,8}\\.org", 1..3)
            .prop_map(|to| Destination::Email { to: to.into_iter().collect() }),
        (
            "https?://[a-z]{1,8}(:[1-9][0-9]{0,3})?",
            proptest::option::of("env:[A-Z_][A-Z0-9_]{0,8}|file:/[a-z/ ]{0,8}x")
        )
            .prop_map(|(url, secret)| Destination::Webhook { url, secret }),
    ]
}

fn orders() -> impl Strategy<Value = Order> {
    let head = (
        line(),
        prop_oneof![Just(String::new()), line()],
        proptest::sample::select(DeliverableType::ALL),
        proptest::option::of(line()),
    );
    let sections = proptest::collection::btree_set(line(), 0..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let outside = (sources(), proptest::option::of(schedules()), proptest::option::of(destinations()));
    let binding = prop_oneof![Just(Binding::PlatformBound), Just(Binding::CrossPlatform), Just(Binding::Hybrid)];
    (head, sections, outside, binding, (1_u32..8_760, 0_u8..3, 1_u64..1_000_000)).prop_map(
        |(
            (title, description, deliverable_type, recipient),
            sections,
            (sources, schedule, destination),
            binding,
            (hours, governance, window),
        )| {
            let governance = match (governance, &destination) {
                (1, Some(_)) => Governance::SemiAuto,
                (2, Some(_)) => Governance::FullAuto,
                _ => Governance::Manual,
            };
            Order {
                title,
                description,
                deliverable_type,
                type_classification: Classification {
                    binding,
                    primary_platform: (binding == Binding::PlatformBound).then(|| "git".to_owned()),
                    freshness_requirement_hours: hours,
                },
                recipient,
                sections,
                sources,
                schedule,
                destination,
                governance,
                semi_auto_window_s: if governance == Governance::SemiAuto {
                    window
                } else {
                    semi_auto_window_default_s()
                },
                notify: vec!["a@example.org".to_owned()],
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read_the_same(order in orders()) {
        let text = order_to_yaml(&order);
        let everything = |_: &str| PathKind::Repository;
        let read = read_with(&text, &everything);
        prop_assert!(read.is_ok(), "{}\n{}", read.unwrap_err(), text);
        prop_assert_eq!(read.unwrap().order, order, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}|[-:{}\\[\\]&*!|>'\"%@`#,? \n\ta-c0-9]{0,120}") {
        let _ = read(&text);
    }

    #[test]
    fn no_value_of_any_key_panics(key in proptest::sample::select(&KEYS[..]), value in "[-:{}\\[\\]&*|>'\"#, \na-z0-9/@.]{0,60}") {
        let _ = read(&with(&format!("{key}: {value}")));
    }

    #[test]
    fn an_unknown_key_is_always_refused(key in "[a-z_]{1,20}", place in 0_usize..4) {
        prop_assume!(!KEYS.contains(&key.as_str()));
        let known = ["folder", "git", "feed", "description", "type", "path", "url", "value", "include", "exclude", "branch"];
        prop_assume!(place != 1 || !known.contains(&key.as_str()));
        prop_assume!(!nightshift_spec::schedule::KEYS.contains(&key.as_str()));
        prop_assume!(!["file", "email", "webhook", "secret", "true", "false", "null"].contains(&key.as_str()));
        let text = match place {
            0 => with(&format!("{key}: 1")),
            1 => with(&format!("sources: [{{description: x, {key}: 1}}]")),
            2 => with(&format!("schedule: {{every: 5m, {key}: 1}}")),
            _ => with(&format!("destination: {{file: notes, {key}: 1}}")),
        };
        let faults = read(&text).map(|_| ()).unwrap_err().to_string();
        prop_assert!(faults.contains("unknown key"), "{text}\n{faults}");
    }
}
