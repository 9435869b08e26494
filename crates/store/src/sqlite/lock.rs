//! One process on one file: an operating-system lock beside the database, and who holds it.
//!
//! Owns: the file `<database>.lock`. The lock is the system's, so it ends with the process however that ends; the text
//! in the file is for people and for commands that look for the daemon.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::OpenError;

/// How often a held lock is tried again at once: a command that reads the file holds it for some microseconds.
const TRIES: u32 = 20;

/// Who holds a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its process id.
    pub pid: u32,
    /// Address of its HTTP interface, once it listens.
    pub address: Option<String>,
}

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) => write!(f, "process {} at {address}", self.pid),
            None => write!(f, "process {}", self.pid),
        }
    }
}

/// Who holds the store at `database`, if anybody does.
#[must_use]
pub fn lock_holder(database: &Path) -> Option<LockHolder> {
    let mut file = File::open(lock_path(database)).ok()?;
    let holder = read(&mut file)?;
    // Text without a lock was left by a process that was killed.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder),
        _ => None,
    }
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of `database`.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let path = lock_path(database);
        let not_writable =
            |error: io::Error| OpenError::NotWritable { path: database.to_owned(), why: error.to_string() };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(not_writable)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self { file };
                    lock.write(None).map_err(not_writable)?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Error(error)) => return Err(not_writable(error)),
            }
        }
        let holder = read(&mut file).map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
        Err(OpenError::InUse { path: database.to_owned(), holder })
    }

    /// Writes the address of this process into the file.
    pub(super) fn write(&self, address: Option<&str>) -> io::Result<()> {
        let holder = LockHolder { pid: std::process::id(), address: address.map(str::to_owned) };
        let text = serde_json::to_vec(&holder)?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The file stays: removing it would let two processes lock two files of one name.
        let _ = self.file.set_len(0);
    }
}

fn read(file: &mut File) -> Option<LockHolder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}
