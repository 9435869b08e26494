//! Every prefix of a history is recovered and continued.

mod stage;

use nightshift_replay::{Fixture, Mode, Scope, prefixes, redact};
use stage::a_week;

/// Every `every`-th prefix.
async fn assert_recovers(fixture: &Fixture, every: usize) {
    let prefixes = prefixes(fixture).unwrap();
    for cut in prefixes.cuts().into_iter().step_by(every) {
        let recovered = prefixes.recover(cut).await.unwrap();
        let place = prefixes.describe(cut);
        assert_eq!(recovered.faults, Vec::<String>::new(), "{}: cut {cut}, {place}", fixture.name);
    }
}

#[tokio::test]
async fn every_prefix_of_a_week_recovers() {
    let (stage, ..) = a_week().await;
    assert_recovers(&stage.capture(Scope::All).await, 1).await;
}

#[tokio::test]
async fn prefixes_of_one_deliverable_recover_redacted_or_not() {
    let (stage, auto, by_hand) = a_week().await;
    assert_recovers(&stage.capture(Scope::Deliverable(auto)).await, 5).await;
    let fixture = stage.capture(Scope::Deliverable(by_hand)).await;
    assert_recovers(&redact(&fixture, Mode::Personal).unwrap(), 3).await;
}

#[tokio::test]
async fn prefixes_of_one_version_recover_though_the_others_are_outside() {
    let (stage, auto, _) = a_week().await;
    let all = stage.capture(Scope::Deliverable(auto)).await;
    let run = all.streams().into_iter().find(|stream| stream.kind == nightshift_domain::ids::StreamKind::Run).unwrap();
    let run = nightshift_domain::ids::RunId::from_uuid(run.id);
    assert_recovers(&stage.capture(Scope::Run(run)).await, 2).await;
}
