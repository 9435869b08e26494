//! What the queue shows of itself, for explanations.
//!
//! Owns: who waits, what holds them back, who holds what they wait for.
//! Refuses to know: who is next.

use nightshift_domain::{
    ids::{RunId, UserId},
    run::{DEFAULT_QUEUE, Gates},
};

use super::{
    Job, Key, Places,
    limits::{Bucket, Named},
    names,
};

/// Who waits and who holds a place, for explanations.
#[derive(Debug, Clone, Default)]
pub struct QueueView {
    /// Waiting jobs in the order in which they will go; those that a limit holds back come last.
    pub waiting: Vec<Waiting>,
    /// Places taken.
    pub taken: usize,
    /// Places in all.
    pub places: usize,
    /// How many hold a place of each name; those of queues first.
    pub named: Vec<(Named, usize)>,
    /// Who holds named places for which somebody is held back.
    pub holders: Vec<Holder>,
    /// Tokens that each bucket holds, by key, as far as it was asked for some.
    pub buckets: Vec<(String, f64)>,
}

/// Somebody who holds a named place.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The place.
    pub named: Named,
    /// Whose run it is.
    pub user: UserId,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: String,
}

/// A job that waits, and what for.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The job.
    pub job: Job,
    /// The limit that holds it back; none when it only waits for its turn.
    pub held_by: Option<HeldBy>,
}

/// A limit that holds a job back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HeldBy {
    /// All places of that name are taken.
    Place(Named),
    /// The bucket has no token.
    Rate(String),
    /// The queue is paused; none: all queues are.
    Pause(Option<String>),
}

impl std::fmt::Display for HeldBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Place(named) => named.fmt(f),
            Self::Rate(key) => write!(f, "rate:{key}"),
            Self::Pause(queue) => write!(f, "pause:{}", queue.as_deref().unwrap_or("*")),
        }
    }
}

impl Places {
    pub(super) fn view(&self) -> QueueView {
        let waiting = |key: &Key, held_by: Option<&HeldBy>| {
            self.jobs.get(key).map(|(job, _)| Waiting { job: job.clone(), held_by: held_by.cloned() })
        };
        let paused = self.limits.paused.all.then_some(HeldBy::Pause(None));
        let ordered = self.order.listed();
        let mut all: Vec<Waiting> = ordered.iter().filter_map(|key| waiting(key, paused.as_ref())).collect();
        let mut held: Vec<_> = self.held.iter().collect();
        held.sort_by_key(|(by, _)| *by);
        for (by, keys) in held {
            all.extend(keys.iter().filter_map(|key| waiting(key, Some(by))));
        }
        let (named, buckets) = (self.taken_by_name(), self.tokens());
        QueueView {
            waiting: all,
            taken: self.taken.places(),
            places: self.places(),
            named,
            holders: self.holders(),
            buckets,
        }
    }

    fn holders(&self) -> Vec<Holder> {
        let wanted = |named: &Named| self.held.contains_key(&HeldBy::Place(named.clone()));
        let doing = self.context.workers.doing_now().into_iter();
        let of = |(run, step, gates): (RunId, String, Gates)| {
            let named = names(&gates).into_iter().filter(wanted);
            let user = gates.user;
            named.map(move |named| Holder { named, user: user.clone(), run, step: step.clone() }).collect::<Vec<_>>()
        };
        doing.flat_map(of).collect()
    }

    /// How many places of each name are taken.
    fn taken_by_name(&self) -> Vec<(Named, usize)> {
        let mut named = self.named.clone();
        // A place that was kept for the next step of its run is of the queue of steps that name none.
        let kept = self.taken.nameless();
        if kept > 0 {
            *named.entry(Named::Queue(DEFAULT_QUEUE.to_owned())).or_default() += kept;
        }
        let mut named: Vec<(Named, usize)> = named.into_iter().collect();
        named.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        named
    }

    /// What buckets hold.
    fn tokens(&self) -> Vec<(String, f64)> {
        let now = self.now();
        let tokens = |(key, bucket): (&String, &Bucket)| (key.clone(), Bucket::clone(bucket).tokens(now));
        let mut buckets: Vec<(String, f64)> = self.buckets.iter().map(tokens).collect();
        buckets.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        buckets
    }
}
