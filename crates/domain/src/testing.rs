//! What the tests of the deciders share: given events, when a command, then events or a rejection; a ledger of what is
//! owed; a calendar that knows intervals only.
//!
//! Owns: the checks that hold after every decision of every stream (see [`Given::when`]).
//! Refuses to know: any one stream.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    calendar::{Calendar, CalendarError, CatchUp, Overlap, Rule, Schedule},
    codec,
    content::{Digest, Text},
    decider::{Class, Ctx, Decider, Decision, Delta, Obligation, decide_once},
    expression::Expressions,
    ids::{CommandId, DeliverableId, ShardId, StreamId, derive},
    json::Json,
    time::Timestamp,
};

pub const SHARDS: u16 = 8;

/// Instants of the tests are whole seconds.
pub const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub fn every(every_s: u64) -> Schedule {
    Schedule {
        rule: Rule::Interval { every_s, anchor: at(0) },
        timezone: "UTC".to_owned(),
        catch_up: CatchUp::Latest,
        catch_up_window_s: None,
        overlap: Overlap::Skip,
        jitter_s: 0,
    }
}

pub fn text(words: &str) -> Text {
    let digest = Digest(derive("text", &[words.as_bytes()]).simple().to_string().repeat(2));
    Text { digest, bytes: words.len() as u64, inline: Some(words.to_owned()) }
}

pub fn the_deliverable() -> DeliverableId {
    DeliverableId::on_shard(derive("test", &[b"deliverable"]), ShardId(3))
}

/// A calendar that knows `Interval` and `Once`; a cron rule is one that never fires.
pub struct Grid;

impl Calendar for Grid {
    fn next_after(&self, schedule: &Schedule, after: Timestamp) -> Result<Option<Timestamp>, CalendarError> {
        match &schedule.rule {
            Rule::Interval { every_s, anchor } => {
                let every = *every_s as i64 * 1_000_000;
                let steps = (after.micros() - anchor.micros()).div_euclid(every) + 1;
                Ok(Some(Timestamp(anchor.micros() + steps.max(0) * every)))
            }
            Rule::Once { at } => Ok(Some(*at).filter(|at| *at > after)),
            _ => Err(never()),
        }
    }

    fn latest_at(
        &self,
        schedule: &Schedule,
        after: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, CalendarError> {
        let latest = match &schedule.rule {
            Rule::Interval { every_s, anchor } => {
                let every = *every_s as i64 * 1_000_000;
                let steps = (at.micros() - anchor.micros()).div_euclid(every);
                Some(Timestamp(anchor.micros() + steps * every)).filter(|_| steps >= 0)
            }
            Rule::Once { at: once } => Some(*once).filter(|once| *once <= at),
            _ => return Err(never()),
        };
        Ok(latest.filter(|latest| *latest > after))
    }

    fn tz_revision(&self) -> &str {
        "test"
    }
}

pub fn never() -> CalendarError {
    CalendarError { what: "cron".to_owned(), why: "it never fires".to_owned() }
}

/// A language of conditions that knows paths: `parameters.go` holds when `true` is there, and does not when `false` is.
pub struct Paths;

impl Expressions for Paths {
    fn holds(&self, condition: &str, facts: &Json) -> Result<bool, String> {
        let found = condition.split('.').try_fold(facts, |value, name| value.get(name));
        found.and_then(Json::as_bool).ok_or_else(|| format!("{condition} is neither true nor false"))
    }
}

/// What is owed, folded from deltas, as the store keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    pub open: BTreeMap<String, Obligation>,
    /// What was told, and closed by that: whoever told it, not an event of the stream.
    pub told: BTreeMap<String, Obligation>,
}

impl Ledger {
    /// Closes, then opens. No key is closed that is not open or was told, opened twice, or both closed and opened in one go
    /// (a store could do the two in either order).
    pub fn apply(&mut self, delta: &Delta) {
        for key in &delta.closes {
            let closed = self.open.remove(key).or_else(|| self.told.remove(key));
            assert!(closed.is_some(), "closes {key}, which is not open: {:?}", self.keys());
        }
        for obligation in &delta.opens {
            assert!(!delta.closes.contains(&obligation.key), "closes and opens {}", obligation.key);
            let before = self.open.insert(obligation.key.clone(), obligation.clone());
            assert!(before.is_none(), "opens {} twice", obligation.key);
        }
    }

    /// An errand or a timer was told: it is owed no more, and an event that closes it closes nothing.
    pub fn tell(&mut self, key: &str) {
        let (key, obligation) = self.open.remove_entry(key).unwrap_or_else(|| panic!("{key} is not open"));
        self.told.insert(key, obligation);
    }

    pub fn keys(&self) -> Vec<&str> {
        self.open.keys().map(String::as_str).collect()
    }

    pub fn with(&self, prefix: &str) -> Vec<&Obligation> {
        self.open.values().filter(|open| open.key.starts_with(prefix)).collect()
    }
}

/// A stream with a past.
pub struct Given<D: Decider> {
    pub stream: StreamId,
    pub state: D::State,
    pub ledger: Ledger,
    pub history: Vec<(D::Event, Timestamp)>,
    /// Keys of errands and timers that decisions opened, in order.
    pub errands: Vec<String>,
    pub now: Timestamp,
    commands: u64,
}

impl<D: Decider> Clone for Given<D> {
    fn clone(&self) -> Self {
        let (stream, now, commands) = (self.stream, self.now, self.commands);
        let (state, ledger, history) = (self.state.clone(), self.ledger.clone(), self.history.clone());
        Self { stream, state, ledger, history, errands: self.errands.clone(), now, commands }
    }
}

/// What a command came to.
pub struct When<D: Decider> {
    pub after: Given<D>,
    pub result: Result<Vec<D::Event>, D::Rejection>,
}

pub fn given<D: Decider>(stream: StreamId, events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let (state, ledger, history) = (D::State::default(), Ledger::default(), Vec::new());
    let mut given = Given { stream, state, ledger, history, errands: Vec::new(), now: at(0), commands: 0 };
    events.into_iter().for_each(|event| given.remember(event));
    given
}

impl<D: Decider> Given<D> {
    fn remember(&mut self, event: D::Event) {
        self.ledger.apply(&D::obligations(self.stream, &self.state, &event, self.now));
        D::evolve(&mut self.state, &event, self.now);
        self.history.push((event, self.now));
    }
}

impl<D: Decider> Given<D>
where
    D::State: PartialEq + std::fmt::Debug,
    D::Rejection: PartialEq,
{
    pub fn at(mut self, secs: i64) -> Self {
        self.now = at(secs);
        self
    }

    /// Decides, and checks what holds for every decision: equal inputs give equal outputs, the fold of the events gives
    /// the state of the decision, the delta of the decision is the deltas of its events, a snapshot restores the state.
    pub fn when(mut self, command: impl Into<D::Command>) -> When<D> {
        let command = command.into();
        self.commands += 1;
        let command_id = CommandId(derive("command", &[&self.commands.to_be_bytes()]));
        let (stream, now) = (self.stream, self.now);
        let ctx = Ctx {
            stream,
            now,
            command_id,
            shard_count: SHARDS,
            calendar: &Grid,
            expressions: &Paths,
            reports: crate::run::Reports::NONE,
        };
        let again = decide_once::<D>(&self.state, &command, &ctx);
        match decide_once::<D>(&self.state, &command, &ctx) {
            Err(rejection) => {
                assert!(again.is_err_and(|again| again == rejection));
                When { after: self, result: Err(rejection) }
            }
            Ok(Decision { events, after, delta }) => {
                assert!(again.is_ok_and(|again| again.events == events && again.delta == delta));
                let mut whole = self.ledger.clone();
                whole.apply(&delta);
                let errands = delta.opens.iter().filter(|open| matches!(open.duty.class(), Class::Send | Class::Timer));
                self.errands.extend(errands.map(|open| open.key.clone()));
                events.iter().for_each(|event| self.remember(event.clone()));
                assert_eq!(self.state, after);
                assert_eq!(self.ledger, whole);
                let kept = codec::to_bytes(&after).unwrap();
                assert_eq!(codec::from_bytes::<D::State>("state", &kept).unwrap(), after);
                When { after: self, result: Ok(events) }
            }
        }
    }

    /// For steps on the way to what a test is about.
    pub fn after(self, command: impl Into<D::Command>) -> Self {
        let when = self.when(command);
        if let Err(rejection) = &when.result {
            panic!("rejected: {rejection}");
        }
        when.after
    }

    pub fn owes(self, keys: &[&str]) -> Self {
        assert_eq!(self.ledger.keys(), keys);
        self
    }
}

impl<D: Decider> When<D>
where
    D::Rejection: PartialEq,
{
    pub fn then(self, events: impl IntoIterator<Item = D::Event>) -> Given<D> {
        let expected: Vec<D::Event> = events.into_iter().collect();
        match self.result {
            Ok(events) => assert_eq!(events, expected),
            Err(rejection) => panic!("rejected: {rejection}"),
        }
        self.after
    }

    pub fn then_rejected(self, rejection: D::Rejection) -> Given<D> {
        match self.result {
            Ok(events) => panic!("accepted: {events:?}"),
            Err(found) => assert_eq!(found, rejection),
        }
        self.after
    }

    /// As [`When::then`] for tests that care for the kinds of event only.
    pub fn then_facts(self, facts: &[&str]) -> Given<D> {
        match &self.result {
            Ok(events) => assert_eq!(events.iter().map(word).collect::<Vec<_>>(), facts),
            Err(rejection) => panic!("rejected: {rejection}"),
        }
        self.after
    }

    pub fn events(self) -> Vec<D::Event> {
        match self.result {
            Ok(events) => events,
            Err(rejection) => panic!("rejected: {rejection}"),
        }
    }
}

/// The word a variant is written with.
pub fn word<T: serde::Serialize>(value: &T) -> String {
    let bytes = codec::write(value).unwrap();
    let (tag, length) = if bytes[0] == 0x81 { (bytes[1], 2) } else { (bytes[0], 1) };
    String::from_utf8(bytes[length..length + usize::from(tag - 0xa0)].to_vec()).unwrap()
}

pub fn uuid(n: u64) -> Uuid {
    derive("test", &[&n.to_be_bytes()])
}

/// The transition table of a stream: every pair of phase and command has a line, each command of the type is one of the
/// verbs, and each line says what really happens: the facts, `-` for nothing, or the word of the rejection.
pub fn covers_every_pair<D: Decider>(
    phases: &[&str],
    table: &[(&str, &str)],
    outcome: impl Fn(&str, &str) -> Result<Vec<String>, D::Rejection>,
) {
    let verbs = codec::verbs(D::KIND);
    let all = phases.iter().flat_map(|phase| verbs.iter().map(move |verb| format!("{phase} {verb}")));
    let listed = |pair: &String| table.iter().filter(|(other, _)| other == pair).count();
    let uncovered: Vec<String> = all.filter(|pair| listed(pair) != 1).collect();
    assert!(uncovered.is_empty(), "not covered exactly once: {uncovered:#?}");
    let mut wrong = Vec::new();
    for (pair, expected) in table {
        let (phase, verb) = pair.split_once(' ').expect("phase and verb");
        assert!(phases.contains(&phase) && verbs.contains(&verb), "no such pair: {pair}");
        let found = match outcome(phase, verb) {
            Ok(events) if events.is_empty() => "-".to_owned(),
            Ok(events) => events.join(" "),
            Err(rejection) => word(&rejection),
        };
        if found != *expected {
            wrong.push(format!("{pair}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
