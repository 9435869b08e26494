//! The deliverable document: a standing order as people write it.
//!
//! Owns: its keys, every fault of one, and writing an order back.
//! Refuses to know: the file system (a probe answers what a path is), clocks (the instant of reading is an argument),
//! and what becomes of the order.
//!
//! Invariant: all faults are found in one reading; an order comes back only when there is none.

pub(crate) mod outside;
mod render;
mod sources;
mod template;

use nightshift_domain::{
    calendar::Schedule,
    content::Destination,
    deliverable::{Binding, Classification, DeliverableType, Governance, Order, semi_auto_window_default_s},
    ids::UserId,
    time::Timestamp,
};

pub use render::order_to_yaml;
pub use template::template;

use crate::{
    calendar::ZonedCalendar,
    document,
    fault::Faults,
    reader::{Field, Map, Reader},
    schedule,
};

/// The keys of a deliverable document.
pub const KEYS: [&str; 15] = [
    "title",
    "description",
    "type",
    "strategy",
    "primary_platform",
    "freshness_hours",
    "recipient",
    "sections",
    "sources",
    "schedule",
    "destination",
    "governance",
    "semi_auto_window",
    "notify",
    "user",
];

const STRATEGIES: [Binding; 4] = [Binding::PlatformBound, Binding::CrossPlatform, Binding::Research, Binding::Hybrid];
const GOVERNANCES: [Governance; 3] = [Governance::Manual, Governance::SemiAuto, Governance::FullAuto];
const PLATFORMS: [&str; 4] = ["folder", "git", "feed", "description"];

/// What a path is, as the caller's probe found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing is there, or it cannot be reached.
    Missing,
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A folder that is a git work tree or a bare repository.
    Repository,
}

/// What reading a document needs from outside.
pub struct Context<'a> {
    /// Name of the document in faults.
    pub file: &'a str,
    /// Absolute folder that relative paths are relative to.
    pub base_dir: &'a str,
    /// What stands at an absolute path.
    pub probe: &'a dyn Fn(&str) -> PathKind,
    /// Zone data.
    pub calendar: &'a ZonedCalendar,
    /// The instant of reading: anchor of an interval that names none.
    pub now: Timestamp,
}

/// A deliverable document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFile {
    /// The standing order.
    pub order: Order,
    /// Whose order it is, when the document says so.
    pub user: Option<UserId>,
}

/// Reads a deliverable document (YAML 1.2 or JSON).
///
/// # Errors
/// Every fault of the document.
pub fn parse(text: &str, context: &Context<'_>) -> Result<OrderFile, Faults> {
    let node = document::read(text, context.file).map_err(|fault| Faults(vec![*fault]))?;
    let mut reader = Reader::new(context.file);
    let read = reader.map(&Field::root(&node), &KEYS).and_then(|map| read_order(&mut reader, &map, context));
    let faults = reader.into_faults();
    read.filter(|_| faults.is_empty()).ok_or(Faults(faults))
}

fn read_order(reader: &mut Reader, map: &Map<'_>, context: &Context<'_>) -> Option<OrderFile> {
    let title = reader.required(map, "title", "the title of the document").and_then(|field| reader.line(&field));
    let head = read_head(reader, map);
    let sources = reader.required(map, "sources", "a list of at least one source");
    let sources = sources.and_then(|field| sources::read(reader, &field, context));
    let schedule = optional(map, "schedule", |field| read_schedule(reader, field, context));
    let destination = optional(map, "destination", |field| outside::destination(reader, field, context));
    let governance = read_governance(reader, map, destination.as_ref());
    let notify = map.get("notify").map_or(Some(Vec::new()), |field| outside::addresses(reader, &field));
    let user = optional(map, "user", |field| reader.line(field).map(UserId));
    let (governance, semi_auto_window_s) = governance?;
    let Head { description, deliverable_type, type_classification, recipient, sections } = head?;
    Some(OrderFile {
        order: Order {
            title: title?,
            description,
            deliverable_type,
            type_classification,
            recipient,
            sections,
            sources: sources?,
            schedule: schedule?,
            destination: destination?,
            governance,
            semi_auto_window_s,
            notify: notify?,
        },
        user: user?,
    })
}

/// The part of an order that shapes the text.
struct Head {
    description: String,
    deliverable_type: DeliverableType,
    type_classification: Classification,
    recipient: Option<String>,
    sections: Vec<String>,
}

fn read_head(reader: &mut Reader, map: &Map<'_>) -> Option<Head> {
    let description = optional(map, "description", |field| reader.text(field));
    let recipient = optional(map, "recipient", |field| reader.line(field));
    let sections = map.get("sections").map(|field| reader.distinct_lines(&field));
    let types: Vec<_> = DeliverableType::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let kind = reader.required(map, "type", "a kind of document, e.g. weekly_status or custom");
    let kind = kind.and_then(|field| reader.word(&field, &types));
    let strategy = optional(map, "strategy", |field| reader.word(field, &STRATEGIES.map(|s| (s.as_str(), s))));
    let primary_platform =
        optional(map, "primary_platform", |field| reader.word(field, &PLATFORMS.map(|platform| (platform, platform))));
    let freshness = optional(map, "freshness_hours", |field| reader.integer(field, 1..=8_760));
    let kind = kind?;
    let binding = strategy?.unwrap_or(kind.binding_default());
    if let Some(field) = map.get("primary_platform")
        && binding != Binding::PlatformBound
    {
        let remedy = format!("the strategy is {}; write strategy: platform_bound, or drop the key", binding.as_str());
        reader.refuse(&field, "primary_platform only with the strategy platform_bound", Some(remedy));
    }
    Some(Head {
        description: description?.unwrap_or_default(),
        deliverable_type: kind,
        type_classification: Classification {
            binding,
            primary_platform: primary_platform?.map(str::to_owned),
            freshness_requirement_hours: freshness?.unwrap_or(kind.freshness_default_hours()),
        },
        recipient: recipient?,
        sections: sections.unwrap_or_default().into_iter().map(|(_, heading)| heading).collect(),
    })
}

/// `semi_auto_window` means something only with `semi_auto`, and an automatic delivery needs somewhere to go.
fn read_governance(
    reader: &mut Reader,
    map: &Map<'_>,
    destination: Option<&Option<Destination>>,
) -> Option<(Governance, u64)> {
    const WINDOW_MAX_S: u64 = 30 * 86_400;
    let window = optional(map, "semi_auto_window", |field| reader.duration(field, 1..=WINDOW_MAX_S));
    let governance = map.get("governance").map_or(Some(Governance::default()), |field| {
        reader.word(&field, &GOVERNANCES.map(|governance| (governance.as_str(), governance)))
    });
    let governance = governance?;
    if let Some(field) = map.get("semi_auto_window")
        && governance != Governance::SemiAuto
    {
        let remedy = format!("governance is {}; write governance: semi_auto, or drop the key", governance.as_str());
        reader.refuse(&field, "semi_auto_window only beside governance: semi_auto", Some(remedy));
    }
    if governance != Governance::Manual && destination == Some(&None) {
        let field = map.get("governance").unwrap_or_else(|| map.whole());
        let remedy = Some("add a destination, or write governance: manual".to_owned());
        reader.fault(
            &field,
            format!("{} without a destination", governance.as_str()),
            "a destination to deliver to",
            remedy,
        );
    }
    Some((governance, window?.unwrap_or(semi_auto_window_default_s())))
}

fn read_schedule(reader: &mut Reader, field: &Field<'_>, context: &Context<'_>) -> Option<Schedule> {
    schedule::read(reader, field, context.calendar, context.now)
}

/// None: the field is at fault. Some(None): it is absent.
fn optional<'n, T>(map: &Map<'n>, key: &str, read: impl FnOnce(&Field<'n>) -> Option<T>) -> Option<Option<T>> {
    map.get(key).map_or(Some(None), |field| read(&field).map(Some))
}
