//! Steps as a graph: ids, dependencies, circles, and an order in which they can be done one by one.
//!
//! Owns: what is impossible between steps. Refuses to know: what steps do.
//!
//! Invariant: the order is that of the document as far as dependencies allow, so that equal documents give equal plans.

use std::collections::BTreeSet;

use nightshift_domain::run::Part;

use super::{
    step::Draft,
    work::{Work, listed},
};
use crate::fault::{did_you_mean, quote};

/// The most steps of a workflow.
const STEPS_MAX: usize = 1_000;

/// What is known of the graph when it is sound enough to ask.
pub(super) struct Graph {
    /// The steps each one depends on, directly or through others; by place in the document.
    pub before: Vec<BTreeSet<usize>>,
    /// Places in the document, in an order in which the steps can be done; none when there is a circle.
    pub order: Option<Vec<usize>>,
}

/// Judges ids and dependencies.
pub(super) fn read(work: &mut Work<'_, '_>, drafts: &[Draft<'_>]) -> Graph {
    if let Some(draft) = drafts.get(STEPS_MAX) {
        let found = format!("{} steps", drafts.len());
        let remedy = Some("split it, and start the parts with orchestration steps".to_owned());
        work.reader.fault(&draft.field, found, &format!("at most {STEPS_MAX} steps"), remedy);
        return Graph { before: vec![BTreeSet::new(); drafts.len()], order: None };
    }
    refuse_duplicates(work, drafts);
    let needs: Vec<BTreeSet<usize>> = drafts.iter().map(|draft| needs(work, draft, drafts)).collect();
    let order = order(drafts, &needs);
    if order.is_none() {
        refuse_circles(work, drafts, &needs);
    }
    Graph { before: before(&needs, order.as_deref()), order }
}

fn refuse_duplicates(work: &mut Work<'_, '_>, drafts: &[Draft<'_>]) {
    for (at, draft) in drafts.iter().enumerate() {
        if let Some(first) = drafts[..at].iter().find(|other| other.id == draft.id) {
            let remedy = Some(format!("the other one is on line {}; give one of them another id", first.field.at.line));
            work.reader.fault(&draft.field, format!("the id {} again", quote(&draft.id)), "each id once", remedy);
        }
    }
}

/// The places of the steps that a step depends on; every name that leads nowhere is a fault.
fn needs(work: &mut Work<'_, '_>, draft: &Draft<'_>, drafts: &[Draft<'_>]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for (field, id) in &draft.depends_on {
        let Some(at) = drafts.iter().position(|other| other.id == *id) else {
            if work.reader.is_full() {
                continue;
            }
            let others = || drafts.iter().map(|other| other.id.as_str()).filter(|other| *other != draft.id);
            let remedy = did_you_mean(id, others());
            let allowed = listed(&others().collect::<Vec<_>>());
            work.reader.fault(field, format!("the unknown step {}", quote(id)), &allowed, remedy);
            continue;
        };
        let other = &drafts[at];
        if *id == draft.id {
            let remedy = Some("drop it".to_owned());
            work.reader.fault(field, format!("the step itself: {id} -> {id}"), "other steps", remedy);
        } else if other.part != draft.part {
            refuse_part(work, field, draft, other);
        } else {
            found.insert(at);
        }
    }
    found
}

fn refuse_part(work: &mut Work<'_, '_>, field: &crate::reader::Field<'_>, draft: &Draft<'_>, other: &Draft<'_>) {
    let found = format!("{}, a step {}", quote(&other.id), part(other.part));
    let (allowed, remedy) = match (draft.part, other.part) {
        (Part::Main, _) => ("steps of the main part", "it could never run: that step goes behind this part"),
        (Part::OnFailure, Part::Finally) => {
            ("steps of the same part", "it could never run: that step goes behind this part")
        }
        _ => ("steps of the same part", "drop it: this part begins when the steps before it are over"),
    };
    work.reader.fault(field, found, allowed, Some(remedy.to_owned()));
}

const fn part(part: Part) -> &'static str {
    match part {
        Part::Main => "of the main part",
        Part::OnFailure => "for failures",
        Part::Finally => "for the end",
    }
}

/// The first step in the document that can be done, again and again; parts go one behind the other.
fn order(drafts: &[Draft<'_>], needs: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = Vec::with_capacity(drafts.len());
    let mut done = vec![false; drafts.len()];
    for part in [Part::Main, Part::OnFailure, Part::Finally] {
        let members: Vec<usize> = (0..drafts.len()).filter(|at| drafts[*at].part == part).collect();
        for _ in &members {
            let next = members.iter().copied().find(|at| !done[*at] && needs[*at].iter().all(|need| done[*need]))?;
            done[next] = true;
            order.push(next);
        }
    }
    Some(order)
}

/// All steps behind which each one goes. Without an order, what is known without following circles.
fn before(needs: &[BTreeSet<usize>], order: Option<&[usize]>) -> Vec<BTreeSet<usize>> {
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); needs.len()];
    for at in order.unwrap_or_default() {
        let mut all = needs[*at].clone();
        for need in &needs[*at] {
            all.extend(before[*need].iter().copied());
        }
        before[*at] = all;
    }
    before
}

/// Each circle once, beginning with its first step in the document.
fn refuse_circles(work: &mut Work<'_, '_>, drafts: &[Draft<'_>], needs: &[BTreeSet<usize>]) {
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for start in 0..drafts.len() {
        if told.contains(&start) {
            continue;
        }
        let Some(circle) = circle(start, needs) else { continue };
        told.extend(circle.iter().copied());
        let first = drafts[start].id.as_str();
        let names: Vec<&str> = circle.iter().map(|at| drafts[*at].id.as_str()).chain([first]).collect();
        let next = names.get(1).copied().unwrap_or(first);
        let field = drafts[start].depends_on.iter().find(|(_, id)| id == next).map(|(field, _)| field.clone());
        let field = field.unwrap_or_else(|| drafts[start].field.clone());
        let found = format!("the circle {}", names.join(" -> "));
        let remedy = Some("none of these steps could be the first; drop one of the dependencies".to_owned());
        work.reader.fault(&field, found, "dependencies without a circle", remedy);
    }
}

/// The shortest way from a step back to itself.
fn circle(start: usize, needs: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut from: Vec<Option<usize>> = vec![None; needs.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in &needs[at] {
            if *next == start {
                let mut way = vec![at];
                while let Some(before) = way.last().and_then(|last| from[*last]) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if from[*next].is_none() {
                from[*next] = Some(at);
                queue.push_back(*next);
            }
        }
    }
    None
}
