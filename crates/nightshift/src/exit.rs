//! Exit codes, and how a failure is shown.

use std::process::ExitCode;

use nightshift_spec::Faults;
use nightshift_store::OpenError;

use crate::output;

/// Exit codes; the runbook and `--help` list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// It was tried and failed; the message says why.
    Failed = 1,
    /// The command line is not right.
    Usage = 2,
    /// A replay came out differently.
    Diverged = 3,
    /// A recording has something this program cannot read.
    Undecodable = 4,
    /// A log contradicts itself.
    Corrupt = 5,
    /// What was named is not there.
    NotFound = 6,
    /// The store does not answer or may not be used.
    StoreUnavailable = 69,
    /// A vital part failed more often than restarts cure; the service manager starts the process again.
    GaveUp = 70,
    /// Another process has the store.
    InUse = 73,
    /// Another process took the shards over.
    Fenced = 75,
    /// The configuration is not right.
    Config = 78,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// A failure with the code it exits with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Exit {
    /// The code.
    pub code: Code,
    /// What a person reads.
    pub message: String,
}

impl Exit {
    /// A failure with a code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// It was tried and failed.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::new(Code::Failed, error.to_string())
    }
}

impl From<Faults> for Exit {
    fn from(faults: Faults) -> Self {
        Self::new(Code::Usage, faults.to_string())
    }
}

impl From<OpenError> for Exit {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::InUse { .. } => Code::InUse,
            OpenError::Missing { .. } => Code::NotFound,
            OpenError::Address { .. } | OpenError::ShardCountRange { .. } => Code::Config,
            _ => Code::StoreUnavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<nightshift_ports::log::StoreError> for Exit {
    fn from(error: nightshift_ports::log::StoreError) -> Self {
        let corrupt = matches!(error, nightshift_ports::log::StoreError::Corrupt { .. });
        Self::new(if corrupt { Code::Corrupt } else { Code::StoreUnavailable }, error.to_string())
    }
}

impl From<std::io::Error> for Exit {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<serde_json::Error> for Exit {
    fn from(error: serde_json::Error) -> Self {
        Self::failed(error)
    }
}

/// Shows a failure and gives its code.
#[must_use]
pub fn report(error: &Exit, json: bool) -> ExitCode {
    if json {
        let body = serde_json::json!({"error": {"code": error.code as u8, "message": error.message}});
        output::note(&body.to_string());
    } else {
        output::note(&format!("error: {}", error.message));
    }
    error.code.into()
}

/// `nightshift ... | head -1` closes the pipe while lines are printed: nobody wants the rest, and that is no fault of
/// this program. It ends with [`Code::Ok`] and says nothing. Only standard output counts: what goes wrong is told by
/// the code even when nobody reads standard error.
pub fn end_quietly_on_a_closed_pipe() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            #[expect(clippy::exit, clippy::disallowed_methods, reason = "nobody reads what would be printed")]
            std::process::exit(Code::Ok as i32);
        }
        default(panic);
    }));
}
