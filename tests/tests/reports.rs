//! Messages of runs to webhooks, and what documents may reach, as processes: receivers that fail, a daemon that is killed.
//!
//! Owns: what receivers see. Which event is which message is tested in the domain.

use std::{collections::BTreeSet, time::Duration};

use nightshift_tests::{
    eventually,
    http::{Answer, Asked, Web},
    world::{Node, World},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

const FLOW: &str =
    "name: told\nsteps:\n  - {id: one, call: /agents/one}\n  - {id: two, call: /agents/two, depends_on: one}\n";

/// Worlds on both databases; one on a machine without a server.
fn worlds() -> Vec<World> {
    [Some(World::sqlite()), World::postgres()].into_iter().flatten().collect()
}

fn good(_: &Asked, _: usize) -> Answer {
    Answer::new(200, r#"{"ok": true}"#).with("content-type", "application/json")
}

fn telling(world: &World, agents: &Web, hook: &Web) -> Node {
    let node = world.node.clone().with("workflows.base_url", agents.url("")).with("store.takeover", "true");
    let node = node.with("workflows.progress_webhook", hook.url("/progress"));
    node.with("workflows.webhook_secret", "env:HOOK_SECRET").with_env("HOOK_SECRET", "whsec_bmlnaHRzaGlmdA==")
}

fn register(world: &World, node: &Node, text: &str) {
    let file = world.write("flow.yml", text);
    let _ = node.run(&["workflow", "register", &file]).ok();
}

/// Version, part and name of each message that was taken, in the order of their arrival.
fn taken(hook: &Web) -> Vec<(u64, u64, String)> {
    let exchanges = hook.exchanges().into_iter().filter(|(_, status)| *status == 200);
    let place = |(asked, _): (Asked, u16)| {
        let body: Value = serde_json::from_str(&asked.body).expect("JSON");
        let number = |name: &str| body["data"][name].as_u64().unwrap_or_default();
        (number("version"), number("part"), body["event"].as_str().unwrap_or_default().to_owned())
    };
    exchanges.map(place).collect()
}

fn told_the_end(hook: &Web) -> Option<Vec<(u64, u64, String)>> {
    Some(taken(hook)).filter(|told| told.last().is_some_and(|(.., name)| name == "orchestration.run.completed"))
}

#[test]
fn defect_5_12_9_a_receiver_that_fails_twice_gets_every_message_once_and_in_order() {
    for world in worlds() {
        let agents = Web::start(good);
        let hook = Web::start(|_, before| if before < 2 { Answer::new(503, "later") } else { Answer::new(200, "") });
        let node = telling(&world, &agents, &hook);
        register(&world, &node, FLOW);
        let mut daemon = node.serve();
        let _ = daemon.address();
        let run = node.json(&["run", "start", "told", "--watch"]);
        assert_eq!(run["status"], "completed", "{run:#}");
        let told = eventually("every message is taken", LIMIT, || told_the_end(&hook));
        assert!(told.len() == 13 && told.is_sorted(), "{told:?}");
        let exchanges = hook.exchanges();
        let header = |nth: usize, name: &str| exchanges[nth].0.header(name).to_owned();
        let first: BTreeSet<String> = (0..3).map(|nth| header(nth, "webhook-id")).collect();
        assert_eq!((first.len(), header(2, "x-attempt").as_str()), (1, "3"));
        let ids: BTreeSet<String> = (0..exchanges.len()).map(|nth| header(nth, "webhook-id")).collect();
        assert_eq!(ids.len(), 13);
        assert!((0..exchanges.len()).all(|nth| header(nth, "webhook-signature").starts_with("v1,")));
        let body: Value = serde_json::from_str(&exchanges[2].0.body).expect("JSON");
        assert_eq!((&body["runId"], &body["event"]), (&run["id"], &Value::from("orchestration.run.created")));
        daemon.stop();
        let _ = node.run(&["verify"]).ok();
        let _ = node.run(&["replay", "--store"]).ok();
    }
}

#[test]
fn what_is_owed_survives_a_kill() {
    for world in worlds() {
        let agents = Web::start(good);
        // The second message is never answered: the daemon dies in the middle of it.
        let hook = Web::start(|_, before| if before == 1 { Answer::never() } else { Answer::new(200, "") });
        let node = telling(&world, &agents, &hook);
        register(&world, &node, FLOW);
        let mut daemon = node.serve();
        let _ = daemon.address();
        let started = node.json(&["run", "start", "told"]);
        let id = started["id"].as_str().expect("an id").to_owned();
        let run = node.json(&["run", "watch", &id]);
        assert_eq!(run["status"], "completed", "the run does not wait: {run:#}");
        eventually("the second message is sent", LIMIT, || (hook.exchanges().len() >= 2).then_some(()));
        assert!(daemon.kill9());
        let mut daemon = node.serve();
        let _ = daemon.address();
        let told = eventually("every message is taken", LIMIT, || told_the_end(&hook));
        let places: BTreeSet<(u64, u64)> = told.iter().map(|(version, part, _)| (*version, *part)).collect();
        // At least once: the end of the first may not have been in the log when the daemon died.
        assert!(places.len() == 13 && told.len() <= 14, "{told:?}");
        daemon.stop();
        let _ = node.run(&["verify"]).ok();
    }
}

#[test]
fn what_nobody_took_is_listed_and_sent_anew_as_it_was() {
    for world in worlds() {
        let agents = Web::start(good);
        let hook = Web::start(|_, before| if before < 3 { Answer::new(410, "gone") } else { Answer::new(200, "") });
        let node = telling(&world, &agents, &hook).with("workflows.webhook_events", "orchestration.run.completed");
        register(&world, &node, FLOW);
        let mut daemon = node.serve();
        let _ = daemon.address();
        let run = node.json(&["run", "start", "told", "--watch"])["id"].as_str().expect("an id").to_owned();
        let lost = eventually("it is given up", LIMIT, || {
            Some(node.rows(&["run", "reports", &run])).filter(|lost| !lost.is_empty())
        });
        assert_eq!(
            (lost.len(), &lost[0]["event"], &lost[0]["attempts"]),
            (1, &"orchestration.run.completed".into(), &3.into())
        );
        let turned = node.run(&["run", "resend", &run, "1.7"]);
        assert_eq!(turned.code, 6, "{}", turned.err);
        let sent =
            node.json(&["run", "resend", &run, lost[0]["message"].as_str().expect("its name"), "--note", "mended"]);
        assert_eq!(sent["sent"], 1);
        let told = eventually("it is taken", LIMIT, || told_the_end(&hook));
        assert_eq!(told.len(), 1);
        let all: Vec<Asked> = hook.exchanges().into_iter().map(|(asked, _)| asked).collect();
        assert_eq!(
            (all.len(), &all[3].body, all[3].header("webhook-id")),
            (4, &all[0].body, all[0].header("webhook-id"))
        );
        eventually("its end is kept", LIMIT, || node.rows(&["run", "reports", &run]).is_empty().then_some(()));
        assert_eq!(node.json(&["run", "resend", &run])["sent"], 0);
        daemon.stop();
        let _ = node.run(&["verify"]).ok();
        let _ = node.run(&["replay", "--store"]).ok();
    }
}

#[test]
fn a_document_names_its_own_webhook_and_whom_it_asks_signs() {
    let world = World::sqlite();
    let (agents, hook, other) = (Web::start(good), Web::start(good), Web::start(good));
    let secrets = world.write("secrets.toml", "[crm]\nfrom = \"env:HOOK_SECRET\"\n");
    let node = telling(&world, &agents, &hook).with("workflows.secrets_file", secrets);
    let own = format!("webhooks: {{progress: \"{}\", events: [orchestration.run.completed]}}\n", other.url("/own"));
    let secret = FLOW.replacen("call: /agents/one", "call: /agents/one, headers: {X-Key: \"k <secret:crm>\"}", 1);
    register(&world, &node, &format!("{secret}{own}"));
    let run = node.json(&["run", "start", "told"]);
    assert_eq!(run["status"], "completed", "{run:#}");
    let told: Vec<Asked> = other.exchanges().into_iter().map(|(asked, _)| asked).collect();
    assert!(told.len() == 1 && hook.exchanges().is_empty(), "{told:?}");
    assert_eq!(told[0].header("webhook-signature"), "", "the operator's secret is not lent to documents");
    assert_eq!(agents.exchanges()[0].0.header("x-key"), "k whsec_bmlnaHRzaGlmdA==");
    let kept = std::fs::read(node.data_dir.join("nightshift.db")).expect("the store");
    assert!(!kept.windows(16).any(|part| part == b"whsec_bmlnaHRzaG"), "no secret is kept");
}

/// Whoever may register a document may not run programs by that alone.
#[test]
fn a_program_that_is_not_listed_is_not_started() {
    let world = World::sqlite();
    register(&world, &world.node, "name: runs\nsteps: [{id: a, process: [uname, -s]}]\n");
    let refused = world.node.run(&["run", "start", "runs", "--json"]);
    let row = refused.json();
    assert_eq!((refused.code, &row["status"]), (1, &Value::from("failed")), "{row:#}");
    let dead = world.node.rows(&["job", "dead"]);
    assert!(dead.len() == 1 && dead[0].to_string().contains("workflows.programs"), "{dead:#?}");
    let run = world.node.clone().with("workflows.programs", "cat, uname").json(&["run", "start", "runs"]);
    assert_eq!(run["status"], "completed", "{run:#}");
}

#[test]
fn what_a_program_says_beside_its_output_is_shown() {
    let world = World::sqlite();
    let script = serde_json::json!("for n in $(seq 12); do echo \"said $n\" >&2; done; echo '{\"made\": 1}'");
    register(&world, &world.node, &format!("name: runs\nsteps: [{{id: a, process: [sh, -c, {script}]}}]\n"));
    let node = world.node.clone().with("workflows.programs", "sh");
    let run = node.json(&["run", "start", "runs"]);
    assert_eq!(run["status"], "completed", "{run:#}");
    let shown = node.run(&["run", "show", run["id"].as_str().expect("an id")]).ok().out;
    assert!(shown.contains("a: {\"made\":1}\n"), "{shown}");
    assert!(shown.contains("| (2 more line(s) before)\n") && shown.contains("| said 12\n"), "{shown}");
    assert!(!shown.contains("said 2\n"), "{shown}");
}
