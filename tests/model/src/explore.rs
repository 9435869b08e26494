//! Breadth first search through everything that can happen in a model.
//!
//! Owns: that each state is looked at once, that the first fault found has the shortest story, that from each state the end
//! can be reached when nothing more goes wrong. Refuses to know: what a model is about.
//!
//! States are told apart by 128 bits of the SHA-256 of their canonical bytes, so that two that differ are not taken for
//! one. The story of a fault is found by going the same way again from the beginning.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    hash::{Hash, Hasher},
};

use sha2::{Digest, Sha256};

/// A world in which steps are taken.
pub trait Model {
    /// All that decides what can happen next, and what was seen so far and must be right.
    type State: Clone;
    /// One thing that can happen; its text stands in stories.
    type Step: Clone + fmt::Display;

    /// How it begins.
    fn start(&self) -> Self::State;

    /// What can happen now.
    fn steps(&self, state: &Self::State) -> Vec<Self::Step>;

    /// It happens. Classes of what happened are noted in `seen`.
    fn take(&self, state: &Self::State, step: &Self::Step, seen: &mut Seen) -> Self::State;

    /// Bytes that are equal for two states exactly when the same can happen in both.
    fn key(&self, state: &Self::State) -> Vec<u8>;

    /// What must never be, and is.
    fn broken(&self, state: &Self::State) -> Vec<Broken>;

    /// Whether a step is something that goes wrong, or that nobody can be counted on to do: the end has to be reached
    /// without it.
    fn is_fault(&self, step: &Self::Step) -> bool;

    /// Whether everything is done that has to be.
    fn at_rest(&self, state: &Self::State) -> bool;
}

/// Classes of what happened, and how often.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    /// It happened once more.
    pub fn note(&mut self, class: &'static str) {
        *self.0.entry(class).or_default() += 1;
    }

    /// How often it happened.
    #[must_use]
    pub fn times(&self, class: &str) -> u64 {
        self.0.get(class).copied().unwrap_or(0)
    }
}

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Broken {
    /// Which.
    pub property: &'static str,
    /// What was found.
    pub what: String,
}

impl Broken {
    /// `property` does not hold because of `what`.
    pub fn new(property: &'static str, what: impl Into<String>) -> Self {
        Self { property, what: what.into() }
    }
}

/// The property of which a state is a fault from which the end cannot be reached.
pub const STUCK: &str = "from everywhere the end can be reached";

/// A fault, and the shortest way to it.
#[derive(Debug)]
pub struct Found {
    /// What is wrong.
    pub broken: Broken,
    /// The steps, from the beginning.
    pub path: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.broken.property, self.broken.what)?;
        self.path.iter().enumerate().try_for_each(|(nth, step)| writeln!(f, "{:>4}. {step}", nth + 1))
    }
}

/// What a search came to.
#[derive(Debug)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps that were taken.
    pub transitions: usize,
    /// Steps of the longest of the shortest ways to a state.
    pub depth: usize,
    /// States in which all is done.
    pub at_rest: usize,
    /// Nothing was left out: every state that can be reached was looked at.
    pub complete: bool,
    /// What happened.
    pub seen: Seen,
    /// The first fault.
    pub found: Option<Found>,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, depth, at_rest, complete, seen, found } = self;
        let whole = if *complete { "complete" } else { "not complete" };
        writeln!(f, "{states} states, {transitions} transitions, depth {depth}, {at_rest} at rest, {whole}")?;
        let classes: Vec<String> = seen.0.iter().map(|(class, times)| format!("{class} {times}")).collect();
        writeln!(f, "  {}", classes.join(", "))?;
        found.iter().try_for_each(|found| write!(f, "{found}"))
    }
}

/// Bytes of whatever can be hashed: what its `Hash` writes. Of equal length for equal shapes, so two values never give the
/// same bytes.
pub fn bytes_of(value: &impl Hash) -> Vec<u8> {
    let mut bytes = Bytes(Vec::with_capacity(256));
    value.hash(&mut bytes);
    bytes.0
}

struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u32(u32::try_from(n).unwrap_or(u32::MAX));
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u32(u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// Nobody asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

/// How a state was reached first: from which, by which of the steps that could be taken there.
type Way = (u32, u32);

/// A search under way.
struct Search<'a, M: Model> {
    model: &'a M,
    /// Only faults of this property count; none: all do.
    property: Option<&'static str>,
    known: HashMap<[u8; 16], u32>,
    ways: Vec<Way>,
    /// Steps without faults, `(to, from)`.
    fair: Vec<(u32, u32)>,
    at_rest: Vec<u32>,
    seen: Seen,
    transitions: usize,
}

/// The shortest way to each class of step, for whoever wants to go them elsewhere. `classes` is asked about the state behind
/// each step, and told how many states there were before it.
pub fn ways<M: Model>(
    model: &M,
    states_max: usize,
    classes: impl Fn(&M::State, usize) -> Vec<String>,
) -> BTreeMap<String, Vec<M::Step>> {
    let mut search = Search::of(model, None);
    let start = model.start();
    search.meet(&start, (0, 0));
    let (mut level, mut first) = (vec![(0, start)], BTreeMap::new());
    while !level.is_empty() && search.ways.len() < states_max {
        let mut met = |search: &Search<'_, M>, state: &M::State, way: Way| {
            for class in classes(state, search.ways.len()) {
                first.entry(class).or_insert(way);
            }
        };
        level = search.widen(level, &mut met).0;
    }
    let whole = |(from, nth): Way| {
        let mut steps = path(model, &search.ways, from);
        let state = steps.iter().fold(model.start(), |state, step| model.take(&state, step, &mut Seen::default()));
        steps.push(model.steps(&state)[nth as usize].clone());
        steps
    };
    first.into_iter().map(|(class, way)| (class, whole(way))).collect()
}

/// Looks at everything that can be reached, but at no more than `states_max` states.
///
/// Stops at the first fault.
pub fn explore<M: Model>(model: &M, states_max: usize) -> Explored {
    search(model, states_max, None)
}

/// As [`explore`], blind to faults of all other properties: a mutation may break more than one.
pub fn explore_for<M: Model>(model: &M, states_max: usize, property: &'static str) -> Explored {
    search(model, states_max, Some(property))
}

fn search<M: Model>(model: &M, states_max: usize, property: Option<&'static str>) -> Explored {
    let mut search = Search::of(model, property);
    let start = model.start();
    search.meet(&start, (0, 0));
    let (mut depth, mut complete) = (0, true);
    let mut found = search.fault(&start).map(|broken| search.story(broken, 0));
    let mut level = vec![(0, start)];
    while found.is_none() {
        let (next, fault) = search.widen(level, &mut |_, _, _| {});
        found = fault;
        if next.is_empty() {
            break;
        }
        (level, depth) = (next, depth + 1);
        if search.ways.len() > states_max {
            complete = false;
            break;
        }
    }
    complete &= found.is_none();
    if complete && property.is_none_or(|property| property == STUCK) {
        found = search.stuck();
    }
    let (states, transitions, at_rest) = (search.ways.len(), search.transitions, search.at_rest.len());
    Explored { states, transitions, depth, at_rest, complete, seen: search.seen, found }
}

/// Who wants to know of each step: the search so far, the state behind it, and how it was reached.
type Met<'m, 'a, M> = &'m mut dyn FnMut(&Search<'a, M>, &<M as Model>::State, Way);

impl<'a, M: Model> Search<'a, M> {
    fn of(model: &'a M, property: Option<&'static str>) -> Self {
        let (known, ways, fair, at_rest) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { model, property, known, ways, fair, at_rest, seen: Seen::default(), transitions: 0 }
    }

    /// The number of a state, and whether it is new.
    fn meet(&mut self, state: &M::State, way: Way) -> (u32, bool) {
        let digest = Sha256::digest(self.model.key(state));
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        let number = u32::try_from(self.ways.len()).expect("a model has fewer states");
        match self.known.entry(key) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(place) => {
                place.insert(number);
                self.ways.push(way);
                if self.model.at_rest(state) {
                    self.at_rest.push(number);
                }
                (number, true)
            }
        }
    }

    /// The first fault of a state that counts.
    fn fault(&self, state: &M::State) -> Option<Broken> {
        let counts = |broken: &Broken| self.property.is_none_or(|property| property == broken.property);
        self.model.broken(state).into_iter().find(counts)
    }

    /// All states one step further, and the first fault among them.
    fn widen(&mut self, level: Vec<(u32, M::State)>, met: Met<'_, 'a, M>) -> (Vec<(u32, M::State)>, Option<Found>) {
        let mut next = Vec::new();
        for (from, state) in level {
            for (nth, step) in self.model.steps(&state).into_iter().enumerate() {
                let after = self.model.take(&state, &step, &mut self.seen);
                self.transitions += 1;
                let way = (from, u32::try_from(nth).unwrap_or(u32::MAX));
                met(self, &after, way);
                let (to, new) = self.meet(&after, way);
                if !self.model.is_fault(&step) && to != from {
                    self.fair.push((to, from));
                }
                if !new {
                    continue;
                }
                if let Some(broken) = self.fault(&after) {
                    return (Vec::new(), Some(self.story(broken, to)));
                }
                next.push((to, after));
            }
        }
        (next, None)
    }

    /// A state from which no state at rest can be reached without faults. Under a scheduler that is fair to all other steps
    /// every history comes to rest exactly when there is none.
    fn stuck(&mut self) -> Option<Found> {
        self.fair.sort_unstable();
        let mut reaches = vec![false; self.ways.len()];
        let mut open = self.at_rest.clone();
        open.iter().for_each(|state| reaches[*state as usize] = true);
        while let Some(to) = open.pop() {
            let first = self.fair.partition_point(|(other, _)| *other < to);
            for (_, from) in self.fair[first..].iter().take_while(|(other, _)| *other == to) {
                if !std::mem::replace(&mut reaches[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        // Numbers grow with the distance from the beginning. Where nothing leads on, the story is told to its end.
        let mut leads_on = vec![false; self.ways.len()];
        self.fair.iter().for_each(|(_, from)| leads_on[*from as usize] = true);
        let stuck = |state: &usize| !reaches[*state];
        let end = (0..self.ways.len()).filter(stuck).find(|state| !leads_on[*state]);
        let stuck = end.or_else(|| (0..self.ways.len()).find(stuck))?;
        let stuck = u32::try_from(stuck).unwrap_or(u32::MAX);
        Some(self.story(Broken::new(STUCK, "here it cannot, though nothing more goes wrong"), stuck))
    }

    /// The steps from the beginning to a state.
    fn story(&self, broken: Broken, to: u32) -> Found {
        Found { broken, path: path(self.model, &self.ways, to).iter().map(ToString::to_string).collect() }
    }
}

fn path<M: Model>(model: &M, ways: &[Way], to: u32) -> Vec<M::Step> {
    let (mut at, mut nths) = (to, Vec::new());
    while at != 0 {
        let (from, nth) = ways[at as usize];
        nths.push(nth);
        at = from;
    }
    let (mut state, mut steps) = (model.start(), Vec::new());
    for nth in nths.into_iter().rev() {
        let step = model.steps(&state)[nth as usize].clone();
        state = model.take(&state, &step, &mut Seen::default());
        steps.push(step);
    }
    steps
}

/// What a test of a model expects.
///
/// # Panics
/// A fault was found, something was left out, or something that was to happen did not.
pub fn assert_holds(name: &str, explored: &Explored, classes: &[&str]) {
    println!("{name}: {explored}");
    assert!(explored.found.is_none(), "{name} breaks:\n{explored}");
    assert!(explored.complete, "{name}: not all of it was looked at");
    let missing: Vec<&&str> = classes.iter().filter(|class| explored.seen.times(class) == 0).collect();
    assert!(missing.is_empty(), "{name}: never happened, so nothing is shown about it: {missing:?}");
}

/// What a test of a mutation expects: the property breaks, and the way to it is told.
///
/// # Panics
/// No fault was found, or another one.
pub fn assert_found(name: &str, explored: &Explored, property: &str) {
    let found = explored.found.as_ref();
    let found = found.unwrap_or_else(|| panic!("{name} was not found out:\n{explored}"));
    println!("{name} is found out after {} states:\n{found}", explored.states);
    assert_eq!(found.broken.property, property, "{name} breaks something else:\n{found}");
    assert!(!found.path.is_empty(), "{name}: the way is told");
}
