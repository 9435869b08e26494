//! `process` steps: real programs, their groups, and what the way they end means.

mod support;

use std::{collections::BTreeMap, path::Path, time::Duration};

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::Json,
    run::{Action, Outcome},
};
use nightshift_effects::{EffectsConfig, SecretConfig, StepsConfig};
use nightshift_ports::performer::{Call, Performers};
use serde_json::json;
use support::{build, call, run};

struct Program {
    command: Vec<String>,
    input: Json,
    env: BTreeMap<String, String>,
    output_bytes_max: u64,
    memory_bytes_max: Option<u64>,
}

fn program(command: &[&str]) -> Program {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Program { command, input: json!({}), env: BTreeMap::new(), output_bytes_max: 1_000_000, memory_bytes_max: None }
}

fn sh(script: &str) -> Program {
    program(&["sh", "-c", script])
}

impl Program {
    fn action(self) -> Action {
        let Self { command, input, env, output_bytes_max, memory_bytes_max } = self;
        Action::Process { command, input, env, output_bytes_max, memory_bytes_max }
    }

    async fn run(self) -> Result<Outcome, Failure> {
        self.run_within(20_000).await
    }

    async fn run_within(self, timeout_ms: u64) -> Result<Outcome, Failure> {
        performers(StepsConfig::default()).acting.act(&self.action(), &Call { timeout_ms, ..call() }).await
    }
}

fn performers(steps: StepsConfig) -> Performers {
    build(EffectsConfig { steps, ..EffectsConfig::default() })
}

/// Looks until `is_so`.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Whether the process whose number is in `file` runs. One that waits to be reaped does not.
fn runs(file: &Path) -> bool {
    let pid = std::fs::read_to_string(file).unwrap_or_default();
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|state| !state.contains(") Z "))
}

fn written(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n'))
}

#[tokio::test]
async fn json_goes_in_and_comes_out() {
    let input = json!({"b": "é", "a": [1, {"z": null}]});
    let outcome = Program { input: input.clone(), ..program(&["cat"]) }.run().await.unwrap();
    assert_eq!(outcome, Outcome { facts: [("exit_code".to_owned(), "0".to_owned())].into(), ..Outcome::of(input) });
    let text = sh("cat >/dev/null; echo two; echo words; echo first >&2; echo last >&2").run().await.unwrap();
    assert_eq!((text.value, text.logs), (json!({"text": "two\nwords"}), vec!["first".into(), "last".into()]));
    assert_eq!(program(&["true"]).run().await.unwrap().value, Json::Null);
    let large = json!("x".repeat(900_000));
    let echoed = Program { input: large.clone(), ..program(&["cat"]) }.run().await.unwrap();
    assert!(echoed.value == large, "an input larger than the pipe comes through");
    let deaf = Program { input: large, ..sh("exec <&-; echo 1") }.run().await.unwrap();
    assert_eq!(deaf.value, json!(1), "a program need not read its input");
}

#[tokio::test]
async fn the_environment_holds_what_was_given_and_nothing_else() {
    let env = [("GREETING".to_owned(), "hello world".to_owned())].into();
    let outcome = Program { env, ..program(&["env"]) }.run().await.unwrap();
    let text = outcome.value["text"].as_str().unwrap().to_owned();
    let found: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let names: Vec<&str> = found.keys().copied().collect();
    let ours =
        ["ATTEMPT", "FENCING_TOKEN", "IDEMPOTENCY_KEY", "RUN_ID", "STEP_ID"].map(|name| format!("NIGHTSHIFT_{name}"));
    let mut expected: Vec<&str> = ours.iter().map(String::as_str).chain(["GREETING", "PATH", "TRACEPARENT"]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(found["GREETING"], "hello world");
    assert_eq!(found["NIGHTSHIFT_RUN_ID"], run(7).to_string());
    assert_eq!((found["NIGHTSHIFT_STEP_ID"], found["NIGHTSHIFT_ATTEMPT"]), ("fetch", "2"));
    assert_eq!((found["NIGHTSHIFT_IDEMPOTENCY_KEY"], found["NIGHTSHIFT_FENCING_TOKEN"]), ("key-1", "3.4.5"));
}

#[tokio::test]
async fn how_it_ended_is_classed() {
    use FailureClass::{Permanent, RateLimited, Transient};
    for (script, class, says) in [
        ("echo why >&2; exit 3", Transient, "sh ended with status 3: why"),
        ("exit 75", Transient, "status 75"),
        ("exit 64", Permanent, "status 64"),
        ("exit 78", Permanent, "status 78"),
        ("exit 127", Permanent, "status 127"),
        ("kill -9 $$", Transient, "sh was ended by signal 9"),
        (r#"echo '{"ok": false, "error": "quota"}'"#, Permanent, "ok: false: quota"),
        (r#"echo '{"ok": false, "retryable": true}'; exit 64"#, Transient, "ok: false"),
        (r#"echo '{"ok": false, "retryAfter": 5}'; exit 1"#, RateLimited, "ok: false"),
        ("while :; do echo noise noise noise; done | head -c 90000 >&2; exit 9", Transient, "noise"),
    ] {
        let failure = sh(script).run().await.unwrap_err();
        assert_eq!((failure.class, failure.status_code), (class, None), "{script}: {failure}");
        assert!(failure.message.contains(says) && failure.message.len() <= 2048, "{failure}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_permanent() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let no_interpreter = write("lost", "#!/nowhere/python\n", 0o755);
    let not_executable = write("plain", "#!/bin/sh\n", 0o644);
    let no_program = write("data", "\u{1}\u{2}", 0o755);
    let path = format!("{}:/nowhere/bin", folder.path().display());
    for (command, says) in [
        (vec!["no-such-program"], path.as_str()),
        (vec!["plain"], path.as_str()),
        (vec!["./no-such-program"], "no executable file; searched: that path"),
        (vec![not_executable.as_str()], "no executable file"),
        (vec![no_interpreter.as_str()], "interpreter"),
        (vec![no_program.as_str()], "could not be run"),
        (vec![""], "no executable file"),
        (vec![], "names no program"),
        (vec!["lost", "a\0b"], "could not be run"),
    ] {
        let env = [("PATH".to_owned(), path.clone())].into();
        let failure = Program { env, ..program(&command) }.run().await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent, "{failure}");
        assert!(failure.message.contains(says), "{command:?}: {failure}");
    }
    let steps = StepsConfig { programs: Some(vec!["cat".into()]), ..StepsConfig::default() };
    let failure = performers(steps.clone()).acting.act(&sh("echo 1").action(), &call()).await.unwrap_err();
    assert!(failure.message.contains("may not be started: only cat; list it in workflows.programs"), "{failure}");
    performers(steps.clone()).acting.act(&program(&["cat"]).action(), &call()).await.unwrap();
    // A document's PATH does not say what a name of the list is.
    let fake = folder.path().join("bin");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("cat"), "#!/bin/sh\necho 666").unwrap();
    std::fs::set_permissions(fake.join("cat"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = [("PATH".to_owned(), fake.display().to_string())];
    let led_astray = Program { input: json!(1), env: path.into(), ..program(&["cat"]) };
    let outcome = performers(steps).acting.act(&led_astray.action(), &call()).await.unwrap();
    assert_eq!(outcome.value, json!(1));
    std::fs::remove_dir_all(&fake).unwrap();
    let none = StepsConfig { programs: Some(vec![]), ..StepsConfig::default() };
    let failure = performers(none).acting.act(&sh("echo 1").action(), &call()).await.unwrap_err();
    assert!(failure.message.contains("no program may; list it in workflows.programs"), "{failure}");
    let steps = StepsConfig { folder: Some(folder.path().into()), ..StepsConfig::default() };
    let outcome = performers(steps).acting.act(&program(&["ls"]).action(), &call()).await.unwrap();
    assert_eq!(outcome.value, json!({"text": "data\nlost\nplain"}));
}

#[tokio::test]
async fn a_secret_in_the_environment_is_resolved_there_and_comes_back_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "s3cret-value\n").unwrap();
    let from = format!("file:{}", folder.path().join("key").display());
    let secret = |hosts: &[&str]| SecretConfig {
        from: from.clone(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let secrets = [("db".to_owned(), secret(&[])), ("crm".to_owned(), secret(&["crm.test"]))].into();
    let performers = performers(StepsConfig { secrets, ..StepsConfig::default() });
    let program =
        |value: &str, script: &str| Program { env: [("KEY".to_owned(), value.to_owned())].into(), ..sh(script) };
    let act = async |program: Program| performers.acting.act(&program.action(), &call()).await;
    let script = "test \"$KEY\" = 'x s3cret-value' && echo \"$KEY\" && echo \"$KEY\" >&2";
    let outcome = act(program("x <secret:db>", script)).await.unwrap();
    assert_eq!((outcome.value, outcome.logs), (json!({"text": "x [secret]"}), vec!["x [secret]".to_owned()]));
    let failure = act(program("<secret:db>", "echo \"$KEY\" >&2; exit 3")).await.unwrap_err();
    assert!(failure.message.contains("[secret]") && !failure.message.contains("s3cret"), "{failure}");
    for (value, says) in [
        ("<secret:none>", "no secret none is configured"),
        ("<secret:crm>", "the secret crm goes to crm.test only"),
        ("<secret:!db>", "only the document may"),
    ] {
        let failure = act(program(value, "exit 0")).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent);
        assert!(failure.message.contains(says) && failure.message.contains("KEY"), "{failure}");
    }
}

#[tokio::test]
async fn output_over_the_limit_ends_it() {
    let exact = Program { output_bytes_max: 3, ..sh("echo 12") }.run().await.unwrap();
    assert_eq!(exact.value, json!(12));
    for script in ["echo 123", "yes", "yes & wait"] {
        let failure = Program { output_bytes_max: 3, ..sh(script) }.run().await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent, "{failure}");
        assert!(failure.message.contains("wrote more than 3 bytes"), "{failure}");
    }
}

#[tokio::test]
async fn memory_is_limited_before_its_first_instruction() {
    const MEMORY: u64 = 64 * 1024 * 1024;
    let limited = |script: &str| Program { memory_bytes_max: Some(MEMORY), ..sh(script) };
    assert_eq!(limited("ulimit -v").run().await.unwrap().value, json!(64 * 1024));
    assert_eq!(limited("sh -c 'ulimit -v'").run().await.unwrap().value, json!(64 * 1024), "of its children too");
    let failure = limited("exec dd if=/dev/zero of=/dev/null bs=300M count=1").run().await.unwrap_err();
    assert!(failure.message.contains("67108864 bytes of memory"), "{failure}");
    let quoted = Program { memory_bytes_max: Some(MEMORY), ..program(&["printf", "%s", "a  'b' $HOME"]) };
    assert_eq!(quoted.run().await.unwrap().value, json!({"text": "a  'b' $HOME"}));
}

#[tokio::test]
async fn too_long_ends_the_whole_group_first_asking_then_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (asked, stubborn) = (file("asked"), file("stubborn"));
    // The leader obeys; the child it leaves behind does not, and holds the pipe.
    let script = format!(
        "(trap '' TERM; sh -c 'echo $PPID' > {}; while :; do sleep 600; done) & \
         trap 'echo bye; echo bye >&2; echo asked > {}; exit' TERM; echo begun >&2; wait",
        stubborn.display(),
        asked.display()
    );
    let failure = sh(&script).run_within(2_000).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    assert!(failure.message.contains("did not finish within 2000 ms and was ended: begun bye"), "{failure}");
    assert!(written(&asked), "the leader was asked, and waited for");
    until("the grandchild ended", || !runs(&stubborn)).await;
}

#[tokio::test]
async fn one_that_does_not_obey_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 600; done", pid.display());
    let steps = StepsConfig { grace_ms: 100, ..StepsConfig::default() };
    let act = performers(steps).acting.act(&sh(&script).action(), &Call { timeout_ms: 1_500, ..call() }).await;
    assert_eq!(act.unwrap_err().class, FailureClass::Timeout);
    assert!(written(&pid) && !runs(&pid));
}

#[tokio::test]
async fn what_it_leaves_behind_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let outcome = sh(&format!("sleep 600 & echo $! > {}; echo 1", pid.display())).run().await.unwrap();
    assert_eq!(outcome.value, json!(1), "the output ends with the program, whoever holds the pipe");
    assert!(written(&pid));
    until("what was left behind ended", || !runs(&pid)).await;
}

/// A run that is cancelled drops the future of its attempt.
#[tokio::test]
async fn dropping_the_step_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (leader, child, asked) = (file("leader"), file("child"), file("asked"));
    let script = format!(
        "(trap '' TERM; sh -c 'echo $PPID' > {}; while :; do sleep 600; done) & \
         trap 'echo bye; echo bye >&2; echo asked > {}; exit' TERM; echo $$ > {}; wait",
        child.display(),
        asked.display(),
        leader.display()
    );
    let performers = performers(StepsConfig { grace_ms: 10_000, ..StepsConfig::default() });
    let action = sh(&script).action();
    let step = tokio::spawn(async move { performers.acting.act(&action, &call()).await });
    until("it began", || written(&leader) && written(&child)).await;
    step.abort();
    until("the leader was asked", || written(&asked)).await;
    until("both ended", || !runs(&leader) && !runs(&child)).await;
}

/// The daemon ends while a program runs: nobody is left to wait for it.
#[test]
fn the_end_of_the_runtime_ends_the_group_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 600; done", pid.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let performers = performers(StepsConfig { grace_ms: 600_000, ..StepsConfig::default() });
    let action = sh(&script).action();
    let step = runtime.spawn(async move { performers.acting.act(&action, &call()).await });
    runtime.block_on(until("it began", || written(&pid)));
    step.abort();
    drop(runtime);
    let looking = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    looking.block_on(until("it was killed", || !runs(&pid)));
}
