//! Named points at which tests and torture break things. In production nothing happens at any of them.

/// A point on the way of a command, an effect or a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// A decider is asked: a panic here is one of the decider.
    Deciding,
    /// A stream decided; nothing is written.
    Decided,
    /// A decision is durable; nothing of it was handed over.
    Committed,
    /// What follows from a decision was handed over.
    HandedOver,
    /// An attempt is about to touch the outside world.
    BeforeEffect,
    /// The outside world was touched; the outcome is not recorded.
    AfterEffect,
    /// Sources were looked at; nothing is recorded.
    Looked,
    /// Rows are folded but not written.
    Folded,
    /// Rows are written with their checkpoint.
    Projected,
    /// A timer is due and not yet told.
    TimerDue,
    /// A place was given and not yet recorded.
    Granted,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 11] = [
        Self::Deciding,
        Self::Decided,
        Self::Committed,
        Self::HandedOver,
        Self::BeforeEffect,
        Self::AfterEffect,
        Self::Looked,
        Self::Folded,
        Self::Projected,
        Self::TimerDue,
        Self::Granted,
    ];

    /// Its name, for command lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deciding => "deciding",
            Self::Decided => "decided",
            Self::Committed => "committed",
            Self::HandedOver => "handed_over",
            Self::BeforeEffect => "before_effect",
            Self::AfterEffect => "after_effect",
            Self::Looked => "looked",
            Self::Folded => "folded",
            Self::Projected => "projected",
            Self::TimerDue => "timer_due",
            Self::Granted => "granted",
        }
    }
}

/// Decides what breaks. May panic (the actor fails) or end the process.
pub trait Faults: Send + Sync {
    /// The tree is at this point.
    fn at(&self, point: Point);
}

/// Nothing breaks.
pub struct NoFaults;

impl Faults for NoFaults {
    fn at(&self, _point: Point) {}
}
