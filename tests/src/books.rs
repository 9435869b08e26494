//! The books of a world after the storm: what the program says happened, compared with what arrived outside.
//!
//! Owns: the invariants an outsider can check: one outcome a slot, numbers without gaps, one delivery a version.
//! Refuses to know: how the program keeps them. It reads JSON that the commands print, files, and what a server heard.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{http::Exchange, world::World};

/// One deliverable and where its versions go.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Folder of the destination; none when it goes to the web server.
    pub folder: Option<String>,
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Instants at which schedules told their deliverables.
    pub slots: usize,
    /// Versions made.
    pub versions: usize,
    /// Slots passed over, each with its reason.
    pub skips: usize,
    /// Versions that arrived, as files or at the web server.
    pub deliveries: usize,
    /// Requests at the web server beyond the first of each key.
    pub repeated: usize,
    /// Requests that the web server refused.
    pub refused: usize,
}

/// Checks everything and counts. Every fault is a line of the error.
///
/// # Errors
/// The books do not agree.
pub fn audit(world: &World, orders: &[Order], exchanges: &[Exchange]) -> Result<Tally, String> {
    let mut books = Books { faults: Vec::new(), tally: Tally::default() };
    let versions: BTreeMap<&str, Vec<Value>> =
        orders.iter().map(|order| (order.id.as_str(), versions_of(world, &order.id))).collect();
    books.numbers(&versions);
    books.slots(world, &versions);
    for order in orders {
        if let Some(folder) = &order.folder {
            books.files(world, folder, &versions[order.id.as_str()]);
        }
    }
    let hooked = orders.iter().filter(|order| order.folder.is_none());
    books.hooks(&hooked.flat_map(|order| versions[order.id.as_str()].clone()).collect::<Vec<_>>(), exchanges);
    books.replays(world);
    if books.faults.is_empty() { Ok(books.tally) } else { Err(books.faults.join("\n")) }
}

fn versions_of(world: &World, id: &str) -> Vec<Value> {
    let mut rows = world.node.rows(&["version", "list", id]);
    assert!(rows.len() < 200, "`version list` shows 200 versions at most; make the storm shorter");
    rows.sort_by_key(|row| row["version_number"].as_u64());
    rows
}

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row[column].as_str().unwrap_or_default()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Books {
    faults: Vec<String>,
    tally: Tally,
}

impl Books {
    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    /// Versions are numbered 1, 2, 3, each delivered once, each for a slot of its own.
    fn numbers(&mut self, versions: &BTreeMap<&str, Vec<Value>>) {
        for (id, rows) in versions {
            let numbers: Vec<u64> = rows.iter().filter_map(|row| row["version_number"].as_u64()).collect();
            let dense: Vec<u64> = (1..=rows.len() as u64).collect();
            self.check(numbers == dense, || format!("{id}: versions are numbered {numbers:?}"));
            let slots: BTreeSet<&str> = rows.iter().map(|row| text(row, "slot_id")).collect();
            self.check(slots.len() == rows.len(), || format!("{id}: two versions for one slot"));
            for row in rows {
                let state = (text(row, "status"), text(row, "delivery_status"), row["delivery_count"].as_u64());
                let number = &row["version_number"];
                self.check(state == ("delivered", "delivered", Some(1)), || format!("{id} v{number}: {state:?}"));
            }
            self.tally.versions += rows.len();
        }
    }

    /// Each instant a schedule fired has one outcome: one version or one skip; and read models say what the log says.
    fn slots(&mut self, world: &World, versions: &BTreeMap<&str, Vec<Value>>) {
        let events = captured_events(world);
        let mut fired: BTreeMap<(String, i64), usize> = BTreeMap::new();
        let mut outcomes: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
        let mut told: BTreeMap<(String, i64), Vec<&str>> = BTreeMap::new();
        for event in &events {
            let (kind, data) = (text(event, "type"), &event["data"]);
            let nominal = data["nominal"].as_i64().unwrap_or_default();
            let id = text(event, "stream").strip_prefix("deliverable-").unwrap_or_default().to_owned();
            if !data["nominal"].is_null() {
                told.entry((id.clone(), nominal)).or_default().push(kind);
            }
            match kind {
                "schedule.fired" => *fired.entry((target(&data["target"]), nominal)).or_default() += 1,
                "deliverable.skipped" => outcomes.entry((id, nominal)).or_default().push("skip".to_owned()),
                "deliverable.run_requested" => {
                    outcomes.entry((id, nominal)).or_default().push(format!("v{}", data["number"]));
                }
                "deliverable.version_failed" | "deliverable.delivery_failed" => {
                    self.faults.push(format!("{id}: {kind}: {data}"));
                }
                _ => {}
            }
        }
        let twice: Vec<_> = fired.iter().filter(|(_, times)| **times != 1).collect();
        self.check(twice.is_empty(), || format!("instants that fired more than once: {twice:?}"));
        for slot in fired.keys() {
            let outcome = outcomes.get(slot).map_or(&[][..], Vec::as_slice);
            self.check(outcome.len() == 1, || {
                format!("slot {slot:?} has the outcomes {outcome:?} after {:?}", told.get(slot))
            });
        }
        let strangers: Vec<_> = outcomes.keys().filter(|slot| !fired.contains_key(slot)).collect();
        self.check(strangers.is_empty(), || format!("outcomes of slots that never fired: {strangers:?}"));
        let made = outcomes.values().flatten().filter(|outcome| *outcome != "skip").count();
        let rows: usize = versions.values().map(Vec::len).sum();
        self.check(made == rows, || format!("{made} versions in the log, {rows} in `version list`"));
        let listed: u64 =
            world.node.rows(&["schedule", "list"]).iter().filter_map(|row| row["fired_count"].as_u64()).sum();
        self.check(listed == fired.len() as u64, || {
            format!("{} fired in the log, {listed} in `schedule list`", fired.len())
        });
        self.tally.slots += fired.len();
        self.tally.skips += outcomes.len() - made;
    }

    /// One whole file for each version, and nothing else.
    fn files(&mut self, world: &World, folder: &str, versions: &[Value]) {
        let entries = std::fs::read_dir(world.path(folder)).into_iter().flatten().filter_map(Result::ok);
        let found: BTreeMap<String, Vec<u8>> = entries
            .map(|entry| {
                (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap_or_default())
            })
            .collect();
        for row in versions {
            let suffix = format!("-v{}.md", row["version_number"]);
            let content = found.iter().find(|(name, _)| name.ends_with(&suffix)).map(|(_, bytes)| digest(bytes));
            let wanted = text(row, "content_digest");
            self.check(content.as_deref() == Some(wanted), || format!("{folder}/*{suffix}: {content:?}, not {wanted}"));
        }
        self.check(found.len() == versions.len(), || {
            format!("{folder} holds {:?} for {} version(s)", found.keys(), versions.len())
        });
        self.tally.deliveries += found.len();
    }

    /// Each version has one key, each key one content, and each was taken at least once.
    fn hooks(&mut self, versions: &[Value], exchanges: &[Exchange]) {
        let mut contents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut keys_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut requests = 0;
        for (asked, status) in exchanges {
            let key = asked.header("webhook-id").to_owned();
            let same = asked.header("x-idempotency-key") == key && !key.is_empty();
            self.check(same, || format!("a request without one key: {:?}", asked.headers));
            let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
            contents.entry(key.clone()).or_default().insert(body["data"].to_string());
            keys_of.entry(text(&body["data"], "version_id").to_owned()).or_default().insert(key.clone());
            requests += 1;
            self.tally.refused += usize::from(*status >= 300);
            if (200..300).contains(status) {
                taken.insert(key);
            }
        }
        let split: Vec<_> = contents.iter().filter(|(_, bodies)| bodies.len() != 1).collect();
        self.check(split.is_empty(), || format!("one key, several contents: {split:?}"));
        for row in versions {
            let (id, name) = (text(row, "id"), format!("{} v{}", text(row, "deliverable_id"), row["version_number"]));
            let keys = keys_of.get(id).cloned().unwrap_or_default();
            self.check(keys.len() == 1, || format!("{name} was sent under the keys {keys:?}"));
            self.check(keys.iter().all(|key| taken.contains(key)), || format!("{name} never arrived"));
            let wanted = format!("sha256:{}", text(row, "content_digest"));
            let right = keys.iter().flat_map(|key| &contents[key]).all(|body| body.contains(&wanted));
            self.check(right, || format!("{name} arrived with another text than {wanted}"));
        }
        let (distinct, wanted) = (contents.len(), versions.len());
        self.check(distinct == wanted, || format!("{distinct} keys for {wanted} versions"));
        self.tally.deliveries += taken.len();
        self.tally.repeated += requests - distinct;
    }

    /// The program's own checks agree.
    fn replays(&mut self, world: &World) {
        for (args, key) in [(&["verify", "--json"][..], "clean"), (&["replay", "--store", "--json"][..], "same")] {
            let done = world.node.run(args);
            let good = done.code == 0 && done.json()[key] == true;
            self.check(good, || format!("{}: exit code {}\n{}{}", done.said, done.code, done.out, done.err));
        }
        let fixture = world.text_path("captured");
        let done = world.node.run(&["replay", &fixture]);
        self.check(done.code == 0, || format!("{}: exit code {}\n{}{}", done.said, done.code, done.out, done.err));
    }
}

/// The id of the deliverable a schedule tells, in either form of a stream's name.
fn target(stream: &Value) -> String {
    let name = stream.as_str().map_or_else(|| stream["id"].as_str().unwrap_or_default().to_owned(), str::to_owned);
    name.strip_prefix("deliverable-").unwrap_or(&name).to_owned()
}

fn captured_events(world: &World) -> Vec<Value> {
    let folder = world.text_path("captured");
    let _ = world.node.json(&["capture", "--since", "all", "--out", &folder]);
    let lines = std::fs::read_to_string(world.path("captured/events.jsonl")).expect("events were captured");
    lines.lines().map(|line| serde_json::from_str(line).expect("each line is an event")).collect()
}
