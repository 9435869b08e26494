//! The form of log lines.
//!
//! Owns: filter, format and the one place they go to (stderr; stdout belongs to the answers of commands).
//! Refuses to know: what is logged, and the environment.

use std::{io, str::FromStr};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

/// Libraries that talk about themselves: at `warn` unless the filter names them.
const QUIET: &[&str] = &["ractor", "h2", "hyper", "hyper_util", "tonic", "tower", "reqwest", "rustls", "sqlx"];

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, LoggingError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LoggingError::Format { found: other.to_owned() }),
        }
    }
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// Directives such as `info` or `info,nightshift_store=debug`.
    pub filter: String,
    /// Colours, for a terminal.
    pub colour: bool,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned(), colour: false }
    }
}

/// Logging that cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggingError {
    /// No such format.
    #[error("log.format: found {found:?}; allowed is `text` or `json`")]
    Format {
        /// As written.
        found: String,
    },
    /// A directive of the filter is wrong.
    #[error(
        "log.filter: found {found:?} ({why}); allowed are directives such as `info` or `info,nightshift_store=debug`, \
         with levels trace, debug, info, warn, error, off"
    )]
    Filter {
        /// The directive.
        found: String,
        /// What the parser said.
        why: String,
    },
    /// Somebody was first.
    #[error("logging was set up twice in one process; call it once, at the start of main")]
    Twice,
}

/// Sets up logging for the whole process, on stderr.
///
/// # Errors
/// The filter is wrong, or logging was set up before.
pub fn init(config: &LoggingConfig) -> Result<(), LoggingError> {
    subscriber(config, io::stderr)?.try_init().map_err(|_| LoggingError::Twice)
}

/// What [`init`] sets up, with lines going to `writer`.
///
/// # Errors
/// The filter is wrong.
pub fn subscriber<W>(config: &LoggingConfig, writer: W) -> Result<impl Subscriber + Send + Sync + use<W>, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(&config.filter)?;
    Ok(tracing_subscriber::registry().with(filter).with(lines(config, writer)))
}

fn lines<S, W>(config: &LoggingConfig, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(config.colour);
    match config.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    }
}

/// Reads the directives; what they do not name and is too talkative is kept quiet.
fn filter(directives: &str) -> Result<EnvFilter, LoggingError> {
    let mut filter = EnvFilter::default();
    let given: Vec<&str> = directives.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    let named = |target: &str| given.iter().any(|text| text.split(['=', ':', '[']).next() == Some(target));
    for target in QUIET.iter().filter(|target| !named(target)) {
        filter = filter.add_directive(directive(&format!("{target}=warn"))?);
    }
    for text in &given {
        filter = filter.add_directive(directive(text)?);
    }
    Ok(filter)
}

fn directive(text: &str) -> Result<tracing_subscriber::filter::Directive, LoggingError> {
    text.parse().map_err(|error: tracing_subscriber::filter::ParseError| LoggingError::Filter {
        found: text.to_owned(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let (lines, config) = (Lines::default(), LoggingConfig { format, filter: filter.to_owned(), colour: false });
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(&config, move || writer.clone()).unwrap(), || {
            tracing::info!(run = "r1", "ours");
            tracing::debug!("details");
            tracing::info!(target: "ractor::actor", "chatter");
            tracing::warn!(target: "ractor::actor", "trouble");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        for (filter, seen, unseen) in [
            ("info", vec!["ours", "trouble"], vec!["chatter", "details"]),
            ("debug", vec!["ours", "trouble", "details"], vec!["chatter"]),
            ("info,ractor=info", vec!["ours", "trouble", "chatter"], vec!["details"]),
            ("warn, ractor::actor=info", vec!["trouble", "chatter"], vec!["ours"]),
            ("off,ractor=off", vec![], vec!["ours", "trouble"]),
        ] {
            let lines = logged(LogFormat::Text, filter);
            assert!(seen.iter().all(|word| lines.contains(word)), "{filter}: {lines}");
            assert!(!unseen.iter().any(|word| lines.contains(word)), "{filter}: {lines}");
        }
    }

    #[test]
    fn json_lines_are_objects_with_the_fields_at_the_top() {
        let lines = logged(LogFormat::Json, "info");
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["message"], &first["run"], &first["level"]), (&"ours".into(), &"r1".into(), &"INFO".into()));
    }

    #[test]
    fn a_wrong_directive_is_named() {
        let config = LoggingConfig { filter: "info,nightshift=loud".to_owned(), ..LoggingConfig::default() };
        let error = subscriber(&config, io::sink).map(drop).unwrap_err();
        assert!(matches!(&error, LoggingError::Filter { found, .. } if found == "nightshift=loud"), "{error}");
        assert!(matches!("xml".parse::<LogFormat>(), Err(LoggingError::Format { .. })));
    }
}
