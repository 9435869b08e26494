//! Rules about what reached the agents and the mail server.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Findings, Request, Seen, distinct};
use crate::torture::orders::{FLOWS, Flow};

/// An answer that came sooner than this came in time, whatever the program was doing.
const IN_TIME_MS: u64 = 2_000;

/// What was on its way when a cancellation was acknowledged has arrived after this, on a machine that has much to do.
const ON_ITS_WAY_MS: u64 = 15_000;

/// What a process sent before it died has been read after this.
const ARRIVES_MS: u64 = 3_000;

/// No process stands still for longer.
const FROZEN_MS: u64 = 60_000;

fn flow_of(seen: &Seen<'_>, request: &Request<'_>) -> Option<&'static Flow> {
    Flow::named(seen.runs.get(request.entry.text("run"))?.text("flow"))
}

/// All attempts at a step have one key, which is nobody else's; no attempt goes out twice.
pub fn keys(seen: &Seen<'_>, found: &mut Findings) {
    let mut owners: BTreeMap<&str, BTreeSet<_>> = BTreeMap::new();
    let mut tokens: BTreeMap<&str, u64> = BTreeMap::new();
    for request in &seen.requests {
        let entry = request.entry;
        owners.entry(entry.text("key")).or_default().insert(request.place());
        found.check(
            "an attempt has a key and a token",
            !entry.text("key").is_empty() && !entry.text("token").is_empty(),
            || entry.0.to_string(),
        );
        if let Some(before) = tokens.insert(entry.text("token"), entry.n()) {
            found.check("an attempt goes out once", false, || format!("{} and {before} have one token", entry.n()));
        }
    }
    for (key, places) in &owners {
        found.check("a key is one step's", places.len() == 1, || format!("{key}: {places:?}"));
    }
    for (place, requests) in seen.by_place() {
        let keys = distinct(requests.iter().map(|request| request.entry.text("key")));
        found.check("attempts have one key", keys.len() == 1, || format!("{place:?}: {keys:?}"));
    }
    found.count("requests at agents", seen.requests.len());
    found.count("keys", owners.len());
    found.count("answers withheld", seen.all("silent").len());
}

/// What an order asks for takes effect once, over all attempts and runs; what must never be done twice is asked once.
pub fn effects(seen: &Seen<'_>, found: &mut Findings) {
    let mut effects: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for request in seen.requests.iter().filter(|request| request.effect) {
        effects.entry(request.deed()).or_default().push(request.entry.n());
    }
    for (deed, times) in &effects {
        found.check("an effect happens once", times.len() == 1, || format!("{deed:?}: {times:?}"));
    }
    found.count("effects", effects.len());
    for ((run, step, item), requests) in seen.by_place() {
        let never = FLOWS.iter().any(|flow| flow.never.contains(&step));
        let times: Vec<u64> = requests.iter().map(|request| request.entry.n()).collect();
        // Who was told in so many words that nothing was done may ask again.
        let told = requests.iter().filter(|request| request.answer.is_some_and(|(status, _)| status == 503)).count();
        found.check("never means never twice", !never || times.len() <= 1 + told, || {
            format!("{step} {item} of run {run} was asked at {times:?}")
        });
    }
}

/// What was answered in time is asked again only when a fault lies between.
pub fn repeats(seen: &Seen<'_>, found: &mut Findings) {
    let mut repeated = 0;
    for (place, requests) in seen.by_place() {
        repeated += requests.len() - 1;
        for pair in requests.windows(2) {
            let (first, second) = (pair[0].entry, pair[1].entry);
            let Some((200, answer)) = pair[0].answer else { continue };
            let in_time = answer.ms().saturating_sub(first.ms()) < IN_TIME_MS;
            let excused = !in_time || seen.is_disturbed(first.n(), second.n());
            found.check("nothing is repeated without reason", excused, || {
                format!("{place:?} was answered at {} and asked again at {}", answer.n(), second.n())
            });
        }
    }
    found.count("requests repeated", repeated);
}

/// Steps go in the order of their edges, with what was made before them, and behind a question after its answer.
pub fn order(seen: &Seen<'_>, found: &mut Findings) {
    let mut first_asked: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut answered: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
    let mut made: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for request in &seen.requests {
        let (run, step, item) = request.place();
        first_asked.entry((run, step)).or_insert(request.entry.n());
        if let Some((200, answer)) = request.answer {
            answered.entry((run, step)).or_default().entry(item).or_insert(answer.n());
            made.insert((run, step), answer.text("value"));
        }
    }
    let decided: BTreeMap<&str, u64> =
        seen.all("decide").iter().rev().map(|entry| (entry.text("run"), entry.n())).collect();
    for request in &seen.requests {
        let (run, step, _) = request.place();
        let Some(flow) = flow_of(seen, request) else { continue };
        let began = first_asked[&(run, step)];
        for (before, _) in flow.edges.iter().filter(|(_, after)| *after == step) {
            let wanted = flow.steps.iter().find(|(known, _)| known == before).map_or(1, |(_, times)| *times);
            let done = answered.get(&(run, before)).filter(|items| items.len() == wanted);
            let last = done.and_then(|items| items.values().max().copied());
            found.check("steps go in order", last.is_some_and(|last| last < began), || {
                format!("run {run}: {step} began at {began}, {before} was answered at {last:?}")
            });
            let given = request.entry.text("before");
            let right = given.is_empty() || made.get(&(run, before)) == Some(&given);
            found.check("a step is given what was made", right, || {
                format!(
                    "run {run}: {step} was given {given:?} at {}, {before} made {:?}",
                    request.entry.n(),
                    made.get(&(run, before))
                )
            });
        }
        let asks = flow.asks == Some(step);
        found.check(
            "behind a question after its answer",
            !asks || decided.get(run).is_some_and(|sent| *sent < began),
            || format!("run {run}: {step} began at {began}, somebody decided at {:?}", decided.get(run)),
        );
    }
}

/// Nothing of a run begins after its cancellation was acknowledged, but for what was on its way: for a while, and no longer
/// than its process lives.
pub fn cancelled(seen: &Seen<'_>, found: &mut Findings) {
    let ends = |classes: &'static [&str]| {
        let ends = seen.all("fault").iter().filter(|fault| fault.text("phase") == "end");
        ends.filter(move |fault| classes.iter().any(|class| fault.text("class").starts_with(class)))
    };
    for cancelled in seen.all("cancelled") {
        let after = |end: &&Entry<'_>| end.n() > cancelled.n();
        let died = ends(&["kill_load", "kill_start", "kill_point", "kill_idle", "terminate"]).find(after);
        // A process that stood still while it was replaced has work of its own under way when it wakes up.
        let woke = ends(&["freeze"]).find(after).filter(|end| end.ms() < cancelled.ms() + FROZEN_MS);
        let slow = cancelled.ms().max(woke.map_or(0, |end| end.ms())) + ON_ITS_WAY_MS;
        let until = died.map_or(slow, |end| slow.min(end.ms() + ARRIVES_MS));
        let run = cancelled.text("run");
        for request in seen.requests.iter().filter(|request| request.entry.text("run") == run) {
            let entry = request.entry;
            // What it comes behind, or the attempt before it.
            let mut causes =
                seen.requests.iter().filter(|other| other.entry.text("run") == run && other.entry.n() < entry.n());
            let caused = entry.n() > cancelled.n()
                && causes.any(|cause| cause.entry.n() > cancelled.n() && comes_before(seen, cause, request));
            found.check("nothing begins after a cancellation", entry.ms() <= until && !caused, || {
                format!(
                    "run {run} was cancelled at {}, and {} asked at {}",
                    cancelled.n(),
                    entry.text("step"),
                    entry.n()
                )
            });
        }
    }
    found.count("cancellations acknowledged", seen.all("cancelled").len());
}

/// Whether one request has to be over before the other can begin.
fn comes_before(seen: &Seen<'_>, one: &Request<'_>, other: &Request<'_>) -> bool {
    let edges = flow_of(seen, other).map_or(&[][..], |flow| flow.edges);
    one.place() == other.place() || edges.contains(&(one.entry.text("step"), other.entry.text("step")))
}

/// A mail comes again under its Message-ID only when it was not answered or a fault lies between.
pub fn mails(seen: &Seen<'_>, found: &mut Findings) {
    let mut by_id: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
    for mail in seen.all("mail") {
        by_id.entry(mail.text("id")).or_default().push(*mail);
    }
    for (id, mails) in &by_id {
        for pair in mails.windows(2) {
            let excused = pair[0].0["answered"] == false || seen.is_disturbed(pair[0].n(), pair[1].n());
            found.check("no mail is sent twice without reason", excused, || {
                format!("{id} at {} and again at {}", pair[0].n(), pair[1].n())
            });
        }
    }
    found.count("mails", by_id.len());
    found.count("mails repeated", seen.all("mail").len() - by_id.len());
}
