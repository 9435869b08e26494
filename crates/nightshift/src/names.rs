//! What people call things: ids, beginnings of ids, titles.

use nightshift_domain::ids::{DeliverableId, RunId, ScheduleId};
use nightshift_ports::read_models::{Query, ReadModels};
use nightshift_projections::{
    table::{Row, TableDef},
    tables,
};
use serde_json::Value;

use crate::{
    commands::workflow,
    exit::{Code, Exit},
    output::cell,
};

/// Rows looked through for a name.
const LOOKED_THROUGH: u32 = 10_000;

/// A table by name.
///
/// # Panics
/// Never: the names used here are those of `projections::tables`, and a test looks each of them up.
#[must_use]
pub fn table(name: &str) -> &'static TableDef {
    tables::named(name).expect("the name is one of projections::tables::ALL")
}

/// A state asked for, when it is one of those a table has.
///
/// # Errors
/// It is not; the error names the nearest.
pub fn state(asked: Option<String>, allowed: &[&'static str]) -> Result<Option<(&'static str, Value)>, Exit> {
    let Some(asked) = asked else { return Ok(None) };
    if allowed.contains(&asked.as_str()) {
        return Ok(Some(("status", Value::from(asked))));
    }
    let near = nightshift_spec::fault::nearest(&asked, allowed.iter().copied());
    let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    Err(Exit::new(Code::Usage, format!("--status: found {asked:?}; allowed: {}{hint}", allowed.join(", "))))
}

/// Finds one row by id, by the beginning of an id, or by exact title.
async fn find(models: &dyn ReadModels, table: &'static TableDef, what: &str, name: &str) -> Result<Row, Exit> {
    if name.parse::<uuid::Uuid>().is_ok() {
        let query = Query { equals: vec![("id", Value::from(name.to_lowercase()))], ..Query::default() };
        if let Some(row) = models.query(table, &query).await?.into_iter().next() {
            return Ok(row);
        }
    }
    let query = Query { order: vec![("created_at", true)], limit: LOOKED_THROUGH, ..Query::default() };
    let query =
        if table.column("created_at").is_some() { query } else { Query { order: vec![("started_at", true)], ..query } };
    let rows = models.query(table, &query).await?;
    let wanted = name.to_lowercase();
    let matches: Vec<&Row> = rows
        .iter()
        .filter(|row| {
            (wanted.len() >= 4 && cell(row, "id").starts_with(&wanted)) || cell(row, "title").to_lowercase() == wanted
        })
        .collect();
    match matches.as_slice() {
        [row] => Ok((*row).clone()),
        [] => Err(not_found(what, name, &rows)),
        several => {
            let ids: Vec<String> = several.iter().take(5).map(|row| cell(row, "id")).collect();
            let message = format!("{} {what}s are called {name:?}; name one of {}", several.len(), ids.join(", "));
            Err(Exit::new(Code::Usage, message))
        }
    }
}

fn not_found(what: &str, name: &str, rows: &[Row]) -> Exit {
    let titles: Vec<String> = rows.iter().map(|row| cell(row, "title")).collect();
    let near = nightshift_spec::fault::nearest(name, titles.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("; did you mean {near:?}?"),
        None if rows.is_empty() => format!("; there is no {what} at all yet"),
        None => format!("; `nightshift {what} list` shows what there is"),
    };
    Exit::new(Code::NotFound, format!("there is no {what} {name:?}{hint}"))
}

/// A deliverable by id, beginning of an id, or title.
///
/// # Errors
/// There is none, or more than one.
pub async fn deliverable(models: &dyn ReadModels, name: &str) -> Result<(DeliverableId, Row), Exit> {
    let row = find(models, table("deliverables"), "deliverable", name).await?;
    let id = cell(&row, "id").parse().map_err(Exit::failed)?;
    Ok((id, row))
}

/// A run by id or beginning of an id.
///
/// # Errors
/// There is none, or more than one.
pub async fn run(models: &dyn ReadModels, name: &str) -> Result<(RunId, Row), Exit> {
    let row = find(models, table("orchestration_runs"), "run", name).await?;
    let id = cell(&row, "id").parse().map_err(Exit::failed)?;
    Ok((id, row))
}

/// A schedule by id or beginning of an id.
///
/// # Errors
/// There is none, or more than one.
pub async fn schedule(models: &dyn ReadModels, name: &str) -> Result<(ScheduleId, Row), Exit> {
    let row = find(models, table("schedules"), "schedule", name).await?;
    let id = cell(&row, "id").parse().map_err(Exit::failed)?;
    Ok((id, row))
}

/// Schedules by id, beginning of an id, or what they start: a workflow as `name` or `owner/name`, or a deliverable.
///
/// # Errors
/// There is none.
pub async fn schedules_of(models: &dyn ReadModels, name: &str) -> Result<Vec<(ScheduleId, Row)>, Exit> {
    let none = match schedule(models, name).await {
        Ok(found) => return Ok(vec![found]),
        Err(several) if several.code == Code::Usage => return Err(several),
        Err(none) => none,
    };
    let target = match (workflow::find(models, name).await, deliverable(models, name).await) {
        (Ok(row), _) => ("definition_id", cell(&row, "id")),
        (Err(_), Ok((id, _))) => ("deliverable_id", id.to_string()),
        (Err(several), _) | (_, Err(several)) if several.code == Code::Usage => return Err(several),
        _ => return Err(Exit::new(none.code, format!("{}; nor a workflow or deliverable", none.message))),
    };
    let equals = vec![(target.0, Value::from(target.1))];
    let query = Query { equals, order: vec![("next_due_at", false)], limit: LOOKED_THROUGH, ..Query::default() };
    let rows = models.query(table("schedules"), &query).await?;
    let living: Vec<Row> = rows.into_iter().filter(|row| cell(row, "status") != "ended").collect();
    if living.is_empty() {
        return Err(Exit::new(Code::NotFound, format!("{name} has no schedule")));
    }
    living.into_iter().map(|row| Ok((cell(&row, "id").parse().map_err(Exit::failed)?, row))).collect()
}

/// A version of a deliverable; the newest when no number is given.
///
/// # Errors
/// There is none.
pub async fn version(models: &dyn ReadModels, deliverable: DeliverableId, number: Option<u32>) -> Result<Row, Exit> {
    let mut query = Query {
        equals: vec![("deliverable_id", Value::from(deliverable.to_string()))],
        order: vec![("version_number", true)],
        limit: 1,
        ..Query::default()
    };
    if let Some(number) = number {
        query.equals.push(("version_number", Value::from(number)));
    }
    let found = models.query(table("deliverable_versions"), &query).await?.into_iter().next();
    found.ok_or_else(|| {
        let what = number.map_or_else(|| "no version yet".to_owned(), |number| format!("no version {number}"));
        Exit::new(Code::NotFound, format!("the deliverable has {what}; `nightshift version list` shows what there is"))
    })
}
