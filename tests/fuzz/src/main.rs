//! `scripts/fuzz`: a target or all of them, for as long as wanted, and one input again.
//!
//! Owns: the command line. Refuses to know: how an input is made.

use std::process::ExitCode;

use nightshift_fuzz::{
    ALL, Target,
    engine::{self, Run, Tally},
    named, told,
};

const USAGE: &str = "usage: scripts/fuzz [target ...] [--iterations N | --minutes M] [--seed S] [--bytes N]
       scripts/fuzz <target> --input <file>     one input again
       scripts/fuzz --list                      the targets, and what holds of each
       scripts/fuzz <target> --export <folder>  its corpus as files
Without a target all of them, each so many iterations or minutes. Findings are in target/fuzz/<target>/.";

/// As deep as the stack of a thread of the daemon: what overflows here would end it.
const STACK_BYTES: usize = 2 << 20;

struct Asked {
    targets: Vec<&'static Target>,
    run: Run,
    input: Option<String>,
    export: Option<String>,
}

fn read(words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut run = Run::default();
    let (mut targets, mut input, mut export, mut words) = (Vec::new(), None, None, words);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let value = words.next().unwrap_or_default();
            value.parse().map_err(|_| format!("{word} takes a number, not {value:?}"))
        };
        match word.as_str() {
            "--seed" => run.seed = number()?,
            "--iterations" => run.iterations = Some(number()?),
            "--minutes" => run.until_s = Some(number()? * 60),
            "--bytes" => run.bytes_max = usize::try_from(number()?).unwrap_or(usize::MAX),
            "--input" => input = Some(words.next().ok_or("--input takes a file")?),
            "--export" => export = Some(words.next().ok_or("--export takes a folder")?),
            name => targets.push(named(name).ok_or_else(|| format!("there is no target {name:?}; --list shows them"))?),
        }
    }
    if targets.is_empty() {
        targets = ALL.to_vec();
    }
    if run.iterations.is_none() && run.until_s.is_none() {
        run.iterations = Some(10_000);
    }
    Ok(Asked { targets, run, input, export })
}

/// Writes what a target begins with, for other engines.
fn export(target: &Target, folder: &str) {
    for (nth, input) in engine::corpus(target).iter().enumerate() {
        let path = std::path::Path::new(folder).join(format!("{nth:04}"));
        std::fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// Runs one target; whether nothing was found.
fn run(target: &'static Target, run: Run) -> bool {
    let Tally { iterations, answers, slowest_ms, found, .. } = engine::fuzz(target, engine::corpus(target), run);
    let name = target.name;
    println!(
        "{name}: seed {}, {iterations} inputs, {answers} answers, slowest {slowest_ms} ms, {} found",
        run.seed,
        found.len()
    );
    for one in &found {
        println!("{}", told(target, one, run));
    }
    found.is_empty()
}

fn go(asked: &Asked) -> bool {
    match (asked.input.as_ref().or(asked.export.as_ref()), asked.targets.as_slice()) {
        (Some(folder), [target]) if asked.input.is_none() => {
            export(target, folder);
            true
        }
        (Some(path), [target]) => {
            println!("{}", (target.run)(&engine::read(path.as_ref())));
            true
        }
        (Some(_), _) => panic!("--input and --export take one target"),
        (None, targets) => targets.iter().filter(|target| !run(target, asked.run)).count() == 0,
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--list") {
        ALL.iter().for_each(|target| println!("{:14} {}", target.name, target.about));
        return ExitCode::SUCCESS;
    }
    let asked = match read(words.into_iter()) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("fuzz: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || go(&asked));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
