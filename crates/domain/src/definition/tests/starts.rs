//! Requests and events: which version a run pins, what it is given, and who is told when there is none.

use super::*;
use crate::{
    content::FailureClass,
    ids::{RunId, ShardId, derive},
};

fn some_run(name: &str) -> RunId {
    RunId::on_shard(derive("test", &[name.as_bytes()]), ShardId(5))
}

fn wanting() -> Document {
    let parameters = vec![parameter("n", ParameterKind::Integer)];
    Document { parameters, ..document("1", vec![hears(&["order"])]) }
}

fn start(parameters: Json) -> Start {
    Start {
        run: some_run("it"),
        version: None,
        parameters,
        user: user("eve"),
        trigger: json!({"type": "api"}),
        parent: None,
        priority: None,
    }
}

fn parent(path: &[&str]) -> Parent {
    Parent {
        run: some_run("parent"),
        root: some_run("root"),
        step: "sub".to_owned(),
        attempt: 3,
        path: path.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn ask(start: Start) -> Command {
    Command::Start(Box::new(start))
}

fn created(it: &Definitions) -> Box<run::Created> {
    match &told(it, "run:")[..] {
        [(_, AnyCommand::Run(run::Command::Create(created)))] => created.clone(),
        other => panic!("one run: {other:?}"),
    }
}

fn ready() -> Definitions {
    delivered(unborn().after(register(wanting()))).at(9)
}

#[test]
fn a_trigger_that_makes_too_much_of_an_event_starts_no_run() {
    let parameters = json!({"n": vec!["{{ event.payload }}"; 5]});
    let trigger = Trigger::Event { types: vec!["order".to_owned()], parameters };
    let it = delivered(unborn().after(register(document("1", vec![trigger]))));
    let event = json!({"type": "order", "id": "e1", "payload": "x".repeat(1 << 20)});
    match &it.when(Command::EventArrived { event }).events()[..] {
        [Event::RunRefused { why, .. }] => assert!(why.contains("makes of the event is larger than"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_pins_the_version_in_force_or_the_one_it_names() {
    let it = ready().after(ask(start(json!({"n": 1}))));
    let first = created(&it);
    assert_eq!(first.subject.workflow().unwrap().to_string(), "team/daily@1");
    assert_eq!((&first.user, first.priority, first.nominal), (&user("eve"), 7, at(9)));
    assert_eq!((first.reply_to, first.root, &first.for_step), (None, some_run("it"), &None));
    assert_eq!(first.trigger, json!({"type": "api"}));
    let it = delivered(it.after(register(document("2", vec![]))));
    let old = Start { version: Some("1".to_owned()), priority: Some(-4), ..start(json!({"n": 1})) };
    let named = created(&it.clone().after(ask(old)));
    assert_eq!((named.subject.workflow().unwrap().version.as_str(), named.priority), ("1", -4));
    let newest = created(&it.after(ask(start(Json::Null))));
    assert_eq!(newest.subject.workflow().unwrap().version, "2");
}

#[test]
fn a_step_that_asks_is_told_the_end_by_the_run_or_the_refusal_by_the_definition() {
    let asked = Start { parent: Some(parent(&["team/weekly"])), ..start(json!({"n": 1})) };
    let child = created(&ready().after(ask(asked.clone())));
    assert_eq!((child.reply_to, child.parent), (Some(some_run("parent").stream()), Some(some_run("parent"))));
    assert_eq!((child.root, child.for_step.clone()), (some_run("root"), Some(("sub".to_owned(), 3))));
    let recursion = "a definition cannot wait for itself: team/weekly -> team/daily -> team/daily";
    for (it, asked, why) in [
        (unborn(), asked.clone(), "there is no such definition"),
        (ready().after(deprecate("1")), asked.clone(), "no version is active; activate one of: 1"),
        (ready(), Start { version: Some("3".to_owned()), ..asked.clone() }, "there is no version \"3\"; there are: 1"),
        (
            ready(),
            Start { parameters: json!({"m": 1}), ..asked.clone() },
            "parameters.m: there is no such parameter; there are: n; parameters.n: it is required (integer)",
        ),
        (ready(), Start { parent: Some(parent(&["team/weekly", "team/daily"])), ..asked.clone() }, recursion),
    ] {
        let it = delivered(it).when(ask(asked)).then_facts(&["run_refused"]);
        let [(to, AnyCommand::Run(run::Command::ChildEnded { step, attempt, run: None, end }))] = &told(&it, "")[..]
        else {
            panic!("the parent is told")
        };
        assert_eq!((*to, step.as_str(), *attempt), (some_run("parent").stream(), "sub", 3));
        let End::Failed { failure, .. } = end else { panic!("{end:?}") };
        assert_eq!((failure.message.as_str(), failure.class), (why, FailureClass::Permanent));
    }
}

#[test]
fn others_who_ask_are_turned_down_with_the_facts() {
    let it = ready();
    it.clone().when(ask(start(json!({"n": "1"})))).then_rejected(Rejection::Parameters {
        faults: vec![ParameterFault { name: "n".to_owned(), why: "\"1\" is no integer".to_owned() }],
    });
    unborn().when(ask(start(Json::Null))).then_rejected(Rejection::Unknown);
    let none = Rejection::NoneActive { versions: vec!["1".to_owned()] };
    it.clone().after(deprecate("1")).when(ask(start(Json::Null))).then_rejected(none);
    let named = Start { version: Some("1".to_owned()), ..start(json!({"n": 1})) };
    it.clone().after(deprecate("1")).when(ask(named.clone())).then_facts(&["run_requested"]);
    let archived = Rejection::NotStartable { version: "1".to_owned(), standing: "archived".to_owned() };
    it.after(archive("1")).when(ask(named)).then_rejected(archived);
}

fn order(id: &str, payload: Json) -> Json {
    json!({"type": "order", "id": id, "user": "ann", "payload": payload})
}

fn arrived(event: Json) -> Command {
    Command::EventArrived { event }
}

#[test]
fn an_event_gives_its_run_what_the_trigger_makes_of_it() {
    let event = order("e1", json!({"n": 5, "other": true}));
    let first = created(&ready().after(arrived(event.clone())));
    assert_eq!((&first.parameters, &first.user), (&json!({"n": 5}), &user("ann")));
    assert_eq!(first.trigger, json!({"type": "event", "event": event}));
    let mut templated = wanting();
    templated.triggers = vec![
        Trigger::Event { types: vec!["order".to_owned()], parameters: json!({"n": "{{ event.payload.count }}"}) },
        Trigger::Webhook { path: "shop".to_owned(), secret: "env:S".to_owned(), parameters: Json::Null },
    ];
    let it = delivered(unborn().after(register(templated)));
    let rendered = created(&it.clone().after(arrived(order("e1", json!({"count": 8})))));
    assert_eq!(rendered.parameters, json!({"n": 8}));
    let hook = json!({"type": webhook_event_type("shop"), "id": "h1", "payload": {"n": 2}});
    let hooked = created(&it.clone().after(arrived(hook)));
    assert_eq!((&hooked.parameters, &hooked.user), (&json!({"n": 2}), &user("ann")));
    assert_eq!(hooked.trigger["type"], json!("webhook"));
}

#[test]
fn an_event_that_starts_nothing_says_why() {
    let why = |it: Definitions, event: Json| match &it.when(arrived(event)).events()[..] {
        [Event::RunRefused { why, parent: None, slot: None, .. }] => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(why(ready(), order("e", json!({"n": "x"}))), "parameters.n: \"x\" is no integer");
    assert_eq!(why(ready(), order("e", json!("text"))), "parameters.n: it is required (integer)");
    let other = json!({"type": "weather", "id": "e"});
    assert_eq!(why(ready(), other.clone()), "version \"1\" does not listen to \"weather\"");
    assert_eq!(why(ready().after(deprecate("1")), other.clone()), "no version is active; activate one of: 1");
    unborn().when(arrived(other)).then_rejected(Rejection::Unknown);
    for (event, missing) in [(json!({"type": "order"}), "id"), (json!({"id": "e", "type": ""}), "type")] {
        ready().when(arrived(event)).then_rejected(Rejection::NoEvent { missing: missing.to_owned() });
    }
}

#[test]
fn one_event_is_one_run_and_the_same_id_of_another_type_is_another() {
    let runs =
        [("order", "1"), ("order", "2"), ("visit", "1")].map(|(name, id)| event_run_id(definition(), name, id, SHARDS));
    assert_eq!(runs.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    let it = ready().after(arrived(order("1", json!({"n": 1}))));
    let [(to, _)] = told(&it, "run:")[..] else { panic!("one run") };
    assert_eq!(to, runs[0].stream());
    // It comes again when the topic has forgotten it: the same run is asked for, which exists.
    let again = it.after(arrived(order("1", json!({"n": 1}))));
    assert!(told(&again, "run:").iter().all(|(to, _)| *to == runs[0].stream()));
}

#[test]
fn private_events_of_others_start_nothing_unless_the_definition_is_for_everybody() {
    for (owner, publisher, runs_as) in [
        ("ann", "ann", Some("ann")),
        ("ann", "eve", None),
        ("ann", "local", Some("ann")),
        ("local", "eve", Some("eve")),
        ("local", "local", Some("local")),
    ] {
        let register = Command::Register { document: Arc::new(wanting()), user: user(owner), activate: true };
        let it = delivered(unborn().after(register));
        let mut event = order("e", json!({"n": 1}));
        event["user"] = json!(publisher);
        let it = it.when(arrived(event));
        let started = match &it.events()[..] {
            [Event::RunRequested { created, .. }] => Some(created.user.0.clone()),
            [] => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(started.as_deref(), runs_as, "{publisher}'s event, a definition of {owner}");
    }
}
