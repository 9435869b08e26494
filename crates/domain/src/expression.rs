//! Conditions, as a decision asks about them.
//!
//! Owns: the question. Refuses to know: the language (CEL) and its evaluator; `spec` answers.

use crate::json::Json;

/// Answers about conditions. Pure: the same condition and facts give the same answer.
pub trait Expressions: Send + Sync {
    /// Whether `condition` holds for `facts`, an object whose fields are the names the condition may use.
    ///
    /// # Errors
    /// It cannot be said, and why: a name that is not there, types that do not fit, an answer that is no yes or no.
    fn holds(&self, condition: &str, facts: &Json) -> Result<bool, String>;
}

/// Answers nothing. For streams whose plans have no conditions.
pub struct NoExpressions;

impl Expressions for NoExpressions {
    fn holds(&self, condition: &str, _facts: &Json) -> Result<bool, String> {
        Err(format!("conditions cannot be evaluated here: {condition}"))
    }
}
