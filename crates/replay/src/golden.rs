//! What a fixture's history comes to: open obligations and rows, computed from it alone.
//!
//! Owns: what the golden files say. Refuses to know: files.

use std::collections::{BTreeMap, HashSet};

use nightshift_domain::{ids::CommandId, recorded::Recorded};
use nightshift_ports::{
    log::Owed,
    rows::{key_text, normal},
};
use nightshift_projections::{Rows, apply, reads, tables};

use crate::{
    error::Error,
    fixture::{Fixture, GoldenRow},
    obligations::{Ledger, receipt},
};

/// What a history comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Goldens {
    /// Obligations that are open at the end.
    pub obligations: Vec<Owed>,
    /// Rows of the read models.
    pub rows: Vec<GoldenRow>,
}

/// Computes what the golden files of a fixture should say.
///
/// # Errors
/// A payload does not decode.
pub fn goldens(fixture: &Fixture) -> Result<Goldens, Error> {
    Ok(Goldens { obligations: open_obligations(fixture)?, rows: rows_of(fixture.events.iter())? })
}

/// Obligations that a fixture's decisions leave open.
pub fn open_obligations(fixture: &Fixture) -> Result<Vec<Owed>, Error> {
    let mut ledgers: BTreeMap<_, Ledger> = BTreeMap::new();
    for command in &fixture.commands {
        let taken = ledgers.entry((command.shard, command.stream)).or_default().take(command);
        taken.map_err(|error| Error::decode(format!("command {}", command.record.id), error))?;
    }
    let recorded = received(fixture);
    let all = ledgers.into_values().flat_map(Ledger::left);
    let open = all.filter(|owed| !receipt(owed.stream, &owed.obligation).is_some_and(|(_, id)| recorded.contains(&id)));
    Ok(open.collect())
}

/// Commands that are known to have been received.
fn received(fixture: &Fixture) -> HashSet<CommandId> {
    let inside = fixture.commands.iter().map(|command| command.record.id);
    inside.chain(fixture.about.captured.told_outside.iter().copied()).collect()
}

/// The rows that events make, in order of tables and keys. Events of one shard come in order.
pub fn rows_of<'a>(events: impl Iterator<Item = &'a Recorded>) -> Result<Vec<GoldenRow>, Error> {
    let mut rows = Rows::new();
    for recorded in events {
        let place = || format!("{} version {}", recorded.stream, recorded.version);
        let event = recorded.decode().map_err(|error| Error::decode(place(), error))?;
        for (table, key) in reads(&event, recorded) {
            rows.load(table, key, None);
        }
        apply(&mut rows, recorded, &event);
    }
    let (upserts, _) = rows.take_changed();
    let mut sorted: BTreeMap<(usize, String), GoldenRow> = BTreeMap::new();
    for (table, image) in upserts {
        let row = image.into_row(table);
        let place = tables::ALL.iter().position(|known| known.name == table.name).unwrap_or(usize::MAX);
        let key = key_text(&table.key_of(&row));
        sorted.insert((place, key), GoldenRow { table: table.name.to_owned(), row: normal(table, row) });
    }
    Ok(sorted.into_values().collect())
}
