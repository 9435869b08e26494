//! An earlier result beside a later one: better, worse, or the same as far as one can tell.
//!
//! Owns: the verdict, which takes into account how far the values of each run lie apart, and when two figures may not be
//! compared at all.
//! Refuses to know: how a figure came about.
//!
//! Invariant: a result compared with itself has no figure that is better or worse.

use serde::Serialize;

use super::result::{Direction, Figure, Machine, Results, Spread, number};
use crate::output;

/// The values of a run are taken to lie at least so far apart, as a part of their median: nothing is known more closely on
/// a machine that does anything else.
const APART_MIN: f64 = 0.05;

/// The same when there are fewer than [`KNOWN_FROM`] values, which say nothing of how far they lie apart.
const APART_UNKNOWN: f64 = 0.25;

/// Values from which their ends mean something.
const KNOWN_FROM: usize = 3;

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Each median lies beyond the values of the other run, on the good side.
    Better,
    /// As far on the bad side.
    Worse,
    /// The values of the two runs overlap.
    Same,
    /// They do not, and neither side is the good one.
    Differs,
    /// Not as much was measured then.
    OtherScale,
    /// It was another machine, or another kind of build.
    OtherMachine,
    /// It was not measured then.
    New,
    /// It is not measured now.
    Gone,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Same => "same",
            Self::Differs => "differs",
            Self::OtherScale => "not compared: other scale",
            Self::OtherMachine => "not compared: other machine",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

/// One figure then and now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    bench: String,
    store: String,
    name: String,
    unit: String,
    then: Option<Spread>,
    now: Option<Spread>,
    /// Of the medians, as a part of the one then.
    change: Option<f64>,
    pub(super) verdict: Verdict,
}

/// Two results beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// What is not as it was: processor, memory, disk, versions, settings.
    pub(super) differences: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// Compares two results, figure by figure, in the order of the later one.
pub(super) fn compare(then: &Results, now: &Results) -> Comparison {
    let (mut differences, comparable) = differences(&then.machine, &now.machine);
    if then.size != now.size {
        differences.push(format!("size: then {}, now {}", then.size, now.size));
    }
    let find = |all: &Results, figure: &Figure| all.figures.iter().find(|other| other.key() == figure.key()).cloned();
    let mut lines: Vec<Line> =
        now.figures.iter().map(|figure| line(find(then, figure).as_ref(), Some(figure), comparable)).collect();
    let gone = then.figures.iter().filter(|figure| find(now, figure).is_none());
    lines.extend(gone.map(|figure| line(Some(figure), None, comparable)));
    Comparison { differences, lines }
}

impl Comparison {
    /// How many figures are worse.
    pub(super) fn worse(&self) -> usize {
        self.lines.iter().filter(|line| line.verdict == Verdict::Worse).count()
    }

    /// Prints it for people.
    pub(super) fn print(&self) {
        for difference in &self.differences {
            println!("not as it was: {difference}");
        }
        let headings = ["bench", "store", "figure", "unit", "then", "now", "change", "verdict"];
        output::table(&headings, self.lines.iter().map(Line::row).collect(), "nothing was measured");
        let count = |verdict| self.lines.iter().filter(|line| line.verdict == verdict).count();
        let (better, worse, same) = (count(Verdict::Better), count(Verdict::Worse), count(Verdict::Same));
        println!("{better} better, {worse} worse, {same} the same, of {} figures", self.lines.len());
    }
}

impl Line {
    fn row(&self) -> Vec<String> {
        let shown = |spread: &Option<Spread>| spread.as_ref().map(spread_text).unwrap_or_default();
        let change = self.change.map(|change| format!("{:+.1} %", change * 100.0)).unwrap_or_default();
        let (bench, store, name, unit) = (&self.bench, &self.store, &self.name, &self.unit);
        let [bench, store, name, unit] = [bench, store, name, unit].map(Clone::clone);
        vec![bench, store, name, unit, shown(&self.then), shown(&self.now), change, self.verdict.text().to_owned()]
    }
}

/// A median, with the ends when there are several values.
pub(super) fn spread_text(spread: &Spread) -> String {
    let middle = number(spread.median);
    if spread.values.len() < 2 {
        return middle;
    }
    format!("{middle} ({}..{})", number(spread.least), number(spread.most))
}

fn line(then: Option<&Figure>, now: Option<&Figure>, comparable: bool) -> Line {
    let spread = |figure: Option<&Figure>| figure.and_then(|figure| figure.spread.clone());
    let (old, new) = (spread(then), spread(now));
    let verdict = match (then.zip(old.as_ref()), now.zip(new.as_ref())) {
        (_, None) => Verdict::Gone,
        (None, Some(_)) => Verdict::New,
        _ if !comparable => Verdict::OtherMachine,
        (Some((then, old)), Some((now, new))) => {
            if then.scale != now.scale || then.unit != now.unit {
                Verdict::OtherScale
            } else {
                judge(old, new, now.direction)
            }
        }
    };
    let change = old.as_ref().zip(new.as_ref()).filter(|(old, _)| old.median != 0.0);
    let change = change.map(|(old, new)| (new.median - old.median) / old.median.abs());
    let named = now.or(then);
    let text = |part: fn(&Figure) -> String| named.map(part).unwrap_or_default();
    Line {
        bench: text(|figure| figure.bench.clone()),
        store: text(|figure| figure.store.clone()),
        name: text(Figure::title),
        unit: text(|figure| figure.unit.clone()),
        then: old,
        now: new,
        change,
        verdict,
    }
}

/// Better or worse only when each median lies outside the values of the other.
pub(super) fn judge(then: &Spread, now: &Spread, direction: Direction) -> Verdict {
    let ((then_least, then_most), (now_least, now_most)) = (range(then), range(now));
    let more = now.median > then_most && then.median < now_least;
    let less = now.median < then_least && then.median > now_most;
    match (direction, more, less) {
        (_, false, false) => Verdict::Same,
        (Direction::Neither, ..) => Verdict::Differs,
        (Direction::More, true, _) | (Direction::Less, _, true) => Verdict::Better,
        (Direction::More | Direction::Less, ..) => Verdict::Worse,
    }
}

/// The ends of the values, and no closer to the median than is known.
fn range(spread: &Spread) -> (f64, f64) {
    let part = if spread.values.len() < KNOWN_FROM { APART_UNKNOWN } else { APART_MIN };
    let apart = spread.median.abs() * part;
    (spread.least.min(spread.median - apart), spread.most.max(spread.median + apart))
}

/// What is not as it was, and whether figures can be compared all the same: with other versions or settings they can.
fn differences(then: &Machine, now: &Machine) -> (Vec<String>, bool) {
    let hardware = [
        ("processor", then.processor.clone(), now.processor.clone()),
        ("cores", then.cores.to_string(), now.cores.to_string()),
        ("memory in MiB", then.memory_mib.to_string(), now.memory_mib.to_string()),
        ("file system", then.filesystem.clone(), now.filesystem.clone()),
        ("disk", then.disk.clone(), now.disk.clone()),
        ("build", then.build.clone(), now.build.clone()),
    ];
    let revision = |machine: &Machine| machine.revision.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut software = vec![
        ("kernel".to_owned(), then.kernel.clone(), now.kernel.clone()),
        ("version".to_owned(), then.version.clone(), now.version.clone()),
        ("revision".to_owned(), revision(then), revision(now)),
    ];
    for (store, database) in &now.databases {
        let Some(before) = then.databases.get(store) else { continue };
        software.push((store.clone(), before.version.clone(), database.version.clone()));
        for (name, value) in &database.settings {
            let before = before.settings.get(name).cloned().unwrap_or_else(|| "unknown".to_owned());
            software.push((format!("{store} {name}"), before, value.clone()));
        }
    }
    let comparable = hardware.iter().all(|(_, then, now)| then == now);
    let hardware = hardware.map(|(name, then, now)| (name.to_owned(), then, now));
    let all = hardware.into_iter().chain(software);
    let text = |(name, then, now)| format!("{name}: then {then}, now {now}");
    (all.filter(|(_, then, now)| then != now).map(text).collect(), comparable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::testing::{figure, results},
        *,
    };

    fn verdicts(then: Vec<Figure>, now: Vec<Figure>) -> Vec<Verdict> {
        compare(&results(then), &results(now)).lines.iter().map(|line| line.verdict).collect()
    }

    #[test]
    fn a_verdict_takes_the_spread_into_account() {
        // Three values then, three now; what that means where more is better.
        for (then, now, verdict) in [
            ([100.0, 110.0, 120.0], [100.0, 110.0, 120.0], Verdict::Same),
            ([100.0, 110.0, 120.0], [115.0, 130.0, 140.0], Verdict::Better),
            ([100.0, 110.0, 120.0], [80.0, 90.0, 105.0], Verdict::Worse),
            // The median is beyond, but its own values reach back over the other median.
            ([100.0, 110.0, 120.0], [105.0, 130.0, 140.0], Verdict::Same),
            // Within what is never known.
            ([100.0, 100.0, 100.0], [104.0, 104.0, 104.0], Verdict::Same),
            ([100.0, 100.0, 100.0], [106.0, 106.0, 106.0], Verdict::Better),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], Verdict::Same),
        ] {
            let of = |values: [f64; 3], unit| vec![figure("x", unit, values.to_vec())];
            assert_eq!(verdicts(of(then, "runs/s"), of(now, "runs/s")), [verdict], "{then:?} {now:?}");
            let mirrored = match verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                other => other,
            };
            assert_eq!(verdicts(of(then, "ms"), of(now, "ms")), [mirrored], "less is better: {then:?} {now:?}");
            let neither = if verdict == Verdict::Same { verdict } else { Verdict::Differs };
            assert_eq!(verdicts(of(then, "events"), of(now, "events")), [neither], "neither: {then:?} {now:?}");
        }
    }

    #[test]
    fn one_value_says_little() {
        let one = |value| vec![figure("x", "ms", vec![value])];
        assert_eq!(verdicts(one(100.0), one(120.0)), [Verdict::Same]);
        assert_eq!(verdicts(one(100.0), one(140.0)), [Verdict::Worse]);
    }

    #[test]
    fn what_is_not_alike_is_not_compared() {
        let scaled = |jobs| vec![figure("x", "ms", vec![1.0; 3]).scale("jobs", jobs)];
        assert_eq!(verdicts(scaled(10), scaled(20)), [Verdict::OtherScale]);
        assert_eq!(verdicts(vec![], scaled(20)), [Verdict::New]);
        assert_eq!(verdicts(scaled(20), vec![]), [Verdict::Gone]);
        for change in [
            (|machine: &mut Machine| machine.cores += 1) as fn(&mut Machine),
            |machine| "other".clone_into(&mut machine.processor),
            |machine| "tmpfs".clone_into(&mut machine.filesystem),
            |machine| "debug".clone_into(&mut machine.build),
        ] {
            let (then, mut now) = (results(scaled(10)), results(scaled(10)));
            change(&mut now.machine);
            now.figures[0].spread = Spread::of(vec![9.0; 3]);
            let both = compare(&then, &now);
            assert_eq!((both.lines[0].verdict, both.worse(), both.differences.len()), (Verdict::OtherMachine, 0, 1));
        }
    }

    #[test]
    fn another_setting_or_size_is_said_and_compared_all_the_same() {
        let (then, mut now) = (results(vec![figure("x", "ms", vec![1.0; 3])]), results(vec![]));
        now.figures = vec![figure("x", "ms", vec![9.0; 3])];
        let database = now.machine.databases.get_mut("sqlite").expect("it is there");
        database.settings.insert("synchronous".to_owned(), "1".to_owned());
        "full".clone_into(&mut now.size);
        let both = compare(&then, &now);
        assert_eq!(both.differences, ["sqlite synchronous: then 2, now 1", "size: then usual, now full"]);
        assert_eq!((both.lines[0].verdict, both.worse()), (Verdict::Worse, 1));
    }

    proptest! {
        #[test]
        fn compared_with_itself_everything_is_the_same(
            values in prop::collection::vec(prop::collection::vec(-1e9..1e9_f64, 1..6), 0..6),
            unit in prop::sample::select(vec!["ms", "runs/s", "events"]),
        ) {
            let figures: Vec<Figure> =
                values.into_iter().enumerate().map(|(at, values)| figure(&format!("f{at}"), unit, values)).collect();
            let both = compare(&results(figures.clone()), &results(figures));
            prop_assert!(both.differences.is_empty());
            prop_assert!(both.lines.iter().all(|line| line.verdict == Verdict::Same));
        }

        /// What is better in one direction of time is worse in the other.
        #[test]
        fn then_and_now_may_be_exchanged(
            then in prop::collection::vec(1.0..1e3_f64, 1..6),
            now in prop::collection::vec(1.0..1e3_f64, 1..6),
        ) {
            let (then, now) = (Spread::of(then).expect("numbers"), Spread::of(now).expect("numbers"));
            let back = match judge(&now, &then, Direction::More) {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                other => other,
            };
            prop_assert_eq!(judge(&then, &now, Direction::More), back);
        }
    }
}
