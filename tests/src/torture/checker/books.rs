//! Rules about what the program acknowledged and what it says in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Findings, Seen, distinct};
use crate::torture::{
    client::is_over,
    orders::{DOCUMENT, Flow},
};

/// An order makes one run; what was acknowledged is there; nothing is there that nobody ordered.
pub fn orders(seen: &Seen<'_>, found: &mut Findings) {
    let mut runs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in seen.runs.values() {
        runs.entry(run.text("order")).or_default().insert(run.text("run"));
    }
    let ordered = distinct(seen.all("ordered").iter().map(|order| order.text("id")));
    for (id, runs) in &runs {
        found.check("an order makes one run", runs.len() == 1, || format!("{id}: {runs:?}"));
        found.check("nothing is done that nobody ordered", ordered.contains(id), || format!("{id}: {runs:?}"));
    }
    let mut accepted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in seen.all("accepted").iter().filter(|entry| entry.text("flow") != DOCUMENT) {
        let id = entry.text("id");
        let runs = runs.get(id);
        found.check(
            "what was acknowledged is there",
            runs.is_some_and(|runs| entry.text("run").is_empty() || runs.contains(entry.text("run"))),
            || format!("{} at {}: there is {runs:?}", entry.0, entry.n()),
        );
        accepted.entry(id).or_default().insert(entry.text("run"));
    }
    for (id, answers) in &accepted {
        found.check("a repeated order is answered the same", answers.len() == 1, || format!("{id}: {answers:?}"));
    }
    found.count("orders", ordered.len());
    found.count("orders sent", seen.all("ordered").len());
    found.count("orders without an answer", seen.all("unheard").len());
    found.count("runs acknowledged", accepted.len());
    found.count("runs", seen.runs.len());
}

/// Each document that was acknowledged is one version, delivered by one mail; and there are no others.
pub fn documents(seen: &Seen<'_>, found: &mut Findings) {
    let accepted = seen.all("accepted").iter().filter(|entry| entry.text("flow") == DOCUMENT);
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in accepted {
        wanted.entry(entry.text("about")).or_default().insert(entry.text("id"));
    }
    let mut versions: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
    for version in seen.all("version") {
        versions.entry(version.text("about")).or_default().push(*version);
    }
    let orders: BTreeSet<&str> = wanted.keys().chain(versions.keys()).copied().collect();
    for about in orders {
        let (asked, made) = (wanted.get(about).map_or(0, BTreeSet::len), versions.get(about).map_or(0, Vec::len));
        found.check("each document is one version", asked == made, || {
            format!("{about}: {asked} asked for, {made} made")
        });
        let numbers: BTreeSet<u64> =
            versions.get(about).into_iter().flatten().map(|version| version.number("number")).collect();
        let dense = numbers.iter().copied().eq(1..=made as u64);
        found.check("versions are numbered without gaps", dense, || format!("{about}: {numbers:?}"));
    }
    let arrived = distinct(seen.all("mail").iter().map(|mail| mail.text("id")));
    let mut mails: BTreeMap<&str, usize> = BTreeMap::new();
    for version in seen.all("version") {
        let mail = version.text("mail");
        *mails.entry(mail).or_default() += 1;
        found.check("a version arrives", version.text("status") == "delivered" && arrived.contains(mail), || {
            version.0.to_string()
        });
    }
    let strange: Vec<&&str> = arrived.iter().filter(|mail| !mails.contains_key(**mail)).collect();
    found.check("a version is sent under one Message-ID", strange.is_empty(), || {
        format!("mails of no version: {strange:?}")
    });
    found.check("a Message-ID is one version's", mails.values().all(|times| *times == 1), || format!("{mails:?}"));
    found.count("versions", seen.all("version").len());
}

/// Every run is over, and its end agrees with what the agents answered and people said.
pub fn ends(seen: &Seen<'_>, found: &mut Findings) {
    let mut made: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    // A step that must not be done twice and whose answer nobody may have heard.
    let mut doubtful: BTreeSet<&str> = BTreeSet::new();
    for (position, request) in seen.requests.iter().enumerate() {
        let (run, step, _) = request.place();
        match request.answer {
            Some((200, answer)) => made.entry((run, step)).or_default().push(answer.text("value")),
            Some((422, _)) => refused.entry(run).or_default().push(request.entry.n()),
            _ => {}
        }
        let Some(flow) = seen.runs.get(run).and_then(|run| Flow::named(run.text("flow"))) else { continue };
        if flow.never.contains(&step) {
            let next = seen.requests[position + 1..].iter().find(|next| next.place().0 == run);
            let next = next.map_or(u64::MAX, |next| next.entry.n());
            if !request.is_good() || seen.is_disturbed(request.entry.n(), next) {
                doubtful.insert(run);
            }
        }
    }
    // Before anything was sent, a fault leaves as much in doubt.
    let asked = distinct(
        seen.requests.iter().filter(|request| request.entry.text("step") == "pay").map(|request| request.place().0),
    );
    let cancelled = distinct(seen.all("cancel").iter().map(|cancel| cancel.text("run")));
    for (id, run) in &seen.runs {
        let status = run.text("status");
        found.check("every run ends", is_over(status), || run.0.to_string());
        let Some(flow) = Flow::named(run.text("flow")) else { continue };
        let why = || format!("{}; refused at {:?}", run.0, refused.get(id));
        match status {
            "completed" => {
                found.count("runs completed", 1);
                found.check("a run that is complete was refused nothing", !refused.contains_key(id), why);
                for (step, times) in flow.steps {
                    let made = made.get(&(id, step)).map_or(&[][..], Vec::as_slice);
                    let distinct: BTreeSet<&&str> = made.iter().collect();
                    found.check("a run that is complete had each step answered", distinct.len() == *times, || {
                        format!("{step} was answered with {distinct:?}: {}", run.0)
                    });
                    let kept = run.0["results"][*step].to_string();
                    let same = made.iter().all(|value| kept.contains(&format!("\"{value}\"")));
                    found.check("what an agent answered is what is kept", same, || {
                        format!("{step}: {made:?}, kept is {kept}")
                    });
                }
            }
            "failed" => {
                found.count("runs failed", 1);
                let interrupted = !flow.never.is_empty() && (doubtful.contains(id) || !asked.contains(id));
                found.check("a run fails for a reason", refused.contains_key(id) || interrupted, why);
            }
            "cancelled" | "aborted" => {
                found.count("runs cancelled", 1);
                found.check("a run is cancelled by somebody", cancelled.contains(id), why);
            }
            _ => {}
        }
    }
}

/// An end that was seen once stays; who was told that a run is cancelled finds it cancelled.
pub fn looks(seen: &Seen<'_>, found: &mut Findings) {
    let last = |run: &str| seen.runs.get(run).map_or("", |run| run.text("status"));
    for look in seen.all("seen") {
        let now = last(look.text("run"));
        found.check("an end stays an end", now == look.text("status"), || format!("{}; now it is {now:?}", look.0));
    }
    for cancelled in seen.all("cancelled") {
        let now = last(cancelled.text("run"));
        found.check("cancelled is cancelled", matches!(now, "cancelled" | "aborted"), || {
            format!("{}; now it is {now:?}", cancelled.0)
        });
    }
}
