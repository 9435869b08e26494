//! What every request passes, over real sockets: who asks, limits, refusals, and what none of them lets through.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use nightshift_api::{
    Limits, Options, Secrets,
    auth::{Auth, Role},
    routes,
};
use serde_json::{Value, json};
use support::{CONTROL, Stage, TWO_STEPS, auth};
use tokio::io::AsyncReadExt as _;

/// Key, verb and address, body; status and code.
type Case<'a> = (&'a str, (&'a str, &'a str), &'a str, u16, &'a str);

#[tokio::test]
async fn each_kind_of_refusal_has_its_status_and_form() {
    let options =
        Options { auth: auth(), limits: Limits { body_bytes_max: 300, ..Limits::default() }, ..Options::default() };
    let stage = Stage::with(options).await;
    let long = json!({"name": "x".repeat(400)}).to_string();
    let nobody = "01890000-0000-8000-8000-000000000000";
    let run = format!("/api/orchestrations/{nobody}");
    let abort = format!("{run}/actions/abort");
    let cases: &[Case<'_>] = &[
        ("", ("GET", "/api/orchestrations"), "", 401, "UNAUTHORIZED"),
        ("ns_unknown", ("GET", "/api/orchestrations"), "", 401, "UNAUTHORIZED"),
        ("ns_reader", ("POST", "/api/orchestrations"), "{\"name\": \"a\"}", 403, "FORBIDDEN"),
        ("ns_scoped", ("POST", "/api/orchestrations"), "{\"name\": \"a\"}", 403, "FORBIDDEN"),
        ("ns_operator", ("GET", "/api/control/queue"), "", 403, "FORBIDDEN"),
        ("ns_agent", ("GET", "/nothing/here"), "", 404, "NOT_FOUND"),
        ("ns_agent", ("GET", &run), "", 404, "NOT_FOUND"),
        ("ns_agent", ("GET", "/api/orchestrations/7"), "", 404, "NOT_FOUND"),
        ("ns_agent", ("GET", "/api/orchestrations/018fffff-ffff-8fff-bfff-ffffffffffff/events"), "", 404, "NOT_FOUND"),
        ("ns_agent", ("POST", &abort), "", 404, "NOT_FOUND"),
        ("ns_operator", ("POST", "/api/schedules/018fffff-ffff-8fff-bfff-ffffffffffff/pause"), "", 404, "NOT_FOUND"),
        ("ns_agent", ("POST", "/api/orchestrations"), "{\"name\": \"no such\"}", 404, "NOT_FOUND"),
        ("ns_agent", ("POST", "/api/orchestrations"), "{\"owner\": \"a\", \"name\": \"b\"}", 404, "NOT_FOUND"),
        ("ns_agent", ("DELETE", "/api/orchestrations"), "", 405, "METHOD_NOT_ALLOWED"),
        ("ns_agent", ("POST", "/api/orchestrations"), "{\"name\": 7}", 400, "BAD_REQUEST"),
        ("ns_agent", ("POST", "/api/orchestrations"), "{\"nam\": \"a\"}", 400, "BAD_REQUEST"),
        ("ns_agent", ("POST", "/api/orchestrations"), "{", 400, "BAD_REQUEST"),
        ("ns_agent", ("GET", "/api/orchestrations?limit=101"), "", 400, "BAD_REQUEST"),
        ("ns_agent", ("GET", "/api/orchestrations?lifecycl=all"), "", 400, "BAD_REQUEST"),
        ("ns_agent", ("POST", "/api/orchestrations"), &long, 413, "PAYLOAD_TOO_LARGE"),
        ("ns_operator", ("POST", "/api/workflows"), &long, 413, "PAYLOAD_TOO_LARGE"),
    ];
    for (key, request, body, status, code) in cases {
        let answer = stage.ask(key, *request, body).await;
        assert_eq!(answer.refusal(), (*status, (*code).to_owned()), "{request:?} as {key}: {}", answer.body);
        assert!(answer.headers.contains_key("x-request-id"), "{request:?}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), *status == 401);
    }
    let other = stage.ask("ns_agent", ("DELETE", "/api/orchestrations"), "").await;
    let allowed: Vec<&str> = other.headers["allow"].split(',').map(str::trim).collect();
    assert!(allowed.contains(&"GET") && allowed.contains(&"POST") && !allowed.contains(&"DELETE"), "{allowed:?}");
    let chunked = [("x-api-key", "ns_agent"), ("transfer-encoding", "chunked")];
    let body = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let answer = stage.send(("POST", "/api/orchestrations"), &chunked, &body).await;
    assert_eq!(answer.refusal(), (413, "PAYLOAD_TOO_LARGE".to_owned()), "a body that does not say how long it is");
    let form = [("x-api-key", "ns_agent"), ("content-type", "text/plain")];
    let answer = stage.send(("POST", "/api/orchestrations"), &form, "{\"name\": \"a\"}").await;
    assert_eq!(answer.refusal(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
}

#[tokio::test]
async fn a_bad_field_is_named_by_its_path() {
    let stage = Stage::new().await;
    let answer = stage.post("ns_agent", "/api/orchestrations", &json!({"name": "a", "priority": "high"})).await;
    let details = answer.json()["error"]["details"].clone();
    assert_eq!(details["fields"][0]["path"], "priority", "{details}");
    let answer = stage.get("ns_agent", "/api/orchestrations?limit=0&ofset=1").await;
    let paths: Vec<String> = answer.json()["error"]["details"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["limit", "ofset"]);
}

#[tokio::test]
async fn a_key_that_is_used_too_much_is_told_when_to_come_back() {
    let stage = Stage::new().await;
    for _ in 0..2 {
        assert_eq!(stage.get("ns_busy", "/api/jobs").await.status, 200);
    }
    stage.clock.advance_ms(2_500);
    let answer = stage.get("ns_busy", "/api/jobs").await;
    assert_eq!(answer.refusal(), (429, "RATE_LIMITED".to_owned()));
    assert_eq!(answer.headers["retry-after"], "8");
    assert_eq!(stage.get("ns_reader", "/api/jobs").await.status, 200, "other keys are not held up");
    stage.clock.advance_ms(7_500);
    assert_eq!(stage.get("ns_busy", "/api/jobs").await.status, 200);
}

#[tokio::test]
async fn every_route_has_a_guard_that_says_what_its_table_says() {
    let stage = Stage::new().await;
    let mut seen = 0;
    for route in routes::all() {
        let path = route.path.replace("{number}", "1").replace(['{', '}'], "");
        let request = (route.verb.as_str().to_uppercase(), path);
        let request = (request.0.as_str(), request.1.as_str());
        let anonymous = stage.send(request, &[], "").await;
        if route.group == nightshift_api::auth::Group::Public {
            assert!(![401, 403, 405].contains(&anonymous.status), "{request:?}: {}", anonymous.status);
            continue;
        }
        assert_eq!(anonymous.status, 401, "{request:?}");
        for role in Role::ALL {
            let may = nightshift_api::auth::roles::allowed(route.group).contains(&role);
            let answer = stage.ask(&format!("ns_{}", role.as_str()), request, "").await;
            assert_eq!(answer.status != 403, may, "{} {request:?}: {}", role.as_str(), answer.body);
            assert!(![401, 405, 500].contains(&answer.status), "{request:?}: {}", answer.body);
        }
        seen += 1;
    }
    assert!(seen > 50, "{seen} routes");
}

#[tokio::test]
async fn without_configuration_this_machine_asks_with_the_control_token() {
    let stage = Stage::with(Options::default()).await;
    let bearer = format!("Bearer {CONTROL}");
    for (headers, path, status) in [
        (vec![("authorization", bearer.as_str())], "/api/orchestrations", 200),
        (vec![("authorization", bearer.as_str())], "/api/control/queue", 200),
        (vec![("authorization", "Bearer wrong")], "/api/control/queue", 401),
        (vec![("x-api-key", "ns_admin")], "/api/orchestrations", 401),
        (vec![], "/api/orchestrations", 401),
        (vec![], "/healthz", 200),
        (vec![], "/metrics", 200),
    ] {
        assert_eq!(stage.send(("GET", path), &headers, "").await.status, status, "{headers:?} {path}");
    }
}

/// The seed served its metrics to everybody.
#[tokio::test]
async fn defect_5_12_12_figures_take_a_proof_once_somebody_from_outside_may_ask() {
    let stage = Stage::new().await;
    assert_eq!(stage.send(("GET", "/metrics"), &[], "").await.status, 401);
    let answer = stage.get("ns_reader", "/metrics").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "figures"));
    let open = Stage::with(Options { auth: Auth { open_metrics: true, ..auth() }, ..Options::default() }).await;
    assert_eq!(open.send(("GET", "/metrics"), &[], "").await.status, 200);
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with_unless_it_is_none() {
    let stage = Stage::new().await;
    for (given, kept) in [("abc-1", true), ("a b", false), (&"x".repeat(129), false)] {
        let answer = stage.send(("GET", "/healthz"), &[("x-request-id", given)], "").await;
        let id = &answer.headers["x-request-id"];
        assert_eq!(id == given, kept, "{given}");
        assert!(!id.is_empty());
    }
}

/// A secret that is never resolved, and one that breaks the program.
struct Odd;

#[async_trait]
impl Secrets for Odd {
    async fn resolve(&self, reference: &str) -> Result<Vec<u8>, String> {
        match reference {
            "env:NEVER" => std::future::pending().await,
            _ => panic!("a test wanted it"),
        }
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_and_one_that_breaks_are_answered() {
    let stage = Stage::with(Options { auth: auth(), secrets: Arc::new(Odd), ..Options::default() }).await;
    for (path, secret) in [("slow", "env:NEVER"), ("broken", "env:PANIC")] {
        let head = TWO_STEPS.replace("name: daily", &format!("name: {path}"));
        let triggers = format!("triggers:\n  - {{webhook: {path}, secret: '{secret}'}}\nsteps:");
        stage.register(&head.replace("steps:", &triggers)).await;
    }
    let at = stage.clock_seconds();
    let signed = [("webhook-id", "1"), ("webhook-timestamp", at.as_str()), ("webhook-signature", "v1,AAAA")];
    let broken = stage.send(("POST", "/api/hooks/broken"), &signed, "{}").await;
    assert_eq!(broken.refusal(), (500, "INTERNAL".to_owned()));
    let mut slow = stage.open(("POST", "/api/hooks/slow"), &signed, "{}").await;
    let mut bytes = Vec::new();
    let answered = slow.read_to_end(&mut bytes);
    // The clock is moved until the request has been seen to wait: it may not have arrived yet.
    let moved = async {
        loop {
            stage.clock.advance_ms(30_000);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = answered => { done.unwrap(); }
        () = moved => unreachable!(),
    }
    let answer = support::Answer::read(&bytes);
    assert_eq!(answer.refusal(), (503, "TIMEOUT".to_owned()));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(stage.get("ns_reader", "/api/jobs").await.status, 200, "the service goes on");
}

impl Stage {
    fn clock_seconds(&self) -> String {
        use nightshift_ports::clock::Clock as _;
        (self.clock.now().micros() / 1_000_000).to_string()
    }
}

#[tokio::test]
async fn functions_of_the_seed_refuse_in_its_own_form() {
    let stage = Stage::new().await;
    let dispatch = "/functions/v1/orchestrator/dispatch";
    let cases: &[(&str, (&str, &str), Value, u16)] = &[
        ("ns_operator", ("GET", dispatch), Value::Null, 405),
        ("ns_operator", ("POST", dispatch), json!({"user_id": "ada"}), 400),
        ("ns_operator", ("POST", dispatch), json!({"user_id": "", "workflow_key": "k"}), 400),
        ("ns_operator", ("POST", dispatch), json!({"user_id": "ada", "workflow_key": "k"}), 404),
        ("ns_agent", ("POST", dispatch), json!({"user_id": "ada", "workflow_key": "k"}), 403),
        ("", ("POST", dispatch), json!({"user_id": "ada", "workflow_key": "k"}), 401),
    ];
    for (key, request, body, status) in cases {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = stage.ask(key, *request, &body).await;
        assert_eq!(answer.status, *status, "{request:?} {body}: {}", answer.body);
        let said = answer.json();
        assert!(said["error"].is_string() && said.get("success").is_none(), "{said}");
    }
    let answer = stage.get("ns_operator", dispatch).await;
    assert_eq!(answer.json(), json!({"error": "Method not allowed"}));
}
