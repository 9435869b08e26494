//! Figures as they come, for whoever waits, and all of them at the end.
//!
//! Owns: the table on a terminal, the files of results, how long each bench took and which one ended with an error.
//! Refuses to know: how a figure came about.

use std::{path::Path, time::Duration};

pub(super) use super::result::{Figure, Goal, percentile};
use super::{
    compare::spread_text,
    result::{FORMAT, Failed, Results, Took},
};
use crate::{
    exit::{Code, Exit},
    output,
};

/// What is found, while it is found.
pub(super) struct Report {
    pub(super) results: Results,
    json: bool,
}

impl Report {
    pub(super) const fn new(results: Results, json: bool) -> Self {
        Self { results, json }
    }

    /// Says where it is measured.
    pub(super) fn open(&self) {
        if self.json {
            return;
        }
        let machine = &self.results.machine;
        output::fact("machine", format_args!("{} x {}, {} MiB", machine.cores, machine.processor, machine.memory_mib));
        output::fact("kernel", &machine.kernel);
        output::fact("disk", format_args!("{} on {}", machine.filesystem, machine.disk));
        output::fact("fsync", format_args!("{} ms for 4 KiB", spread_text(&machine.fsync_ms)));
        let revision = machine.revision.as_deref().unwrap_or("unknown");
        let mark = if machine.build == "release" { "" } else { ", NOT a release build: the figures say nothing" };
        output::fact("nightshift", format_args!("{}, revision {revision}{mark}", machine.version));
        for (store, database) in &machine.databases {
            let settings: Vec<String> =
                database.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            output::fact(store, format_args!("{}, {}", database.version, settings.join(", ")));
        }
        println!();
    }

    /// What is done now, for whoever waits.
    pub(super) fn doing(&self, what: &str) {
        if !self.json {
            output::note(&format!("... {what}"));
        }
    }

    pub(super) fn add(&mut self, figure: Figure) {
        self.doing(&line(&figure).join("  "));
        self.results.figures.push(figure);
    }

    /// How a bench ended, and when.
    pub(super) fn ended(&mut self, (bench, store): (&str, &str), outcome: Result<(), Exit>, after: Duration) {
        let (bench, store) = (bench.to_owned(), store.to_owned());
        if let Err(error) = outcome {
            output::note(&format!("error: {bench} on {store}: {}", error.message));
            self.results.failed.push(Failed { bench: bench.clone(), store: store.clone(), why: error.message });
        }
        self.doing(&format!("{bench} on {store} took {:.1} s", after.as_secs_f64()));
        self.results.took.push(Took { bench, store, seconds: after.as_secs_f64() });
    }

    /// Prints all figures.
    pub(super) fn close(&self) {
        if self.json {
            return output::json(&self.results);
        }
        println!();
        let headings = ["bench", "store", "figure", "median (least..most)", "unit", "of it", "baseline", "goal", "met"];
        output::table(&headings, self.results.figures.iter().map(line).collect(), "nothing was measured");
        for store in ["sqlite", "postgres"] {
            let took = self.results.took.iter().filter(|took| took.store == store);
            let each: Vec<String> = took.clone().map(|took| format!("{} {:.0} s", took.bench, took.seconds)).collect();
            let all: f64 = took.map(|took| took.seconds).sum();
            if !each.is_empty() {
                output::fact(&format!("{store} took"), format_args!("{all:.0} s: {}", each.join(", ")));
            }
        }
    }

    /// What went wrong, as one error.
    pub(super) fn outcome(&self) -> Result<(), Exit> {
        let failed = &self.results.failed;
        if failed.is_empty() {
            return Ok(());
        }
        let each: Vec<String> =
            failed.iter().map(|failed| format!("{} on {}: {}", failed.bench, failed.store, failed.why)).collect();
        Err(Exit::failed(format!("{} measurements failed: {}", failed.len(), each.join("; "))))
    }
}

fn line(figure: &Figure) -> Vec<String> {
    let values = figure.spread.as_ref().map_or_else(|| "no number".to_owned(), spread_text);
    let (ratio, baseline) = match &figure.baseline {
        None => (String::new(), String::new()),
        Some(beside) => (format!("{:.2}", beside.ratio.median), beside.name.clone()),
    };
    let met = figure.met().map_or("", |met| if met { "yes" } else { "NO" });
    vec![
        figure.bench.clone(),
        figure.store.clone(),
        figure.title(),
        values,
        figure.unit.clone(),
        ratio,
        baseline,
        figure.goal_text(),
        met.to_owned(),
    ]
}

/// Reads a result that was written before.
///
/// # Errors
/// It is not there, or is no result of this form; the error names the file.
pub(super) fn load(path: &Path) -> Result<Results, Exit> {
    let text = output::read_text(path)?;
    let no_result = |why: String| {
        Exit::new(Code::Usage, format!("{}: no result of `nightshift bench --out`: {why}", path.display()))
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| no_result(error.to_string()))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        found => {
            let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
            return Err(no_result(format!("found format {found}, allowed: {FORMAT}; measure again")));
        }
    }
    serde_json::from_value(value).map_err(|error| no_result(error.to_string()))
}

/// Writes a result.
///
/// # Errors
/// The file cannot be written; the error names it.
pub(super) fn save(results: &Results, path: &Path) -> Result<(), Exit> {
    let text = serde_json::to_string_pretty(results)? + "\n";
    std::fs::write(path, text).map_err(|error| Exit::failed(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{figure, results},
        *,
    };

    #[test]
    fn a_result_is_read_back_and_another_form_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bench.json");
        let all = results(vec![figure("x", "ms", vec![1.0, 2.0])]);
        save(&all, &path).expect("written");
        assert_eq!(load(&path).expect("read"), all);
        for (text, why) in [
            ("{", "EOF"),
            ("{}", "found format none, allowed: 1"),
            ("{\"format\": 2}", "found format 2, allowed: 1"),
            ("{\"format\": 1}", "missing field"),
        ] {
            std::fs::write(&path, text).expect("written");
            let message = load(&path).expect_err("it is none").message;
            assert!(message.contains(why) && message.contains("bench.json"), "{message}");
        }
    }

    #[test]
    fn one_failure_is_the_outcome_of_the_whole() {
        let mut report = Report::new(results(Vec::new()), true);
        report.ended(("append", "sqlite"), Ok(()), Duration::from_secs(1));
        assert!(report.outcome().is_ok());
        report.ended(("jobs", "sqlite"), Err(Exit::failed("the disk is full")), Duration::from_secs(1));
        let error = report.outcome().expect_err("one failed").message;
        assert_eq!(error, "1 measurements failed: jobs on sqlite: the disk is full");
        assert_eq!(report.results.took.len(), 2);
    }
}
