//! `nightshift sql`: questions in SQL.

use std::path::Path;

use nightshift_store::AskError;
use serde_json::{Map, Value};

use super::Env;
use crate::{
    app::{self, AnyStore, Mode},
    args,
    exit::{Code, Exit},
    output,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, asked: args::Sql) -> Result<Code, Exit> {
    let query = if asked.query == "-" { output::read_text(Path::new("-"))? } else { asked.query };
    let answered = match app::open(&env.config, Mode::Read).await? {
        AnyStore::Sqlite(store) => store.ask(&query, env.clock().now(), asked.limit).await,
        AnyStore::Postgres(store) => store.ask(&query, asked.limit).await,
    };
    let answered = answered.map_err(|error| match error {
        AskError::Faulty(_) => Exit::new(Code::Usage, error.to_string()),
        AskError::Store(error) => error.into(),
    })?;
    if env.json {
        let named = |row: Vec<Value>| answered.columns.iter().cloned().zip(row).collect::<Map<_, _>>();
        output::json(&answered.rows.into_iter().map(named).collect::<Vec<_>>());
    } else {
        let headings: Vec<&str> = answered.columns.iter().map(String::as_str).collect();
        let lines = answered.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
        output::table(&headings, lines, "no rows");
    }
    if answered.more {
        output::note(&format!("there are more than {} rows; --limit shows more", asked.limit));
    }
    Ok(Code::Ok)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
