//! Rows of one table as the bytes of a `COPY ... FROM STDIN (FORMAT BINARY)`: what the server takes fastest.
//!
//! Owns: that format, as the server documents it.
//! Refuses to know: statements, what a column means.

use nightshift_ports::rows::all_columns;
use nightshift_projections::{
    Image,
    table::{ColumnType, TableDef},
};
use serde_json::Value;
use sqlx::error::BoxDynError;

use super::cells::{instant, int, misfit, real, text, truth, uuid};
use crate::{record::number, tables::Cleaned};

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Stands where the number of fields of a further row would.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Length of a null.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The server counts microseconds from 2000.
const MICROS_TO_2000: i64 = 946_684_800_000_000;
/// The only version there is of the binary form of a document: a text.
const DOCUMENT: u8 = 1;

/// The rows, each in the order of its table's columns with shard and place last.
///
/// # Errors
/// A value does not fit the type of its column, or a row is too large for the server.
pub(super) fn bytes(table: &TableDef, rows: &[&Image]) -> Result<Vec<u8>, sqlx::Error> {
    let fields = i16::try_from(all_columns(table).count()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut bytes = Vec::with_capacity(HEADER.len() + rows.len() * 512);
    bytes.extend_from_slice(HEADER);
    for image in rows {
        bytes.extend_from_slice(&fields.to_be_bytes());
        for (column, cell) in table.columns.iter().zip(image.values()) {
            match cell {
                Value::Null => bytes.extend_from_slice(&NULL),
                cell => field(&mut bytes, column.kind, cell).map_err(misfit(table, column))?,
            }
        }
        for place in [i64::from(image.shard()), number(image.seq())] {
            fixed(&mut bytes, &place.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&TRAILER);
    Ok(bytes)
}

fn field(bytes: &mut Vec<u8>, kind: ColumnType, cell: &Value) -> Result<(), BoxDynError> {
    match kind {
        ColumnType::Text => sized(bytes, |bytes| {
            bytes.extend_from_slice(text(cell).as_bytes());
            Ok(())
        })?,
        ColumnType::Json => sized(bytes, |bytes| {
            bytes.push(DOCUMENT);
            Ok(serde_json::to_writer(bytes, &Cleaned(cell))?)
        })?,
        ColumnType::Uuid => fixed(bytes, uuid(cell)?.as_bytes()),
        ColumnType::Time => fixed(bytes, &(instant(cell)?.timestamp_micros() - MICROS_TO_2000).to_be_bytes()),
        ColumnType::Int => fixed(bytes, &int(cell)?.to_be_bytes()),
        ColumnType::Bool => fixed(bytes, &[u8::from(truth(cell)?)]),
        ColumnType::Real => fixed(bytes, &real(cell)?.to_be_bytes()),
    }
    Ok(())
}

/// A field whose length is known by its type.
fn fixed<const N: usize>(bytes: &mut Vec<u8>, value: &[u8; N]) {
    bytes.extend_from_slice(&(N as u32).to_be_bytes());
    bytes.extend_from_slice(value);
}

/// A field whose length is known once it is written.
fn sized(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), BoxDynError>) -> Result<(), BoxDynError> {
    let start = bytes.len();
    bytes.extend_from_slice(&NULL);
    let behind = bytes.len();
    write(bytes)?;
    let length = i32::try_from(bytes.len() - behind)?;
    bytes[start..behind].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
