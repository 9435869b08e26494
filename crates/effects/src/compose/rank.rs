//! Which sentences of a text say most.
//!
//! Owns: TextRank over TF-IDF vectors, blended with place and topic, and a choice without repetitions.
//! Refuses to know: where sentences come from, how they are shown.
//!
//! Invariant: the same sentences give the same order. Sums run in a fixed order; ties go to the earlier sentence.

use std::collections::{BTreeMap, BTreeSet};

use super::{sentences, words::Language};

const DAMPING: f64 = 0.85;
/// The ranks of such small graphs stand still long before this.
const ROUNDS: usize = 30;
/// Two sentences more alike than this say the same thing.
const SAME: f64 = 0.55;

/// A sparse vector of length one, sorted by term.
type Vector = Vec<(usize, f64)>;

/// Sentences with their ranks.
pub(super) struct Ranked {
    vectors: Vec<Vector>,
    scores: Vec<f64>,
}

impl Ranked {
    /// Ranks `texts`; those that share words with `topic` gain.
    pub(super) fn of(texts: &[&str], topic: &BTreeSet<String>, language: &Language) -> Self {
        let stems: Vec<Vec<String>> = texts.iter().map(|text| language.stems(text)).collect();
        let vectors = vectors(&stems);
        let central = text_rank(&vectors);
        let top = central.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let scores = texts.iter().enumerate().map(|(at, text)| {
            let place = 1.0 / (1.0 + at as f64 / 3.0);
            let shared = stems[at].iter().filter(|stem| topic.contains(*stem)).count().min(3) as f64 / 3.0;
            let blend = 0.55 * central[at] / top + 0.25 * place + 0.20 * shared;
            blend * fitness(text)
        });
        let scores = scores.collect();
        Self { vectors, scores }
    }

    /// Up to `count` sentences, best first, none of which repeats another. Unfit ones are never chosen.
    pub(super) fn best(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len()).filter(|at| self.scores[*at] > 0.0).collect();
        order.sort_by(|a, b| rounded(self.scores[*b]).cmp(&rounded(self.scores[*a])).then(a.cmp(b)));
        let mut chosen: Vec<usize> = Vec::new();
        for at in order {
            if chosen.len() == count {
                break;
            }
            if chosen.iter().all(|other| cosine(&self.vectors[*other], &self.vectors[at]) < SAME) {
                chosen.push(at);
            }
        }
        chosen
    }

    /// As [`Ranked::best`], in the order of the text.
    pub(super) fn best_in_order(&self, count: usize) -> Vec<usize> {
        let mut chosen = self.best(count);
        chosen.sort_unstable();
        chosen
    }
}

/// Ranks are compared to nine digits, so that the last bits of a sum never decide.
fn rounded(score: f64) -> i64 {
    (score * 1e9) as i64
}

fn fitness(text: &str) -> f64 {
    if !sentences::stands_alone(text) || sentences::is_label(text) {
        return 0.0;
    }
    let words = text.split_whitespace().count();
    let length = match words {
        8..=35 => 1.0,
        0..=7 => 0.75,
        36..=45 => 0.6,
        _ => 0.35,
    };
    let leaning = if sentences::leans(text) { 0.6 } else { 1.0 };
    // Lists of names between backticks are reference, not news.
    let code: usize = text.split('`').skip(1).step_by(2).map(|span| span.chars().count()).sum();
    let dense = if code * 10 > text.chars().count() * 4 { 0.5 } else { 1.0 };
    // A small letter or a missing full stop: a piece of a sentence that code or a list cut in two.
    let cut = if text.starts_with(char::is_lowercase) { 0.6 } else { 1.0 };
    let open = if text.ends_with(['.', '!', '…', '。', '！', ')', '"', '”']) { 1.0 } else { 0.75 };
    let urgent = if sentences::is_urgent(text) { 1.3 } else { 1.0 };
    length * leaning * dense * cut * open * urgent
}

fn vectors(stems: &[Vec<String>]) -> Vec<Vector> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for stem in stems.iter().flatten() {
        let next = numbers.len();
        numbers.entry(stem).or_insert(next);
    }
    let mut containing = vec![0_usize; numbers.len()];
    for sentence in stems {
        let unique: BTreeSet<usize> = sentence.iter().map(|stem| numbers[stem.as_str()]).collect();
        unique.into_iter().for_each(|term| containing[term] += 1);
    }
    let total = stems.len() as f64;
    let vector = |sentence: &Vec<String>| {
        let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
        sentence.iter().for_each(|stem| *counts.entry(numbers[stem.as_str()]).or_default() += 1.0);
        let weighed: Vector = counts
            .into_iter()
            .map(|(term, count)| (term, count * (1.0 + total / (1.0 + containing[term] as f64)).ln()))
            .collect();
        let length = weighed.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        weighed.into_iter().map(|(term, weight)| (term, weight / length)).collect()
    };
    stems.iter().map(vector).collect()
}

fn cosine(a: &Vector, b: &Vector) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while i < a.len() && j < b.len() {
        match a[i].0.cmp(&b[j].0) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                sum += a[i].1 * b[j].1;
                i += 1;
                j += 1;
            }
        }
    }
    sum
}

fn text_rank(vectors: &[Vector]) -> Vec<f64> {
    let count = vectors.len();
    let mut weights = vec![vec![0.0; count]; count];
    for a in 0..count {
        for b in a + 1..count {
            let alike = cosine(&vectors[a], &vectors[b]);
            weights[a][b] = alike;
            weights[b][a] = alike;
        }
    }
    let out: Vec<f64> = weights.iter().map(|row| row.iter().sum()).collect();
    let mut ranks = vec![1.0; count];
    for _ in 0..ROUNDS {
        let next = (0..count).map(|a| {
            let given: f64 = (0..count).filter(|b| out[*b] > 0.0).map(|b| weights[b][a] / out[b] * ranks[b]).sum();
            (1.0 - DAMPING) + DAMPING * given
        });
        ranks = next.collect();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn central_sentences_win_and_repetitions_are_dropped() {
        let texts = [
            "The append path locks the shard row before it writes events.",
            "Lunch was served on the roof terrace at noon on Tuesday.",
            "The append path locks each shard row before it writes the events.",
            "A shard row that is locked lets no other writer append events.",
            "Writers that lost the shard row stop and append nothing more.",
        ];
        let ranked = Ranked::of(&texts, &BTreeSet::new(), &Language::of(&texts.join(" ")));
        let best = ranked.best(5);
        assert_eq!(best.iter().position(|at| *at == 1), Some(best.len() - 1), "{best:?}");
        assert!(!(best.contains(&0) && best.contains(&2)), "{best:?}");
        let topic = BTreeSet::from(["lunch".to_owned(), "terrac".to_owned(), "roof".to_owned(), "noon".to_owned()]);
        let on_topic = Ranked::of(&texts, &topic, &Language::of("the and of"));
        assert!(on_topic.scores[1] > ranked.scores[1]);
        assert!(Ranked::of(&[], &topic, &Language::of("")).best(3).is_empty());
    }
}
