//! The command line: what is refused and how, what `--json` prints, and the demo that a newcomer runs first.
//!
//! Owns: tables of bad input. Each is refused before anything is written: the store is the same afterwards.

use nightshift_tests::{
    repo_root,
    world::{Done, World},
};
use serde_json::Value;

/// Keys that every order of the tables begins with; the next line is the fifth.
const HEAD: &str = "title: Brief\ntype: custom\nsources:\n  - folder: notes\n";

/// A world with one order and nothing made yet.
fn world() -> World {
    let world = World::sqlite();
    world.write("notes/a.md", "# A\n\nThe first note.\n");
    world.write("a-file", "not a folder\n");
    world.folder("out");
    let _ = world.order("good.yaml", HEAD);
    world
}

/// Counts of everything durable; equal before and after a command that changed nothing.
fn heads(world: &World) -> Vec<Value> {
    let info = world.node.json(&["db", "info"]);
    ["events", "commands", "open_obligations"].map(|key| info[key].clone()).to_vec()
}

#[track_caller]
fn assert_said(done: &Done, code: i32, parts: &[&str]) {
    assert_eq!(done.code, code, "{}\n{}{}", done.said, done.out, done.err);
    for part in parts {
        assert!(done.err.contains(part), "{}: {part:?} is not in: {}", done.said, done.err);
    }
}

/// Faulty orders: `(lines after the head or a whole document, what the message names)`.
const ORDERS: &[(&str, &[&str])] = &[
    ("titel: Twice\n", &["bad.yaml:5:1 titel", "unknown key", "allowed: title", "did you mean \"title\"?"]),
    ("schedule:\n  cron: \"0 25 * * *\"\n", &["bad.yaml:6:3 schedule.cron", "found \"25\"", "hour: 0-23"]),
    ("schedule:\n  cron: \"0 0 30 2 *\"\n", &["bad.yaml:6:3 schedule.cron", "never fire"]),
    ("schedule:\n  cron: \"0 9 * *\"\n", &["bad.yaml:6:3 schedule.cron", "allowed"]),
    ("schedule:\n  every: 5\n", &["bad.yaml:6:3 schedule.every", "found the number 5", "15m"]),
    ("schedule:\n  every: 1h\n  cron: \"0 9 * * *\"\n", &["schedule", "exactly one of cron, every, frequency, at"]),
    (
        "schedule:\n  every: 1h\n  timezone: Europe/Berln\n",
        &["bad.yaml:7:3 schedule.timezone", "did you mean \"Europe/Berlin\"?"],
    ),
    ("schedule:\n  frequency: weekly\n  day: fryday\n", &["bad.yaml:7:3 schedule.day", "did you mean \"friday\"?"]),
    ("schedule:\n  frequency: daily\n  time: \"25:00\"\n", &["bad.yaml:7:3 schedule.time", "00:00 to 23:59"]),
    ("schedule:\n  at: 2026-03-29T02:30\n  timezone: Europe/Berlin\n", &["bad.yaml:6:3 schedule.at", "jump over it"]),
    ("schedule:\n  every: 1h\n  catch_up: latests\n", &["bad.yaml:7:3 schedule.catch_up", "latest"]),
    ("governance: full\n", &["bad.yaml:5:1 governance", "manual, semi_auto, full_auto", "did you mean \"full_auto\"?"]),
    ("governance: full_auto\n", &["bad.yaml:5:1 governance", "without a destination"]),
    ("destination:\n  file: no/such/folder\n", &["bad.yaml:6:3 destination.file", "where nothing is"]),
    ("destination:\n  email: nobody\n", &["bad.yaml:6:3 destination.email", "team@example.org"]),
    (
        "destination:\n  webhook: example.org/in\n",
        &["bad.yaml:6:3 destination.webhook", "did you mean \"https://example.org/in\"?"],
    ),
    (
        "destination:\n  webhook: https://u:hunter2@example.org/\n",
        &["destination.webhook", "must not carry a name or password"],
    ),
    (
        "destination:\n  webhook: https://example.org/\n  secret: hunter2\n",
        &["bad.yaml:7:3 destination.secret", "env:NAME"],
    ),
    ("destination:\n  fiel: out\n", &["bad.yaml:6:3", "did you mean \"file\"?"]),
    ("freshness_hours: many\n", &["bad.yaml:5:1 freshness_hours", "found \"many\""]),
    ("notify: [nobody]\n", &["bad.yaml:5:10 notify[0]", "mail address"]),
    ("semi_auto_window: 4h\n", &["bad.yaml:5:1 semi_auto_window", "only beside governance: semi_auto"]),
    ("recipient: [a\n", &["bad.yaml:", "unclosed"]),
];

/// Whole documents.
const DOCUMENTS: &[(&str, &[&str])] = &[
    ("", &["bad.yaml"]),
    ("just words\n", &["bad.yaml:1:1"]),
    ("title: T\n", &["type", "sources"]),
    (
        "title: T\ntype: weekly_statsu\nsources:\n  - folder: notes\n",
        &["bad.yaml:2:1 type", "did you mean \"weekly_status\"?"],
    ),
    ("title: T\ntype: custom\nsources: []\n", &["bad.yaml:3:1 sources", "at least one source"]),
    ("title: T\ntype: custom\nsources:\n  - folder: notse\n", &["bad.yaml:4:5 sources[0].folder", "where nothing is"]),
    (
        "title: T\ntype: custom\nsources:\n  - folder: a-file\n",
        &["bad.yaml:4:5 sources[0].folder", "which is a file", "include"],
    ),
    ("title: T\ntype: custom\nsources:\n  - git: notes\n", &["bad.yaml:4:5 sources[0].git", "without a repository"]),
    ("title: T\ntype: custom\nsources:\n  - feed: htp://x\n", &["bad.yaml:4:5 sources[0].feed", "http or https"]),
    ("title: T\ntype: custom\nsources:\n  - foldr: notes\n", &["bad.yaml:4:5", "did you mean \"folder\"?"]),
    (
        "title: T\ntype: custom\nsources:\n  - folder: notes\n  - folder: ./notes\n",
        &["bad.yaml:5:5 sources[1]", "each source once"],
    ),
    ("title: T\ntitle: U\ntype: custom\nsources:\n  - folder: notes\n", &["bad.yaml:2:", "title"]),
    (
        "{\"title\": \"T\", \"type\": \"custom\", \"sources\": [{\"folder\": \"notes\"}], \"x\": 1}",
        &["bad.yaml:1:", "unknown key \"x\""],
    ),
];

#[test]
fn faulty_orders_are_refused_with_place_finding_and_remedy() {
    let world = world();
    let before = heads(&world);
    let tails = ORDERS.iter().map(|(tail, parts)| (format!("{HEAD}{tail}"), *parts));
    let wholes = DOCUMENTS.iter().map(|(whole, parts)| ((*whole).to_owned(), *parts));
    for (document, parts) in tails.chain(wholes) {
        world.write("bad.yaml", &document);
        let create = world.node.run(&["deliverable", "create", "bad.yaml"]);
        assert_said(&create, 2, parts);
        assert!(!create.err.contains("hunter2"), "a secret is not shown: {}", create.err);
        let update = world.node.run(&["deliverable", "update", "Brief", "bad.yaml"]);
        assert_eq!((update.code, &update.err), (2, &create.err), "{document}");
    }
    assert_eq!(heads(&world), before, "nothing was written");
}

#[test]
fn every_fault_of_a_document_is_told_at_once() {
    let world = world();
    world.write("bad.yaml", "titel: T\ntype: custum\nsources:\n  - folder: nots\ngovernance: ful\n");
    let done = world.node.run(&["deliverable", "create", "bad.yaml"]);
    assert_said(
        &done,
        2,
        &["bad.yaml:1:1 titel", "bad.yaml:2:1 type", "bad.yaml:4:5 sources[0].folder", "bad.yaml:5:1 governance"],
    );
}

/// Commands that name what is not there, or say what makes no sense: `(arguments, exit code, what the message names)`.
const COMMANDS: &[(&[&str], i32, &[&str])] = &[
    (&["frobnicate"], 2, &["frobnicate"]),
    (&["deliverable"], 2, &["create"]),
    (&["deliverable", "crate", "good.yaml"], 2, &["create"]),
    (&["deliverable", "create", "nothing.yaml"], 2, &["nothing.yaml"]),
    (&["deliverable", "create", "notes"], 2, &["notes"]),
    (&["deliverable", "template", "wekly_status"], 2, &["did you mean \"weekly_status\"?"]),
    (&["deliverable", "show", "Brif"], 6, &["\"Brif\"", "did you mean \"Brief\"?"]),
    (&["deliverable", "run", "Brif"], 6, &["did you mean \"Brief\"?"]),
    (&["deliverable", "pause", "00000000-0000-8000-8000-000000000000"], 6, &["deliverable list"]),
    (&["version", "list", "Brif"], 6, &["did you mean \"Brief\"?"]),
    (&["version", "show", "Brief"], 6, &["no version yet"]),
    (&["version", "show", "Brief", "one"], 2, &["one"]),
    (&["version", "approve", "Brief", "7"], 6, &["no version 7"]),
    (&["version", "reject", "Brief", "1"], 2, &["--reason"]),
    (&["version", "edit", "Brief", "1", "--file", "nothing.md"], 2, &["nothing.md"]),
    (&["run", "show", "cafe"], 6, &["no run \"cafe\""]),
    (&["run", "cancel", "cafe"], 6, &["no run \"cafe\""]),
    (&["run", "start", "grting"], 6, &["no workflow \"grting\"", "workflow list"]),
    (&["run", "start", "greeting", "-p", "names"], 2, &["--parameter \"names\"", "NAME=VALUE"]),
    (&["run", "retry", "cafe", "a"], 6, &["no run \"cafe\""]),
    (&["run", "skip", "cafe", "a", "--output", "{"], 2, &["--output", "no JSON"]),
    (&["run", "rerun", "cafe"], 6, &["no run \"cafe\""]),
    (&["run", "watch", "cafe"], 6, &["no run \"cafe\""]),
    (&["workflow", "show", "grting"], 6, &["no workflow \"grting\"", "workflow list"]),
    (&["workflow", "activate", "you/grting@1"], 6, &["no workflow"]),
    (&["workflow", "validate", "nothing.yaml"], 2, &["nothing.yaml"]),
    (&["workflow", "register", "nothing.yaml"], 2, &["nothing.yaml"]),
    (&["approval", "show", "cafe"], 6, &["no approval \"cafe\"", "approval list"]),
    (&["approve", "cafe"], 6, &["no approval \"cafe\""]),
    (&["approve", "cafe", "--retry", "--abort"], 2, &["--abort"]),
    (&["job", "retry"], 2, &["--all-dead"]),
    (&["job", "retry", "cafe/a"], 6, &["no job \"cafe/a\"", "job dead"]),
    (&["event", "publish", "paid", "--payload", "{"], 2, &["--payload", "no JSON"]),
    (&["explain", "Brif"], 6, &["Brif"]),
    (&["schedule", "preview", "0 0 31 2 *"], 2, &["never fire"]),
    (&["schedule", "preview", "0 9 * * MON", "--timezone", "Europe/Pariss"], 2, &["did you mean \"Europe/Paris\"?"]),
    (&["schedule", "preview", "0 9 * * MON", "--from", "yesterday"], 2, &["\"yesterday\"", "2026-03-02T09:00:00Z"]),
    (&["schedule", "preview", "Brief"], 6, &["no schedule"]),
    (&["capture", "--out", "fixture"], 2, &["--run", "--since"]),
    (&["capture", "--since", "yesterday", "--out", "fixture"], 2, &["yesterday"]),
    (&["capture", "--since", "all", "--run", "cafe", "--out", "fixture"], 2, &["--run"]),
    (&["capture", "--run", "cafe", "--out", "fixture"], 6, &["cafe"]),
    (&["capture", "--since", "all", "--out", "notes"], 2, &["notes exists already"]),
    (&["replay"], 2, &["--store"]),
    (&["replay", "nothing"], 1, &["nothing"]),
    (&["replay", "notes"], 1, &["notes"]),
    (&["bench", "speed"], 2, &["\"speed\"", "append"]),
    (&["bench", "shedules"], 2, &["\"shedules\"", "did you mean \"schedules\"?"]),
    (&["bench", "append", "--compare", "nothing.json"], 2, &["nothing.json"]),
    (&["bench", "--compare", "a-file"], 2, &["a-file", "no result of"]),
    (&["bench", "--render", "a-file"], 2, &["a-file", "no result of"]),
    (&["bench", "--quick", "--full"], 2, &["--full"]),
    (&["bench", "--repeats", "0"], 2, &["--repeats", "1..=100"]),
    (&["completions", "fsh"], 2, &["fish"]),
    (&["--set", "queue.concurency=3", "config", "check"], 78, &["queue.concurency", "did you mean \"concurrency\"?"]),
    (&["--set", "queue.concurrency=lots", "config", "check"], 78, &["queue.concurrency", "\"lots\"", "whole number"]),
    (&["--set", "nonsense", "config", "check"], 2, &["nonsense", "--set section.key=value"]),
    (&["--set", "http.listen=everywhere", "serve"], 78, &["http.listen", "127.0.0.1:7466"]),
    (&["--set", "llm.base_url=ftp://x", "config", "check"], 78, &["llm.base_url", "ftp://x"]),
    (&["--set", "telemetry.log_filter=sqlx=loud", "config", "check"], 78, &["telemetry.log_filter", "loud"]),
    (
        &["--set", "telemetry.log_filter=shout", "config", "check"],
        78,
        &["telemetry.log_filter", "\"shout\"", "allowed: off"],
    ),
    (&["--set", "telemetry.log_filter=shout", "serve"], 78, &["telemetry.log_filter", "\"shout\"", "shout=debug"]),
    (&["--set", "telemetry.log_filter=debgu", "serve"], 78, &["telemetry.log_filter", "did you mean \"debug\"?"]),
    (&["--set", "store.url=mysql://x/y", "config", "check"], 78, &["store.url", "postgres://"]),
    (&["--config", "nothing.toml", "config", "check"], 78, &["nothing.toml"]),
    (
        &["--config", "bad.toml", "config", "check"],
        78,
        &["bad.toml:2:2 htttp", "did you mean \"http\"?", "bad.toml:1:9 queue"],
    ),
    (&["--config", "broken.toml", "config", "check"], 78, &["broken.toml:1:"]),
];

#[test]
fn wrong_commands_are_refused_and_change_nothing() {
    let world = world();
    world.write("bad.toml", "queue = 3\n[htttp]\nlisten = \"x\"\n");
    world.write("broken.toml", "[http\n");
    let before = heads(&world);
    for (args, code, parts) in COMMANDS {
        let done = world.node.run(args);
        assert_said(&done, *code, parts);
        assert!(!done.err.contains("panicked"), "{}", done.err);
        let with_json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let json = world.node.run(&with_json);
        // What the parser of the command line refuses is said in its own words.
        if json.code != 2 {
            let error: Value = serde_json::from_str(&json.err).unwrap_or_else(|error| panic!("{error}: {}", json.err));
            assert_eq!(error["error"]["code"], *code, "{}", json.err);
        }
    }
    assert_eq!(heads(&world), before, "nothing was written");
    assert!(!world.path("fixture").exists(), "no half of a fixture is left");
}

#[test]
fn states_that_do_not_exist_are_refused() {
    let world = world();
    for (list, wrong, near) in [
        (&["deliverable", "list"], "actve", "active"),
        (&["version", "list"], "stagd", "staged"),
        (&["run", "list"], "runing", "running"),
    ] {
        let done = world.node.run(&[list[0], list[1], "--status", wrong]);
        assert_said(&done, 2, &[wrong, near]);
        assert_eq!(world.node.run(&[list[0], list[1], "--status", near]).code, 0);
    }
}

#[test]
fn a_store_that_is_not_there_is_said_to_be_missing_and_not_made() {
    let world = World::sqlite();
    for args in [
        &["deliverable", "list"][..],
        &["version", "list"],
        &["run", "list"],
        &["verify"],
        &["db", "info"],
        &["explain", "x"],
    ] {
        let done = world.node.run(args);
        assert_eq!(done.code, 6, "{}: {}{}", done.said, done.out, done.err);
        assert!(done.err.contains("nightshift.db"), "{}", done.err);
    }
    assert!(!world.path("data").exists(), "looking makes nothing");
    let unreachable = world.node.clone().with("store.url", "postgres://someone:hunter2@127.0.0.1:1/nowhere");
    let done = unreachable.run(&["deliverable", "list"]);
    assert_said(&done, 69, &["127.0.0.1:1"]);
    assert!(!done.err.contains("hunter2"), "{}", done.err);
    world.write("data/nightshift.db", "this is no database, it is a text of some length");
    let done = world.node.run(&["deliverable", "list"]);
    assert_ne!(done.code, 0);
    assert!(done.err.contains("nightshift.db"), "{}", done.err);
}

#[test]
fn json_is_one_document_for_every_command() {
    let world = world();
    let yaml = format!("{HEAD}schedule:\n  every: 1h\ndestination:\n  file: out\n");
    let id = world.order("timed.yaml", &yaml.replace("Brief", "Timed"));
    let _ = world.node.json(&["deliverable", "run", &id]);
    world.write("edited.md", "# Edited\n\nBy hand.\n");
    let _ = world.node.json(&["version", "edit", &id, "1", "--file", "edited.md"]);
    let _ = world.node.json(&["version", "approve", &id, "1", "--note", "good"]);
    let _ = world.node.json(&["version", "deliver", &id, "1"]);
    world.write("notes/b.md", "# B\n\nA second note.\n");
    let _ = world.node.json(&["deliverable", "run", &id]);
    let _ = world.node.json(&["version", "reject", &id, "2", "--reason", "too short"]);
    let runs = world.node.rows(&["run", "list"]);
    let run = runs[0]["id"].as_str().expect("an id").to_owned();
    for args in [
        &["deliverable", "list"][..],
        &["deliverable", "list", "--status", "active"],
        &["deliverable", "show", &id],
        &["deliverable", "update", &id, "timed.yaml"],
        &["version", "list"],
        &["version", "show", &id, "1"],
        &["version", "show", &id, "1", "--details"],
        &["version", "diff", &id],
        &["version", "diff", &id, "1", "1"],
        &["schedule", "list"],
        &["schedule", "preview", &id],
        &["schedule", "preview", "timed.yaml", "-n", "3"],
        &["schedule", "preview", "0 9 * * MON", "--timezone", "Europe/Berlin", "--from", "2026-03-01T00:00:00Z"],
        &["run", "show", &run],
        &["explain", &id],
        &["explain", &run],
        &["capture", "--run", &run, "--out", "one.nsfix"],
        &["capture", "--deliverable", &id, "--redact", "--out", "fixtures/two"],
        &["capture", "--since", "all", "--out", "fixtures/three"],
        &["replay", "one.nsfix"],
        &["replay", "--store"],
        &["verify"],
        &["db", "migrate"],
        &["db", "info"],
        &["db", "rebuild"],
        &["config", "check"],
        &["tick"],
        &["deliverable", "pause", &id],
        &["deliverable", "resume", &id],
        &["deliverable", "archive", &id],
    ] {
        let value = world.node.json(args);
        assert!(value.is_object() || value.is_array(), "{args:?}: {value}");
    }
    assert_eq!(world.node.json(&["verify"])["clean"], true);
}

#[test]
fn the_daylight_saving_of_a_preview_is_shown() {
    let world = World::sqlite();
    let args = [
        "schedule",
        "preview",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--from",
        "2026-03-27T12:00:00Z",
        "-n",
        "3",
    ];
    let rows = world.node.rows(&args);
    let instants: Vec<&str> = rows.iter().filter_map(|row| row["utc"].as_str()).collect();
    // On the 29th there is no half past two: the first instant after the gap is three o'clock, which is 01:00 UTC.
    assert!(instants[0].starts_with("2026-03-28T01:30:00"), "{instants:?}");
    assert!(instants[1].starts_with("2026-03-29T01:00:00"), "{instants:?}");
    assert!(instants[2].starts_with("2026-03-30T00:30:00"), "{instants:?}");
}

#[test]
fn examples_templates_and_completions_are_printed() {
    let world = World::sqlite();
    let example = world.node.run(&["config", "example"]).ok().out;
    assert_eq!(example, std::fs::read_to_string(repo_root().join("ops/nightshift.example.toml")).expect("the example"));
    world.write("example.toml", &example);
    let _ = world.node.run(&["--config", "example.toml", "config", "check"]).ok();
    assert!(world.node.run(&["config", "reference"]).ok().out.contains("store.url"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.node.run(&["completions", shell]).ok().out.contains("deliverable"), "{shell}");
    }
    world.folder("notes");
    world.folder("documents");
    for kind in ["research_brief", "newsletter_section"] {
        let template = world.node.run(&["deliverable", "template", kind]).ok().out;
        world.write("from-template.yaml", &template);
        let _ = world.node.run(&["deliverable", "create", "from-template.yaml", "--paused"]).ok();
    }
    assert_eq!(world.node.rows(&["deliverable", "list", "--status", "paused"]).len(), 2);
    assert!(world.node.run(&["--help"]).ok().out.contains("Exit codes"));
    assert!(world.node.run(&["--version"]).ok().out.starts_with("nightshift "));
    assert_eq!(world.node.rows(&["deliverable", "list"]).len(), 2);
}

#[test]
fn the_same_idempotency_key_is_the_same_order() {
    let world = world();
    let create =
        |key: &str| world.node.json(&["deliverable", "create", "good.yaml", "--idempotency-key", key])["id"].clone();
    let (first, again, other) = (create("k1"), create("k1"), create("k2"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(world.node.rows(&["deliverable", "list"]).len(), 3);
}

#[test]
fn the_workflow_in_the_readme_runs_as_it_is_printed() {
    let readme = std::fs::read_to_string(repo_root().join("README.md")).expect("the README");
    let document = readme.split("```yaml\n").nth(2).and_then(|rest| rest.split("```").next()).expect("a workflow");
    let world = World::sqlite();
    let file = world.write("greeting.yaml", document);
    let programs = readme.split("NIGHTSHIFT_WORKFLOWS_PROGRAMS=\"").nth(1).and_then(|rest| rest.split('"').next());
    let node = &world.node.clone().with_env("NIGHTSHIFT_WORKFLOWS_PROGRAMS", programs.expect("what may be started"));
    assert!(node.run(&["workflow", "validate", &file]).ok().out.contains("is sound"));
    assert!(node.run(&["workflow", "register", &file]).ok().out.contains("in force"));
    let told = node.run(&["run", "start", "greeting", "-p", "names=[\"Ada\"]", "--watch"]).ok().out;
    assert!(told.contains("run.approval_requested") && told.contains("> check (approval) checkpoint"), "{told}");
    let run = node.rows(&["run", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let why = node.run(&["explain", &run]).ok().out;
    let answer = why.split('`').find(|span| span.starts_with("nightshift approve ")).expect("the command that answers");
    assert!(node.run(&["approval", "list"]).ok().out.contains("Hello Ada from Linux"));
    let question = answer.trim_start_matches("nightshift approve ");
    let _ = node.run(&["approve", question, "--note", "as agreed"]).ok();
    let over = node.json(&["run", "watch", &run]);
    assert_eq!(over["status"], "completed", "{over:#}");
    assert_eq!(over["results"]["send"][0]["text"], "Hello Ada from Linux", "{over:#}");
    assert_eq!(node.json(&["verify"])["clean"], true);
}

#[test]
fn the_demo_tells_its_story_and_what_it_says_to_try_works() {
    let world = World::sqlite();
    // Nothing outside can be reached: a proxy that does not exist, and no key.
    let node =
        world.node.clone().with_env("HTTPS_PROXY", "http://127.0.0.1:9").with_env("HTTP_PROXY", "http://127.0.0.1:9");
    let demo = world.text_path("demo");
    let told = node.run(&["demo", &demo]).ok().out;
    for part in ["version 1", "version 2", "No new content since last run", "\n  | +", "run.completed", "Try next"] {
        assert!(told.contains(part), "{part:?} is not in the story:\n{told}");
    }
    let (_, advice) = told.split_once("Try next").expect("it ends with what to try");
    let commands: Vec<Vec<&str>> = advice
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   ") && line.contains("--data-dir"))
        .map(|line| line.split_whitespace().skip_while(|word| *word != "--data-dir").skip(2).collect())
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    let mut there = world.node.clone();
    there.data_dir = world.path("demo/data");
    for command in commands.iter().filter(|command| command[0] != "serve") {
        let done = there.run(command).ok();
        assert!(!done.out.is_empty(), "{}", done.said);
    }
    let mut daemon = there.serve();
    let _ = daemon.address();
    daemon.stop();
    assert_eq!(there.json(&["verify"])["clean"], true);
    world.write("a-file", "not a folder");
    let refused = node.run(&["demo", "a-file"]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("a-file"), "{}", refused.err);
}
