//! The standing order as data: what document, from what, when, to whom, under which governance.

use serde::{Deserialize, Serialize};

use crate::{
    calendar::Schedule,
    content::{Destination, SourceSpec},
};

/// A standing order for a document. Checked by `spec` before it gets here; names follow the seed's columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Title of the document.
    pub title: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Kind of document.
    pub deliverable_type: DeliverableType,
    /// How material is gathered, and how fresh it must be.
    pub type_classification: Classification,
    /// Who reads it, for the text.
    #[serde(default)]
    pub recipient: Option<String>,
    /// Headings asked for, in order.
    #[serde(default)]
    pub sections: Vec<String>,
    /// Where material comes from, in order of importance.
    pub sources: Vec<SourceSpec>,
    /// When; none for an order that only runs by hand.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Where approved versions go; none when they stay here.
    #[serde(default)]
    pub destination: Option<Destination>,
    /// Who has to agree before delivery.
    #[serde(default)]
    pub governance: Governance,
    /// With `semi_auto`: delivered when nobody objected within this many seconds.
    #[serde(default = "semi_auto_window_default_s")]
    pub semi_auto_window_s: u64,
    /// Mail addresses that are told about versions; none: only the `notifications` table is.
    #[serde(default)]
    pub notify: Vec<String>,
}

/// Four hours.
#[must_use]
pub const fn semi_auto_window_default_s() -> u64 {
    4 * 3600
}

/// Who has to agree before a version is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Governance {
    /// A person approves each version.
    #[default]
    Manual,
    /// Delivered when nobody objected within the window.
    SemiAuto,
    /// Delivered at once.
    FullAuto,
}

impl Governance {
    /// The word in tables and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::SemiAuto => "semi_auto",
            Self::FullAuto => "full_auto",
        }
    }
}

/// How material is gathered and how fresh it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// The strategy.
    pub binding: Binding,
    /// The platform that matters with [`Binding::PlatformBound`].
    #[serde(default)]
    pub primary_platform: Option<String>,
    /// A source not looked at for longer than this is recorded as stale.
    pub freshness_requirement_hours: u32,
}

/// The strategy by which material is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// Only sources of the primary platform; all of them when none matches.
    PlatformBound,
    /// All sources, grouped by platform.
    CrossPlatform,
    /// Feeds first; everything else as grounding.
    Research,
    /// Feeds and everything else side by side.
    Hybrid,
}

impl Binding {
    /// The word in tables and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformBound => "platform_bound",
            Self::CrossPlatform => "cross_platform",
            Self::Research => "research",
            Self::Hybrid => "hybrid",
        }
    }
}

macro_rules! deliverable_types {
    ($($name:ident => $word:literal),* $(,)?) => {
        /// Kinds of document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each variant is its own word")]
        pub enum DeliverableType { $($name),* }

        impl DeliverableType {
            /// Every kind, in the order of the seed's list.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in tables and files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

deliverable_types! {
    StatusReport => "status_report",
    StakeholderUpdate => "stakeholder_update",
    ResearchBrief => "research_brief",
    MeetingSummary => "meeting_summary",
    ClientProposal => "client_proposal",
    PerformanceSelfAssessment => "performance_self_assessment",
    NewsletterSection => "newsletter_section",
    Changelog => "changelog",
    OneOnOnePrep => "one_on_one_prep",
    BoardUpdate => "board_update",
    InboxSummary => "inbox_summary",
    ReplyDraft => "reply_draft",
    FollowUpTracker => "follow_up_tracker",
    ThreadSummary => "thread_summary",
    SlackChannelDigest => "slack_channel_digest",
    SlackStandup => "slack_standup",
    GmailInboxBrief => "gmail_inbox_brief",
    NotionPageSummary => "notion_page_summary",
    MeetingPrep => "meeting_prep",
    WeeklyCalendarPreview => "weekly_calendar_preview",
    WeeklyStatus => "weekly_status",
    ProjectBrief => "project_brief",
    CrossPlatformDigest => "cross_platform_digest",
    ActivitySummary => "activity_summary",
    Custom => "custom",
}

impl DeliverableType {
    /// The strategy this kind uses when the order names none.
    #[must_use]
    pub const fn binding_default(self) -> Binding {
        match self {
            Self::ResearchBrief | Self::NewsletterSection => Binding::Research,
            Self::SlackChannelDigest
            | Self::SlackStandup
            | Self::GmailInboxBrief
            | Self::InboxSummary
            | Self::ThreadSummary
            | Self::ReplyDraft
            | Self::NotionPageSummary
            | Self::WeeklyCalendarPreview => Binding::PlatformBound,
            _ => Binding::CrossPlatform,
        }
    }

    /// Hours of freshness this kind asks for when the order names none.
    #[must_use]
    pub const fn freshness_default_hours(self) -> u32 {
        match self {
            Self::SlackChannelDigest
            | Self::SlackStandup
            | Self::GmailInboxBrief
            | Self::InboxSummary
            | Self::ReplyDraft
            | Self::WeeklyCalendarPreview => 1,
            Self::ResearchBrief | Self::Changelog => 24,
            _ => 4,
        }
    }
}
