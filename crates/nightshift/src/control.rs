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
};
use nightshift_ports::clock::IdSource;
use nightshift_store::sqlite::lock_holder;

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
        /// Its address.
        base: String,
        /// What it asks for.
        token: String,
        /// How it is asked.
        client: reqwest::Client,
        /// The same store, to look at.
        store: AnyStore,
    },
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
    std::fs::create_dir_all(data_dir)?;
    let token = format!("{}{}", RandomIds.fresh().simple(), fresh_secret().simple());
    let path = token_path(data_dir);
    let _ = std::fs::remove_file(&path);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(token.as_bytes())?;
    Ok(token)
}

fn fresh_secret() -> uuid::Uuid {
    #[expect(clippy::disallowed_methods, reason = "a secret, not an id of the domain")]
    uuid::Uuid::new_v4()
}

impl Control {
    /// Finds the way: the daemon that holds the store, or this process.
    ///
    /// # Errors
    /// The store cannot be opened and no daemon answers for it.
    pub async fn open(env: &Env) -> Result<Self, Exit> {
        let config = &env.config;
        if let Some(address) = daemon_address(config).await? {
            if env.at.is_some() {
                let message = format!("--at: a daemon at {address} holds the store and follows the machine's clock");
                return Err(Exit::new(Code::Usage, message));
            }
            let token = std::fs::read_to_string(token_path(&config.store.data_dir)).map_err(|error| {
                let path = token_path(&config.store.data_dir);
                let message = format!(
                    "a daemon at {address} holds the store, and its token in {} cannot be read: {error}; run this as \
                     the daemon's user and with its data folder",
                    path.display()
                );
                Exit::new(Code::InUse, message)
            })?;
            let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build();
            let client = client.map_err(Exit::failed)?;
            let store = app::open(config, Mode::Read).await?;
            return Ok(Self::Remote { base: format!("http://{address}"), token, client, store });
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
                system.caught_up().await;
                Ok(Answer { version: done.version, repeated: done.repeated })
            }
            Self::Remote { base, token, client, .. } => {
                let asked = SubmitRequest { stream, command: command.into(), id, actor };
                let request = client.post(format!("{base}/api/control/submit")).bearer_auth(token).json(&asked);
                let response = request.send().await.map_err(|error| no_answer(&error))?;
                if response.status().is_success() {
                    return response.json().await.map_err(|error| no_answer(&error));
                }
                let body: ErrorBody = response.json().await.map_err(|error| no_answer(&error))?;
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
            Self::Remote { base, token, client, .. } => {
                let request = client.put(format!("{base}/api/control/blob")).bearer_auth(token).body(text.clone());
                let response = request.send().await.and_then(reqwest::Response::error_for_status);
                let digest: Digest = match response {
                    Ok(response) => response.json().await.map_err(|error| no_answer(&error))?,
                    Err(error) => return Err(no_answer(&error)),
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
        let Self::Remote { base, token, client, .. } = self else { return Ok(None) };
        let response = client.get(format!("{base}/api/control/queue")).bearer_auth(token).send().await;
        let response = response.map_err(|error| no_answer(&error))?;
        response.json().await.map(Some).map_err(|error| no_answer(&error))
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
            system.stop().await;
        }
    }
}

/// Address of the daemon that holds the store, if one does.
async fn daemon_address(config: &Config) -> Result<Option<String>, Exit> {
    match &config.store.url {
        StoreUrl::Sqlite(path) => match lock_holder(path) {
            None => Ok(None),
            Some(holder) => holder.address.clone().map(Some).ok_or_else(|| {
                let message = format!(
                    "the store at {} is in use by {holder}, which has no HTTP interface to ask; wait for it to end",
                    path.display()
                );
                Exit::new(Code::InUse, message)
            }),
        },
        StoreUrl::Postgres(_) => {
            let Ok(store) = app::open(config, Mode::Read).await else { return Ok(None) };
            let living = store.ports().living().await?;
            // Ids of sessions grow with time: the newest is the one that works.
            match living.into_iter().max_by_key(|session| session.id) {
                None => Ok(None),
                Some(session) => session.address.clone().map(Some).ok_or_else(|| {
                    Exit::new(Code::InUse, format!("the store is in use by node {}; wait for it to end", session.node))
                }),
            }
        }
    }
}

fn refused(error: &NotDone) -> Exit {
    Exit::failed(error)
}

fn no_answer(error: &reqwest::Error) -> Exit {
    Exit::failed(format!("the daemon did not answer: {error}; see its log"))
}

/// Who is at the keyboard, for the record.
#[must_use]
pub fn user_name() -> String {
    let env = app::environment();
    let name = env.get("SUDO_USER").or_else(|| env.get("USER")).or_else(|| env.get("LOGNAME"));
    name.cloned().unwrap_or_else(|| "unknown".to_owned())
}
