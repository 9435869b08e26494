//! Starter documents: what a newcomer edits instead of beginning with an empty file.
//!
//! Owns: their text. Refuses to know: where they are written.

use nightshift_domain::deliverable::DeliverableType;

/// A commented document to start from, for a kind of deliverable. It reads without a fault where `notes` is a folder,
/// `.` a git work tree and `documents` may be made. Its `type` may be another one that starts in the same way.
#[must_use]
pub const fn template(kind: DeliverableType) -> &'static str {
    match kind {
        DeliverableType::ResearchBrief | DeliverableType::NewsletterSection => RESEARCH,
        DeliverableType::Changelog => CHANGELOG,
        _ => STATUS,
    }
}

const STATUS: &str = r#"# A standing order for a document. Lines that begin with # are comments; keys that are left out have defaults.
title: Weekly status
description: What changed this week, what is stuck, what comes next.
type: weekly_status
# How material is gathered: platform_bound | cross_platform | research | hybrid. Default: what suits the type.
strategy: cross_platform
# A source not looked at for longer than this is recorded as stale.
freshness_hours: 4
recipient: the team
# Headings, in order. Leave out to let the composer choose.
sections:
  - Summary
  - Done
  - Next

# In order of importance; relative paths start at this file.
sources:
  - git: .
    # branch: main
  - folder: notes
    include: ["**/*.md", "**/*.txt"]
    # exclude: ["drafts/**"]
  # - feed: https://example.org/feed.xml
  # - description: A fixed text that belongs to the order.

schedule:
  # One of: frequency (daily | weekdays | weekly | biweekly | monthly) with day and time, cron, every, at.
  frequency: weekly
  day: friday
  time: "16:00"
  # cron: "0 16 * * FRI"
  # every: 4h
  timezone: UTC
  # Instants missed while nothing ran: skip | latest | all | {all: 10}
  catch_up: latest
  # Instants found later than this are skipped.
  catch_up_window: 1d
  # When the former run is still going: skip | buffer_one
  overlap: skip
  # Start up to this much later, to spread load.
  jitter: 2m

# One of: file (a folder), email (addresses), webhook (address, with secret: env:NAME or file:/path).
destination:
  file: documents

# manual: a person approves each version. semi_auto: delivered when nobody objects within the window. full_auto: at once.
governance: manual
# semi_auto_window: 4h
# notify: [you@example.org]
"#;

const RESEARCH: &str = r#"# A standing order for a brief from feeds, with your own notes as grounding.
title: Research brief
description: What is new in the field and what it means for us.
type: research_brief
strategy: research
freshness_hours: 24
sections:
  - What is new
  - What it means
  - Worth reading

sources:
  # http or https; RSS, Atom or JSON Feed.
  - feed: https://example.org/feed.xml
  - folder: notes

schedule:
  frequency: weekdays
  time: "07:00"
  timezone: UTC
  catch_up: latest

destination:
  file: documents

governance: manual
"#;

const CHANGELOG: &str = r#"# A standing order for a changelog from the commits of a repository.
title: Changelog
description: What users of the software notice, grouped by area.
type: changelog
freshness_hours: 24

sources:
  - git: .
    # branch: main

schedule:
  # The first Monday of each month.
  frequency: monthly
  day: monday
  time: "09:00"
  timezone: UTC

destination:
  file: documents

governance: manual
"#;
