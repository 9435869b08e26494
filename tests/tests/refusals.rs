//! Databases on which the program refuses to start: those that would lose confirmed work, and those it cannot write.
//!
//! Owns: that each refusal comes before anything is written, with the cause, the remedy and its exit code.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use nightshift_tests::{
    server::Server,
    world::{Done, Node, World},
};

/// Commands that write, and so are refused.
const WRITERS: [&[&str]; 3] = [&["serve"], &["tick"], &["db", "migrate"]];

#[track_caller]
fn assert_refused(done: &Done, parts: &[&str]) {
    assert_eq!(done.code, 69, "{}\n{}{}", done.said, done.out, done.err);
    for part in parts {
        assert!(done.err.contains(part), "{}: {part:?} is not in: {}", done.said, done.err);
    }
}

fn on(server: &Server, world: &World) -> Node {
    world.node.clone().with("store.url", server.url()).with("http.enabled", false)
}

#[test]
fn a_server_that_may_lose_confirmed_work_is_refused() {
    let Some(mut server) = Server::fresh() else { return };
    let world = World::sqlite();
    let node = on(&server, &world);
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        server.start(&[(setting, "off")]);
        let found = format!("{setting} = off");
        for args in WRITERS {
            let remedy = format!("set {setting} = on");
            assert_refused(&node.run(args), &[&found, "in a crash", "must be on", &remedy, "nightshift-pg."]);
        }
        let looked = node.run(&["deliverable", "list"]);
        assert!(looked.err.contains("number 0"), "nothing was written: {}", looked.err);
        server.stop();
    }
    server.start(&[("fsync", "on"), ("full_page_writes", "on")]);
    let _ = node.run(&["tick"]).ok();
}

#[test]
fn a_standby_of_the_database_is_refused_and_may_be_read() {
    let Some(mut server) = Server::fresh() else { return };
    let world = World::sqlite();
    let node = on(&server, &world);
    server.start(&[]);
    let _ = node.run(&["tick"]).ok();
    server.stop();
    server.become_standby();
    server.start(&[]);
    for args in WRITERS {
        assert_refused(&node.run(args), &["is a standby", "name the primary", "nightshift-pg."]);
    }
    assert_eq!(node.run(&["deliverable", "list"]).ok().out.lines().count(), 1);
}

/// Runs a command without root's right to write where nobody may.
#[expect(clippy::disallowed_methods, reason = "the program under test is a process of its own")]
fn without_privilege(node: &Node, args: &[&str]) -> Done {
    let plain = node.command(args);
    let rights = "-dac_override,-dac_read_search";
    let mut command = match rustix::process::getuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", rights, "--inh-caps", rights, "--"]).arg(plain.get_program());
            command
        }
        false => Command::new(plain.get_program()),
    };
    command.args(plain.get_args()).env_clear().current_dir(&node.home).stdin(Stdio::null());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("nightshift starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Done { code, out: text(&output.stdout), err: text(&output.stderr), said: format!("nightshift {}", args.join(" ")) }
}

/// Takes away the right to write, and gives it back, so that the folder can be removed.
fn while_read_only(paths: &[&str], world: &World, work: impl FnOnce()) {
    let set = |writable: bool| {
        for path in paths.iter().map(|path| world.path(path)) {
            let mode = match (path.is_dir(), writable) {
                (true, true) => 0o755,
                (true, false) => 0o555,
                (false, true) => 0o644,
                (false, false) => 0o444,
            };
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        }
    };
    set(false);
    work();
    set(true);
}

#[test]
fn a_file_that_cannot_be_written_is_refused() {
    let world = World::sqlite();
    let node = world.node.clone().with("http.enabled", false);
    let remedy = "give this user the right to write the file and its folder";
    // Before the first start: the folder is there, or the one above it.
    world.folder("data");
    for nothing_there in ["data", "."] {
        if nothing_there == "." {
            fs::remove_dir(world.path("data")).expect("empty");
        }
        while_read_only(&[nothing_there], &world, || {
            for args in WRITERS {
                assert_refused(&without_privilege(&node, args), &["nightshift.db cannot be written", remedy]);
            }
        });
    }
    let _ = node.run(&["tick"]).ok();
    for read_only in [
        &["data/nightshift.db"][..],
        &["data/nightshift.db.lock"],
        &["data/nightshift.db", "data"],
        &["data/nightshift.db", "data/nightshift.db.lock", "data"],
    ] {
        while_read_only(read_only, &world, || {
            for args in WRITERS {
                assert_refused(&without_privilege(&node, args), &["nightshift.db cannot be written", remedy]);
            }
        });
    }
    // After an orderly end the files beside it may be gone, and cannot be made again.
    let mut daemon = world.node.serve();
    let _ = daemon.address();
    daemon.stop();
    for beside in ["data/nightshift.db-wal", "data/nightshift.db-shm"] {
        let _ = fs::remove_file(world.path(beside));
    }
    while_read_only(&["data"], &world, || {
        for args in WRITERS {
            assert_refused(&without_privilege(&node, args), &["nightshift.db cannot be written", remedy]);
        }
    });
    assert_eq!(node.json(&["verify"])["clean"], true);
}

/// The daemon writes its token there, wherever the store is.
#[test]
fn a_data_folder_that_cannot_be_written_is_refused_beside_another_store() {
    let world = World::sqlite();
    world.folder("data");
    let node = world.node.clone().with("store.url", format!("sqlite://{}", world.text_path("elsewhere/n.db")));
    let node = node.with("http.listen", "127.0.0.1:0");
    while_read_only(&["data"], &world, || {
        let done = without_privilege(&node, &["serve"]);
        assert_refused(&done, &["control.token", "cannot be written", "store.data_dir"]);
    });
}
