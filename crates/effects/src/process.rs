//! Running a program and taking what it prints.
//!
//! Owns: the clean environment, where a program is found, the limits on time and output.
//! Refuses to know: which program and why.

mod group;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

pub(crate) use self::group::{Group, Pipes};

/// Kept of what a program says on its error output.
const STDERR_BYTES_MAX: usize = 16 * 1024;

/// Variables that a program keeps from ours: where it lives, who runs it, where its own settings are.
const KEPT_VARIABLES: [&str; 7] = ["PATH", "HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "TMPDIR", "LANG"];

/// What a program gave.
#[derive(Debug)]
pub(crate) struct Output {
    pub success: bool,
    pub stdout: Vec<u8>,
    /// More was printed than the limit allowed; the program was killed then.
    pub truncated: bool,
    pub stderr: String,
}

/// Why a program gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("{program} is not installed or not in PATH")]
    Missing { program: String },
    #[error("{program} could not be run: {source}")]
    Failed { program: String, source: io::Error },
    #[error("{program} did not finish within {} ms and was killed", limit.as_millis())]
    Timeout { program: String, limit: Duration },
}

/// No file to run.
#[derive(Debug, thiserror::Error)]
#[error("{program} is no executable file; searched: {searched}")]
pub(crate) struct NoProgram {
    program: String,
    searched: String,
}

/// Limits of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub time: Duration,
    pub stdout_bytes: usize,
}

/// Runs `program` in its own process group with `extra` variables and nothing on its input.
pub(crate) async fn run<A: AsRef<OsStr>>(
    program: &str,
    args: &[A],
    extra: &[(&str, &str)],
    limits: Limits,
) -> Result<Output, ProcessError> {
    let named = || program.to_owned();
    let child = command(program, args, extra).spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ProcessError::Missing { program: named() },
        _ => ProcessError::Failed { program: named(), source },
    })?;
    let mut group = Group::new(child, Duration::ZERO);
    let collected = tokio::time::timeout(limits.time, collect(&mut group, limits.stdout_bytes)).await;
    if !matches!(&collected, Ok(Ok((_, true)))) {
        group.parts().0.end().await;
    }
    match collected {
        Ok(Ok((output, _))) => Ok(output),
        Ok(Err(source)) => Err(ProcessError::Failed { program: named(), source }),
        Err(_) => Err(ProcessError::Timeout { program: named(), limit: limits.time }),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate where programs are started, with their environment"
)]
fn command<A: AsRef<OsStr>>(program: &str, args: &[A], extra: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(extra.iter().copied()).process_group(0).kill_on_drop(true);
    command
}

/// The file that `program` names: a path as it is, a bare name as the first executable of `path`.
pub(crate) fn find(program: &str, path: &OsStr) -> Result<PathBuf, NoProgram> {
    use std::os::unix::fs::PermissionsExt;
    let runs =
        |file: &Path| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let searched = path.to_string_lossy().into_owned();
    let missing = |searched| NoProgram { program: program.to_owned(), searched };
    if program.contains('/') {
        let file = PathBuf::from(program);
        return if runs(&file) { Ok(file) } else { Err(missing("that path".to_owned())) };
    }
    let found = std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| runs(file));
    found.filter(|_| !program.is_empty()).ok_or_else(|| missing(searched))
}

/// The `PATH` of this process.
#[expect(clippy::disallowed_methods, reason = "programs are found where an operator's shell would find them")]
pub(crate) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"))
}

/// A command in a process group of its own with nothing in its environment, and pipes to all three of its streams.
#[expect(clippy::disallowed_methods, reason = "steps of workflows start their programs here, under the same limits")]
pub(crate) fn bare(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.env_clear().process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads both outputs side by side; true when the program ended by itself.
async fn collect(group: &mut Group, stdout_max: usize) -> io::Result<(Output, bool)> {
    let (leader, pipes) = group.parts();
    let stdout = pipes.stdout.take().expect("stdout is piped");
    let stderr = pipes.stderr.take().expect("stderr is piped");
    let ((out, truncated), (err, _)) =
        tokio::try_join!(bounded(stdout, stdout_max, false), bounded(stderr, STDERR_BYTES_MAX, true))?;
    let stderr = String::from_utf8_lossy(&err).trim().to_owned();
    if truncated {
        return Ok((Output { success: false, stdout: out, truncated, stderr }, false));
    }
    let status = leader.alone().await?;
    Ok((Output { success: status.success(), stdout: out, truncated, stderr }, true))
}

/// Reads at most `max` bytes. With `drain` the rest is read and dropped, so that the writer does not block on it.
async fn bounded(mut from: impl AsyncRead + Unpin, max: usize, drain: bool) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut chunk).await?;
        let room = max - bytes.len();
        bytes.extend_from_slice(&chunk[..read.min(room)]);
        if read == 0 {
            return Ok((bytes, false));
        }
        if read > room && !drain {
            return Ok((bytes, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Limits = Limits { time: Duration::from_secs(20), stdout_bytes: 1000 };

    #[tokio::test]
    async fn output_comes_back_and_the_environment_is_clean() {
        let output = run("sh", &["-c", "echo out; echo err >&2; env | grep -c CARGO; exit 3"], &[("A", "b")], SOON)
            .await
            .unwrap();
        assert_eq!(
            (output.success, output.stdout.as_slice(), output.stderr.as_str()),
            (false, &b"out\n0\n"[..], "err")
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = run("nightshift-no-such-program", &["x"], &[], SOON).await.unwrap_err();
        assert_eq!(error.to_string(), "nightshift-no-such-program is not installed or not in PATH");
    }

    #[tokio::test]
    async fn a_flood_is_cut_and_killed() {
        let output = run("sh", &["-c", "yes"], &[], SOON).await.unwrap();
        assert!(output.truncated && output.stdout.len() == 1000);
    }

    /// The grandchild holds the pipe open: only killing the whole group lets this test end at once.
    #[tokio::test]
    async fn a_hanging_group_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let limits = Limits { time: Duration::from_millis(500), ..SOON };
        let error = run("sh", &["-c", &script], &[], limits).await.unwrap_err();
        assert!(matches!(error, ProcessError::Timeout { .. }));
        let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        // The signal is sent; the kernel ends the process a moment later.
        let ended = async {
            while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|state| !state.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the grandchild was killed too");
    }
}
