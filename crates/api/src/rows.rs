//! Rows of read models as answers show them.
//!
//! Owns: names in camel case, what is left out, and that secrets are not shown.
//! Refuses to know: which table a row is of.

use nightshift_ports::rows::PLACE_COLUMNS;
use nightshift_projections::table::Row;
use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A row with names as clients of the seed's REST interface know them (`startedAt`), without its place in the log.
#[must_use]
pub fn shown(row: &Row) -> Value {
    let fields = row.iter().filter(|(name, _)| !PLACE_COLUMNS.contains(&name.as_str()));
    Value::Object(fields.map(|(name, value)| (camel(name), value.clone())).collect())
}

/// `started_at` becomes `startedAt`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}

/// A text of a row; empty when it is null.
#[must_use]
pub fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The first of some columns that the row has and that is not null.
#[must_use]
pub fn first<'a>(row: &'a Row, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| row.get(*name).filter(|value| !value.is_null()))
}

/// Words in the names of fields whose values nobody should read.
const SECRET_WORDS: [&str; 9] =
    ["authorization", "password", "passwd", "secret", "token", "apikey", "cookie", "credential", "privatekey"];

/// The same value without what its field names call a secret. References to secrets (`env:NAME`, `file:/path`) stay.
#[must_use]
pub fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(without_secrets).collect()),
        Value::Object(fields) => Value::Object(fields.iter().map(field_without_secrets).collect::<Map<_, _>>()),
        other => other.clone(),
    }
}

fn field_without_secrets((name, value): (&String, &Value)) -> (String, Value) {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let named = SECRET_WORDS.iter().any(|word| plain.contains(word)) && !plain.ends_with("tokens");
    let value = match value {
        Value::String(text) if named && !is_reference(text) => Value::from(REDACTED),
        other => without_secrets(other),
    };
    (name.clone(), value)
}

fn is_reference(text: &str) -> bool {
    text.is_empty() || text.starts_with("env:") || text.starts_with("file:")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_shown_in_camel_case_without_its_place() {
        let row = json!({"id": "1", "parent_orchestration_run_id": null, "shard_id": 1, "src_seq": 2, "at_": 3});
        assert_eq!(shown(row.as_object().unwrap()), json!({"id": "1", "parentOrchestrationRunId": null, "at": 3}));
    }

    #[test]
    fn secrets_are_not_shown_and_references_are() {
        let plan = json!({
            "steps": [{
                "headers": {"Authorization": "Bearer abc", "X-Api-Key": "k", "Accept": "json"},
                "secret": "env:NAME", "client_secret": "s", "dbPassword": "p",
                "max_tokens": 7, "prompt_tokens": "12", "accessToken": "t", "cookie": ["a"],
            }],
        });
        let expected = json!({
            "steps": [{
                "headers": {"Authorization": REDACTED, "X-Api-Key": REDACTED, "Accept": "json"},
                "secret": "env:NAME", "client_secret": REDACTED, "dbPassword": REDACTED,
                "max_tokens": 7, "prompt_tokens": "12", "accessToken": REDACTED, "cookie": ["a"],
            }],
        });
        assert_eq!(without_secrets(&plan), expected);
    }
}
