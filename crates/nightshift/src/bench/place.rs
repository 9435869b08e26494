//! Where it is measured: a folder of its own, and fresh stores that are removed again.
//!
//! Owns: names of files and databases, and that none of them is left behind.
//! Refuses to know: what is measured.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nightshift_ports::clock::Clock;
use nightshift_projections::tables;
use nightshift_store::{
    bench::{RawReader, RawTables, RawWake, RawWriter},
    postgres::{create_database, drop_database},
};

use crate::{
    app::{self, AnyStore, Mode},
    commands::Env,
    config::{Config, StoreUrl},
    exit::Exit,
    real::SystemClock,
};

/// A folder that cannot be removed yet is tried again so many times: a system that was cut short may still write.
const REMOVALS: u32 = 40;

/// Milliseconds between two of them.
const REMOVAL_MS: i64 = 50;

/// A folder that did not exist before.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it, below `parent` or the system's folder for such things.
    pub(super) fn make(parent: Option<&Path>) -> Result<Self, Exit> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let path = std::path::absolute(parent.join(format!("nightshift-bench-{}", std::process::id())))?;
        std::fs::create_dir_all(&parent)?;
        std::fs::create_dir(&path)
            .map_err(|error| Exit::failed(format!("{}: {error}; name another folder with --dir", path.display())))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) async fn remove(self) -> Result<(), Exit> {
        for _ in 1..REMOVALS {
            match std::fs::remove_dir_all(&self.0) {
                Err(_) if self.0.exists() => SystemClock.sleep_until(SystemClock.now().plus_ms(REMOVAL_MS)).await,
                _ => return Ok(()),
            }
        }
        std::fs::remove_dir_all(&self.0).map_err(|error| Exit::failed(format!("{}: {error}", self.0.display())))
    }
}

/// A kind of store to measure.
pub(super) enum Target {
    /// Files in this folder.
    Sqlite(PathBuf),
    /// Databases of a server, made and removed; other files go to the folder.
    Postgres {
        /// Address of any database of it.
        url: String,
        /// For sources and documents.
        files: PathBuf,
        /// Addresses of the databases that were made.
        made: Mutex<Vec<String>>,
    },
}

impl Target {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    fn files(&self) -> &Path {
        match self {
            Self::Sqlite(files) | Self::Postgres { files, .. } => files,
        }
    }

    /// Removes the databases that are still there, whatever became of the measurements.
    pub(super) async fn sweep(&self) -> Result<(), Exit> {
        let Self::Postgres { made, .. } = self else { return Ok(()) };
        let made = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
        for url in made {
            drop_database(&url).await?;
        }
        Ok(())
    }

    /// A store that nobody used before.
    pub(super) async fn fresh(&self, env: &Env, label: &str) -> Result<Place, Exit> {
        let files = self.files().join(format!("{}-{label}", self.name()));
        std::fs::create_dir_all(&files)?;
        let address = match self {
            Self::Sqlite(_) => format!("sqlite://{}", files.join("bench.db").display()),
            Self::Postgres { url, made, .. } => {
                let url = database(url, &format!("nightshift_bench_{}_{label}", std::process::id()));
                made.lock().unwrap_or_else(PoisonError::into_inner).push(url.clone());
                drop_database(&url).await?;
                create_database(&url).await?;
                url
            }
        };
        let flags = [("store.url", address.as_str())];
        let loaded = Config::load(None, &BTreeMap::new(), &flags).map_err(Exit::from)?;
        let mut config = env.config.clone();
        config.store.url = loaded.config.store.url;
        config.store.cluster_id = None;
        config.store.shard_count = nightshift_store::DEFAULT_SHARDS;
        Ok(Place { config, address, files })
    }
}

/// One store, and a folder beside it.
pub(super) struct Place {
    pub(super) config: Config,
    /// Of the store. May hold a password: never printed.
    pub(super) address: String,
    pub(super) files: PathBuf,
}

impl Place {
    pub(super) async fn open(&self) -> Result<AnyStore, Exit> {
        app::open(&self.config, Mode::Write).await
    }

    /// Writers side by side.
    pub(super) fn lanes(&self) -> usize {
        match self.config.store.url {
            StoreUrl::Sqlite(_) => 1,
            StoreUrl::Postgres(_) => usize::from(self.config.store.lanes),
        }
    }

    /// A connection beside the store, for the baseline.
    pub(super) async fn raw(&self) -> Result<RawWriter, Exit> {
        Ok(match &self.config.store.url {
            StoreUrl::Sqlite(path) => RawWriter::sqlite(path).await?,
            StoreUrl::Postgres(url) => RawWriter::postgres(url.expose()).await?,
        })
    }

    /// A connection that reads and decodes nothing, for the baseline.
    pub(super) async fn reader(&self) -> Result<RawReader, Exit> {
        Ok(match &self.config.store.url {
            StoreUrl::Sqlite(path) => RawReader::sqlite(path).await?,
            StoreUrl::Postgres(url) => RawReader::postgres(url.expose()).await?,
        })
    }

    /// A connection that commits and somebody who is woken, for the baseline.
    pub(super) async fn wake(&self) -> Result<RawWake, Exit> {
        Ok(match &self.config.store.url {
            StoreUrl::Sqlite(path) => RawWake::sqlite(path).await?,
            StoreUrl::Postgres(url) => RawWake::postgres(url.expose()).await?,
        })
    }

    /// The rows of the read models of another place, and a connection to this one, for the baseline.
    pub(super) async fn tables_of(&self, from: &Self) -> Result<RawTables, Exit> {
        Ok(match (&from.config.store.url, &self.config.store.url) {
            (StoreUrl::Sqlite(from), StoreUrl::Sqlite(to)) => RawTables::sqlite(from, to, tables::ALL).await?,
            (StoreUrl::Postgres(from), StoreUrl::Postgres(to)) => {
                RawTables::postgres(from.expose(), to.expose(), tables::ALL).await?
            }
            _ => return Err(Exit::failed("rows go from a store to one of the same kind")),
        })
    }

    pub(super) async fn remove(self) -> Result<(), Exit> {
        if let StoreUrl::Postgres(url) = &self.config.store.url {
            drop_database(url.expose()).await?;
        }
        std::fs::remove_dir_all(&self.files).map_err(Exit::from)
    }
}

/// Lets go of a store and waits until its file or its connections are closed.
pub(super) async fn close(store: AnyStore) {
    match store {
        AnyStore::Sqlite(store) => {
            if let Some(store) = Arc::into_inner(store) {
                store.close().await;
            }
        }
        AnyStore::Postgres(store) => {
            if let Some(store) = Arc::into_inner(store) {
                store.close().await;
            }
        }
    }
}

/// The address of another database on the same server.
fn database(url: &str, name: &str) -> String {
    let (server, query) = url.split_once('?').map_or((url, None), |(server, query)| (server, Some(query)));
    let authority = server.find("://").map_or(0, |at| at + 3);
    let end = server[authority..].find('/').map_or(server.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &server[..end])
}

#[cfg(test)]
mod tests {
    use super::database;

    #[test]
    fn another_database_of_the_same_server() {
        for (url, other) in [
            ("postgres://u:p@h:5432/db", "postgres://u:p@h:5432/x"),
            ("postgres://h", "postgres://h/x"),
            ("postgres:///db?host=/run", "postgres:///x?host=/run"),
        ] {
            assert_eq!(database(url, "x"), other);
        }
    }
}
