//! What the documents say, held against the code.
//!
//! Owns: paths, commands, exit codes, keys and crates that a reader is sent to. Refuses to know: whether a sentence is
//! true; people read for that.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use clap::CommandFactory;
use nightshift::args::Cli;
use nightshift_domain::time::Timestamp;
use nightshift_spec::{
    ZonedCalendar,
    order_file::{self, Context, PathKind},
    workflow,
};
use nightshift_tests::{
    repo_root,
    tidy::{TextFile, readme::shell_commands, text_files},
};

/// Documents for people who run the program or change it.
const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "ops/runbook.md"];

/// Folders at the top of the repository whose paths documents name.
const ROOTS: [&str; 10] =
    ["crates/", "schema/", "tests/", "ops/", "docs/", "scripts/", "replay-fixtures/", ".ci/", ".cargo/", "target/"];

/// Files that documents name before they exist: `(path, reason)`.
const NOT_YET: [(&str, &str); 1] = [("schema/released.sha256", "the first release makes it")];

static FILES: LazyLock<Vec<TextFile>> = LazyLock::new(|| text_files(&repo_root()));

fn read(path: &str) -> String {
    fs::read_to_string(repo_root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents() -> Vec<(String, String)> {
    let records = FILES.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"));
    let named = DOCUMENTS.iter().map(|path| (*path).to_owned());
    named.chain(records.map(|file| file.path.clone())).map(|path| (path.clone(), read(&path))).collect()
}

#[track_caller]
fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}: {} faults\n  {}\n", faults.len(), faults.join("\n  "));
}

/// Lines outside of code blocks.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    document.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// What stands between backticks in a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Targets of links in a line that lead into the repository, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter_map(|target| {
        let path = target.split('#').next().unwrap_or_default();
        (!path.is_empty() && !path.contains("://")).then_some(path)
    })
}

/// Whether a file is there, or files below a folder.
fn exists(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    FILES.iter().any(|file| file.path == path || file.path.starts_with(&format!("{path}/")))
}

fn is_expected(path: &str) -> bool {
    NOT_YET.iter().any(|(expected, _)| *expected == path)
}

#[test]
fn nothing_is_expected_that_is_there() {
    let found = NOT_YET.iter().filter(|(path, _)| exists(path));
    let faults: Vec<String> = found.map(|(path, reason)| format!("{path} is there now ({reason})")).collect();
    assert_none("exceptions that are no longer needed", &faults);
}

/// A path as documents write it: of this repository and of one thing.
fn is_path(span: &str) -> bool {
    let one = !span.contains([' ', '*', '<', '{']) && !span.contains("NNNN");
    one && ROOTS.iter().any(|root| span.starts_with(root)) && !span.starts_with("target/")
}

#[test]
fn every_path_exists() {
    let mut faults = Vec::new();
    for (name, text) in documents() {
        let folder = Path::new(&name).parent().unwrap_or(Path::new(""));
        for line in prose(&text) {
            let named = spans(line).filter(|span| is_path(span)).map(str::to_owned);
            let linked = links(line).map(|link| folder.join(link).display().to_string());
            let missing = named.chain(linked).filter(|path| !exists(path) && !is_expected(path));
            faults.extend(missing.map(|path| format!("{name}: {path} is not there")));
        }
    }
    assert_none("paths", &faults);
}

/// The part of a document from a heading to the next one of the same or a higher level.
fn section<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let level = heading.split(' ').next().unwrap_or_default().len();
    let ends = |line: &&str| {
        let hashes = line.len() - line.trim_start_matches('#').len();
        !(1..=level).contains(&hashes)
    };
    document.lines().skip_while(|line| *line != heading).skip(1).take_while(ends).collect()
}

/// In the section of a crate, `name.rs` and `folder/` are files and folders of that crate.
#[test]
fn the_code_map_names_every_crate_and_only_files_that_exist() {
    let map = read("ARCHITECTURE.md");
    let crates: BTreeSet<&str> =
        FILES.iter().filter_map(|file| file.path.strip_prefix("crates/")?.split('/').next()).collect();
    assert!(crates.len() > 5, "the crates were found: {crates:?}");
    let mut faults = Vec::new();
    for name in crates {
        let lines = section(&map, &format!("### `crates/{name}`"));
        if lines.is_empty() {
            faults.push(format!("crates/{name} has no section"));
        }
        if !lines.iter().any(|line| line.starts_with("Invariant:")) && name != "api" {
            faults.push(format!("crates/{name} has no `Invariant:` line"));
        }
        for span in lines.iter().flat_map(|line| spans(line)).filter(|span| !is_path(span)) {
            let below = format!("crates/{name}/src/");
            let own = FILES.iter().filter_map(|file| file.path.strip_prefix(&below)).map(|rest| format!("/{rest}"));
            let wanted = format!("/{span}");
            let is_file = span.ends_with(".rs") || (span.ends_with('/') && !span.contains(' '));
            if is_file && !own.into_iter().any(|path| path.ends_with(&wanted) || path.contains(&wanted)) {
                faults.push(format!("crates/{name} has no {span}"));
            }
        }
    }
    assert_none("code map", &faults);
}

/// Words of a command line up to a redirection, a pipe or a second command; quoted ones stay together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().expect("it begins with one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    let end = words.iter().position(|word| ["|", ">", "&&", ";", "<"].contains(&word.as_str()));
    words.truncate(end.unwrap_or(words.len()));
    words
}

/// Why the program would not understand a command, if it would not.
fn fault(cli: &clap::Command, command: &str) -> Option<String> {
    let mut at = cli;
    let mut words = words(command).into_iter().skip(1);
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            let mut known = at.get_arguments().chain(cli.get_arguments());
            match known.find(|argument| argument.get_long() == Some(name)) {
                Some(argument) if argument.get_action().takes_values() && value.is_none() => drop(words.next()),
                Some(_) => {}
                None if ["help", "version"].contains(&name) => {}
                None => return Some(format!("`{command}`: there is no option --{name}")),
            }
        } else if at.has_subcommands() && !word.starts_with('-') {
            match at.find_subcommand(&word) {
                Some(found) => at = found,
                None => return Some(format!("`{command}`: there is no command {word:?}")),
            }
        }
    }
    None
}

#[test]
fn every_command_of_the_program_exists() {
    let cli = Cli::command();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (name, text) in documents() {
        let inline = prose(&text).flat_map(spans).map(str::to_owned);
        let commands = inline.chain(shell_commands(&text)).filter(|command| command.starts_with("nightshift "));
        for command in commands {
            seen += 1;
            faults.extend(fault(&cli, &command).map(|fault| format!("{name}: {fault}")));
        }
    }
    assert!(seen > 40, "the commands were found: {seen}");
    assert_none("commands", &faults);
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let cli = Cli::command();
    for good in
        ["nightshift serve", "nightshift version show \"My title\" 2 --details", "nightshift --set a=b run list"]
    {
        assert_eq!(fault(&cli, good), None);
    }
    for bad in
        ["nightshift srve", "nightshift version shw x", "nightshift replay --all", "nightshift run list --statsu=x"]
    {
        assert!(fault(&cli, bad).is_some(), "{bad}");
    }
}

#[test]
fn the_readme_lists_every_command() {
    let listed = section(&read("README.md"), "## Commands").join("\n");
    let cli = Cli::command();
    let names = cli.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help");
    let missing = names.filter(|name| !listed.contains(&format!("`nightshift {name}")));
    assert_none("commands without a line", &missing.map(str::to_owned).collect::<Vec<_>>());
}

/// Numbers of the first column of a table.
fn first_column(lines: &[&str]) -> BTreeSet<u8> {
    lines.iter().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let source = read("crates/nightshift/src/exit.rs");
    let variants = source.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let defined: BTreeSet<u8> = variants.filter_map(|(_, code)| code.parse().ok()).collect();
    assert!(defined.len() > 5, "the codes were found: {defined:?}");
    for name in ["README.md", "ops/runbook.md"] {
        assert_eq!(first_column(&section(&read(name), "## Exit codes")), defined, "exit codes of {name}");
    }
    let help = Cli::command().get_after_help().expect("the help ends with the exit codes").to_string();
    let said: BTreeSet<u8> = help.split([' ', ',', '\n']).filter_map(|word| word.parse().ok()).collect();
    assert_eq!(said, defined, "exit codes of --help");
}

/// `section.key` in a document, and `--set section.key=value`, are keys of the configuration.
#[test]
fn keys_of_the_configuration_exist() {
    let keys: BTreeSet<&str> = nightshift::config::KEYS.iter().map(|key| key.path).collect();
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    let mut faults = Vec::new();
    for (name, text) in documents() {
        let set = shell_commands(&text);
        let set =
            set.iter().flat_map(|command| command.split(" --set ").skip(1)).filter_map(|rest| rest.split('=').next());
        let named = prose(&text).flat_map(spans).filter(|span| {
            let section = span.split_once('.').map(|(section, _)| section);
            section.is_some_and(|section| sections.contains(section)) && !span.contains(['/', ' ', '=', '*'])
        });
        let named = named.filter(|span| !span.ends_with(".rs"));
        let unknown = named.chain(set).filter(|key| !keys.contains(key));
        faults.extend(unknown.map(|key| format!("{name}: there is no key {key}")));
    }
    assert_none("keys", &faults);
}

#[test]
fn the_readme_begins_with_the_two_commands_that_do_everything() {
    let text = read("README.md");
    let (before, rest) = text.split_once("```sh\n").expect("the README has a shell block");
    let block = rest.split("```").next().unwrap_or_default();
    assert!(!before.contains("```"), "it is the first block of all");
    assert_eq!(shell_commands(&format!("```sh\n{block}```\n")), ["scripts/demo", "scripts/test"]);
}

#[test]
fn the_order_in_the_readme_is_one() {
    let order = yaml_of_the_readme(0);
    let probe = |path: &str| if path.ends_with("/orders") { PathKind::Repository } else { PathKind::Folder };
    let calendar = ZonedCalendar::bundled();
    let now = Timestamp::from_secs(1_772_000_000);
    let context = Context { file: "README.md", base_dir: "/srv/orders", probe: &probe, calendar: &calendar, now };
    let read = order_file::parse(&order, &context).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(read.order.sources.len(), 3);
}

/// The n-th YAML document of the README, from 0.
fn yaml_of_the_readme(nth: usize) -> String {
    let text = read("README.md");
    let block = text.split("```yaml\n").nth(nth + 1).and_then(|rest| rest.split("```").next());
    block.unwrap_or_else(|| panic!("the README has no YAML block {nth}")).to_owned()
}

#[test]
fn the_workflow_in_the_readme_is_one() {
    let calendar = ZonedCalendar::bundled();
    let now = Timestamp::from_secs(1_772_000_000);
    let (max_parallel_default, max_parallel_cap) = (None, None);
    let context = workflow::Context { calendar: &calendar, now, owner: "you", max_parallel_default, max_parallel_cap };
    let read =
        workflow::parse(&yaml_of_the_readme(1), "README.md", &context).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!((read.triggers.len(), read.plan.steps.len()), (2, 5));
}

#[test]
fn decisions_are_numbered_without_gaps_and_keep_the_form() {
    let template: Vec<String> = headings(&read("docs/adr/0000-template.md"));
    let mut records: Vec<&TextFile> = FILES.iter().filter(|file| file.path.starts_with("docs/adr/")).collect();
    records.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(records.len() > 1, "there are decisions");
    let listed = section(&read("ARCHITECTURE.md"), "## Decisions").join("\n");
    for (number, record) in records.iter().enumerate().skip(1) {
        let number = format!("{number:04}");
        assert!(record.path.starts_with(&format!("docs/adr/{number}-")), "{} should be {number}", record.path);
        assert!(record.text.starts_with(&format!("# {number}: ")), "{}: the title begins with {number}", record.path);
        assert!(record.text.contains("\n- Status: ") && record.text.contains("\n- Date: "), "{}", record.path);
        assert_eq!(headings(&record.text), template, "headings of {}", record.path);
        let title = record.text.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, title)| title);
        assert!(
            listed.contains(&format!("| [{number}]({}) | {title} |", record.path)),
            "{} is not listed",
            record.path
        );
    }
}

fn headings(document: &str) -> Vec<String> {
    document.lines().filter(|line| line.starts_with("## ")).map(str::to_owned).collect()
}
