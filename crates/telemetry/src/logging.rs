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

/// The target of the program itself; those of its crates begin with it.
pub const OURS: &str = "nightshift";

/// What a level may be called, in any case, from nothing to everything.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

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
    #[error("telemetry.log_format: found {found:?}; allowed is `text` or `json`")]
    Format {
        /// As written.
        found: String,
    },
    /// A directive of the filter is wrong.
    #[error(
        "telemetry.log_filter: found {found:?} ({why}); allowed are directives such as `info` or \
         `info,nightshift_store=debug`, with levels {}",
        LEVELS.join(", ")
    )]
    Filter {
        /// The directive.
        found: String,
        /// What is wrong with it.
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
    // A closed standard error must not end a daemon: saying there that nothing can be said there would panic.
    let layer = layer.log_internal_errors(false);
    match config.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    }
}

/// Whether a filter is one, without setting anything up: what [`init`] would say of it.
///
/// # Errors
/// The first directive that is wrong.
pub fn check_filter(directives: &str) -> Result<(), LoggingError> {
    filter(directives).map(drop)
}

/// Reads the directives; what they do not name and is too talkative is kept quiet.
fn filter(directives: &str) -> Result<EnvFilter, LoggingError> {
    let mut filter = EnvFilter::default();
    let given = split(directives);
    let named = |target: &str| given.iter().any(|text| text.split(['=', ':', '[']).next() == Some(target));
    for target in QUIET.iter().filter(|target| !named(target)) {
        filter = filter.add_directive(directive(&format!("{target}=warn"))?);
    }
    for text in &given {
        filter = filter.add_directive(directive(text)?);
    }
    Ok(filter)
}

/// Cuts a filter at its commas, but for those between the fields of a span.
fn split(directives: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let cut = |character: char| {
        match character {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    };
    directives.split(cut).map(str::trim).collect()
}

/// A target that may stand without a level: lines of this program, or of a library that talks about itself.
fn is_known(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    name == OURS || name.starts_with("nightshift_") || QUIET.contains(&name)
}

fn directive(text: &str) -> Result<tracing_subscriber::filter::Directive, LoggingError> {
    let wrong = |why: String| LoggingError::Filter { found: text.to_owned(), why };
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    if text.is_empty() {
        return Err(wrong("it says nothing".to_owned()));
    }
    // What is in brackets is a span, and may hold anything.
    let (before, after) = (text.split('[').next().unwrap_or(text), text.rsplit(']').next().unwrap_or(text));
    match after.rsplit_once('=') {
        Some((_, level)) if !is_level(level) => return Err(wrong(format!("{level:?} is no level"))),
        // The parser would take any word for a target, and silence everything else.
        None if before == text && !is_level(text) && !is_known(text) => {
            return Err(wrong("neither a level nor a target of this program".to_owned()));
        }
        _ => {}
    }
    let path = |word: &str| word.chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | ':' | '-' | '.'));
    let target = before.split('=').next().unwrap_or(before);
    if !path(target) || text.starts_with('=') {
        return Err(wrong(format!("{target:?} is no target")));
    }
    text.parse().map_err(|error: tracing_subscriber::filter::ParseError| wrong(error.to_string()))
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
        for (filter, wrong) in [
            ("shout", "shout"),
            ("inof", "inof"),
            ("info,shout", "shout"),
            ("info,nightshift=loud", "nightshift=loud"),
            ("nightshift=", "nightshift="),
            ("=debug", "=debug"),
            ("a b=debug", "a b=debug"),
            ("sqlx=loud=warn", "sqlx=loud=warn"),
            ("info,[span{x=1,y=2}]=loud", "[span{x=1,y=2}]=loud"),
            ("info,[span{x=1", "[span{x=1"),
            ("", ""),
            ("info,,", ""),
            ("nightshfit", "nightshfit"),
        ] {
            let config = LoggingConfig { filter: filter.to_owned(), ..LoggingConfig::default() };
            let error = subscriber(&config, io::sink).map(drop).unwrap_err();
            assert!(matches!(&error, LoggingError::Filter { found, .. } if found == wrong), "{filter:?}: {error}");
            assert_eq!(check_filter(filter), Err(error), "{filter:?}");
        }
        assert!(matches!("xml".parse::<LogFormat>(), Err(LoggingError::Format { .. })));
    }

    #[test]
    fn levels_targets_and_spans_are_taken() {
        for filter in [
            "info",
            "WARN",
            "off",
            "info,sqlx=warn",
            "info, nightshift_actors::clock=trace",
            "[run]=debug",
            "nightshift",
            "warn,nightshift_actors::clock,hyper",
            "nightshift_actors[run{id=7,step=a}]=trace,info",
        ] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
    }
}
