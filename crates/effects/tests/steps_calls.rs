//! `call` steps over real sockets: what is sent, what comes of every kind of answer, and agents that behave badly.

mod support;

use std::collections::BTreeMap;

use nightshift_domain::{
    content::{Failure, FailureClass},
    json::Json,
    run::{Action, Outcome},
};
use nightshift_effects::{EffectsConfig, SecretConfig, StepsConfig};
use nightshift_ports::performer::{Call, Performers};
use serde_json::json;
use support::{Act, Http, NOW, answer, build, call, run};

const TOKEN: &str = "eyJ.service.token";

fn with(steps: StepsConfig) -> Performers {
    build(EffectsConfig { steps, ..EffectsConfig::default() })
}

fn based(url: &str) -> StepsConfig {
    StepsConfig { base_url: Some(url.to_owned()), ..StepsConfig::default() }
}

fn action(method: &str, url: &str, headers: &[(&str, &str)], body: Option<Json>) -> Action {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Action::Call { url: url.to_owned(), method: method.to_owned(), headers, body }
}

async fn act(performers: &Performers, action: &Action) -> Result<Outcome, Failure> {
    performers.acting.act(action, &call()).await
}

/// One header of a request, or of what an `Echo` saw.
fn header(request: &str, name: &str) -> Option<String> {
    let head = request.split_once("\r\n\r\n").map_or(request, |(head, _)| head);
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
}

#[tokio::test]
async fn a_call_carries_key_attempt_lease_and_trace() {
    let server = Http::start(vec![answer("200 OK", &["etag: \"a\""], r#"{"ok":true,"n":1}"#)]).await;
    let performers = with(based(&format!("{}/functions/v1", server.url)));
    let outcome = act(&performers, &action("post", "/agents/echo", &[("X-User", "u1")], None)).await.unwrap();
    assert_eq!((outcome.value, outcome.status_code), (json!({"ok": true, "n": 1}), Some(200)));
    assert_eq!(outcome.facts, BTreeMap::from([("bytes".into(), "17".into()), ("etag".into(), "\"a\"".into())]));
    let request = server.request(0);
    assert!(request.starts_with("POST /functions/v1/agents/echo HTTP/1.1\r\n"), "{request}");
    for (name, value) in [
        ("x-idempotency-key", "key-1"),
        ("x-attempt", "2"),
        ("x-fencing-token", "3.4.5"),
        ("x-workflow-run-id", &run(7).to_string()),
        ("x-step-id", "fetch"),
        ("x-user", "u1"),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(header(&request, name).as_deref(), Some(value), "{request}");
    }
    assert_eq!(header(&request, "authorization"), None);
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");

    let own = [("X-Idempotency-Key", "run-shape"), ("content-type", "application/merge-patch+json")];
    act(&performers, &action("PATCH", "/x", &own, Some(json!({"b": [1]})))).await.unwrap();
    let request = server.request(1);
    assert_eq!(header(&request, "x-idempotency-key").as_deref(), Some("run-shape"));
    assert_eq!(header(&request, "content-type").as_deref(), Some("application/merge-patch+json"));
    assert!(request.ends_with("{\"b\":[1]}"), "{request}");

    let whole = format!("{}/elsewhere", server.url);
    act(&performers, &action("DELETE", &whole, &[], None)).await.unwrap();
    let request = server.request(2);
    assert!(request.starts_with("DELETE /elsewhere ") && header(&request, "content-length").is_none(), "{request}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_permanent_and_reaches_nobody() {
    let server = Http::start(vec![Act::Echo]).await;
    let performers = with(based(&format!("{}/v1", server.url)));
    for (action, says) in [
        (action("FETCH", "/x", &[], None), "GET, HEAD"),
        (action("GET", "/../x", &[], None), "leads out of the base address"),
        (action("GET", "ftp://x/y?key=k3y", &[], None), "http://"),
        (action("GET", "/x", &[("X-A", "a\r\nX-B: k3y")], None), "line break"),
        (action("GET", "/x", &[("X A", "k3y")], None), "name is none"),
        (action("GET", "/x", &[("Content-Length", "3")], None), "belongs to the connection"),
        (action("GET", "/x", &[("Host", "other")], None), "belongs to the connection"),
    ] {
        let failure = act(&performers, &action).await.unwrap_err();
        assert_eq!((failure.class, failure.status_code), (FailureClass::Permanent, None), "{failure}");
        assert!(failure.message.contains(says) && !failure.message.contains("k3y"), "{failure}");
    }
    let failure = act(&with(StepsConfig::default()), &action("GET", "/x", &[], None)).await.unwrap_err();
    assert!(failure.message.contains("EDGE_BASE_URL"), "{failure}");
    let failure = act(&performers, &Action::Sleep { ms: 1 }).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent);
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn the_service_token_goes_to_the_base_address_only_and_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let (home, other) = (Http::start(vec![Act::Echo]).await, Http::start(vec![Act::Echo]).await);
    let steps =
        StepsConfig { service_token: Some(format!("file:{}", file.display())), ..based(&format!("{}/v1", home.url)) };
    let performers = with(steps);
    let bearer = format!("Bearer {TOKEN}");
    let below = format!("{}/v1/x", home.url);
    let (beside, elsewhere) = (format!("{}/v2", home.url), format!("{}/v1/x", other.url));
    let by_name = below.replace("127.0.0.1", "localhost");
    for (url, sent) in [("/x", true), (&below, true), (&beside, false), (&elsewhere, false), (&by_name, false)] {
        let outcome = act(&performers, &action("GET", url, &[], None)).await.unwrap();
        assert!(!outcome.value.to_string().contains(TOKEN), "an echo of the token is taken out of the value");
        let server = if url == elsewhere { &other } else { &home };
        let sent = sent.then_some(bearer.as_str());
        assert_eq!(header(&server.request(server.count() - 1), "authorization").as_deref(), sent, "{url}");
    }
    let own = [("Authorization", "Bearer of-the-definition")];
    act(&performers, &action("GET", "/x", &own, None)).await.unwrap();
    let request = home.request(home.count() - 1);
    assert_eq!(header(&request, "authorization").as_deref(), Some("Bearer of-the-definition"));

    let body = format!("{}{TOKEN} is no good", " ".repeat(190));
    let refusing = Http::start(vec![
        answer("401 Unauthorized", &[], &body),
        answer("200 OK", &[], &body),
        answer("200 OK", &[], &json!({"ok": false, "error": body}).to_string()),
    ])
    .await;
    let steps = StepsConfig { service_token: Some(format!("file:{}", file.display())), ..based(&refusing.url) };
    let performers = with(steps);
    for _ in 0..3 {
        let failure = act(&performers, &action("GET", "/x", &[], None)).await.unwrap_err();
        assert!(!failure.message.contains("eyJ") && failure.message.contains("no good"), "{failure}");
    }
    let leading_out = Http::start(vec![answer("302 Found", &["location: /v2"], ""), Act::Echo]).await;
    let base = based(&format!("{}/v1", leading_out.url));
    let steps = StepsConfig { service_token: Some(format!("file:{}", file.display())), ..base };
    act(&with(steps), &action("GET", "/x", &[], None)).await.unwrap();
    let sent = [0, 1].map(|at| header(&leading_out.request(at), "authorization").is_some());
    assert_eq!(sent, [true, false], "a redirect leads out of the base address");
}

#[tokio::test]
async fn a_service_token_that_is_not_there_stops_the_calls_that_need_it() {
    let (home, other) = (Http::start(vec![Act::Echo]).await, Http::start(vec![Act::Echo]).await);
    let steps = StepsConfig { service_token: Some("env:NIGHTSHIFT_TEST_UNSET".into()), ..based(&home.url) };
    let performers = with(steps);
    let failure = act(&performers, &action("GET", "/x", &[], None)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.contains("steps.service_token"), "{failure}");
    act(&performers, &action("GET", &other.url, &[], None)).await.unwrap();
    assert_eq!((home.count(), other.count()), (0, 1));
}

/// Every bad agent ends in its class, and the performers go on as before.
#[tokio::test]
async fn bad_agents_end_in_a_class_of_failure() {
    use FailureClass::{Lost, Permanent, RateLimited, Timeout, Transient};
    let json_type = "content-type: application/json";
    let html = "<!doctype html><title>Bad gateway</title><p>Please try again";
    for (act, class, status, says) in [
        (Act::Hang, Timeout, 599, "did not answer within 300 ms"),
        (Act::Stall, Timeout, 599, "did not answer within 300 ms"),
        (Act::Reset, Lost, 599, "GET http://127.0.0.1"),
        (Act::Close, Lost, 599, "GET http://127.0.0.1"),
        (Act::Short, Lost, 599, "GET http://127.0.0.1"),
        (Act::Answer(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Lost, 599, "GET http://127.0.0.1"),
        (Act::Flood, Permanent, 200, "too large: it sent more than 4194304 bytes, and at most 4194304 are read"),
        (Act::Huge, Permanent, 200, "too large: it announced 10737418240 bytes"),
        (answer("200 OK", &["content-type: text/html"], html), Permanent, 200, "BAD_SCHEMA"),
        (answer("200 OK", &[json_type], "{\"ok\": tru"), Permanent, 200, "{\"ok\": tru"),
        (answer("200 OK", &[], r#"{"ok":false,"error":"quota"}"#), Permanent, 200, "answered ok: false: quota"),
        (answer("200 OK", &[], r#"{"ok":false,"code":"RATE_LIMIT","retryAfter":9}"#), RateLimited, 200, "RATE_LIMIT"),
        (answer("200 OK", &[], r#"{"ok":false,"code":"TIMEOUT"}"#), Timeout, 200, "TIMEOUT"),
        (answer("202 Accepted", &[], r#"{"ok":false,"retryable":true}"#), Transient, 202, "ok: false"),
        (answer("500 Internal Server Error", &[], r#"{"ok":true}"#), Transient, 500, "500"),
        (answer("408 Request Timeout", &[], ""), Transient, 408, "408"),
        (answer("425 Too Early", &[], ""), Transient, 425, "425"),
        (answer("502 Bad Gateway", &["content-type: text/html"], html), Transient, 502, "Bad gateway"),
        (answer("503 Service Unavailable", &[], ""), Transient, 503, "503"),
        (answer("503 Service Unavailable", &["retry-after: 9"], ""), RateLimited, 503, "wait 9 s"),
        (answer("429 Too Many Requests", &["retry-after: 9"], ""), RateLimited, 429, "wait 9 s"),
        (answer("429 Too Many Requests", &[], r#"{"retryAfter":9}"#), RateLimited, 429, "wait 9 s"),
        (answer("429 Too Many Requests", &[], ""), RateLimited, 429, "429"),
        (answer("400 Bad Request", &[], r#"{"error":"no user_id"}"#), Permanent, 400, "no user_id"),
        (answer("401 Unauthorized", &[], ""), Permanent, 401, "401"),
        (answer("404 Not Found", &[], &"x".repeat(100_000)), Permanent, 404, "404"),
        (answer("409 Conflict", &[], ""), Permanent, 409, "409"),
        (answer("304 Not Modified", &[], ""), Permanent, 304, "304"),
    ] {
        let hangs = matches!(act, Act::Hang | Act::Stall);
        let server = Http::start(vec![act, answer("200 OK", &[], r#"{"ok":true}"#)]).await;
        let performers = with(based(&server.url));
        let call = Call { timeout_ms: if hangs { 300 } else { 20_000 }, ..call() };
        let failure = performers.acting.act(&action("GET", "/x?key=k3y", &[], None), &call).await.unwrap_err();
        assert_eq!((failure.class, failure.status_code), (class, Some(status)), "{failure}");
        assert!(failure.message.contains(says) && failure.message.len() <= 2048, "{failure}");
        assert!(!failure.message.contains("k3y"), "{failure}");
        let waits = says.contains("wait 9 s") || says == "RATE_LIMIT";
        assert_eq!(failure.retry_after_ms, waits.then_some(9_000), "{failure}");
        let healthy = performers.acting.act(&action("GET", "/x", &[], None), &support::call()).await.unwrap();
        assert_eq!(healthy.value, json!({"ok": true}), "the next call is as good as ever");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_transient() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let failure = act(&with(based(&closed)), &action("POST", "/x", &[], None)).await.unwrap_err();
    assert_eq!((failure.class, failure.status_code), (FailureClass::Transient, Some(599)), "{failure}");
    assert!(failure.message.to_lowercase().contains("refused"), "{failure}");
}

#[tokio::test]
async fn a_date_to_wait_for_is_measured_from_the_attempt() {
    let date = "retry-after: Mon, 23 Nov 2026 08:02:00 GMT";
    let server = Http::start(vec![answer("429 Too Many Requests", &[date], "")]).await;
    let failure = act(&with(based(&server.url)), &action("GET", "/x", &[], None)).await.unwrap_err();
    assert_eq!(failure.retry_after_ms, Some(120_000));
}

#[tokio::test]
async fn defect_4_7_10_what_failures_say_is_bounded() {
    let server = Http::start(vec![answer("404 Not Found", &[], "no")]).await;
    let path = format!("/{}", "ä".repeat(4_000));
    let failure = act(&with(based(&server.url)), &action("GET", &path, &[], None)).await.unwrap_err();
    assert!(failure.message.len() <= 2048 && failure.message.len() > 2000, "{}", failure.message.len());
    assert_eq!(failure.status_code, Some(404));
}

#[tokio::test]
async fn bodies_without_a_value_are_null_and_limits_are_exact() {
    let server = Http::start(vec![
        answer("204 No Content", &[], ""),
        answer("200 OK", &[], " \n"),
        answer("200 OK", &[], "\"12345678\""),
        answer("200 OK", &[], "\"123456789\""),
    ])
    .await;
    let performers = with(StepsConfig { answer_bytes_max: 10, ..based(&server.url) });
    let put = action("PUT", "/x", &[], None);
    assert_eq!(
        act(&performers, &put).await.unwrap(),
        Outcome {
            status_code: Some(204),
            facts: [("bytes".to_owned(), "0".to_owned())].into(),
            ..Outcome::of(Json::Null)
        }
    );
    assert_eq!(act(&performers, &put).await.unwrap().value, Json::Null);
    assert_eq!(act(&performers, &put).await.unwrap().value, json!("12345678"));
    let failure = act(&performers, &put).await.unwrap_err();
    assert!(failure.message.contains("announced 11 bytes, and at most 10 are read"), "{failure}");
}

#[tokio::test]
async fn redirects_are_followed_at_the_same_place_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let other = Http::start(vec![Act::Echo]).await;
    let away = format!("location: {}/stolen?key=k3y", other.url);
    let fine = || answer("200 OK", &[], "1");
    let to = |status: &str, location: &str| answer(status, &[location], "");
    for (method, acts, ends) in [
        ("GET", vec![to("302 Found", "location: /there"), fine()], Ok("GET /there ")),
        ("POST", vec![to("307 Temporary Redirect", "location: there"), fine()], Ok("POST /there ")),
        ("POST", vec![to("302 Found", "location: /there"), fine()], Err("only a GET follows it")),
        ("GET", vec![to("302 Found", &away), fine()], Err("redirects to another place")),
        ("POST", vec![to("308 Permanent Redirect", &away), fine()], Err("redirects to another place")),
        ("GET", vec![to("302 Found", "location: http://[")], Err("no address")),
        ("GET", vec![to("302 Found", "location: /loop")], Err("after 5 redirects")),
        ("GET", vec![to("300 Multiple Choices", "location: /there")], Err("300")),
    ] {
        let server = Http::start(acts).await;
        let steps = StepsConfig { service_token: Some(format!("file:{}", file.display())), ..based(&server.url) };
        let outcome = act(&with(steps), &action(method, "/here", &[], Some(json!({"a": 1})))).await;
        match (outcome, ends) {
            (Ok(outcome), Ok(begins)) => {
                assert_eq!(outcome.value, json!(1));
                let last = server.request(server.count() - 1);
                assert!(last.starts_with(begins) && last.ends_with("{\"a\":1}"), "{last}");
                assert_eq!(header(&last, "authorization"), Some(format!("Bearer {TOKEN}")));
                assert_eq!(header(&last, "x-idempotency-key").as_deref(), Some("key-1"));
            }
            (Err(failure), Err(says)) => {
                assert_eq!(failure.class, FailureClass::Permanent);
                assert!(failure.message.contains(says) && !failure.message.contains("k3y"), "{failure}");
            }
            (outcome, ends) => panic!("{outcome:?} instead of {ends:?}"),
        }
    }
    assert_eq!(other.count(), 0, "nobody else was asked");
}

#[tokio::test]
async fn an_answer_that_did_not_change_is_used_again() {
    let server = Http::start(vec![
        answer("200 OK", &["etag: W/\"v1\""], r#"{"rows":[1]}"#),
        answer("304 Not Modified", &[], ""),
        answer("200 OK", &["etag: \"v2\""], r#"{"rows":[2]}"#),
        answer("304 Not Modified", &[], ""),
        answer("200 OK", &[], "3"),
    ])
    .await;
    let performers = with(based(&server.url));
    let get = action("GET", "/rows", &[], None);
    let in_run = |n: u128| Call { run: run(n), attempt: n as u32, idempotency_key: format!("key-{n}"), ..call() };
    let first = performers.acting.act(&get, &in_run(1)).await.unwrap();
    assert_eq!((first.status_code, first.cached), (Some(200), None));
    let second = performers.acting.act(&get, &in_run(2)).await.unwrap();
    assert_eq!((second.value, second.status_code), (json!({"rows": [1]}), Some(304)));
    let hit = second.cached.unwrap();
    assert_eq!((hit.run, hit.stored_at), (run(1), NOW));
    let third = performers.acting.act(&get, &in_run(3)).await.unwrap();
    assert_eq!((third.value, third.cached), (json!({"rows": [2]}), None));
    let fourth = performers.acting.act(&get, &in_run(4)).await.unwrap();
    assert_eq!((fourth.value, fourth.cached.unwrap().run), (json!({"rows": [2]}), run(3)));
    let asked = |at: usize| header(&server.request(at), "if-none-match");
    assert_eq!(
        [asked(0), asked(1), asked(2), asked(3)],
        [None, Some("W/\"v1\"".into()), Some("W/\"v1\"".into()), Some("\"v2\"".into())]
    );

    for other in [
        action("GET", "/other", &[], None),
        action("GET", "/rows", &[("Accept-Language", "de")], None),
        action("POST", "/rows", &[], None),
        action("GET", "/rows", &[], Some(json!({"q": 1}))),
    ] {
        act(&performers, &other).await.unwrap();
        assert_eq!(asked(server.count() - 1), None, "{other:?} is another question");
    }
    let own = action("GET", "/rows", &[("If-None-Match", "\"mine\"")], None);
    act(&performers, &own).await.unwrap();
    assert_eq!(asked(server.count() - 1).as_deref(), Some("\"mine\""));
}

#[tokio::test]
async fn a_secret_in_a_header_goes_to_its_hosts_and_comes_back_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "s3cret-value\n").unwrap();
    let from = format!("file:{}", folder.path().join("key").display());
    let secret = |hosts: &[&str]| SecretConfig {
        from: from.clone(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let secrets = [("crm".to_owned(), secret(&["127.0.0.1"])), ("other".to_owned(), secret(&["crm.test"]))].into();
    let performers = with(StepsConfig { secrets, ..StepsConfig::default() });
    let server = Http::start(vec![Act::Echo]).await;
    let call = |value: &str| action("POST", &server.url, &[("Authorization", value)], None);
    let outcome = act(&performers, &call("Bearer <secret:crm>")).await.unwrap();
    assert_eq!(header(&server.request(0), "authorization").as_deref(), Some("Bearer s3cret-value"));
    let said = outcome.value.to_string();
    assert!(said.contains("Bearer [secret]") && !said.contains("s3cret"), "{said}");
    for (value, says) in [
        ("<secret:none>", "no secret none is configured"),
        ("<secret:other>", "the secret other goes to crm.test only"),
        ("<secret:!crm>", "only the document may"),
    ] {
        let failure = act(&performers, &call(value)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent);
        assert!(failure.message.contains(says), "{failure}");
    }
    assert_eq!(server.count(), 1, "nothing was sent without its secret");
}
