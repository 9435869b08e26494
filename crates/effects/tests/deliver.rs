//! Deliveries over real files and sockets.

mod support;

use nightshift_domain::{
    content::{Destination, Failure, FailureClass, Notice, NoticeKind},
    ids::VersionId,
};
use nightshift_effects::{EffectsConfig, SmtpConfig, SmtpTls, digest_of};
use nightshift_ports::performer::Outgoing;
use support::{Act, Http, NOW, Smtp, answer, build, call};

fn document(markdown: &str) -> Outgoing {
    Outgoing {
        version_id: VersionId(uuid::Uuid::from_u128(7)),
        version_number: 3,
        title: "Weekly: Ä/B".into(),
        markdown: markdown.into(),
        digest: digest_of(markdown.as_bytes()),
        staged_at: NOW,
    }
}

async fn deliver(
    destination: Destination,
    document: &Outgoing,
) -> Result<nightshift_domain::content::Receipt, Failure> {
    build(EffectsConfig::default()).delivering.deliver(&destination, document, &call()).await
}

#[tokio::test]
async fn a_file_is_written_once_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let to = || Destination::File { folder: folder.path().to_str().unwrap().into() };
    let first = deliver(to(), &document("# A\n")).await.unwrap();
    assert!(first.external_url.unwrap().ends_with("/weekly-%C3%A4-b-v3.md"));
    assert_eq!(std::fs::read_to_string(folder.path().join("weekly-ä-b-v3.md")).unwrap(), "# A\n");
    let again = deliver(to(), &document("# A\n")).await.unwrap();
    assert_eq!((again.external_id.clone(), again.detail.unwrap().contains("already")), (first.external_id, true));
    deliver(to(), &document("# Edited\n")).await.unwrap();
    deliver(to(), &document("# Edited\n")).await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["weekly-ä-b-v3-00000000.md", "weekly-ä-b-v3.md"], "no temporary file stays");
    assert_eq!(std::fs::read_to_string(folder.path().join("weekly-ä-b-v3.md")).unwrap(), "# A\n");
}

#[tokio::test]
async fn a_missing_folder_is_permanent_and_says_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    let failure =
        deliver(Destination::File { folder: missing.to_str().unwrap().into() }, &document("x")).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.contains("does not exist") && failure.message.contains("mkdir"), "{failure}");
    assert!(!missing.exists());
    std::fs::write(&missing, "").unwrap();
    let failure =
        deliver(Destination::File { folder: missing.to_str().unwrap().into() }, &document("x")).await.unwrap_err();
    assert!(failure.message.contains("is a file"), "{failure}");
}

#[tokio::test]
async fn a_webhook_is_signed_and_keyed() {
    use base64::Engine;
    use hmac::Mac;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_bmlnaHRzaGlmdA==\n").unwrap();
    let server =
        Http::start(vec![answer("200 OK", &["content-type: application/json"], r#"{"ok":true,"id":"evt_9"}"#)]).await;
    let hook = Destination::Webhook {
        url: format!("{}/hook?token=t", server.url),
        secret: Some(format!("file:{}", secret.display())),
    };
    let receipt = deliver(hook, &document("# A\n")).await.unwrap();
    assert_eq!(receipt.external_id, "evt_9");
    let request = server.request(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned);
    assert_eq!(header("webhook-id").as_deref(), Some("key-1"));
    assert_eq!(header("webhook-timestamp").as_deref(), Some("1795420800"));
    assert_eq!((header("x-attempt").as_deref(), header("x-fencing-token").as_deref()), (Some("2"), Some("3.4.5")));
    assert!(header("traceparent").is_some());
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"nightshift").unwrap();
    mac.update(format!("key-1.1795420800.{body}").as_bytes());
    let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(header("webhook-signature"), Some(format!("v1,{expected}")));
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["type"], "deliverable_version.delivered");
    assert_eq!((&json["data"]["version_number"], &json["data"]["content"]), (&3.into(), &"# A\n".into()));
}

#[tokio::test]
async fn answers_of_webhooks_are_classed() {
    for (act, class, says) in [
        (answer("429 Too Many Requests", &["retry-after: 7"], ""), FailureClass::RateLimited, "wait 7 s"),
        (answer("503 Service Unavailable", &[], "later"), FailureClass::Transient, "503"),
        (answer("410 Gone", &[], ""), FailureClass::Permanent, "410"),
        (
            answer("307 Temporary Redirect", &["location: http://elsewhere.test/"], ""),
            FailureClass::Permanent,
            "elsewhere",
        ),
        (answer("200 OK", &[], r#"{"ok":false,"error":"no such room"}"#), FailureClass::Permanent, "no such room"),
        (Act::Close, FailureClass::Lost, "127.0.0.1"),
    ] {
        let server = Http::start(vec![act]).await;
        let hook = Destination::Webhook { url: format!("{}/?key=secret", server.url), secret: None };
        let failure = deliver(hook, &document("x")).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        assert!(!failure.message.contains("secret"), "a query may hold a key: {failure}");
        assert_eq!(failure.retry_after_ms, (class == FailureClass::RateLimited).then_some(7_000));
        assert!(!server.request(0).contains("webhook-signature"));
    }
    for (act, ok) in [(Act::Short, true), (Act::Flood, true), (answer("204 No Content", &[], ""), true)] {
        let server = Http::start(vec![act]).await;
        assert_eq!(deliver(Destination::Webhook { url: server.url, secret: None }, &document("x")).await.is_ok(), ok);
    }
}

#[tokio::test]
async fn a_hanging_webhook_times_out_and_a_closed_port_is_transient() {
    let server = Http::start(vec![Act::Hang]).await;
    let mut quick = call();
    quick.timeout_ms = 200;
    let hook = Destination::Webhook { url: server.url, secret: None };
    let failure = build(EffectsConfig::default()).delivering.deliver(&hook, &document("x"), &quick).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hook = Destination::Webhook { url: format!("http://127.0.0.1:{port}/"), secret: None };
    assert_eq!(deliver(hook, &document("x")).await.unwrap_err().class, FailureClass::Transient);
    let hook = Destination::Webhook { url: "http://127.0.0.1:1/".into(), secret: Some("env:NIGHTSHIFT_UNSET".into()) };
    let failure = deliver(hook, &document("x")).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.contains("env:NIGHTSHIFT_UNSET"), "{failure}");
}

fn smtp(port: u16) -> EffectsConfig {
    let smtp = SmtpConfig {
        host: "127.0.0.1".into(),
        port: Some(port),
        tls: SmtpTls::None,
        user: None,
        password: None,
        from: "Nightshift <night@x.test>".into(),
        timeout_ms: 60_000,
    };
    EffectsConfig { smtp: Some(smtp), ..EffectsConfig::default() }
}

#[tokio::test]
async fn a_mail_arrives_with_both_forms_and_a_stable_identity() {
    let server = Smtp::start(None).await;
    let delivering = build(smtp(server.port)).delivering;
    let to = Destination::Email { to: vec!["ana@y.test".into(), "Ben <ben@y.test>".into()] };
    let first = delivering.deliver(&to, &document("# Hello\n\n- *point*\n"), &call()).await.unwrap();
    let second = delivering.deliver(&to, &document("# Hello\n\n- *point*\n"), &call()).await.unwrap();
    assert_eq!(first.external_id, second.external_id);
    assert!(first.detail.unwrap().contains("queued as 42"));
    let mail = server.mails.lock().unwrap()[0].clone();
    assert!(mail.contains(&format!("Message-ID: {}", first.external_id)), "{mail}");
    assert!(mail.contains("Date: Mon, 23 Nov 2026 08:00:00 +0000"), "{mail}");
    assert!(mail.contains("text/plain") && mail.contains("text/html") && mail.contains("<h1>Hello</h1>"), "{mail}");

    let notice = Notice { kind: NoticeKind::Failed, subject: "It failed".into(), body: "Why".into() };
    delivering.notify(&["ana@y.test".into()], &notice, &call()).await.unwrap();
    assert!(server.mails.lock().unwrap()[2].contains("Subject: It failed"));
}

#[tokio::test]
async fn answers_of_mail_servers_are_classed() {
    let to = || Destination::Email { to: vec!["ana@y.test".into()] };
    for (refuse, class, code) in [
        (("RCPT", "450 mailbox busy"), FailureClass::Transient, Some(450)),
        (("RCPT", "550 no such user"), FailureClass::Permanent, Some(550)),
        (("MAIL", "421 shutting down"), FailureClass::Transient, Some(421)),
        (("DATA", "554 looks like spam"), FailureClass::Permanent, Some(554)),
    ] {
        let server = Smtp::start(Some(refuse)).await;
        let failure = build(smtp(server.port)).delivering.deliver(&to(), &document("x"), &call()).await.unwrap_err();
        assert_eq!((failure.class, failure.status_code), (class, code), "{failure}");
    }
    let server = Smtp::start(Some(("EHLO", "hang"))).await;
    let mut quick = call();
    quick.timeout_ms = 300;
    let failure = build(smtp(server.port)).delivering.deliver(&to(), &document("x"), &quick).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    let mut config = smtp(server.port);
    config.smtp.as_mut().unwrap().timeout_ms = 300;
    let failure = build(config).delivering.deliver(&to(), &document("x"), &call()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout, "{failure}");
    assert!(failure.message.contains("within 300 ms"), "{failure}");

    let mut config = smtp(Smtp::start(None).await.port);
    config.smtp.as_mut().unwrap().tls = SmtpTls::StartTls;
    let failure = build(config).delivering.deliver(&to(), &document("x"), &call()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permanent, "a server without STARTTLS is refused: {failure}");

    let failure = deliver(to(), &document("x")).await.unwrap_err();
    assert!(failure.message.contains("no mail server is configured"), "{failure}");
    let nobody = build(smtp(1)).delivering;
    assert!(
        nobody
            .deliver(&Destination::Email { to: vec![] }, &document("x"), &call())
            .await
            .unwrap_err()
            .message
            .contains("no recipient")
    );
    let wrong = Destination::Email { to: vec!["not an address".into()] };
    assert_eq!(nobody.deliver(&wrong, &document("x"), &call()).await.unwrap_err().class, FailureClass::Permanent);
}
