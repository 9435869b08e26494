//! Every prefix of a history is recovered and continued.

mod stage;

use nightshift_replay::{Fixture, Mode, Scope, prefixes, redact};
use stage::a_week;

async fn assert_recovers(fixture: &Fixture) {
    let prefixes = prefixes(fixture).unwrap();
    for cut in prefixes.cuts() {
        let recovered = prefixes.recover(cut).await.unwrap();
        let place = prefixes.describe(cut);
        assert_eq!(recovered.faults, Vec::<String>::new(), "{}: cut {cut}, {place}", fixture.name);
    }
}

#[tokio::test]
async fn every_prefix_of_a_week_recovers() {
    let (stage, ..) = a_week().await;
    assert_recovers(&stage.capture(Scope::All).await).await;
}

#[tokio::test]
async fn every_prefix_of_one_deliverable_recovers_redacted_or_not() {
    let (stage, auto, by_hand) = a_week().await;
    assert_recovers(&stage.capture(Scope::Deliverable(auto)).await).await;
    let fixture = stage.capture(Scope::Deliverable(by_hand)).await;
    assert_recovers(&redact(&fixture, Mode::Personal).unwrap()).await;
}

#[tokio::test]
async fn every_prefix_of_one_version_recovers_though_the_others_are_outside() {
    let (stage, auto, _) = a_week().await;
    let all = stage.capture(Scope::Deliverable(auto)).await;
    let run = all.streams().into_iter().find(|stream| stream.kind == nightshift_domain::ids::StreamKind::Run).unwrap();
    let run = nightshift_domain::ids::RunId::from_uuid(run.id);
    assert_recovers(&stage.capture(Scope::Run(run)).await).await;
}
