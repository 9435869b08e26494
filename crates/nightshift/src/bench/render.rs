//! Results as Markdown, and in their place in a document.
//!
//! Owns: the tables of `docs/performance.md` and the marks between which they stand.
//! Refuses to know: how a figure came about, what it means.
//!
//! Invariant: the text depends on the results and on nothing else.

use std::fmt::Write;

use super::{
    compare::spread_text,
    result::{Figure, Machine, Results, number},
    topics::TOPICS,
};

/// In front of the tables of a document.
const BEGIN: &str = "<!-- bench:begin -->";

/// Behind them.
const END: &str = "<!-- bench:end -->";

/// Stores in the order of the columns.
const STORES: [(&str, &str); 2] = [("sqlite", "SQLite"), ("postgres", "PostgreSQL")];

/// A result as Markdown: where it was taken, then a table for each topic.
pub(super) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    if results.machine.build != "release" {
        text.push_str("**Not a release build: these figures show the form of the tables and nothing else.**\n\n");
    }
    let (size, repeats) = (&results.size, results.repeats);
    let _ = writeln!(text, "Taken at {}, size `{size}`, medians of {repeats} (least..most).\n", results.taken_at);
    text.push_str(&machine(&results.machine));
    for topic in &TOPICS {
        let figures: Vec<&Figure> =
            results.figures.iter().filter(|figure| topic.benches.contains(&figure.bench.as_str())).collect();
        if !figures.is_empty() {
            let _ = write!(text, "\n### {}\n\n{}", capital(topic.name), table(&figures));
        }
    }
    for failed in &results.failed {
        let _ = write!(text, "\nNot taken: `{}` on {}: {}\n", failed.bench, failed.store, failed.why);
    }
    text
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn machine(machine: &Machine) -> String {
    let mut text = String::new();
    let memory = number(machine.memory_mib as f64);
    let _ = writeln!(
        text,
        "- Machine: {} x {}, {memory} MiB, kernel {}.",
        machine.cores, machine.processor, machine.kernel
    );
    let sync = spread_text(&machine.fsync_ms);
    let sync = sync.split(" (").next().unwrap_or_default();
    let _ = writeln!(
        text,
        "- Disk: {} on {}; a write of 4 KiB with its fdatasync takes {sync} ms (median of {}).",
        machine.filesystem,
        machine.disk,
        machine.fsync_ms.values.len()
    );
    let revision = machine.revision.as_deref().map(|revision| format!(", revision {revision}")).unwrap_or_default();
    let _ = writeln!(text, "- Nightshift {}{revision}, {} build.", machine.version, machine.build);
    for (store, name) in STORES {
        let Some(database) = machine.databases.get(store) else { continue };
        let settings: Vec<String> =
            database.settings.iter().map(|(setting, value)| format!("`{setting}`={value}")).collect();
        let _ = writeln!(text, "- {name} {}: {}.", database.version, settings.join(", "));
    }
    text
}

/// Figures of one name stand in one line, a column for each store.
fn table(figures: &[&Figure]) -> String {
    let mut text = String::from(
        "| bench | figure | unit | SQLite | of it | PostgreSQL | of it | baseline | goal |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut titles: Vec<(&str, String)> = Vec::new();
    for figure in figures {
        let title = (figure.bench.as_str(), figure.title());
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    for (bench, title) in titles {
        let of = |store: &str| {
            let same = |figure: &&&Figure| figure.bench == bench && figure.store == store && figure.title() == title;
            figures.iter().find(same).copied()
        };
        let both = STORES.map(|(store, _)| of(store));
        let [sqlite, postgres] = both.map(cells);
        let (unit, baseline, goal) = (joined(both, unit), joined(both, baseline), joined(both, Figure::goal_text));
        let _ = writeln!(
            text,
            "| `{bench}` | {title} | {unit} | {} | {} | {} | {} | {baseline} | {goal} |",
            sqlite.0, sqlite.1, postgres.0, postgres.1
        );
    }
    text
}

fn unit(figure: &Figure) -> String {
    figure.unit.clone()
}

fn baseline(figure: &Figure) -> String {
    figure.baseline.as_ref().map(|baseline| baseline.name.clone()).unwrap_or_default()
}

/// What both stores say, once when they say the same.
fn joined(both: [Option<&Figure>; 2], part: impl Fn(&Figure) -> String) -> String {
    let mut parts: Vec<String> = both.into_iter().flatten().map(part).filter(|part| !part.is_empty()).collect();
    parts.dedup();
    if parts.is_empty() { "-".to_owned() } else { parts.join(" / ") }
}

/// The values and the ratio; bold where a goal is missed.
fn cells(figure: Option<&Figure>) -> (String, String) {
    let Some((figure, spread)) = figure.and_then(|figure| figure.spread.as_ref().map(|spread| (figure, spread))) else {
        return ("-".to_owned(), "-".to_owned());
    };
    let values = spread_text(spread);
    let values = if figure.met() == Some(false) { format!("**{values}**") } else { values };
    let ratio = figure.baseline.as_ref().map(|baseline| format!("{:.2}", baseline.ratio.median));
    (values, ratio.unwrap_or_else(|| "-".to_owned()))
}

/// The document with the text between its marks.
///
/// # Errors
/// The marks are not there, each once and in order.
pub(super) fn put_into(document: &str, text: &str) -> Result<String, String> {
    let broken = || format!("the document needs one line {BEGIN} and behind it one line {END}");
    let (head, rest) = document.split_once(BEGIN).ok_or_else(broken)?;
    let (_, tail) = rest.split_once(END).ok_or_else(broken)?;
    if [head, tail].iter().any(|part| part.contains(BEGIN) || part.contains(END)) {
        return Err(broken());
    }
    Ok(format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            result::{Failed, Goal},
            testing::results,
        },
        *,
    };

    fn example() -> Results {
        let of = |store: &str, values: Vec<f64>| {
            Figure::new(("append", store), "64 producers", "events/s", values).scale("events", 40_000)
        };
        let mut latency = Figure::new(("latency", "sqlite"), "p99", "ms", vec![4.0]).goal(Goal::AtMost(3.0));
        latency.spread.as_mut().expect("a number").least = 4.0;
        let mut all = results(vec![
            of("sqlite", vec![800.0, 900.0, 1000.0]).beside("raw inserts", &[1000.0; 3]).goal(Goal::OfRaw(0.6)),
            of("postgres", vec![5000.0]),
            latency,
            Figure::new(("latency", "postgres"), "p99", "ms", vec![2.0]).goal(Goal::AtMost(2.5)),
            Figure::new(("runs", "sqlite"), "events in a commit", "events", vec![f64::NAN]),
        ]);
        let (bench, store, why) = ("jobs".to_owned(), "sqlite".to_owned(), "the disk is full".to_owned());
        all.failed.push(Failed { bench, store, why });
        all
    }

    /// Golden: a change of it changes the published document.
    #[test]
    fn results_have_one_form() {
        let expected = "\
Taken at 2026-11-21T12:00:00Z, size `usual`, medians of 3 (least..most).

- Machine: 2 x A Processor, 24,000 MiB, kernel 6.18.
- Disk: ext4 on vda; a write of 4 KiB with its fdatasync takes 2 ms (median of 3).
- Nightshift 0.1.0, revision abc1234, release build.
- SQLite 3.51.3: `synchronous`=2.
- PostgreSQL 15.18: `fsync`=on.

### Append

| bench | figure | unit | SQLite | of it | PostgreSQL | of it | baseline | goal |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `append` | 64 producers (40,000 events) | events/s | 900 (800..1,000) | 0.90 | 5,000 | - | raw inserts | >= 0.60 of it |

### Queue

| bench | figure | unit | SQLite | of it | PostgreSQL | of it | baseline | goal |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `latency` | p99 | ms | **4** | - | 2 | - | - | <= 3 / <= 2.50 |

### Workflows

| bench | figure | unit | SQLite | of it | PostgreSQL | of it | baseline | goal |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `runs` | events in a commit | events | - | - | - | - | - | - |

Not taken: `jobs` on sqlite: the disk is full
";
        assert_eq!(markdown(&example()), expected);
    }

    #[test]
    fn a_build_that_is_no_release_is_marked() {
        let mut debug = example();
        "debug".clone_into(&mut debug.machine.build);
        assert!(markdown(&debug).starts_with("**Not a release build"));
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("# Head\n\n{BEGIN}\nold\n{END}\n\ntail\n");
        let put = put_into(&document, "new\n").expect("the marks are there");
        assert_eq!(put, format!("# Head\n\n{BEGIN}\n\nnew\n\n{END}\n\ntail\n"));
        assert_eq!(put_into(&put, "new\n"), Ok(put.clone()), "once more changes nothing");
        for broken in ["", BEGIN, END, &format!("{END}\n{BEGIN}"), &format!("{document}{document}")] {
            assert!(put_into(broken, "new").is_err(), "{broken}");
        }
    }

    /// What is published is what the result in the tree says.
    #[test]
    fn the_document_shows_the_result_in_the_tree() {
        let read = |path: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
            std::fs::read_to_string(path).expect("it is in the tree")
        };
        let results: Results = serde_json::from_str(&read("docs/figures/bench.json")).expect("a result");
        let document = read("docs/performance.md");
        let put = put_into(&document, &markdown(&results)).expect("the marks are there");
        let remedy = "run: nightshift bench --render docs/figures/bench.json --into docs/performance.md";
        assert!(put == document, "{remedy}");
    }
}
