//! The real binary, killed again and again while it works, on each database; then the books are checked from outside.
//!
//! Owns: what is done to the program. What must hold afterwards is in `nightshift_tests::books`.
//! A failing run prints its seed; `NIGHTSHIFT_TORTURE_SEED=<seed>` repeats its choices, though not its instants.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, sync::Mutex, time::Duration};

use nightshift_tests::{
    Stopwatch,
    books::{Order, audit},
    daemon::{Daemon, Signal},
    eventually,
    http::{Answer, Asked, Web},
    lcg::Lcg,
    proxy::Proxy,
    world::World,
};
use serde_json::Value;

/// Standing orders under work.
const ORDERS: usize = 12;

/// Kills on each database.
const KILLS: u32 = 110;

/// Every point at which the program can be made to abort, with how many passings it may be given before.
const POINTS: [(&str, u64); 10] = [
    ("decided", 60),
    ("committed", 60),
    ("handed_over", 60),
    ("before_effect", 6),
    ("after_effect", 6),
    ("looked", 12),
    ("folded", 40),
    ("projected", 40),
    ("timer_due", 12),
    ("granted", 6),
];

/// How long a point may take to be passed often enough; then the kill is by signal.
const POINT_LIMIT: Duration = Duration::from_secs(5);

/// The work under way when nobody disturbs it ends within this.
const QUIET_LIMIT: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "a failed run is repeated by its seed")]
fn seed(name: &str) -> u64 {
    let asked = std::env::var("NIGHTSHIFT_TORTURE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = asked.unwrap_or_else(|| u64::from(std::process::id()));
    println!("{name}: NIGHTSHIFT_TORTURE_SEED={seed}");
    seed
}

/// A receiver of deliveries that is sometimes late and sometimes fails, but never fails the same delivery twice.
fn moody_receiver(seed: u64) -> Web {
    let chance = Mutex::new((Lcg::new(seed), Vec::new()));
    Web::start(move |asked: &Asked, _| {
        let mut chance = chance.lock().expect("no request panics");
        let key = asked.header("webhook-id").to_owned();
        let was_refused = chance.1.contains(&key);
        if !was_refused && chance.0.one_in(5) {
            chance.1.push(key);
            return Answer::new(500, "not today");
        }
        let late = if chance.0.one_in(4) { chance.0.below(300) } else { 0 };
        Answer::new(200, "{\"ok\": true}").late(Duration::from_millis(late))
    })
}

/// What is tortured: a world with orders at work.
struct Storm {
    world: World,
    orders: Vec<Order>,
    hooks: Web,
    chance: Lcg,
    notes: u32,
}

impl Storm {
    fn over(world: World, seed: u64) -> Self {
        let hooks = moody_receiver(seed);
        let orders = (0..ORDERS).map(|number| order(&world, number, &hooks)).collect();
        Self { world, orders, hooks, chance: Lcg::new(seed), notes: 0 }
    }

    /// Adds a line to the sources of some orders.
    fn news(&mut self, orders: u64) {
        for _ in 0..orders {
            let order = self.chance.below(ORDERS as u64);
            self.notes += 1;
            let line = format!("\n- Change {} was shipped to the release of team {order}.\n", self.notes);
            let path = self.world.path(&format!("notes-{order}/note.md"));
            let before = std::fs::read_to_string(&path).expect("the note is there");
            std::fs::write(path, before + &line).expect("written");
        }
    }

    /// Lets it work undisturbed, pauses all orders through the daemon, and waits until nothing is owed any more.
    fn quiesce(&mut self) {
        let mut daemon = self.world.node.serve();
        let _ = daemon.address();
        for order in &self.orders {
            // The session of a killed daemon lives on for a while, and a command may ask at its address.
            let row = eventually("an order to be paused", QUIET_LIMIT, || {
                let done = self.world.node.run(&["deliverable", "pause", &order.id, "--json"]);
                (done.code == 0).then(|| done.json())
            });
            assert_eq!(row["status"], "paused");
        }
        let world = &self.world;
        let open = || world.node.json(&["db", "info"])["open_obligations"].as_u64();
        let _ = nightshift_tests::within(QUIET_LIMIT, || (open() == Some(0)).then_some(()));
        if open() != Some(0) {
            let runs = ["pending", "running"].map(|state| world.node.run(&["run", "list", "--status", state]).out);
            panic!("work is still owed: {:?} obligations\n{}\n{}", open(), runs.concat(), daemon.log());
        }
        daemon.stop();
    }

    /// The books must agree; says what was counted.
    fn settle_accounts(&mut self, name: &str) {
        self.quiesce();
        match audit(&self.world, &self.orders, &self.hooks.exchanges()) {
            Ok(tally) => {
                println!("{name}: {tally:?}");
                assert!(tally.versions >= ORDERS, "each order made something: {tally:?}");
                assert!(tally.deliveries == tally.versions && tally.slots > tally.versions, "{tally:?}");
            }
            Err(faults) => panic!("{name}: the books do not agree:\n{faults}"),
        }
    }
}

fn order(world: &World, number: usize, hooks: &Web) -> Order {
    world.write(
        &format!("notes-{number}/note.md"),
        &format!("# Team {number}\n\nThe team began its work on the parser.\n"),
    );
    let folder = number.is_multiple_of(2).then(|| format!("out-{number}"));
    let destination = match &folder {
        Some(folder) => {
            world.folder(folder);
            format!("file: {folder}")
        }
        None => format!("webhook: {}", hooks.url(&format!("/hook/{number}"))),
    };
    let yaml = format!(
        "title: Team {number}\ntype: custom\nsources:\n  - folder: notes-{number}\nschedule:\n  every: 1s\n  \
         catch_up: latest\ndestination:\n  {destination}\ngovernance: full_auto\n"
    );
    Order { id: world.order(&format!("order-{number}.yaml"), &yaml), folder }
}

/// How many kills of which kind.
#[derive(Debug, Default)]
struct Kills {
    by_kind: BTreeMap<&'static str, u32>,
    before_ready: u32,
}

impl Kills {
    fn add(&mut self, kind: &'static str) {
        *self.by_kind.entry(kind).or_default() += 1;
    }

    fn total(&self) -> u32 {
        self.by_kind.values().sum()
    }

    /// A kind of fault that never came is no fault that was survived.
    fn assert_every_kind(&self) {
        let kinds = POINTS.iter().map(|(point, _)| *point).chain(["kill -9"]);
        let never: Vec<&str> = kinds.filter(|kind| !self.by_kind.contains_key(kind)).collect();
        assert!(never.is_empty(), "never happened: {never:?}; {self:?}");
    }
}

/// `kill -9` at a random instant from the first one on.
fn kill_at_random(storm: &mut Storm, kills: &mut Kills) {
    let count = storm.chance.below(4);
    storm.news(count);
    let life = Duration::from_millis(storm.chance.below(1_200));
    let mut daemon = storm.world.node.serve();
    if let Some(status) = daemon.ends_within(life) {
        panic!("it ended by itself, {status}:\n{}", daemon.log());
    }
    kills.before_ready += u32::from(!daemon.log().contains("ready: "));
    assert!(daemon.kill9(), "it ended by itself:\n{}", daemon.log());
    kills.add("kill -9");
}

/// An abort at the n-th passing of a named point.
fn kill_at_point(storm: &mut Storm, kills: &mut Kills, (point, passings): (&'static str, u64)) {
    storm.news(4);
    let nth = 1 + storm.chance.below(passings);
    let spec = format!("{point}:{nth}");
    let mut daemon = Daemon::start(&storm.world.node.clone().with_env("NIGHTSHIFT_TORTURE_ABORT", &spec), &[]);
    match daemon.ends_within(POINT_LIMIT) {
        // SIGABRT
        Some(status) if status.signal() == Some(6) => kills.add(point),
        Some(status) => panic!("{spec}: it ended by itself, {status}:\n{}", daemon.log()),
        None => {
            assert!(daemon.kill9(), "it ended by itself:\n{}", daemon.log());
            kills.add("kill -9");
        }
    }
}

fn killed_again_and_again(name: &str, world: World) {
    let watch = Stopwatch::start();
    let mut storm = Storm::over(world, seed(name));
    let mut kills = Kills::default();
    for turn in 0..KILLS {
        if turn % 2 == 0 {
            kill_at_random(&mut storm, &mut kills);
        } else {
            kill_at_point(&mut storm, &mut kills, POINTS[(turn as usize / 2) % POINTS.len()]);
        }
    }
    println!("{name}: {} kills in {:?}: {kills:?}", kills.total(), watch.elapsed());
    assert!(kills.total() >= 100);
    kills.assert_every_kind();
    storm.settle_accounts(name);
    println!("{name}: {:?} in all", watch.elapsed());
}

#[test]
fn sqlite_survives_a_hundred_kills() {
    killed_again_and_again("sqlite", World::sqlite());
}

#[test]
fn postgres_survives_a_hundred_kills() {
    let Some(mut world) = World::postgres() else { return };
    // A killed daemon leaves a session behind. Nobody else works here, so its end need not be waited for.
    world.node = world.node.clone().with("store.takeover", true);
    killed_again_and_again("postgres", world);
}

#[test]
fn postgres_connections_cut_in_mid_append_lose_and_double_nothing() {
    let Some(mut world) = World::postgres() else { return };
    let (url, proxy) = Proxy::before(&world.database.as_ref().expect("a database").url);
    let mut straight = world.node.clone();
    straight.settings.retain(|(key, _)| key != "store.url");
    world.node = straight.with("store.url", url);
    let name = "postgres, cut";
    let mut storm = Storm::over(world, seed(name));
    let mut daemon = storm.world.node.serve();
    let _ = daemon.address();
    let mut ended = 0;
    for turn in 0..60 {
        storm.news(3);
        match turn % 3 {
            0 => ended += storm.world.database.as_ref().expect("a database").end_sessions(),
            1 => proxy.lose_next_answer(),
            _ => proxy.cut_all(),
        }
        let pause = Duration::from_millis(200 + storm.chance.below(600));
        if let Some(status) = daemon.ends_within(pause) {
            panic!("it gave up, {status}:\n{}", daemon.log());
        }
    }
    let outcomes = unknown_outcomes(&mut daemon);
    println!("{name}: {ended} sessions ended, {} answers lost, {} ends cut; {outcomes:?}", proxy.lost(), proxy.cut());
    assert!(ended >= 20 && proxy.lost() >= 15 && proxy.cut() >= 20);
    assert!(outcomes.values().sum::<u64>() > 0, "no append had an unknown outcome: {outcomes:?}");
    daemon.stop();
    storm.settle_accounts(name);
}

/// What became of appends whose answer was lost, by what was found out.
fn unknown_outcomes(daemon: &mut Daemon) -> BTreeMap<String, u64> {
    let (_, text) = daemon.get("/metrics");
    let lines = text.lines().filter(|line| line.contains("unknown_outcome") && !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, n)| Some((name.to_owned(), n.parse().ok()?)))
        .collect()
}

#[test]
fn a_second_daemon_on_one_sqlite_file_is_refused() {
    let world = World::sqlite();
    let mut first = world.node.serve();
    let _ = first.address();
    let mut second = world.node.serve();
    assert_eq!(second.end().code(), Some(73), "{}", second.log());
    let said = second.log();
    assert!(said.contains("nightshift.db") && said.contains("in use"), "{said}");
    for args in [&["tick"][..], &["db", "migrate"], &["db", "rebuild"]] {
        let done = world.node.run(args);
        assert_eq!(done.code, 73, "{args:?}: {}{}", done.out, done.err);
    }
    first.stop();
    assert_eq!(world.node.run(&["tick"]).code, 0);
}

#[test]
fn a_frozen_daemon_that_was_replaced_writes_nothing_more() {
    let Some(world) = World::postgres() else { return };
    let name = "postgres, frozen";
    let mut storm = Storm::over(world, seed(name));
    let successor = storm.world.other_node("second").with("store.takeover", true);
    storm.news(ORDERS as u64);
    let mut first = storm.world.node.serve();
    let _ = first.address();
    let made = |storm: &Storm| storm.world.node.rows(&["version", "list"]).len();
    eventually("the first versions", QUIET_LIMIT, || (made(&storm) >= ORDERS / 2).then_some(()));
    first.signal(Signal::STOP);
    let mut second = successor.serve();
    let _ = second.address();
    let before = made(&storm);
    storm.news(ORDERS as u64);
    eventually("versions of the second", QUIET_LIMIT, || (made(&storm) > before).then_some(()));
    first.signal(Signal::CONT);
    let status = first.end();
    assert_eq!(status.code(), Some(75), "{status}:\n{}", first.log());
    // Which it notices first is chance: that its session was ended, or that its append was fenced.
    let said = ["took the shards over", "the session of this process expired"];
    assert!(said.iter().any(|said| first.log().contains(said)), "{}", first.log());
    assert!(second.ended().is_none(), "the second goes on:\n{}", second.log());
    second.stop();
    storm.settle_accounts(name);
}

#[test]
fn a_standby_takes_over_when_the_first_daemon_ends() {
    let Some(world) = World::postgres() else { return };
    let mut first = world.node.serve();
    let _ = first.address();
    let mut second = world.other_node("second").serve();
    eventually("the standby to stand by", QUIET_LIMIT, || second.log().contains("standing by").then_some(()));
    assert!(!second.log().contains("ready: "), "{}", second.log());
    first.stop();
    let _ = second.address();
    let listed: Value = world.node.json(&["deliverable", "list"]);
    assert_eq!(listed, Value::Array(vec![]));
    second.stop();
}

/// A torture that aborts nowhere proves nothing: the variable is understood, and nonsense in it is refused.
#[test]
fn the_torture_variable_is_understood() {
    let world = World::sqlite();
    for (spec, good) in [("committed:1", true), ("commited:1", false), ("committed:0", false), ("committed", false)] {
        let done = world.node.clone().with_env("NIGHTSHIFT_TORTURE_ABORT", spec).run(&["tick"]);
        assert_eq!(done.code, if good { 0 } else { 78 }, "{spec}: {}{}", done.out, done.err);
        assert!(good || done.err.contains("handed_over"), "{spec}: the message lists the points: {}", done.err);
    }
}
