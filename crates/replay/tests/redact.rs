//! Redaction of histories of the real tree.

mod stage;

use nightshift_domain::{
    content::{FailureClass, SourceFailure, SourceSpec},
    deliverable::Governance,
};
use nightshift_replay::{Fixture, Mode, Scope, redact, replay_fixture};
use stage::{NINE, Stage, a_week, days, order};

/// Everything that would be written.
fn written(fixture: &Fixture) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nsfix");
    fixture.write_file(&path).unwrap();
    let mut all = std::fs::read_to_string(path).unwrap();
    let raw = fixture.events.iter().map(|event| &event.data);
    let raw = raw.chain(
        fixture
            .commands
            .iter()
            .flat_map(|command| [&command.record.payload, &command.record.delta, &command.record.reply]),
    );
    for bytes in raw.chain(fixture.blobs.values()) {
        all.push_str(&String::from_utf8_lossy(bytes));
    }
    all
}

#[tokio::test]
async fn personal_texts_go_and_the_history_stays() {
    let (stage, ..) = a_week().await;
    let fixture = stage.capture(Scope::All).await;
    let redacted = redact(&fixture, Mode::Personal).unwrap();
    let report = replay_fixture(&redacted);
    assert!(report.is_same(), "{report}");
    let text = written(&redacted);
    let gone = [
        "Grace",
        "grace",
        "Hopper",
        "Ada",
        "Lovelace",
        "compiler",
        "Ship",
        "Morning",
        "Weekly letter",
        "holiday",
        "example.org",
        "plan.md",
        concat!("/ho", "me/"),
    ];
    for word in gone {
        assert!(written(&fixture).contains(word), "{word} was there");
        let left = text.find(word).map(|at| text[at.saturating_sub(300)..at + 40].to_owned());
        assert_eq!(left, None, "{word} is still there");
    }
    let kinds = |fixture: &Fixture| fixture.events.iter().map(|event| event.event_type.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&redacted), kinds(&fixture));
    assert_eq!((redacted.blobs.len(), redacted.rows.len()), (fixture.blobs.len(), fixture.rows.len()));
    assert!(text.contains("person-1") && text.contains("@redacted.invalid") && text.contains("text-1"));
    let about = &redacted.about.redaction;
    assert!(about.mode == "personal" && about.persons > 2 && about.texts > 10 && about.secrets == 0, "{about:?}");
    let sources = |fixture: &Fixture| {
        fixture.streams().into_iter().filter(|stream| stream.to_string().starts_with("source")).collect::<Vec<_>>()
    };
    assert_ne!(sources(&redacted), sources(&fixture), "a source is named by user and path");
    assert_eq!(redact(&fixture, Mode::Personal).unwrap(), redacted);
    assert_eq!(redact(&redacted, Mode::Personal).unwrap().events, redacted.events, "once is enough");
}

#[tokio::test]
async fn secrets_go_always_and_nothing_else_does() {
    let stage = Stage::new().await;
    let token = "ghp_abcdefghijklmnopqrst0123456789";
    stage.world.write("plan.md", &format!("Use {token} for the mirror.\nCall Ada."));
    let mut with_password = order("Brief", Governance::FullAuto, "/notes");
    with_password.sources.push(SourceSpec::Feed { url: "https://bob:hunter2x@example.org/feed".to_owned() });
    stage.create(with_password, "create").await;
    stage.at(NINE).await;
    let message = "401 with Authorization: Bearer abcDEF123456".to_owned();
    *stage.world.broken.lock().unwrap() = Some(SourceFailure { class: FailureClass::Permanent, message });
    stage.at(days(1)).await;
    let fixture = stage.capture(Scope::All).await;
    let redacted = redact(&fixture, Mode::Secrets).unwrap();
    let report = replay_fixture(&redacted);
    assert!(report.is_same(), "{report}");
    let text = written(&redacted);
    for secret in [token, "hunter2x", "abcDEF123456"] {
        assert!(written(&fixture).contains(secret));
        assert!(!text.contains(secret), "{secret} is still there");
    }
    assert_eq!(redacted.about.redaction.secrets, 3);
    assert!(text.contains("Call Ada.") && text.contains("https://bob:redacted-secret-"));
}

#[tokio::test]
async fn a_history_without_secrets_keeps_every_byte() {
    let (stage, ..) = a_week().await;
    let fixture = stage.capture(Scope::All).await;
    let redacted = redact(&fixture, Mode::Secrets).unwrap();
    assert_eq!(
        (&redacted.events, &redacted.commands, &redacted.blobs),
        (&fixture.events, &fixture.commands, &fixture.blobs)
    );
}

#[tokio::test]
async fn a_history_that_is_decided_differently_is_not_rewritten() {
    let (stage, ..) = a_week().await;
    let mut fixture = stage.capture(Scope::All).await;
    let event = fixture.events.iter_mut().find(|event| event.event_type == "deliverable.version_rejected").unwrap();
    let at = event.data.windows(8).position(|window| window == b"too long").unwrap();
    event.data[at..at + 8].copy_from_slice(b"too slow");
    let error = redact(&fixture, Mode::Personal).unwrap_err().to_string();
    assert!(error.contains("nothing was written") && error.contains("/reason"), "{error}");
    assert_eq!(redact(&fixture, Mode::Secrets).unwrap().events, fixture.events, "there is nothing to hide in it");
}
