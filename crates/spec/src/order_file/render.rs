//! Writing an order as a deliverable document.
//!
//! Owns: the order and spelling of its keys. Refuses to know: comments, which an order does not keep.
//!
//! Invariant: reading what was written gives the same order.

use nightshift_domain::{
    content::{Destination, SourceSpec},
    deliverable::{Governance, Order},
};

use crate::{duration, schedule};

/// The order as a YAML document. Reading it gives the same order.
#[must_use]
pub fn order_to_yaml(order: &Order) -> String {
    let mut lines = head_lines(order);
    lines.push("sources:".to_owned());
    lines.extend(order.sources.iter().flat_map(source_lines));
    if let Some(due) = &order.schedule {
        lines.push("schedule:".to_owned());
        lines.extend(schedule::render(due).into_iter().map(|line| format!("  {line}")));
    }
    if let Some(destination) = &order.destination {
        lines.push("destination:".to_owned());
        lines.extend(destination_lines(destination));
    }
    lines.push(format!("governance: {}", order.governance.as_str()));
    if order.governance == Governance::SemiAuto {
        lines.push(format!("semi_auto_window: {}", duration::render(order.semi_auto_window_s)));
    }
    if !order.notify.is_empty() {
        lines.push(format!("notify: {}", list(&order.notify)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn head_lines(order: &Order) -> Vec<String> {
    let class = &order.type_classification;
    let mut lines = vec![format!("title: {}", text(&order.title))];
    if !order.description.is_empty() {
        lines.push(format!("description: {}", text(&order.description)));
    }
    lines.push(format!("type: {}", order.deliverable_type.as_str()));
    lines.push(format!("strategy: {}", class.binding.as_str()));
    lines.extend(class.primary_platform.iter().map(|platform| format!("primary_platform: {}", text(platform))));
    lines.push(format!("freshness_hours: {}", class.freshness_requirement_hours));
    lines.extend(order.recipient.iter().map(|recipient| format!("recipient: {}", text(recipient))));
    if !order.sections.is_empty() {
        lines.push(format!("sections: {}", list(&order.sections)));
    }
    lines
}

fn source_lines(source: &SourceSpec) -> Vec<String> {
    match source {
        SourceSpec::Folder { path, include, exclude } => {
            let mut lines = vec![format!("  - folder: {}", text(path))];
            for (key, globs) in [("include", include), ("exclude", exclude)] {
                if !globs.is_empty() {
                    lines.push(format!("    {key}: {}", list(globs)));
                }
            }
            lines
        }
        SourceSpec::Git { path, branch } => {
            let mut lines = vec![format!("  - git: {}", text(path))];
            lines.extend(branch.iter().map(|branch| format!("    branch: {}", text(branch))));
            lines
        }
        SourceSpec::Feed { url } => vec![format!("  - feed: {}", text(url))],
        SourceSpec::Description { value } => vec![format!("  - description: {}", text(value))],
    }
}

fn destination_lines(destination: &Destination) -> Vec<String> {
    match destination {
        Destination::File { folder } => vec![format!("  file: {}", text(folder))],
        Destination::Email { to } => vec![format!("  email: {}", list(to))],
        Destination::Webhook { url, secret } => {
            let mut lines = vec![format!("  webhook: {}", text(url))];
            lines.extend(secret.iter().map(|secret| format!("  secret: {}", text(secret))));
            lines
        }
    }
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| text(item)).collect::<Vec<_>>().join(", "))
}

/// A double-quoted scalar: always, so that no text is ever taken for a number, a truth value or an alias.
fn text(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='\u{7e}'
            | '\u{a0}'..='\u{2027}'
            | '\u{202a}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}'
            | '\u{10000}'.. => quoted.push(c),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}
