//! Where it is measured: a folder of its own, and fresh stores that are removed again.
//!
//! Owns: names of files and databases.
//! Refuses to know: what is measured.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nightshift_store::{
    bench::RawWriter,
    postgres::{create_database, drop_database},
};

use crate::{
    app::{self, AnyStore, Mode},
    commands::Env,
    config::{Config, StoreUrl},
    exit::Exit,
};

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

    pub(super) fn remove(self) -> Result<(), Exit> {
        std::fs::remove_dir_all(&self.0).map_err(Exit::from)
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

    /// A store that nobody used before.
    pub(super) async fn fresh(&self, env: &Env, label: &str) -> Result<Place, Exit> {
        let files = self.files().join(format!("{}-{label}", self.name()));
        std::fs::create_dir_all(&files)?;
        let address = match self {
            Self::Sqlite(_) => format!("sqlite://{}", files.join("bench.db").display()),
            Self::Postgres { url, .. } => {
                let url = database(url, &format!("nightshift_bench_{}_{label}", std::process::id()));
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
