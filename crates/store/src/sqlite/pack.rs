//! A group of batches as the parameters of one statement: all bytes in one buffer, and rows of JSON that point into it.
//!
//! Owns: the layout that `append_write.sql` reads. Hexadecimal would double the bytes, a parameter for each value costs
//! more than the insert.

use std::fmt::Write;

use nightshift_domain::ids::StreamId;
use nightshift_ports::{
    batch::{self, Opened, Placed},
    log::{AppendError, CommandRecord, ShardBatch},
};
use uuid::Uuid;

use crate::record::{encoded, number};

/// The parameters of `append_write.sql`, in its order.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) events: String,
    pub(super) commands: String,
    pub(super) closes: String,
    pub(super) opens: String,
}

impl Packed {
    /// Packs the batches that may be written.
    pub(super) fn of<'a>(batches: impl Iterator<Item = &'a ShardBatch>) -> Result<Self, AppendError> {
        let mut packed = Self {
            bytes: Vec::with_capacity(64 * 1024),
            events: "[".to_owned(),
            commands: "[".to_owned(),
            closes: "[".to_owned(),
            opens: "[".to_owned(),
        };
        for batch in batches {
            packed.batch(batch)?;
        }
        for rows in [&mut packed.events, &mut packed.commands, &mut packed.closes, &mut packed.opens] {
            if rows.ends_with(',') {
                rows.pop();
            }
            rows.push(']');
        }
        Ok(packed)
    }

    fn batch(&mut self, batch: &ShardBatch) -> Result<(), AppendError> {
        for placed in batch::placed(batch) {
            self.events(batch, placed)?;
            if let Some(record) = &placed.commit.command {
                self.command(batch, placed, record);
            }
        }
        let settled = batch::settle(batch);
        for (stream, key) in settled.closes {
            let at = self.ids(&[stream.id]);
            row(&mut self.closes, format_args!("{},{at},{}", batch.shard, quoted(key)));
        }
        settled.opens.into_iter().try_for_each(|opened| self.opened(batch, opened))
    }

    fn events(&mut self, batch: &ShardBatch, placed: Placed<'_>) -> Result<(), AppendError> {
        let commit = placed.commit;
        if commit.events.is_empty() {
            return Ok(());
        }
        let meta = encoded(&commit.meta)?;
        for event in &commit.events {
            let at = self.ids(&[commit.stream.id, commit.command_id.0]);
            self.bytes.extend_from_slice(&meta);
            self.bytes.extend_from_slice(&event.data);
            row(
                &mut self.events,
                format_args!(
                    "{},{},{at},\"{}\",{},{},{},{},{},{},{},{}",
                    batch.shard,
                    event.seq,
                    commit.stream.kind.as_str(),
                    event.version,
                    quoted(&event.event_type),
                    event.type_version,
                    number(event.hlc),
                    batch.epoch,
                    commit.at.micros(),
                    meta.len(),
                    event.data.len()
                ),
            );
        }
        Ok(())
    }

    fn command(&mut self, batch: &ShardBatch, placed: Placed<'_>, record: &CommandRecord) {
        let StreamId { kind, id } = placed.commit.stream;
        let at = self.ids(&[id, record.id.0]);
        for part in [&record.payload, &record.ctx, &record.reply, &record.delta] {
            self.bytes.extend_from_slice(part);
        }
        row(
            &mut self.commands,
            format_args!(
                "{},{at},\"{}\",{},{},{},{},{},{},{}",
                batch.shard,
                kind.as_str(),
                placed.first_seq,
                placed.last_seq,
                u8::from(record.accepted),
                record.payload.len(),
                record.ctx.len(),
                record.reply.len(),
                record.delta.len()
            ),
        );
    }

    fn opened(&mut self, batch: &ShardBatch, opened: Opened<'_>) -> Result<(), AppendError> {
        let Opened { stream, opened_seq, obligation } = opened;
        let body = encoded(obligation)?;
        let at = self.ids(&[stream.id]);
        self.bytes.extend_from_slice(&body);
        row(
            &mut self.opens,
            format_args!(
                "{},{at},{},\"{}\",{},{},{},{opened_seq},{}",
                batch.shard,
                quoted(&obligation.key),
                stream.kind.as_str(),
                obligation.duty.class().code(),
                obligation.due_at.micros(),
                obligation.priority,
                body.len()
            ),
        );
        Ok(())
    }

    /// Appends ids; returns where they begin.
    fn ids(&mut self, ids: &[Uuid]) -> usize {
        let at = self.bytes.len();
        for id in ids {
            self.bytes.extend_from_slice(id.as_bytes());
        }
        at
    }
}

fn row(rows: &mut String, columns: std::fmt::Arguments<'_>) {
    write!(rows, "[{columns}],").expect("writing into a String cannot fail");
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
