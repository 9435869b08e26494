//! The chooser: finds the letters of bulk jobs in the read models, a page at a time.
//!
//! Owns: how a filter becomes a question, and which pages are being looked up.
//! Refuses to know: what is done to the letters, and whether that is possible: runs know.
//!
//! Invariant: a page that is handed over again while it is looked up is looked up once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nightshift_domain::{
    bulk::{Command, Filter, Letter, PAGE},
    ids::{BulkId, CommandId},
    recorded::Meta,
    time::Timestamp,
};
use nightshift_ports::{log::StoreError, read_models::Query};
use nightshift_projections::{table::Row, tables::JOB_QUEUE};
use serde_json::Value;

use crate::{
    context::Context,
    envelope::{Envelope, NotDone, Reply},
    observer::OpenWork,
};

/// Wait before a page is looked up again after the store or the job did not answer, in milliseconds.
const AGAIN_MS: i64 = 500;

/// A page of letters that is wanted.
#[derive(Debug, Clone)]
pub struct Choose {
    /// Whose page it is.
    pub bulk: BulkId,
    /// Which one, from 0.
    pub page: u32,
    /// Which letters.
    pub filter: Filter,
    /// None that came to its state later.
    pub upto: Timestamp,
    /// Those behind this name; none: from the first on.
    pub from: Option<String>,
}

type Page = (BulkId, u32);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Chooser {
    under_way: Arc<Mutex<HashMap<Page, OpenWork>>>,
}

impl Chooser {
    fn under_way(&self) -> MutexGuard<'_, HashMap<Page, OpenWork>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a page up and tells the job, unless that is under way already.
    pub fn choose(&self, context: &Arc<Context>, choose: Choose) {
        let page = (choose.bulk, choose.page);
        if self.under_way().insert(page, context.gauges.open()).is_some() {
            return;
        }
        let (context, chooser, panicked) = (Arc::clone(context), self.clone(), self.clone());
        let work = async move {
            see_through(&context, &choose).await;
            chooser.under_way().remove(&page);
        };
        crate::tasks::spawn_guarded(work, move |_| drop(panicked.under_way().remove(&page)));
    }
}

async fn see_through(context: &Arc<Context>, choose: &Choose) {
    let mut found = None;
    while !context.journal.is_fenced() {
        match &found {
            None => match page(context, choose).await {
                Ok(command) => {
                    found = Some(command);
                    continue;
                }
                Err(error) => tracing::warn!(bulk = %choose.bulk, %error, "letters were not found; looking again"),
            },
            Some(command) => match tell(context, choose, command.clone()).await {
                Err(error) if error.is_open() => {
                    tracing::warn!(bulk = %choose.bulk, %error, "a page of letters was not heard; telling again");
                }
                Err(error) => {
                    return tracing::error!(bulk = %choose.bulk, %error, "a page of letters was turned down");
                }
                Ok(()) => return,
            },
        }
        context.clock_port.sleep_until(context.clock_port.now().plus_ms(AGAIN_MS)).await;
    }
}

async fn tell(context: &Arc<Context>, choose: &Choose, command: Command) -> Result<(), NotDone> {
    let stream = choose.bulk.stream();
    let envelope = Envelope {
        command: command.into(),
        id: CommandId::of_obligation(stream, &format!("choose:{}", choose.page), "chosen"),
        meta: Meta { actor: "chooser".to_owned(), ..Meta::default() },
        discharges: None,
        from_client: false,
        reply: Reply::nobody(),
    };
    context.router().submit(stream, envelope).await.map(|_| ())
}

async fn page(context: &Arc<Context>, choose: &Choose) -> Result<Command, StoreError> {
    let mut query = question(&choose.filter, choose.upto);
    query.above.extend(choose.from.clone().map(|from| ("job_id", Value::from(from))));
    query.limit = PAGE as u32;
    let rows = context.read_models.query(&JOB_QUEUE, &query).await?;
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|row| text(row, "job_id").to_owned());
    let letters = rows.iter().filter_map(letter).collect();
    Ok(Command::Chosen { page: choose.page, letters, next })
}

/// A filter as a question to `job_queue`, in the order in which letters are chosen: none that came to its state after
/// `upto`.
#[must_use]
pub fn question(filter: &Filter, upto: Timestamp) -> Query {
    let mut equals = vec![("status", Value::from(filter.status.clone()))];
    let texts = [("queue", &filter.queue), ("error_class", &filter.error_class), ("user_id", &filter.user)];
    for (column, value) in texts {
        equals.extend(value.clone().map(|value| (column, Value::from(value))));
    }
    equals.extend(filter.run.map(|run| ("workflow_run_id", Value::from(run.to_string()))));
    if let Some(definition) = &filter.definition {
        let (owner, name) =
            definition.rsplit_once('/').map_or((None, &**definition), |(owner, name)| (Some(owner), name));
        equals.push(("definition", Value::from(name)));
        equals.extend(owner.map(|owner| ("definition_owner", Value::from(owner))));
    }
    let behind = Timestamp(upto.micros().saturating_add(1));
    let before = filter.before.map_or(behind, |before| before.min(behind));
    Query {
        equals,
        above: filter.after.iter().map(|after| ("updated_at", instant(*after))).collect(),
        below: vec![("updated_at", instant(before))],
        order: vec![("job_id", false)],
        ..Query::default()
    }
}

fn instant(at: Timestamp) -> Value {
    Value::from(at.to_string())
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn letter(row: &Row) -> Option<Letter> {
    let attempt = row.get("attempts").and_then(Value::as_u64).and_then(|attempt| u32::try_from(attempt).ok())?;
    Some(Letter { run: text(row, "workflow_run_id").parse().ok()?, step: text(row, "step_id").to_owned(), attempt })
}
