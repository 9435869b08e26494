//! The embedded migrations, and where a store stands among them.
//!
//! Owns: the books, refusing a store that a newer program has changed.

use std::{borrow::Cow, sync::LazyLock};

use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use crate::error::OpenError;

/// One line for each migration: number and name of its file, in both dialects. Not by sqlx's own macro: its crate is
/// made of the drivers once more, for the build machine, and cost a cold build more than a minute.
macro_rules! migrations {
    ($($number:literal $name:literal),+ $(,)?) => {
        /// Numbers and names of the files.
        #[cfg(test)]
        const FILES: &[(i64, &str)] = &[$(($number, $name)),+];

        /// Those of `schema/sqlite`.
        pub(crate) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| {
            migrator(&[$(($number, $name, include_str!(concat!("../../../schema/sqlite/", $name, ".sql")))),+])
        });
        /// Those of `schema/postgres`: the same numbers and names.
        pub(crate) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| {
            migrator(&[$(($number, $name, include_str!(concat!("../../../schema/postgres/", $name, ".sql")))),+])
        });
    };
}

migrations!(1 "0001_log", 2 "0002_read_models", 3 "0003_workflows", 4 "0004_queue", 5 "0005_bulk_jobs", 6 "0006_fewer_pages");

fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(number, name, sql): &(i64, &'static str, &'static str)| {
        let description = name.split_once('_').map_or(name, |(_, words)| words).replace('_', " ");
        let sql = AssertSqlSafe(sql).into_sql_str();
        Migration::new(number, Cow::Owned(description), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

/// sqlx keeps its book under this name.
const BOOK: &str = "_sqlx_migrations";

/// Where a store stands among the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaState {
    /// Number of the newest one applied; 0 for an empty store.
    pub found: u32,
    /// Number of the newest one this program knows.
    pub known: u32,
}

impl SchemaState {
    /// The program reads and writes this store as it is.
    #[must_use]
    pub const fn current(self) -> bool {
        self.found == self.known
    }

    /// Refuses a store of a newer program, and an older one as well when it may not be changed.
    pub(crate) fn check(self, may_migrate: bool) -> Result<Self, OpenError> {
        let Self { found, known } = self;
        match found.cmp(&known) {
            std::cmp::Ordering::Greater => Err(OpenError::SchemaNewer { found, known }),
            std::cmp::Ordering::Less if !may_migrate => Err(OpenError::SchemaOlder { found, known }),
            _ => Ok(self),
        }
    }
}

/// Number of the newest migration in `migrator`.
pub(crate) fn known(migrator: &Migrator) -> u32 {
    migrator.iter().map(|migration| as_number(migration.version)).max().unwrap_or(0)
}

/// Where the store behind `conn` stands. `has_book` says whether it has a book at all: reading may not create one.
pub(crate) async fn state<C: Migrate>(
    conn: &mut C,
    migrator: &Migrator,
    has_book: bool,
) -> Result<SchemaState, OpenError> {
    let known = known(migrator);
    if !has_book {
        return Ok(SchemaState { found: 0, known });
    }
    let applied = conn.list_applied_migrations(BOOK).await.map_err(failed(migrator))?;
    let found = applied.iter().map(|migration| as_number(migration.version)).max().unwrap_or(0);
    Ok(SchemaState { found, known })
}

/// For `map_err` of a run of `migrator`.
pub(crate) fn failed(migrator: &Migrator) -> impl Fn(MigrateError) -> OpenError {
    let known = known(migrator);
    move |error| OpenError::Migration { known, why: error.to_string() }
}

fn as_number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A migration that is forgotten in the list would be missing in the program.
    #[test]
    fn every_file_is_in_the_list() {
        let listed: Vec<String> = FILES.iter().map(|(_, name)| format!("{name}.sql")).collect();
        for dialect in ["sqlite", "postgres"] {
            let folder = format!("{}/../../schema/{dialect}", env!("CARGO_MANIFEST_DIR"));
            let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
            let mut found: Vec<String> = names.collect();
            found.sort();
            assert_eq!(found, listed, "{dialect}");
        }
        assert!(FILES.iter().all(|(number, name)| name.starts_with(&format!("{number:04}_"))));
    }
}
