//! A program that a step runs.
//!
//! Owns: what goes in and comes out, the limits on both, on memory and on time, and what the way it ended means.
//! Refuses to know: signals and groups; those are `crate::process`.
//!
//! The program reads the step's input as JSON from its standard input, and finds in its environment `PATH`, what the step
//! gives it, and by which run and attempt it was started. What it writes to its standard output is the step's value: JSON,
//! or any other text under `text`. The end of what it writes to its error output is kept with the attempt.
//!
//! A status other than 0 may go away by itself, as a signal may, but for those that say that it will not: 64 (usage), 65
//! (data), 66 (no input), 77 (not allowed), 78 (configuration), 126 and 127 (no program). `{"ok": false}` says so itself.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::ExitStatus,
    time::Duration,
};

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::{Json, canonical},
    run::Outcome,
};
use nightshift_ports::performer::Call;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    process::Command,
};

use super::{Steps, answer, vault::Vault};
use crate::{
    http::{self, permanent},
    process::{Group, Pipes, bare, find, search_path},
    text::{excerpt, one_line},
};

/// Kept of what a program writes to its error output: the end.
const LOG_BYTES_MAX: usize = 4 * 1024;
const LOG_LINE_CHARS: usize = 500;
/// What a message shows of the error output.
const EXCERPT_CHARS: usize = 300;
/// Statuses that will not go away by themselves.
const PERMANENT: [i32; 7] = [64, 65, 66, 77, 78, 126, 127];
/// Sets the limit, then becomes the program: a limit set from outside would come after its first instructions.
const LIMITED: &str = r#"ulimit -v "$0" && exec "$@""#;
/// The program has ended; somebody outside of its group holds its pipe.
const DRAIN: Duration = Duration::from_secs(1);

/// A program as the definition asks for it, its templates filled.
pub(super) struct Wanted<'a> {
    pub command: &'a [String],
    pub input: &'a Json,
    pub env: &'a BTreeMap<String, String>,
    pub output_bytes_max: u64,
    pub memory_bytes_max: Option<u64>,
}

/// What a program wrote.
struct Said {
    output: Vec<u8>,
    output_max: usize,
    errors: Vec<u8>,
}

impl Said {
    fn new(output_bytes_max: u64) -> Self {
        let output_max = usize::try_from(output_bytes_max).unwrap_or(usize::MAX);
        Self { output: Vec::new(), output_max, errors: Vec::new() }
    }
}

/// More was written than the limit allows.
struct TooMuch;

/// How it ended.
enum End {
    Exited(ExitStatus),
    TooMuch,
    TooLong,
}

pub(super) async fn perform(steps: &Steps, wanted: &Wanted<'_>, call: &Call) -> Result<Outcome, Failure> {
    let Some((name, arguments)) = wanted.command.split_first() else {
        return Err(permanent("the step names no program".to_owned()));
    };
    if let Some(allowed) = steps.config.programs.as_ref().filter(|allowed| !allowed.contains(name)) {
        return Err(permanent(format!(
            "{name} may not be started: {}; list it in workflows.programs",
            if allowed.is_empty() { "no program may".to_owned() } else { format!("only {}", allowed.join(", ")) }
        )));
    }
    let mut secrets = Vault::new(&steps.config.secrets, None);
    let mut command = command(steps, (wanted, name), &mut secrets, call)?;
    let mut child = command.args(arguments).spawn().map_err(|error| not_started(name, &error))?;
    let stdin = child.stdin.take();
    let mut group = Group::new(child, Duration::from_millis(steps.config.grace_ms));
    let mut said = Said::new(wanted.output_bytes_max);
    let talk = talk(&mut group, feed(stdin, canonical(wanted.input)), &mut said);
    let end = match tokio::time::timeout(Duration::from_millis(call.timeout_ms), talk).await {
        Ok(end) => end.map_err(|error| not_started(name, &error))?,
        Err(_) => End::TooLong,
    };
    if !matches!(end, End::Exited(_)) {
        silence(&mut group, &mut said).await;
    }
    let errors = secrets.clean(String::from_utf8_lossy(&said.errors).into_owned());
    let output = secrets.clean(String::from_utf8_lossy(&said.output).into_owned());
    match end {
        End::Exited(status) => exited(name, status, &output, &errors, wanted),
        End::TooMuch => Err(permanent(format!(
            "{name} wrote more than {} bytes, the limit of its output, and was ended",
            wanted.output_bytes_max
        ))),
        End::TooLong => {
            let message = format!("{name} did not finish within {} ms and was ended{}", call.timeout_ms, tail(&errors));
            Err(http::failure(FailureClass::Timeout, message))
        }
    }
}

fn command(
    steps: &Steps,
    (wanted, name): (&Wanted<'_>, &str),
    secrets: &mut Vault<'_>,
    call: &Call,
) -> Result<Command, Failure> {
    // A name of the list is the operator's program, not one that the document's `PATH` leads to.
    let own_path = wanted.env.get("PATH").filter(|_| steps.config.programs.is_none());
    let path = own_path.map_or_else(search_path, OsString::from);
    let file = find(name, &path).map_err(|error| permanent(error.to_string()))?;
    let mut command = match wanted.memory_bytes_max {
        Some(bytes) => {
            let mut shell = bare(OsStr::new("/bin/sh"));
            shell.args(["-c", LIMITED]).arg((bytes / 1024).max(1).to_string()).arg(file);
            shell
        }
        None => bare(file.as_os_str()),
    };
    command.env("PATH", path);
    command.env("NIGHTSHIFT_RUN_ID", call.run.to_string()).env("NIGHTSHIFT_STEP_ID", &call.step);
    command.env("NIGHTSHIFT_IDEMPOTENCY_KEY", &call.idempotency_key);
    command.env("NIGHTSHIFT_ATTEMPT", call.attempt.to_string());
    command.env("NIGHTSHIFT_FENCING_TOKEN", &call.fencing_token);
    command.envs(call.traceparent.iter().map(|parent| ("TRACEPARENT", parent)));
    for (variable, value) in wanted.env {
        command.env(variable, secrets.fill(value, &format!("the variable {}", variable.escape_debug()))?);
    }
    if let Some(folder) = &steps.config.folder {
        command.current_dir(folder);
    }
    Ok(command)
}

/// Everything that can go wrong before the program's first instruction.
fn not_started(name: &str, error: &io::Error) -> Failure {
    use io::ErrorKind::{ArgumentListTooLong, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    /// A file that is neither a program nor begins with `#!`.
    const NO_PROGRAM: i32 = 8;
    let for_good =
        matches!(error.kind(), ArgumentListTooLong | InvalidInput | NotADirectory | NotFound | PermissionDenied)
            || error.raw_os_error() == Some(NO_PROGRAM);
    let hint = match error.kind() {
        NotFound => "; the interpreter that its first line names, or the folder steps start in, is not there",
        _ => "",
    };
    let class = if for_good { FailureClass::Permanent } else { FailureClass::Transient };
    http::failure(class, format!("{name} could not be run: {error}{hint}"))
}

/// Gives the program its input and listens until it has ended or said too much.
async fn talk(group: &mut Group, feed: impl Future<Output = Result<(), TooMuch>>, said: &mut Said) -> io::Result<End> {
    let (leader, pipes) = group.parts();
    let mut heard = pin!(async { tokio::try_join!(feed, listen(pipes, said)) });
    let status = tokio::select! {
        status = leader.finished() => status?,
        heard = &mut heard => return match heard {
            Err(TooMuch) => Ok(End::TooMuch),
            Ok(_) => leader.finished().await.map(End::Exited),
        },
    };
    // What it wrote is in the pipes still.
    match tokio::time::timeout(DRAIN, heard).await {
        Ok(Err(TooMuch)) => Ok(End::TooMuch),
        Ok(Ok(_)) | Err(_) => Ok(End::Exited(status)),
    }
}

/// Ends the program and listens to what it says meanwhile: one that writes to nobody would be ended by that.
async fn silence(group: &mut Group, said: &mut Said) {
    let (leader, pipes) = group.parts();
    let rest = async {
        let _ = listen(pipes, said).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = leader.end() => {}
        () = rest => {}
    }
    let _ = tokio::time::timeout(DRAIN, listen(pipes, said)).await;
}

/// Listens until nobody writes any more, or too much was written. May be dropped and begun again.
async fn listen(pipes: &mut Pipes, said: &mut Said) -> Result<(), TooMuch> {
    let output = hear(&mut pipes.stdout, &mut said.output, said.output_max);
    tokio::try_join!(output, hear_end(&mut pipes.stderr, &mut said.errors)).map(|_| ())
}

/// Writes the input and closes it. A program need not read it.
async fn feed(stdin: Option<impl AsyncWrite + Unpin>, input: String) -> Result<(), TooMuch> {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
    Ok(())
}

async fn hear(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, max: usize) -> Result<(), TooMuch> {
    let mut chunk = vec![0; 16 * 1024];
    while let Some(from) = pipe {
        match from.read(&mut chunk).await.unwrap_or(0) {
            0 => *pipe = None,
            read if into.len() + read > max => return Err(TooMuch),
            read => into.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(())
}

/// Reads to the end and keeps the last part.
async fn hear_end(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> Result<(), TooMuch> {
    let mut chunk = vec![0; 16 * 1024];
    while let Some(from) = pipe {
        match from.read(&mut chunk).await.unwrap_or(0) {
            0 => *pipe = None,
            read => into.extend_from_slice(&chunk[..read]),
        }
        if pipe.is_none() || into.len() > 8 * LOG_BYTES_MAX {
            into.drain(..into.len().saturating_sub(2 * LOG_BYTES_MAX));
        }
    }
    Ok(())
}

fn exited(name: &str, status: ExitStatus, output: &str, errors: &str, wanted: &Wanted<'_>) -> Result<Outcome, Failure> {
    let value = value_of(output);
    // A program may say by itself what its failure means, also with a status of its own.
    answer::ok(&value, name, None)?;
    if status.success() {
        let facts = BTreeMap::from([("exit_code".to_owned(), "0".to_owned())]);
        return Ok(Outcome { logs: lines(errors), facts, ..Outcome::of(value) });
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => format!("ended with {status}"),
    };
    let memory =
        wanted.memory_bytes_max.map_or(String::new(), |bytes| format!("; it may have {bytes} bytes of memory"));
    let class = match status.code() {
        Some(code) if PERMANENT.contains(&code) => FailureClass::Permanent,
        _ => FailureClass::Transient,
    };
    Err(http::failure(class, format!("{name} {how}{memory}{}", tail(errors))))
}

/// JSON, or any other text under `text`; nothing is null.
fn value_of(output: &str) -> Json {
    let text = output.trim();
    if text.is_empty() {
        return Json::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| json!({"text": output.trim_end_matches(['\n', '\r'])}))
}

/// The last lines, together at most [`LOG_BYTES_MAX`].
fn lines(errors: &str) -> Vec<String> {
    let mut left = LOG_BYTES_MAX;
    let shown = errors.lines().rev().map(|line| excerpt(&one_line(line), LOG_LINE_CHARS));
    let mut kept: Vec<String> = shown
        .filter(|line| !line.is_empty())
        .take_while(|line| {
            let fits = line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        })
        .collect();
    kept.reverse();
    kept
}

/// The end of the error output, for a message.
fn tail(errors: &str) -> String {
    let text = one_line(errors);
    let from = text.char_indices().rev().nth(EXCERPT_CHARS - 1).map_or(0, |(at, _)| at);
    if text.is_empty() { String::new() } else { format!(": {}{}", if from > 0 { "…" } else { "" }, &text[from..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_become_values() {
        for (output, value) in [
            ("", json!(null)),
            (" \n", json!(null)),
            ("{\"a\": 1}\n", json!({"a": 1})),
            ("12\n", json!(12)),
            ("two words\n\n", json!({"text": "two words"})),
            ("{\"a\": 1}\n{\"a\": 2}", json!({"text": "{\"a\": 1}\n{\"a\": 2}"})),
        ] {
            assert_eq!(value_of(output), value, "{output:?}");
        }
    }

    #[test]
    fn the_last_lines_are_kept() {
        let many: String = (0..10_000).map(|n| format!("line {n}\r\n\n")).collect();
        let kept = lines(&many);
        assert_eq!(kept.last().map(String::as_str), Some("line 9999"));
        let bytes: usize = kept.iter().map(String::len).sum();
        assert!(bytes <= LOG_BYTES_MAX && bytes > LOG_BYTES_MAX - 20, "{bytes}");
        assert_eq!(lines(&"ä".repeat(9_000))[0].chars().count(), LOG_LINE_CHARS + 1);
        assert!(lines("\n \n").is_empty());
        assert_eq!(tail("a\nb"), ": a b");
        assert_eq!(tail(&"ä".repeat(900)).chars().count(), EXCERPT_CHARS + 3);
    }
}
