//! How a command reaches the system: this process when the store is free, the daemon that holds it otherwise.
//!
//! Owns: that choice, and the token by which a daemon knows who may ask.
//! Refuses to know: what is asked.

use std::{path::Path, time::Duration};

use nightshift_actors::{envelope::NotDone, perform, system::System};
use nightshift_api::{Answer, ErrorBody, Queued, SubmitRequest};
use nightshift_domain::{
    content::{Digest, INLINE_BYTES_MAX, Text},
    ids::{CommandId, StreamId},
    streams::AnyCommand,
    time::Timestamp,
};
use nightshift_ports::clock::IdSource;
use nightshift_store::sqlite::lock_holder;
use serde::de::DeserializeOwned;

use crate::{
    app::{self, AnyStore, Mode, Purpose},
    commands::Env,
    config::{Config, StoreUrl},
    exit::{Code, Exit},
    real::RandomIds,
};

/// The way to the system.
pub enum Control {
    /// In this process.
    Local {
        /// The system.
        system: System,
        /// Its store.
        store: AnyStore,
    },
    /// In a daemon.
    Remote {
        /// Which.
        daemon: Daemon,
        /// What it asks for.
        token: String,
        /// How it is asked.
        client: reqwest::Client,
        /// The same store, to look at.
        store: AnyStore,
    },
}

/// A session of a daemon lives so long without being renewed, in milliseconds: that of a killed one as well.
pub const SESSION_TTL_MS: i64 = 10_000;

/// A daemon, as it is known to who looks for it. It may have been killed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Host and port of its HTTP interface.
    pub address: String,
    /// What it is called, for people.
    pub name: String,
    /// When it was registered in a store that several machines reach. None where a lock proves that it lives.
    pub since: Option<Timestamp>,
}

impl Daemon {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Looks at something under its HTTP interface.
    ///
    /// # Errors
    /// It did not answer, or refused.
    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str, client: &reqwest::Client) -> Result<T, Exit> {
        let response = client.get(self.url(path)).bearer_auth(token).send().await;
        let response = response.map_err(|error| self.no_answer(&error))?;
        if response.status().is_success() {
            return response.json().await.map_err(|error| self.no_answer(&error));
        }
        let body: ErrorBody = response.json().await.map_err(|error| self.no_answer(&error))?;
        Err(Exit::failed(body.error.message))
    }

    /// Why no answer came, and what helps.
    fn no_answer(&self, error: &reqwest::Error) -> Exit {
        let Self { address, name, since } = self;
        if !error.is_connect() {
            return Exit::failed(format!("{name} at {address} did not answer: {}; see its log", root_cause(error)));
        }
        let (why, seconds) = (root_cause(error), SESSION_TTL_MS / 1_000);
        let message = match since {
            Some(since) => format!(
                "{name} at {address}, registered in the store since {since}, does not answer: {why}; nothing was done. \
                 If it was killed, its registration ends {seconds} s after its last sign of life: repeat the command \
                 then, or start a daemon. If it runs on another machine, ask where {address} can be reached"
            ),
            None => format!(
                "{name} at {address} holds the store and does not answer: {why}; nothing was done. If it is ending, \
                 repeat the command; otherwise look at its log"
            ),
        };
        Exit::new(Code::InUse, message)
    }
}

/// What lies below all the layers of a client.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// File of the token in the data folder; only its owner can read it.
#[must_use]
pub fn token_path(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("control.token")
}

/// Makes the token of a daemon that starts.
///
/// # Errors
/// The data folder cannot be written.
pub fn make_token(data_dir: &Path) -> Result<String, Exit> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = token_path(data_dir);
    let not_written = |error: std::io::Error| {
        let message = format!(
            "{} cannot be written: {error}; give this user the right to write that folder, or name another in \
             store.data_dir",
            path.display()
        );
        Exit::new(Code::StoreUnavailable, message)
    };
    std::fs::create_dir_all(data_dir).map_err(not_written)?;
    let token = format!("{}{}", RandomIds.fresh().simple(), fresh_secret().simple());
    let _ = std::fs::remove_file(&path);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(not_written)?;
    file.write_all(token.as_bytes()).map_err(not_written)?;
    Ok(token)
}

fn fresh_secret() -> uuid::Uuid {
    #[expect(clippy::disallowed_methods, reason = "a secret, not an id of the domain")]
    uuid::Uuid::new_v4()
}

/// A daemon, and what it takes to ask it.
pub struct Door {
    daemon: Daemon,
    token: String,
    client: reqwest::Client,
}

impl Door {
    fn of(config: &Config, daemon: Daemon) -> Result<Self, Exit> {
        let path = token_path(&config.store.data_dir);
        let token = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!(
                "a daemon at {} holds the store, and its token in {} cannot be read: {error}; run this as the daemon's \
                 user and with its data folder",
                daemon.address,
                path.display()
            );
            Exit::new(Code::InUse, message)
        })?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build();
        Ok(Self { daemon, token, client: client.map_err(Exit::failed)? })
    }

    /// Looks at something under the daemon's HTTP interface.
    ///
    /// # Errors
    /// It did not answer, or refused.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Exit> {
        self.daemon.get(path, &self.token, &self.client).await
    }
}

/// The daemon that holds the store, if one does.
///
/// # Errors
/// One does and cannot be asked.
pub async fn reach(config: &Config) -> Result<Option<Door>, Exit> {
    find_daemon(config).await?.map(|daemon| Door::of(config, daemon)).transpose()
}

impl Control {
    /// Finds the way: the daemon that holds the store, or this process.
    ///
    /// # Errors
    /// The store cannot be opened and no daemon answers for it.
    pub async fn open(env: &Env) -> Result<Self, Exit> {
        let config = &env.config;
        if let Some(daemon) = find_daemon(config).await? {
            let address = &daemon.address;
            if env.at.is_some() {
                let message = format!("--at: a daemon at {address} holds the store and follows the machine's clock");
                return Err(Exit::new(Code::Usage, message));
            }
            let Door { daemon, token, client } = Door::of(config, daemon)?;
            let store = app::open(config, Mode::Read).await?;
            return Ok(Self::Remote { daemon, token, client, store });
        }
        let store = app::open(config, Mode::Write).await?;
        app::check_rehearsal(env.at, &store).await?;
        let system = app::start(config, &store, Purpose::command(env.clock())).await?;
        Ok(Self::Local { system, store })
    }

    /// The store, to look at.
    #[must_use]
    pub const fn store(&self) -> &AnyStore {
        match self {
            Self::Local { store, .. } | Self::Remote { store, .. } => store,
        }
    }

    /// Asks a stream; returns when the read models show the outcome.
    ///
    /// # Errors
    /// It was not done, and why.
    pub async fn submit(
        &self,
        stream: StreamId,
        command: impl Into<AnyCommand>,
        id: CommandId,
    ) -> Result<Answer, Exit> {
        let actor = format!("cli:{}", user_name());
        match self {
            Self::Local { system, .. } => {
                let done = system.submit(stream, command, (id, &actor)).await.map_err(|error| refused(&error))?;
                if let Err(stuck) = system.caught_up().await
                    && stuck.shard == done.position.shard
                {
                    return Err(Exit::failed(format!("it was done, but {stuck}")));
                }
                Ok(Answer { version: done.version, repeated: done.repeated })
            }
            Self::Remote { daemon, token, client, .. } => {
                let asked = SubmitRequest { stream, command: command.into(), id, actor };
                let request = client.post(daemon.url("/api/control/submit")).bearer_auth(token).json(&asked);
                let response = request.send().await.map_err(|error| daemon.no_answer(&error))?;
                if response.status().is_success() {
                    return response.json().await.map_err(|error| daemon.no_answer(&error));
                }
                let body: ErrorBody = response.json().await.map_err(|error| daemon.no_answer(&error))?;
                Err(Exit::failed(body.error.message))
            }
        }
    }

    /// Keeps a text where an event may refer to it.
    ///
    /// # Errors
    /// The store did not take it.
    pub async fn keep(&self, text: String) -> Result<Text, Exit> {
        match self {
            Self::Local { store, .. } => Ok(perform::keep(&*store.ports(), text).await?),
            Self::Remote { daemon, token, client, .. } => {
                let request = client.put(daemon.url("/api/control/blob")).bearer_auth(token).body(text.clone());
                let response = request.send().await.and_then(reqwest::Response::error_for_status);
                let digest: Digest = match response {
                    Ok(response) => response.json().await.map_err(|error| daemon.no_answer(&error))?,
                    Err(error) => return Err(daemon.no_answer(&error)),
                };
                let bytes = text.len() as u64;
                Ok(Text { digest, bytes, inline: (text.len() <= INLINE_BYTES_MAX).then_some(text) })
            }
        }
    }

    /// Who waits for a place in the queue; none when nobody runs the queue.
    ///
    /// # Errors
    /// The daemon did not answer.
    pub async fn queue(&self) -> Result<Option<Queued>, Exit> {
        let Self::Remote { daemon, token, client, .. } = self else { return Ok(None) };
        daemon.get("/api/control/queue", token, client).await.map(Some)
    }

    /// Waits until what was asked for is done, as far as this process does it.
    pub async fn settled(&self) {
        if let Self::Local { system, .. } = self {
            system.settled().await;
        }
    }

    /// A daemon does the work.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }

    /// Ends what was started here.
    pub async fn close(self) {
        if let Self::Local { system, .. } = self {
            // Whoever looks next sees what was decided here.
            let _ = system.caught_up().await;
            system.stop().await;
        }
    }
}

/// The daemon that holds the store, if one does.
async fn find_daemon(config: &Config) -> Result<Option<Daemon>, Exit> {
    let in_use = |message: String| Exit::new(Code::InUse, message);
    match &config.store.url {
        StoreUrl::Sqlite(path) => {
            let Some(holder) = lock_holder(path) else { return Ok(None) };
            let address = holder.address.clone().ok_or_else(|| {
                in_use(format!(
                    "the store at {} is in use by {holder}, which has no HTTP interface to ask; wait for it to end",
                    path.display()
                ))
            })?;
            Ok(Some(Daemon { address, name: format!("the daemon with process id {}", holder.pid), since: None }))
        }
        StoreUrl::Postgres(_) => {
            let Ok(store) = app::open(config, Mode::Read).await else { return Ok(None) };
            let living = store.ports().living().await?;
            // Ids of sessions grow with time: the newest is the one that works.
            let Some(session) = living.into_iter().max_by_key(|session| session.id) else { return Ok(None) };
            let node = &session.node;
            let address = session
                .address
                .clone()
                .ok_or_else(|| in_use(format!("the store is in use by node {node}; wait for it to end")))?;
            Ok(Some(Daemon { address, name: format!("the daemon of node {node}"), since: joined_at(session.id) }))
        }
    }
}

/// The instant at which the id of a session was drawn.
fn joined_at(session: uuid::Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = session.get_timestamp()?.to_unix();
    Some(Timestamp(i64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000))?))
}

fn refused(error: &NotDone) -> Exit {
    Exit::failed(error)
}

/// Who is at the keyboard, for the record.
#[must_use]
pub fn user_name() -> String {
    let env = app::environment();
    let name = env.get("SUDO_USER").or_else(|| env.get("USER")).or_else(|| env.get("LOGNAME"));
    name.cloned().unwrap_or_else(|| "unknown".to_owned())
}
