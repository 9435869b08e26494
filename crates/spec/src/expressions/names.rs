//! What a condition refers to, and how much work it can be.
//!
//! Owns: the walk over a parsed condition. Refuses to know: values.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::FUNCTIONS;
use crate::fault::did_you_mean;

/// The names that a condition uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// First names of paths: `steps`, `parameters`, ...
    pub roots: BTreeSet<String>,
    /// Steps it looks at, as `steps.fetch` or `steps["fetch"]`.
    pub steps: BTreeSet<String>,
    /// It looks at `steps` as a whole, or under a name that is computed.
    pub all_steps: bool,
    /// Parameters it looks at, as `parameters.grouping`.
    pub parameters: BTreeSet<String>,
    /// Fields of other names, with the name: `run.id`, `failure.class`.
    pub fields: BTreeSet<(String, String)>,
}

/// How much work a condition can be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    nodes: u64,
    /// How deep loops are within each other.
    loops: u32,
    /// Additions, each of which may make a list longer.
    additions: u64,
    /// Patterns are compiled each time they are looked for.
    patterns: u64,
}

impl Weight {
    /// Steps of evaluation at most, when no range of the facts is longer than `longest`.
    pub(super) fn work(self, longest: usize) -> u64 {
        const PATTERN: u64 = 1_000;
        // Lists in the condition itself are no longer than the condition has nodes.
        let range = (longest as u64).max(self.nodes).saturating_mul(self.additions + 1);
        let once = self.nodes.saturating_add(self.patterns.saturating_mul(PATTERN));
        range.saturating_pow(self.loops).saturating_mul(once)
    }
}

/// The names and the weight of a condition.
///
/// # Errors
/// A function that is not there.
pub(super) fn of(expression: &IdedExpr) -> Result<(Names, Weight), String> {
    let mut walk = Walk::default();
    walk.visit(expression, 0)?;
    Ok((walk.names, walk.weight))
}

#[derive(Default)]
struct Walk {
    names: Names,
    weight: Weight,
    /// Variables of the loops around.
    bound: Vec<String>,
}

impl Walk {
    fn visit(&mut self, expression: &IdedExpr, loops: u32) -> Result<(), String> {
        self.weight.nodes += 1;
        self.weight.loops = self.weight.loops.max(loops);
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                self.root(name);
                self.names.all_steps |= name == "steps" && !self.bound.contains(name);
                Ok(())
            }
            Expr::Select(select) => self.member(&select.operand, &select.field, loops),
            Expr::Call(call) => self.call(call, loops),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, loops)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr, loops)),
            Expr::Struct(made) => Err(format!("there is no type {:?}", made.type_name)),
            Expr::Comprehension(comprehension) => {
                let depth = self.bound.len();
                self.visit(&comprehension.iter_range, loops)?;
                self.visit(&comprehension.accu_init, loops)?;
                self.bound.extend([comprehension.iter_var.clone(), comprehension.accu_var.clone()]);
                self.bound.extend(comprehension.iter_var2.clone());
                self.visit(&comprehension.loop_cond, loops + 1)?;
                self.visit(&comprehension.loop_step, loops + 1)?;
                self.visit(&comprehension.result, loops)?;
                self.bound.truncate(depth);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, loops: u32) -> Result<(), String> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value, loops),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, loops)?;
                self.visit(&entry.value, loops)
            }
        }
    }

    fn call(&mut self, call: &CallExpr, loops: u32) -> Result<(), String> {
        if call.func_name == operators::INDEX
            && let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] = call.args.as_slice()
        {
            return self.member(operand, name.inner(), loops);
        }
        match call.func_name.as_str() {
            operators::ADD => self.weight.additions += 1,
            "matches" => self.weight.patterns += 1,
            _ => {}
        }
        // Operators have names that begin with a mark.
        if call.func_name.starts_with(char::is_alphabetic) && !FUNCTIONS.contains(&call.func_name.as_str()) {
            let hint = did_you_mean(&call.func_name, FUNCTIONS).map(|hint| format!("; {hint}")).unwrap_or_default();
            let known = FUNCTIONS.join(", ");
            return Err(format!("there is no function {:?}; there are: {known}{hint}", call.func_name));
        }
        call.target.iter().try_for_each(|target| self.visit(target, loops))?;
        call.args.iter().try_for_each(|argument| self.visit(argument, loops))
    }

    /// `operand.name`, also as `operand["name"]` and `has(operand.name)`.
    fn member(&mut self, operand: &IdedExpr, name: &str, loops: u32) -> Result<(), String> {
        match &operand.expr {
            Expr::Ident(root) if !self.bound.contains(root) => {
                self.weight.nodes += 1;
                self.root(root);
                match root.as_str() {
                    "steps" => drop(self.names.steps.insert(name.to_owned())),
                    "parameters" => drop(self.names.parameters.insert(name.to_owned())),
                    _ => drop(self.names.fields.insert((root.clone(), name.to_owned()))),
                }
                Ok(())
            }
            _ => self.visit(operand, loops),
        }
    }

    fn root(&mut self, name: &str) {
        // Types are names of the language, and loops name their results with a mark.
        let types = ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"];
        if !self.bound.iter().any(|bound| bound == name) && !name.starts_with('@') && !types.contains(&name) {
            self.names.roots.insert(name.to_owned());
        }
    }
}
