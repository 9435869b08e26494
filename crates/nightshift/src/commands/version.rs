//! `nightshift version`: produced documents.

use nightshift_actors::perform::full_text;
use nightshift_domain::{
    content::{Digest, Text},
    deliverable::{Command, EditMeasure},
    ids::{CommandId, DeliverableId},
};
use nightshift_ports::{
    blobs::digest_of,
    clock::IdSource,
    read_models::{Query, ReadModels},
};
use nightshift_projections::table::Row;
use nightshift_spec::edit;
use serde_json::Value;

use super::Env;
use crate::{
    app::{self, AnyStore, Mode},
    args::{self, Which},
    control::{Control, user_name},
    exit::{Code, Exit},
    names,
    output::{self, cell, fact, instant, short_id},
    real::RandomIds,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Version) -> Result<Code, Exit> {
    match command {
        args::Version::List { deliverable, status } => list(env, deliverable, status).await,
        args::Version::Show { which, details } => show(env, &which, details).await,
        args::Version::Diff { deliverable, from, to } => diff(env, &deliverable, from, to).await,
        args::Version::Approve { which, note, digest } => {
            tell(env, &which, |number| Command::Approve { number, by: user_name(), note, digest: digest.map(Digest) })
                .await
        }
        args::Version::Reject { which, reason } => {
            tell(env, &which, |number| Command::Reject { number, by: user_name(), reason }).await
        }
        args::Version::Deliver { which } => {
            tell(env, &which, |number| Command::Deliver { number, by: user_name() }).await
        }
        args::Version::Edit { which, file } => {
            let text = output::read_text(&file)?;
            edit_text(env, &which, text).await
        }
    }
}

/// Versions, newest first.
///
/// # Errors
/// The store did not answer.
pub async fn rows_of(
    models: &dyn ReadModels,
    deliverable: Option<DeliverableId>,
    status: Option<String>,
    limit: u32,
) -> Result<Vec<Row>, Exit> {
    let by_deliverable = deliverable.map(|id| ("deliverable_id", Value::from(id.to_string())));
    const STATES: [&str; 7] = ["generating", "staged", "reviewing", "approved", "rejected", "delivered", "failed"];
    let by_status = names::state(status, &STATES)?;
    let order = vec![("created_at", true), ("version_number", true)];
    let query =
        Query { equals: by_deliverable.into_iter().chain(by_status).collect(), order, limit, ..Query::default() };
    Ok(models.query(names::table("deliverable_versions"), &query).await?)
}

/// Prints versions as a table.
pub fn print(rows: &[Row]) {
    let lines = rows.iter().map(|row| {
        vec![
            short_id(&cell(row, "deliverable_id")).to_owned(),
            cell(row, "version_number"),
            cell(row, "status"),
            cell(row, "delivery_status"),
            instant(row, "nominal_at"),
            instant(row, "staged_at"),
            cell(row, "content_bytes"),
        ]
    });
    let headings = ["deliverable", "version", "status", "delivery", "slot", "staged", "bytes"];
    output::table(&headings, lines.collect(), "no versions yet");
}

async fn list(env: &Env, deliverable: Option<String>, status: Option<String>) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let id = match deliverable {
        Some(name) => Some(names::deliverable(&*models, &name).await?.0),
        None => None,
    };
    let rows = rows_of(&*models, id, status, 200).await?;
    if env.json {
        output::json(&rows)
    } else {
        print(&rows)
    }
    Ok(Code::Ok)
}

/// The text of a version as it stands.
///
/// # Errors
/// It has none yet, or the content store does not have it.
pub async fn text_of(store: &AnyStore, row: &Row) -> Result<String, Exit> {
    let digest = cell(row, "content_digest");
    if digest.is_empty() {
        let (number, status) = (cell(row, "version_number"), cell(row, "status"));
        return Err(Exit::new(Code::NotFound, format!("version {number} has no text: it is {status}")));
    }
    let inline =
        ["final_content", "draft_content"].iter().map(|column| cell(row, column)).find(|text| !text.is_empty());
    let inline = inline.filter(|text| digest_of(text.as_bytes()).0 == digest);
    let text = Text { digest: Digest(digest), bytes: 0, inline };
    full_text(&*store.ports(), &text).await.map_err(Exit::failed)
}

async fn show(env: &Env, which: &Which, details: bool) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let (id, deliverable) = names::deliverable(&*models, &which.deliverable).await?;
    let row = names::version(&*models, id, which.number).await?;
    if env.json {
        output::json(&row);
        return Ok(Code::Ok);
    }
    if details {
        println!("{} v{}", cell(&deliverable, "title"), cell(&row, "version_number"));
        for name in ["id", "status", "content_digest", "run_id", "approved_by", "feedback_notes", "edit_distance_score"]
        {
            fact(name, cell(&row, name));
        }
        for name in ["delivery_status", "delivery_external_url", "delivery_error"] {
            fact(name, cell(&row, name));
        }
        for name in ["nominal_at", "created_at", "staged_at", "approved_at", "delivered_at"] {
            fact(name, instant(&row, name));
        }
        fact("made by", row.get("analyst_metadata").map(ToString::to_string).unwrap_or_default());
        for source in row.get("source_snapshots").and_then(Value::as_array).into_iter().flatten() {
            fact("source", source);
        }
        println!();
    }
    print!("{}", text_of(&store, &row).await?);
    Ok(Code::Ok)
}

async fn diff(env: &Env, name: &str, from: Option<u32>, to: Option<u32>) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let models = store.read_models();
    let (id, _) = names::deliverable(&*models, name).await?;
    let later = names::version(&*models, id, to).await?;
    let number = |row: &Row| row.get("version_number").and_then(Value::as_u64).unwrap_or(0) as u32;
    if from == Some(number(&later)) {
        let own = cell(&later, "edit_diff");
        if env.json {
            output::json(&serde_json::json!({"from": from, "to": from, "diff": own}));
        } else {
            print!("{own}");
        }
        return Ok(Code::Ok);
    }
    let before = from.unwrap_or_else(|| number(&later).saturating_sub(1));
    let earlier = names::version(&*models, id, Some(before)).await?;
    let (old, new) = (text_of(&store, &earlier).await?, text_of(&store, &later).await?);
    let labels = (format!("version {before}"), format!("version {}", number(&later)));
    let unified = edit::unified_diff(&old, &new, (&labels.0, &labels.1));
    if env.json {
        output::json(&serde_json::json!({"from": before, "to": number(&later), "diff": unified}));
    } else {
        print!("{unified}");
    }
    Ok(Code::Ok)
}

async fn tell(env: &Env, which: &Which, command: impl FnOnce(u32) -> Command) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let (id, _) = names::deliverable(&*models, &which.deliverable).await?;
    let row = names::version(&*models, id, which.number).await?;
    let number = row.get("version_number").and_then(Value::as_u64).unwrap_or(0) as u32;
    control.submit(id.stream(), command(number), CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    finish(env, control, id, number).await
}

async fn finish(env: &Env, control: Control, id: DeliverableId, number: u32) -> Result<Code, Exit> {
    let models = control.store().read_models();
    let (_, deliverable) = names::deliverable(&*models, &id.to_string()).await?;
    let row = names::version(&*models, id, Some(number)).await?;
    control.close().await;
    if env.json {
        output::json(&row);
        return Ok(Code::Ok);
    }
    println!("{} v{number} {}", cell(&deliverable, "title"), cell(&row, "status"));
    for name in ["delivery_status", "delivery_external_url", "delivery_error", "edit_distance_score"] {
        fact(name, cell(&row, name));
    }
    Ok(Code::Ok)
}

async fn edit_text(env: &Env, which: &Which, text: String) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let models = control.store().read_models();
    let (id, _) = names::deliverable(&*models, &which.deliverable).await?;
    let row = names::version(&*models, id, which.number).await?;
    let number = row.get("version_number").and_then(Value::as_u64).unwrap_or(0) as u32;
    let current = text_of(control.store(), &row).await?;
    let draft = Some(cell(&row, "draft_content")).filter(|draft| !draft.is_empty()).unwrap_or_else(|| current.clone());
    let measured = edit::measure(&draft, &text);
    let measure = EditMeasure {
        distance_permille: measured.edit_distance_score,
        diff: control.keep(measured.unified_diff).await?,
        categories: measured.categories,
    };
    let base = digest_of(current.as_bytes());
    let text = control.keep(text).await?;
    let command = Command::Edit { number, by: user_name(), base, text, measure };
    control.submit(id.stream(), command, CommandId(RandomIds.fresh())).await?;
    control.settled().await;
    finish(env, control, id, number).await
}
