//! Finds the letters of bulk jobs in the read models, as `actors::chooser`, and brings the answers of runs back to them.
//!
//! Owns: pages under way, questions of the courier. Refuses to know: what is done to a letter.

use std::rc::Rc;

use nightshift_domain::{
    bulk::{BulkDecider, Command, Letter, State},
    ids::{CommandId, StreamId},
    time::Timestamp,
};
use nightshift_projections::{table::Row, tables::JOB_QUEUE};
use serde_json::Value;

use super::{
    Sabotage,
    node::{Envelope, Errand, NodeRef, Outcome, ReplyTo},
    sim::{Act, Sim},
};

/// Letters of a page; fewer than in the product, so that there are more pages.
const PAGE: usize = 3;

/// Wait before a page is looked up again, in microseconds.
const AGAIN_US: i64 = 500_000;

/// A page of letters that is wanted.
#[derive(Debug, Clone)]
pub struct Choosing {
    pub status: String,
    pub upto: Timestamp,
    pub from: Option<String>,
    pub found: Option<Command>,
}

pub type PageKey = (StreamId, u32);

impl Sim<'_> {
    /// A page is to be looked up, unless it is already.
    pub fn choose(&mut self, at: NodeRef, stream: StreamId, state: &State, page: u32) {
        let State::Open(bulk) = state else { return };
        let key = (stream, page);
        if !bulk.is_choosing() || bulk.page != page || self.nodes[at.node].choosing.contains_key(&key) {
            return;
        }
        let (status, upto, from) = (bulk.created.filter.status.clone(), bulk.created_at, bulk.from.clone());
        self.nodes[at.node].choosing.insert(key, Choosing { status, upto, from, found: None });
        let soon = self.chance.between(1_000, 100_000);
        self.after_us(soon, Act::Choose(at, key));
    }

    /// The tables are asked, and the job is told.
    pub fn look_up(&mut self, at: NodeRef, key: PageKey) {
        let Some(choosing) = self.nodes[at.node].choosing.get(&key).cloned() else { return };
        if choosing.found.is_none() {
            if self.db.down {
                return self.after_us(AGAIN_US, Act::Choose(at, key));
            }
            let found = self.page(key.1, &choosing);
            if let Some(choosing) = self.nodes[at.node].choosing.get_mut(&key) {
                choosing.found = Some(found);
            }
        }
        let found = self.nodes[at.node].choosing.get(&key).and_then(|choosing| choosing.found.clone());
        let Some(command) = found else { return };
        let envelope = Envelope {
            to: key.0,
            command: Rc::new(command.into()),
            id: CommandId::of_obligation(key.0, &format!("choose:{}", key.1), "chosen"),
            discharges: None,
            from_client: false,
            reply: ReplyTo::Chosen(key),
        };
        self.send(at, envelope);
    }

    fn page(&self, page: u32, choosing: &Choosing) -> Command {
        let upto = choosing.upto.micros();
        let rows = self.db.rows.iter().filter(|((table, _), _)| *table == JOB_QUEUE.name);
        let rows = rows.map(|(_, image)| image.clone().into_row(&JOB_QUEUE));
        let fits = |row: &Row| {
            text(row, "status") == choosing.status
                && instant(text(row, "updated_at")) <= upto
                && choosing.from.as_ref().is_none_or(|from| text(row, "job_id") > from.as_str())
        };
        let mut rows: Vec<Row> = rows.filter(fits).collect();
        rows.sort_by(|one, other| text(one, "job_id").cmp(text(other, "job_id")));
        rows.truncate(PAGE);
        let next = rows.last().filter(|_| rows.len() == PAGE).map(|row| text(row, "job_id").to_owned());
        let mut letters: Vec<Letter> = rows.iter().filter_map(letter).collect();
        if self.settings.sabotage == Some(Sabotage::LetterTwice) {
            letters.extend(letters.first().cloned());
        }
        Command::Chosen { page, letters, next }
    }

    /// The job has heard of its page, or is told again.
    pub fn chosen(&mut self, at: NodeRef, key: PageKey, outcome: &Outcome) {
        if *outcome == Outcome::Unanswered {
            return self.after_us(AGAIN_US, Act::Choose(at, key));
        }
        self.nodes[at.node].choosing.remove(&key);
    }

    /// Tells who asked what came of it, until it is known that it heard.
    pub fn bring_answer(&mut self, at: NodeRef, errand: Errand, outcome: &Outcome) {
        let refused = match outcome {
            Outcome::Rejected(why) if self.settings.sabotage != Some(Sabotage::SayDone) => Some(why.clone()),
            _ => None,
        };
        let Some(answer) = BulkDecider::answer(&errand.key, refused) else { return };
        let envelope = Envelope {
            to: errand.owner,
            command: Rc::new(answer.into()),
            id: CommandId::of_obligation(errand.owner, &errand.key, "answer"),
            discharges: None,
            from_client: false,
            reply: ReplyTo::Brought(errand),
        };
        self.send(at, envelope);
    }

    /// Who asked has heard; otherwise who was asked is asked once more, and answers the same.
    pub fn answer_brought(&mut self, at: NodeRef, errand: Errand, outcome: &Outcome) {
        if *outcome == Outcome::Unanswered {
            return self.after_us(200_000, Act::TellAgain(at, Box::new(errand)));
        }
        self.nodes[at.node].under_way.remove(&(errand.owner, errand.key));
    }
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn instant(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).map_or(i64::MAX, |at| at.timestamp_micros())
}

fn letter(row: &Row) -> Option<Letter> {
    let attempt = row.get("attempts").and_then(Value::as_u64).and_then(|attempt| u32::try_from(attempt).ok())?;
    Some(Letter { run: text(row, "workflow_run_id").parse().ok()?, step: text(row, "step_id").to_owned(), attempt })
}
