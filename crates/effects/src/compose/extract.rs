//! The extractive composer: a page by rule.
//!
//! Owns: the order of the parts for each strategy.
//! Refuses to know: how a part is written; stores, models, time.
//!
//! Invariant: the same material gives the same bytes.

use nightshift_domain::content::Material;

use super::{
    changes_page, findings, frame,
    gathered::{Body, Gathered, Source},
    glance, ink, marks_page, notes_page,
    reading::MarkKind,
    requested,
};

/// Counted up whenever the same material would give other bytes.
pub const REVISION: u32 = 1;

/// A page and what was noted while it was made.
pub(crate) struct Page {
    pub markdown: String,
    pub warnings: Vec<String>,
}

/// Findings of a research document, and of one that is only partly research.
const RESEARCH_FINDINGS: usize = 8;
const HYBRID_FINDINGS: usize = 5;

pub(crate) fn compose(material: &Material, texts: &[Vec<Option<String>>]) -> Page {
    let gathered = Gathered::of(material, texts);
    let mut page = frame::head(&gathered);
    let sections = if material.brief.sections.is_empty() { by_strategy(&gathered) } else { by_request(&gathered) };
    for (heading, text) in sections.into_iter().chain(foot(&gathered)) {
        if !text.trim().is_empty() {
            page.push_str(&format!("\n## {heading}\n\n{}\n", text.trim_matches('\n')));
        }
    }
    page.push_str(&format!("\n---\n\n{}", frame::CLOSING));
    Page { warnings: warnings(&gathered), markdown: page }
}

type Section = (String, String);

fn section(heading: &str, text: String) -> Section {
    (heading.to_owned(), text)
}

fn by_strategy(gathered: &Gathered<'_>) -> Vec<Section> {
    let mut sections = vec![glance(gathered), section(since_heading(gathered), frame::since(gathered))];
    let sources = |order: Vec<&Source<'_>>| -> Vec<Section> {
        order.into_iter().map(|source| of_source(source, gathered)).collect()
    };
    let own_order = || gathered.sources.iter().collect::<Vec<_>>();
    let findings = |count| section("Key findings", findings::findings(gathered, &gathered.topic, count));
    match gathered.material.brief.strategy.as_str() {
        "research" => {
            sections.insert(1, findings(RESEARCH_FINDINGS));
            let mut order = own_order();
            // What was read comes before what was built.
            order.sort_by_key(|source| match source.body {
                Body::Entries(_) => 0,
                Body::Notes(_) => 1,
                Body::Context(_) => 2,
                Body::Changes(_) => 3,
            });
            sections.extend(sources(order));
        }
        "hybrid" => {
            sections.extend(sources(own_order()));
            sections.push(findings(HYBRID_FINDINGS));
        }
        _ => sections.extend(sources(own_order())),
    }
    let open = [MarkKind::Decision, MarkKind::Task, MarkKind::Question, MarkKind::Date, MarkKind::Done];
    sections.push(section("Decisions, actions and open questions", marks_page::page(gathered, &open)));
    sections
}

fn by_request(gathered: &Gathered<'_>) -> Vec<Section> {
    let headings = gathered.material.brief.sections.iter().filter(|heading| !heading.trim().is_empty());
    let mut sections: Vec<Section> =
        headings.map(|heading| (ink::escape(heading), requested::section(heading, gathered))).collect();
    sections.push(section(since_heading(gathered), frame::since(gathered)));
    sections
}

fn foot(gathered: &Gathered<'_>) -> Vec<Section> {
    vec![
        section("Feedback on earlier versions", frame::feedback(gathered)),
        section("Not read", frame::not_read(gathered)),
        section("Sources", frame::sources(gathered)),
    ]
}

const fn since_heading(gathered: &Gathered<'_>) -> &'static str {
    if gathered.material.brief.version_number > 1 { "Since the last version" } else { "What this covers" }
}

fn glance(gathered: &Gathered<'_>) -> Section {
    let lines = glance::lines(gathered);
    let text = match (lines.is_empty(), gathered.items()) {
        (false, _) => lines.iter().map(|line| format!("- {line}\n")).collect(),
        (true, 0) => "- Nothing new was found in any source.\n".to_owned(),
        (true, _) => format!(
            "- {} came in, but nothing in them reads as a sentence.\n",
            ink::count(gathered.items(), "item", "items")
        ),
    };
    section("At a glance", text)
}

fn of_source(source: &Source<'_>, gathered: &Gathered<'_>) -> Section {
    let name = ink::escape(source.name());
    match &source.body {
        Body::Changes(_) => (format!("Changes in {name}"), changes_page::page(source, &gathered.zone, None)),
        Body::Notes(_) => (format!("Documents in {name}"), notes_page::documents(source, gathered)),
        Body::Entries(_) => (format!("News from {name}"), notes_page::entries(source, gathered)),
        Body::Context(_) => ("Given with the order".to_owned(), notes_page::context(source, gathered)),
    }
}

fn warnings(gathered: &Gathered<'_>) -> Vec<String> {
    let mut warnings = gathered.warnings.clone();
    let unread = gathered.sources.iter().filter(|source| source.group.snapshot.error.is_some()).count();
    if unread > 0 {
        warnings.push(format!("{unread} of {} sources could not be read whole", gathered.sources.len()));
    }
    let omitted: usize = gathered.sources.iter().map(|source| source.group.omitted.len()).sum();
    if omitted > 0 {
        warnings.push(format!("{} left out; see \"Not read\"", ink::count(omitted, "part was", "parts were")));
    }
    if gathered.items() == 0 {
        warnings.push("no source gave anything new".to_owned());
    }
    warnings
}
