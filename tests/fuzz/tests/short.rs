//! The short run: every target on its corpus and on a fixed number of changes of it.
//!
//! Owns: one test for each target, and that the engine finds what it is there to find.
//! `NIGHTSHIFT_FUZZ_SEED` gives another seed.

use nightshift_fuzz::{
    ALL, Target,
    engine::{Run, corpus, fuzz},
    named, told,
    trees::Form,
};

#[expect(clippy::disallowed_methods, reason = "a test may be told another seed")]
fn seed() -> u64 {
    std::env::var("NIGHTSHIFT_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(Run::default().seed)
}

fn short(name: &str) {
    let target = named(name).expect("a target of that name");
    let run = Run { seed: seed(), iterations: Some(target.short), long_max: 10, ..Run::default() };
    println!("fuzz: {name}, seed {}, {} iterations", run.seed, target.short);
    let tally = fuzz(target, corpus(target), run);
    let found: Vec<String> = tally.found.iter().map(|found| told(target, found, run)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(tally.answers > 1, "{name} answers everything the same; its corpus leads nowhere");
}

macro_rules! each {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            short(&stringify!($name).replace('_', "-"));
        })+

        const TESTED: &[&str] = &[$(stringify!($name)),+];
    };
}

each!(
    event,
    command,
    kept,
    page,
    history,
    fixture,
    redaction,
    workflow,
    trial,
    order,
    schedule,
    cron,
    condition,
    template,
    json,
    words,
    edit,
    config,
    body,
    question,
    fingerprint,
    token,
    keys,
    hook,
    link,
    stream_token,
    feed,
    git_log,
    mail,
    composed,
    address,
);

#[test]
fn every_target_is_tested_and_every_corpus_has_a_target() {
    let names: Vec<String> = ALL.iter().map(|target| target.name.replace('-', "_")).collect();
    assert_eq!(names, TESTED);
    let corpus = nightshift_fuzz::root().join("tests/fuzz/corpus");
    for folder in std::fs::read_dir(corpus).expect("the corpus").map(|entry| entry.expect("an entry").path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(named(&name).is_some(), "corpus/{name} is of no target");
    }
}

/// A reader that breaks behind three things that have to come together.
fn planted(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let depth = text.chars().filter(|c| *c == '[').count();
    assert!(!(text.contains("gate") && text.contains("key") && depth > 2), "it broke");
    format!(
        "{} {} {}",
        if text.contains("gate") { "g" } else { "" },
        if text.contains("key") { "k" } else { "" },
        "[".repeat(depth.min(4))
    )
}

fn plant(run: fn(&[u8]) -> String) -> Target {
    Target {
        name: "planted",
        about: "",
        form: Form::Plain,
        seeds: || vec![b"a harmless text".to_vec()],
        words: || ["gate", "key", "[1]"].map(str::to_owned).to_vec(),
        frame: None,
        bytes_max: 1_000,
        short: 0,
        run,
    }
}

fn a_run() -> Run {
    Run { seed: 7, iterations: Some(20_000), ..Run::default() }
}

#[test]
fn what_is_planted_is_found_made_short_and_found_again_by_the_same_seed() {
    let target = plant(planted);
    let runs = [1, 2].map(|_| fuzz(&target, (target.seeds)(), a_run()));
    let inputs = runs.each_ref().map(|tally| tally.found.first().map(|found| found.input.clone()));
    let input = inputs[0].clone().expect("it is found");
    assert_eq!(inputs[0], inputs[1], "the same seed finds the same");
    assert!(input.len() <= "gatekey[[[".len() + 4, "{:?} is short", String::from_utf8_lossy(&input));
    let said = told(&target, &runs[0].found[0], a_run());
    for part in [
        "it broke",
        "tests/short.rs",
        "scripts/fuzz planted --input target/fuzz/planted/found-",
        "--seed 7 --iterations 20000",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_takes_too_long_is_found() {
    let target = plant(|input| {
        let (mut left, mut sum) = (if input.len() > 900 { 1_u64 << 26 } else { 0 }, 0_u64);
        while left > 0 {
            left -= 1;
            sum = sum.wrapping_mul(31).wrapping_add(left);
            if sum == u64::MAX && left % 97 == 1 {
                break;
            }
        }
        sum.to_string()
    });
    let tally = fuzz(&target, vec![vec![b' '; 950]], Run { iterations: Some(0), input_ms_max: 100, ..a_run() });
    assert!(tally.found.iter().any(|found| found.fault.place == "time"), "{tally:?}");
}
