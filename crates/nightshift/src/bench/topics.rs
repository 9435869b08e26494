//! Which measurements there are, and by which words they are asked for.
//!
//! Owns: the names of the benches, their order, the topics that hold them, and the nearest spelling of a wrong word.
//! Refuses to know: how anything is measured.

use nightshift_spec::fault::nearest;

use crate::exit::{Code, Exit};

/// A question that several benches answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: &'static str,
    /// In the order in which they are taken.
    pub(super) benches: &'static [&'static str],
}

/// All topics, in the order of the document.
pub(super) const TOPICS: [Topic; 8] = [
    Topic { name: "append", benches: &["append"] },
    Topic { name: "projections", benches: &["rebuild"] },
    Topic { name: "replay", benches: &["replay"] },
    Topic { name: "queue", benches: &["jobs", "limits", "latency", "fairness"] },
    Topic { name: "workflows", benches: &["runs"] },
    Topic { name: "schedules", benches: &["crowd", "lateness", "fires"] },
    Topic { name: "recovery", benches: &["resume"] },
    Topic { name: "memory", benches: &["idle", "footprint"] },
];

/// Every bench.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().flat_map(|topic| topic.benches.iter().copied())
}

/// The benches that words ask for; no word asks for all. A word is a bench or a topic.
///
/// # Errors
/// A word is neither; the error has the nearest one.
pub(super) fn wanted(words: &[String]) -> Result<Vec<&'static str>, Exit> {
    if words.is_empty() {
        return Ok(all().collect());
    }
    let mut wanted = Vec::new();
    for word in words {
        let topic = TOPICS.iter().find(|topic| topic.name == word).map(|topic| topic.benches.to_vec());
        let found = topic.or_else(|| all().find(|bench| bench == word).map(|bench| vec![bench]));
        wanted.extend(found.ok_or_else(|| unknown(word))?);
    }
    Ok(wanted)
}

fn unknown(word: &str) -> Exit {
    let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
    let benches: Vec<&str> = all().filter(|bench| !topics.contains(bench)).collect();
    let near = nearest(word, topics.iter().chain(&benches).copied());
    let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_else(|| ".".to_owned());
    let (topics, benches) = (topics.join(", "), benches.join(", "));
    Exit::new(
        Code::Usage,
        format!("there is no measurement {word:?}{near} Allowed: topics ({topics}) and single ones ({benches})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Vec<&'static str>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        wanted(&words).map_err(|error| error.message)
    }

    #[test]
    fn a_word_is_a_topic_or_a_bench() {
        assert_eq!(asked(&[]), Ok(all().collect()));
        assert_eq!(asked(&["queue"]), Ok(vec!["jobs", "limits", "latency", "fairness"]));
        assert_eq!(asked(&["replay", "jobs"]), Ok(vec!["replay", "jobs"]));
        for (word, near) in [("shedules", "schedules"), ("fairnes", "fairness"), ("memmory", "memory")] {
            let message = asked(&[word]).expect_err("there is none");
            assert!(message.contains(&format!("did you mean {near:?}?")), "{message}");
        }
    }

    #[test]
    fn no_bench_is_in_two_topics_and_none_has_the_name_of_another_topic() {
        let names: Vec<&str> = all().collect();
        for topic in TOPICS {
            for bench in topic.benches {
                assert_eq!(names.iter().filter(|name| *name == bench).count(), 1, "{bench}");
                let other = TOPICS.iter().find(|other| other.name == *bench);
                assert!(other.is_none_or(|other| other == &topic), "{bench}");
            }
        }
    }
}
