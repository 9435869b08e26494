//! Conditions in CEL, the Common Expression Language.
//!
//! Owns: which conditions are accepted, which names one uses, and what it answers for given facts.
//! Refuses to know: what the facts are about, and what follows when a condition cannot be answered.
//!
//! The language is the standard one with its macros (`has`, `all`, `exists`, `exists_one`, `filter`, `map`), without times
//! and durations. Whole numbers of facts are `int`, others `double`. CEL has no limit on work, so there are limits here:
//! on length and nesting before parsing (the parser recurses), on the size of the facts a condition looks at, and on the
//! product of loops and their ranges.
//!
//! Invariant: no condition and no facts make this panic, overflow the stack of a thread or run for long.

mod names;

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use cel::{
    Context, Env, Program, Value,
    objects::{Key, Map},
};
use nightshift_domain::{expression::Expressions, json::Json};

pub use names::Names;
use names::Weight;

/// The longest condition, in characters.
pub const LENGTH_MAX: usize = 1_000;
/// The deepest nesting of brackets, signs and choices in a condition.
pub const NESTING_MAX: usize = 24;
/// Values in the facts that a condition looks at.
pub const FACTS_MAX: usize = 100_000;
/// Bytes of text in the facts that a condition looks at.
pub const FACTS_BYTES_MAX: usize = 4 << 20;
/// Steps of evaluation, as an upper bound that is computed beforehand.
const WORK_MAX: u64 = 20_000_000;
/// How deep facts may be nested.
const FACTS_DEPTH_MAX: usize = 128;
/// Compiled conditions that are kept.
const KEPT_MAX: usize = 512;

/// The evaluator of conditions. Keeps what it compiled.
pub struct Cel {
    env: Arc<Env>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    programs: HashMap<String, Arc<Compiled>>,
    /// Oldest first.
    order: VecDeque<String>,
}

struct Compiled {
    program: Program,
    names: Names,
    weight: Weight,
}

impl Default for Cel {
    fn default() -> Self {
        Self::new()
    }
}

impl Cel {
    /// With nothing compiled yet.
    #[must_use]
    pub fn new() -> Self {
        let env = Env::default().with_optional_support(false).with_stdlib();
        Self { env: Arc::new(env), kept: Mutex::default() }
    }

    /// How many compiled conditions are kept.
    #[must_use]
    pub fn kept_count(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).programs.len()
    }

    fn compiled(&self, condition: &str) -> Result<Arc<Compiled>, String> {
        if let Some(found) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).programs.get(condition) {
            return Ok(Arc::clone(found));
        }
        let compiled = Arc::new(compile(condition)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.programs.insert(condition.to_owned(), Arc::clone(&compiled)).is_none() {
            kept.order.push_back(condition.to_owned());
        }
        while kept.order.len() > KEPT_MAX {
            let oldest = kept.order.pop_front().unwrap_or_default();
            kept.programs.remove(&oldest);
        }
        Ok(compiled)
    }
}

impl Expressions for Cel {
    fn holds(&self, condition: &str, facts: &Json) -> Result<bool, String> {
        let compiled = self.compiled(condition)?;
        let mut intake = Intake::default();
        let mut context = Context::with_env(Arc::clone(&self.env));
        for root in &compiled.names.roots {
            let Some(fact) = facts.get(root) else { continue };
            let value = match (root.as_str(), fact) {
                ("steps", Json::Object(steps)) if !compiled.names.all_steps => {
                    let wanted = steps.iter().filter(|(id, _)| compiled.names.steps.contains(*id));
                    intake.fields(wanted, 1)?
                }
                _ => intake.value(fact, 1)?,
            };
            context.add_variable_from_value(root.clone(), value);
        }
        if compiled.weight.work(intake.longest) > WORK_MAX {
            let longest = intake.longest;
            return Err(format!("it would take too long: loops over up to {longest} values; narrow the list before"));
        }
        let answer = guarded(|| compiled.program.execute(&context).map_err(|error| shortened(&error.to_string())))?;
        match answer {
            Value::Bool(answer) => Ok(answer),
            other => Err(format!("it gives {}, not true or false", other.type_of())),
        }
    }
}

/// The names that a condition uses.
///
/// # Errors
/// It is no condition: too long, too deeply nested, not in the language, or with a function that is not there.
pub fn names(condition: &str) -> Result<Names, String> {
    compile(condition).map(|compiled| compiled.names)
}

fn compile(condition: &str) -> Result<Compiled, String> {
    let length = condition.chars().count();
    if length > LENGTH_MAX {
        return Err(format!("it has {length} characters; at most {LENGTH_MAX} are read"));
    }
    let nesting = nesting(condition);
    if nesting > NESTING_MAX {
        return Err(format!("it is nested {nesting} deep; at most {NESTING_MAX} levels are read"));
    }
    let program = guarded(|| Program::compile(condition).map_err(|errors| told(&errors)))?;
    let (names, weight) = names::of(program.expression())?;
    Ok(Compiled { program, names, weight })
}

/// The first fault of a condition, with its place in the condition.
fn told(errors: &cel::ParseErrors) -> String {
    let Some(first) = errors.errors.first() else { return "it is not in the language".to_owned() };
    let message = shortened(first.msg.trim());
    if first.pos.1 > 0 { format!("at character {}: {message}", first.pos.1) } else { message }
}

/// The parser is generated code with assertions of its own; a panic of it is a condition that cannot be read.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it cannot be read or answered".to_owned()))
}

fn shortened(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    let shown: String = line.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < line.len() { format!("{shown}…") } else { shown }
}

/// An upper bound of how deep the parser recurses: open brackets, and signs and choices within them, outside quotes.
fn nesting(condition: &str) -> usize {
    let (mut open, mut chained, mut deepest) = (Vec::new(), 0_usize, 0_usize);
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut before = ' ';
    for character in condition.chars() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), character) if mark == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '(' | '[' | '{') => {
                open.push(chained);
                chained += 1;
            }
            (None, ')' | ']' | '}') => chained = open.pop().unwrap_or(0),
            // A choice nests to its right, and so does a sign in front of a sign.
            (None, '?') => chained += 1,
            (None, '!' | '-') if matches!(before, '!' | '-') => chained += 1,
            (None, ',') => chained = open.last().map_or(0, |outer| outer + 1),
            _ => {}
        }
        deepest = deepest.max(chained);
        if !character.is_whitespace() {
            before = character;
        }
    }
    deepest
}

/// Facts on their way into the language, counted.
#[derive(Default)]
struct Intake {
    values: usize,
    bytes: usize,
    /// The most elements that a list or an object among them has.
    longest: usize,
}

impl Intake {
    fn value(&mut self, fact: &Json, depth: usize) -> Result<Value, String> {
        self.values += 1;
        if self.values > FACTS_MAX || self.bytes > FACTS_BYTES_MAX {
            return Err(format!(
                "it looks at more than {FACTS_MAX} values or {FACTS_BYTES_MAX} bytes of text; map the output of the step \
                 to what the condition needs"
            ));
        }
        if depth > FACTS_DEPTH_MAX {
            return Err(format!("it looks at a value that is nested more than {FACTS_DEPTH_MAX} deep"));
        }
        Ok(match fact {
            Json::Null => Value::Null,
            Json::Bool(fact) => Value::Bool(*fact),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Value::Int(whole),
                (None, Some(whole)) => Value::UInt(whole),
                (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => {
                self.bytes += text.len();
                Value::String(Arc::new(text.clone()))
            }
            Json::Array(items) => {
                self.longest = self.longest.max(items.len());
                let items: Result<Vec<Value>, String> = items.iter().map(|item| self.value(item, depth + 1)).collect();
                Value::List(Arc::new(items?))
            }
            Json::Object(fields) => self.fields(fields, depth)?,
        })
    }

    fn fields<'f>(
        &mut self,
        fields: impl IntoIterator<Item = (&'f String, &'f Json)>,
        depth: usize,
    ) -> Result<Value, String> {
        let mut map = HashMap::new();
        for (name, field) in fields {
            self.bytes += name.len();
            map.insert(Key::String(Arc::new(name.clone())), self.value(field, depth + 1)?);
        }
        self.longest = self.longest.max(map.len());
        Ok(Value::Map(Map { map: Arc::new(map) }))
    }
}

/// Functions of the language.
const FUNCTIONS: [&str; 13] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "dyn",
    "type",
];

#[cfg(test)]
mod tests;
