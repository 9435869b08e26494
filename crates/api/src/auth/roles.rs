//! Who may do what: five roles, groups of routes, one table.
//!
//! Owns: the table. Refuses to know: routes, how a caller proves a role.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, the control door included.
    Admin,
    /// Runs the system: everything of everybody, but the control door.
    Operator,
    /// Decides approvals and reads.
    Reviewer,
    /// A program: starts and steers its own runs, publishes events.
    Agent,
    /// Reads what is its own.
    Reader,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Operator, Self::Reviewer, Self::Agent, Self::Reader];

    /// The word in claims and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Reviewer => "reviewer",
            Self::Agent => "agent",
            Self::Reader => "reader",
        }
    }

    /// Reads [`Role::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// What a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Anybody may: health, the API's description, requests that bring their own proof (signed links, webhooks).
    Public,
    /// Figures about the process.
    Metrics,
    /// Looks.
    Read,
    /// Starts work: runs, versions of deliverables, events.
    Start,
    /// Steers a run: retry, skip, abort, rerun, pause, resume.
    Steer,
    /// Decides: approvals, versions under review.
    Review,
    /// Changes what is defined: workflows.
    Author,
    /// Runs the system: the queue, dead letters, schedules, standing orders.
    Operate,
    /// The door of the command line.
    Control,
}

impl Group {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Public,
        Self::Metrics,
        Self::Read,
        Self::Start,
        Self::Steer,
        Self::Review,
        Self::Author,
        Self::Operate,
        Self::Control,
    ];

    /// The word in scopes and refusals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Start => "start",
            Self::Steer => "steer",
            Self::Review => "review",
            Self::Author => "author",
            Self::Operate => "operate",
            Self::Control => "control",
        }
    }

    /// Reads [`Group::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == word)
    }
}

/// The table: which roles may use which group of routes.
#[must_use]
pub const fn allowed(group: Group) -> &'static [Role] {
    use Role::{Admin, Agent, Operator, Reader, Reviewer};
    match group {
        Group::Public | Group::Metrics | Group::Read => &[Admin, Operator, Reviewer, Agent, Reader],
        Group::Start | Group::Steer => &[Admin, Operator, Agent],
        Group::Review => &[Admin, Operator, Reviewer],
        Group::Author | Group::Operate => &[Admin, Operator],
        Group::Control => &[Admin],
    }
}

/// Whether a caller with these roles, held to these scopes (none: not held to any), may use a group.
#[must_use]
pub fn may(roles: &BTreeSet<Role>, scopes: Option<&BTreeSet<Group>>, group: Group) -> bool {
    let by_role = allowed(group).iter().any(|role| roles.contains(role));
    by_role && scopes.is_none_or(|scopes| scopes.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line for each group; `admin operator reviewer agent reader`.
    const EXPECTED: [(&str, [bool; 5]); 9] = [
        ("public", [true, true, true, true, true]),
        ("metrics", [true, true, true, true, true]),
        ("read", [true, true, true, true, true]),
        ("start", [true, true, false, true, false]),
        ("steer", [true, true, false, true, false]),
        ("review", [true, true, true, false, false]),
        ("author", [true, true, false, false, false]),
        ("operate", [true, true, false, false, false]),
        ("control", [true, false, false, false, false]),
    ];

    #[test]
    fn each_role_may_what_the_table_says() {
        for (word, row) in EXPECTED {
            let group = Group::parse(word).unwrap();
            for (role, expected) in Role::ALL.into_iter().zip(row) {
                let roles = BTreeSet::from([role]);
                assert_eq!(may(&roles, None, group), expected, "{} {word}", role.as_str());
                assert!(!may(&roles, Some(&BTreeSet::new()), group), "no scope, no right");
                assert_eq!(may(&roles, Some(&BTreeSet::from([group])), group), expected, "a scope gives no right");
            }
        }
        assert!(Group::ALL.iter().all(|group| !may(&BTreeSet::new(), None, *group)), "no role, no right");
        assert!(Role::ALL.iter().all(|role| Role::parse(role.as_str()) == Some(*role)));
    }
}
