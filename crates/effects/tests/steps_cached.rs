//! Steps whose work was done before: over a cache in memory and one that fails, with work that waits to be let go.

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use nightshift_domain::{
    content::{Digest, Failure, FailureClass},
    ids::RunId,
    json::{Json, fingerprint},
    run::{Action, CachePolicy, Outcome, WorkflowRef},
    time::Timestamp,
};
use nightshift_effects::CachedActing;
use nightshift_ports::{
    log::StoreError,
    memory::MemoryStepCache,
    performer::{Acting, Call},
    step_cache::{Entry, Slot, StepCache},
};
use serde_json::json;
use support::{NOW, call, run};
use tokio::sync::Semaphore;

/// Work that ends when it is let go, each time with the next result.
struct Work {
    results: Mutex<Vec<Result<Json, Failure>>>,
    begun: Mutex<Vec<RunId>>,
    arrived: Semaphore,
    gate: Semaphore,
}

impl Work {
    fn giving(results: impl IntoIterator<Item = Result<Json, Failure>>) -> Arc<Self> {
        let mut results: Vec<_> = results.into_iter().collect();
        results.reverse();
        let (arrived, gate) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Self { results: Mutex::new(results), begun: Mutex::default(), arrived, gate })
    }

    fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    async fn arrives(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl Acting for Work {
    async fn act(&self, _: &Action, call: &Call) -> Result<Outcome, Failure> {
        self.begun.lock().unwrap().push(call.run);
        self.arrived.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        let result = self.results.lock().unwrap().pop().unwrap();
        result.map(|value| Outcome {
            status_code: Some(200),
            facts: [("model".into(), "m".into())].into(),
            ..Outcome::of(value)
        })
    }
}

/// A cache that can stop to answer.
#[derive(Default)]
struct Shaky {
    inner: MemoryStepCache,
    down: AtomicBool,
}

impl Shaky {
    fn up(&self) -> Result<(), StoreError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::Failed { doing: "answer", why: "down".into() }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl StepCache for Shaky {
    async fn kept(&self, key: &str, now: Timestamp) -> Result<Option<Entry>, StoreError> {
        self.up()?;
        self.inner.kept(key, now).await
    }

    async fn keep(&self, key: &str, entry: &Entry) -> Result<(), StoreError> {
        self.up()?;
        self.inner.keep(key, entry).await
    }

    async fn count_hit(&self, key: &str, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        self.up()?;
        self.inner.count_hit(key, run, at).await
    }

    async fn prune(&self, now: Timestamp, entries_max: u64) -> Result<u64, StoreError> {
        self.up()?;
        self.inner.prune(now, entries_max).await
    }
}

struct Stage {
    work: Arc<Work>,
    cache: Arc<Shaky>,
    acting: Arc<CachedActing>,
}

fn stage(results: impl IntoIterator<Item = Result<Json, Failure>>) -> Stage {
    let (work, cache) = (Work::giving(results), Arc::new(Shaky::default()));
    let acting = again(&work, &cache, &[]);
    Stage { work, cache, acting }
}

/// As after a restart: the cache is all that stays.
fn again(work: &Arc<Work>, cache: &Arc<Shaky>, versions: &[(&str, &str)]) -> Arc<CachedActing> {
    let versions = versions.iter().map(|(slug, version)| ((*slug).to_owned(), (*version).to_owned())).collect();
    Arc::new(CachedActing::new(work.clone(), cache.clone(), versions, 2_000))
}

fn slot(input: &Json) -> Slot {
    let workflow = WorkflowRef {
        definition: None,
        owner: "o".into(),
        name: "n".into(),
        version: "1".into(),
        digest: Digest("d".into()),
    };
    Slot::of(&workflow, None, "fetch", input, CachePolicy::of_seconds(None))
}

fn in_run(n: u128, input: &Json, after_ms: i64) -> Call {
    Call { run: run(n), now: NOW.plus_ms(after_ms), cache: Some(slot(input)), ..call() }
}

fn writer() -> Action {
    Action::Agent { agent: "writer".into(), mode: "BUILD".into(), input: json!({}) }
}

fn failed(class: FailureClass) -> Failure {
    Failure::new(class, "no luck")
}

fn begin(acting: &Arc<CachedActing>, call: Call) -> tokio::task::JoinHandle<Result<Outcome, Failure>> {
    let acting = Arc::clone(acting);
    tokio::spawn(async move { acting.act(&writer(), &call).await })
}

/// Lets every task come as far as it can. Only on a runtime of one thread.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_made_is_taken_until_it_expires_also_after_a_restart() {
    let Stage { work, cache, acting } = stage([Ok(json!({"n": 1})), Ok(json!({"n": 2})), Ok(json!({"n": 3}))]);
    work.gate.add_permits(9);
    let input = json!({"a": 1});
    let made = acting.act(&writer(), &in_run(1, &input, 0)).await.unwrap();
    assert_eq!((made.value, made.cached, made.facts.len()), (json!({"n": 1}), None, 1));
    let acting = again(&work, &cache, &[]);
    for (n, after_ms) in [(2, 1), (3, 599_999)] {
        let taken = acting.act(&writer(), &in_run(n, &input, after_ms)).await.unwrap();
        let hit = taken.cached.expect("from the cache");
        assert_eq!((taken.value, taken.status_code, taken.facts.len()), (json!({"n": 1}), Some(200), 0));
        assert_eq!((hit.run, hit.stored_at, hit.fingerprint), (run(1), NOW, fingerprint(&input)));
    }
    let kept = cache.kept(&slot(&input).key, NOW).await.unwrap().unwrap();
    assert_eq!((kept.hits, kept.last_hit_run, kept.last_hit_at), (2, Some(run(3)), Some(NOW.plus_ms(599_999))));
    assert_eq!((kept.run, kept.step.as_str()), (run(1), "fetch"));
    let late = acting.act(&writer(), &in_run(4, &input, 600_000)).await.unwrap();
    assert_eq!((late.value, late.cached), (json!({"n": 2}), None));
    let other = acting.act(&writer(), &in_run(5, &json!({"a": 2}), 600_000)).await.unwrap();
    assert_eq!(other.value, json!({"n": 3}), "another input is another entry");
    assert_eq!(work.begun(), 3);
}

#[tokio::test]
async fn a_step_that_keeps_nothing_is_done_each_time() {
    let Stage { work, acting, .. } = stage([Ok(json!(1)), Ok(json!(2))]);
    work.gate.add_permits(9);
    for value in [1, 2] {
        assert_eq!(acting.act(&writer(), &call()).await.unwrap().value, json!(value));
    }
}

/// 5.12, 11: no protection against a stampede.
#[tokio::test]
async fn defect_5_12_11_steps_that_want_the_same_at_once_do_it_once() {
    let Stage { work, cache, acting } = stage([Ok(json!("made"))]);
    let input = json!({});
    let calls: Vec<_> = (0..50).map(|n| begin(&acting, in_run(n, &input, 0))).collect();
    work.arrives().await;
    settle().await;
    assert_eq!(work.begun(), 1);
    work.gate.add_permits(1);
    let mut made = 0;
    for call in calls {
        let outcome = call.await.unwrap().unwrap();
        assert_eq!(outcome.value, json!("made"));
        made += usize::from(outcome.cached.is_none());
    }
    assert_eq!(made, 1, "the others took it");
    assert_eq!(cache.kept(&slot(&input).key, NOW).await.unwrap().unwrap().hits, 49);
}

#[tokio::test]
async fn steps_that_want_different_things_do_not_wait_for_each_other() {
    let Stage { work, acting, .. } = stage([Ok(json!(1)), Ok(json!(2))]);
    let calls = [1, 2].map(|n| begin(&acting, in_run(1, &json!(n), 0)));
    work.arrives().await;
    work.arrives().await;
    work.gate.add_permits(2);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_kept_for_nobody() {
    let Stage { work, acting, .. } = stage([Err(failed(FailureClass::RateLimited)), Ok(json!("well"))]);
    let input = json!({});
    let calls: Vec<_> = (0..5).map(|n| begin(&acting, in_run(n, &input, 0))).collect();
    work.arrives().await;
    settle().await;
    work.gate.add_permits(9);
    for call in calls {
        assert_eq!(call.await.unwrap(), Err(failed(FailureClass::RateLimited)));
    }
    assert_eq!(work.begun(), 1);
    assert_eq!(acting.act(&writer(), &in_run(9, &input, 1)).await.unwrap().value, json!("well"));
}

#[tokio::test]
async fn when_the_one_who_does_it_is_cancelled_another_does_it() {
    let Stage { work, acting, .. } = stage([Ok(json!("made"))]);
    let input = json!({});
    let first = begin(&acting, in_run(0, &input, 0));
    work.arrives().await;
    let others: Vec<_> = (1..4).map(|n| begin(&acting, in_run(n, &input, 0))).collect();
    settle().await;
    first.abort();
    work.arrives().await;
    settle().await;
    assert_eq!(work.begun(), 2, "one of the others, once");
    work.gate.add_permits(1);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().value, json!("made"));
    }
}

#[tokio::test]
async fn waiting_for_another_has_an_end() {
    let Stage { work, acting, .. } = stage([Ok(json!("made"))]);
    let input = json!({});
    let first = begin(&acting, in_run(0, &input, 0));
    work.arrives().await;
    let waits = acting.act(&writer(), &Call { timeout_ms: 100, ..in_run(1, &input, 0) }).await.unwrap_err();
    assert_eq!(waits.class, FailureClass::Timeout, "{waits}");
    work.gate.add_permits(1);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cache_that_does_not_answer_costs_work_and_no_step() {
    let Stage { work, cache, acting } = stage([Ok(json!(1)), Ok(json!(2))]);
    work.gate.add_permits(9);
    let input = json!({});
    acting.act(&writer(), &in_run(1, &input, 0)).await.unwrap();
    cache.down.store(true, Ordering::SeqCst);
    let outcome = acting.act(&writer(), &in_run(2, &input, 0)).await.unwrap();
    assert_eq!((outcome.value, outcome.cached), (json!(2), None));
    assert_eq!(outcome.logs.len(), 2, "{:?}", outcome.logs);
    assert!(outcome.logs[0].contains("was not read") && outcome.logs[1].contains("was not written"));
}

/// 5.12, 11: the key ignored the version of the agent.
#[tokio::test]
async fn defect_5_12_11_another_version_of_an_agent_is_asked_anew() {
    let Stage { work, cache, .. } = stage([Ok(json!("of 1")), Ok(json!("of 2"))]);
    work.gate.add_permits(9);
    let ask = async |version: &str| {
        let acting = again(&work, &cache, &[("writer", version)]);
        acting.act(&writer(), &in_run(1, &json!({}), 0)).await.unwrap().value
    };
    assert_eq!((ask("1").await, ask("2").await, ask("1").await), (json!("of 1"), json!("of 2"), json!("of 1")));
}

#[tokio::test]
async fn what_was_longest_unused_goes_when_there_is_too_much() {
    let (work, cache) = (Work::giving((0..200).map(|n| Ok(json!(n)))), Arc::new(Shaky::default()));
    work.gate.add_permits(999);
    let acting = CachedActing::new(work.clone(), cache.clone(), [].into(), 10);
    for n in 0..200 {
        acting.act(&writer(), &in_run(1, &json!(n), n)).await.unwrap();
    }
    let mut left = Vec::new();
    for n in 0..200_i64 {
        if cache.kept(&slot(&json!(n)).key, NOW.plus_ms(200)).await.unwrap().is_some() {
            left.push(n);
        }
    }
    assert!(left.len() < 10 + 64 && left.contains(&199) && !left.contains(&0), "{left:?}");
}
