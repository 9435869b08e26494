//! Steps that wait for a place: their turn, or the limit or pause that holds them back.

use nightshift_actors::queue::{HeldBy, QueueView, limits::Named};
use nightshift_domain::{
    ids::RunId,
    queue::Paused,
    run::{self, DEFAULT_QUEUE, Gates},
};

use super::{Gate, Kind, Moment};

/// Holders that are named.
const NAMED_MAX: usize = 5;

/// Why a queued step has no place.
pub fn gate(run: RunId, state: &run::Run, step: &str, at: &Moment<'_>) -> Gate {
    let gates = run::gates(state, step).unwrap_or_default();
    let Some(view) = at.queue else { return unattended(&gates, at) };
    let place = view.waiting.iter().position(|waiting| waiting.job.run == run && waiting.job.step == step);
    let Some(place) = place else {
        let what = format!("it is being given a place; {}", places(view));
        return Gate::new(Kind::Queue, what, "the queue, now");
    };
    let mut gate = match &view.waiting[place].held_by {
        Some(by) => held(by, view, at),
        None => {
            let queue = named_queue(&gates);
            Gate::new(Kind::Queue, format!("{place} go before it{queue}; {}", places(view)), "a free place")
        }
    };
    gate.position = Some(place + 1);
    gate
}

fn named_queue(gates: &Gates) -> String {
    match gates.queue.as_str() {
        DEFAULT_QUEUE | "" => String::new(),
        queue => format!(" (queue {queue:?})"),
    }
}

fn places(view: &QueueView) -> String {
    format!("{} of {} places are taken", view.taken, view.places)
}

/// Nobody runs the queue: what it would say to it.
fn unattended(gates: &Gates, at: &Moment<'_>) -> Gate {
    let paused = at.set.paused.as_ref().map(|paused| (None, paused));
    let by_name = at.set.queues.get(&gates.queue).map(|paused| (Some(gates.queue.as_str()), paused));
    match paused.or(by_name) {
        Some((queue, paused)) => pause(queue, Some(paused)),
        None => Gate::new(
            Kind::Queue,
            format!("it waits for a place{}, and nobody gives any", named_queue(gates)),
            "a daemon: `nightshift serve`",
        ),
    }
}

fn held(by: &HeldBy, view: &QueueView, at: &Moment<'_>) -> Gate {
    match by {
        HeldBy::Pause(None) => pause(None, at.set.paused.as_ref()),
        HeldBy::Pause(Some(queue)) => pause(Some(queue), at.set.queues.get(queue)),
        HeldBy::Place(named) => place(named, view, at),
        HeldBy::Rate(key) => rate(key, view, at),
    }
}

fn pause(queue: Option<&str>, paused: Option<&Paused>) -> Gate {
    let what = queue.map_or_else(|| "all queues are paused".to_owned(), |queue| format!("queue {queue:?} is paused"));
    let why = paused.map_or_else(String::new, |paused| format!(" since {}: {}", paused.since, paused.by.note));
    let (verb, path) = match queue {
        Some(queue) => (format!("`nightshift queue resume {queue}`"), format!("{}/resume", super::escaped(queue))),
        None => ("`nightshift queue resume --all`".to_owned(), "resume".to_owned()),
    };
    let gate = Gate::new(Kind::Paused, format!("{what}{why}"), verb).asked_by(format!("POST /api/queues/{path}"));
    match paused {
        Some(paused) => gate.held_by(paused.by.by.clone()),
        None => gate,
    }
}

fn place(named: &Named, view: &QueueView, at: &Moment<'_>) -> Gate {
    let taken = view.named.iter().find(|(other, _)| other == named).map_or(0, |(_, taken)| *taken);
    let most = at.limits.places(named).map_or_else(|| "its".to_owned(), |most| most.to_string());
    let what = format!("the limit {named} holds it back: {taken} of {most} places are taken");
    let released = format!("the end of a step that holds one, or `nightshift limit set {named} N`");
    let gate = Gate::new(Kind::Limit, what, released).asked_by(set_request(&named.to_string()));
    let holders = view.holders.iter().filter(|holder| holder.named == *named).take(NAMED_MAX);
    let holders: Vec<String> = holders.map(|holder| format!("{}/{}", holder.run, holder.step)).collect();
    if holders.is_empty() { gate } else { gate.held_by(holders.join(", ")) }
}

fn rate(key: &str, view: &QueueView, at: &Moment<'_>) -> Gate {
    let tokens = view.buckets.iter().find(|(other, _)| other == key).map_or(0.0, |(_, tokens)| *tokens);
    let (what, next) = match at.limits.rate(key) {
        Some(rate) if rate.refill_per_s > 0.0 => {
            let wait_s = ((1.0 - tokens) / rate.refill_per_s).max(0.0);
            let what = format!("it gets {} a second, {} at most", rate.refill_per_s, rate.capacity);
            (what, format!("its next token in {wait_s:.1} s, for whoever is first"))
        }
        Some(_) => ("it gets none back".to_owned(), "no token comes back".to_owned()),
        None => ("its limit is gone".to_owned(), "the queue, now".to_owned()),
    };
    let what = format!("the limit rate:{key} holds it back: the bucket has no token; {what}");
    let released = format!("{next}; or `nightshift limit set {key} N --refill R`");
    Gate::new(Kind::Limit, what, released).asked_by(set_request(key))
}

fn set_request(key: &str) -> String {
    format!("PUT /api/limits/{}", super::escaped(key))
}
