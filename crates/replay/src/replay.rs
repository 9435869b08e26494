//! Replaying a fixture: state, decisions, obligations, rows.
//!
//! Owns: the order of the checks and what a replay is told. Refuses to know: files and stores.

use std::{collections::BTreeMap, sync::Arc};

use nightshift_domain::{
    calendar::Calendar,
    expression::Expressions,
    ids::{ShardId, StreamId},
    recorded::Recorded,
};
use nightshift_ports::log::RecordedCommand;
use nightshift_projections::table::TableDef;
use nightshift_spec::{ZonedCalendar, expressions::Cel};
use serde_json::Value;

use crate::{
    fixture::{Fixture, GoldenRow},
    golden,
    history::{History, ShardCheck},
    obligations,
    report::{Fault, Report},
};

/// What a replay is told.
#[derive(Clone)]
pub struct Options {
    /// Version of the program that replays.
    pub code_revision: String,
    /// Who answers about due instants.
    pub calendar: Arc<dyn Calendar>,
    /// Who answers about conditions; keeps what it compiled from one decision to the next.
    pub expressions: Arc<dyn Expressions>,
    /// How many shards the log has now, when it is a log.
    pub shard_count: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            code_revision: env!("CARGO_PKG_VERSION").to_owned(),
            calendar: Arc::new(ZonedCalendar::bundled()),
            expressions: Arc::new(Cel::default()),
            shard_count: None,
        }
    }
}

/// Replays a fixture with this program and the zone data that is compiled in.
#[must_use]
pub fn replay_fixture(fixture: &Fixture) -> Report {
    replay_fixture_with(fixture, &Options::default())
}

/// Replays a fixture.
#[must_use]
pub fn replay_fixture_with(fixture: &Fixture, options: &Options) -> Report {
    let options = Options { shard_count: Some(fixture.about.shard_count), ..options.clone() };
    let mut report = decisions(fixture, &options);
    check_shards(fixture, &mut report);
    check_commands(fixture, &mut report);
    if report.undecodable.is_empty() {
        check_goldens(fixture, &mut report);
    }
    report
}

/// Folds every stream and decides every command again.
pub fn decisions(fixture: &Fixture, options: &Options) -> Report {
    let mut report = Report::default();
    let mut streams: BTreeMap<StreamId, (Vec<&RecordedCommand>, Vec<&Recorded>)> = BTreeMap::new();
    for command in &fixture.commands {
        streams.entry(command.stream).or_default().0.push(command);
    }
    for event in &fixture.events {
        streams.entry(event.stream).or_default().1.push(event);
    }
    for (stream, (commands, events)) in streams {
        let mut history = History::new(stream, options);
        let mut commands = commands.into_iter().peekable();
        for event in events {
            while let Some(command) = commands.next_if(|command| command.first_seq <= event.seq) {
                history.command(command.clone());
            }
            history.event(event.clone());
        }
        commands.for_each(|command| history.command(command.clone()));
        report.absorb(history.end().0);
    }
    report
}

fn check_shards(fixture: &Fixture, report: &mut Report) {
    let mut shards: BTreeMap<ShardId, ShardCheck> = BTreeMap::new();
    for event in &fixture.events {
        shards.entry(event.shard).or_default().event(event, fixture.about.captured.whole, report);
    }
}

/// One record for each command.
fn check_commands(fixture: &Fixture, report: &mut Report) {
    let mut seen = std::collections::HashSet::new();
    for command in fixture.commands.iter().filter(|command| !seen.insert((command.shard, command.record.id))) {
        let place = format!("command {} of {}", command.record.id, command.stream);
        report.corrupt.add(Fault { place, what: "it is recorded twice".to_owned() });
    }
}

fn check_goldens(fixture: &Fixture, report: &mut Report) {
    match golden::goldens(fixture) {
        Ok(computed) => {
            report.open_obligations = computed.obligations.len() as u64;
            report.rows_compared = computed.rows.len() as u64;
            match obligations::compare(&fixture.obligations, &computed.obligations) {
                Ok(found) => report.obligations.absorb(found),
                Err(error) => {
                    report.undecodable.add(Fault { place: "obligations".to_owned(), what: error.to_string() })
                }
            }
            report.rows.absorb(obligations::mismatches(by_key(&fixture.rows), by_key(&computed.rows)));
        }
        Err(error) => report.undecodable.add(Fault { place: "goldens".to_owned(), what: error.to_string() }),
    }
}

/// Rows under `table key`.
pub fn by_key(rows: &[GoldenRow]) -> BTreeMap<String, Value> {
    let named = rows.iter().map(|golden| {
        let table: Option<&&TableDef> =
            nightshift_projections::tables::ALL.iter().find(|table| table.name == golden.table);
        let key = table.map(|table| nightshift_ports::rows::key_text(&table.key_of(&golden.row))).unwrap_or_default();
        (format!("{} {key}", golden.table), Value::Object(golden.row.clone()))
    });
    named.collect()
}
