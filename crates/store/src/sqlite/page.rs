//! Reading the log in bulk: a page comes as one value and is taken apart here.
//!
//! Owns: the form that `read_shard.sql` and `read_stream.sql` write. Handing rows over one by one costs more than
//! everything else in reading them.

use nightshift_domain::{
    ids::{CommandId, ShardId},
    recorded::{Meta, Recorded},
    time::Timestamp,
};
use nightshift_ports::log::StoreError;
use uuid::Uuid;

use crate::{
    error::corrupt,
    record::{self, stream_of},
};

/// Takes a page apart and appends its events.
pub(super) fn parse(shard: ShardId, page: &[u8], events: &mut Vec<Recorded>) -> Result<(), StoreError> {
    let mut rest = page;
    let mut last_meta = None;
    while !rest.is_empty() {
        let (event, behind) = parse_event(shard, rest, &mut last_meta)?;
        events.push(event);
        rest = behind;
    }
    Ok(())
}

fn parse_event<'a>(
    shard: ShardId,
    page: &'a [u8],
    last_meta: &mut Option<(Vec<u8>, Meta)>,
) -> Result<(Recorded, &'a [u8]), StoreError> {
    let broken = || corrupt(format!("an event of shard {shard} that is not framed as it was read"));
    let line_end = page.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
    let line = std::str::from_utf8(&page[..line_end]).map_err(|_| broken())?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or_else(broken);
    let seq = integer(word()?)?;
    let version = integer(word()?)?;
    let type_version = integer(word()?)?;
    let hlc = integer(word()?)?;
    let epoch = integer(word()?)?;
    let at = integer(word()?)?;
    let kind = word()?;
    let event_type = word()?;
    let meta_bytes: usize = integer(word()?)?;
    let data_bytes: usize = integer(word()?)?;
    let body = &page[line_end + 1..];
    let (stream, body) = body.split_first_chunk::<16>().ok_or_else(broken)?;
    let (command, body) = body.split_first_chunk::<16>().ok_or_else(broken)?;
    let (meta, body) = body.split_at_checked(meta_bytes).ok_or_else(broken)?;
    let (data, behind) = body.split_at_checked(data_bytes).ok_or_else(broken)?;
    let event = Recorded {
        shard,
        seq,
        stream: stream_of(kind, Uuid::from_bytes(*stream))?,
        version,
        event_type: event_type.to_owned(),
        type_version,
        hlc,
        epoch,
        at: Timestamp(at),
        command_id: CommandId(Uuid::from_bytes(*command)),
        meta: record::meta(meta, last_meta)?,
        data: data.to_vec(),
    };
    Ok((event, behind))
}

fn integer<T: std::str::FromStr>(word: &str) -> Result<T, StoreError> {
    word.parse().map_err(|_| corrupt(format!("{word:?} where an event has a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(line: &str, meta: &[u8], data: &[u8]) -> Vec<u8> {
        [line.as_bytes(), b"\n", &[1; 16], &[2; 16], meta, data].concat()
    }

    #[test]
    fn a_page_is_taken_apart_whatever_its_payloads_hold() {
        let meta = nightshift_domain::codec::to_bytes(&Meta::default()).unwrap();
        let line = |seq| format!("{seq} 1 1 9 3 -5 run run.created {} 4", meta.len());
        let page = [framed(&line(1), &meta, b"\n\0 x"), framed(&line(2), &meta, b"abcd")].concat();
        let mut events = Vec::new();
        parse(ShardId(7), &page, &mut events).unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((&events[0].data[..], events[0].at, events[1].hlc), (&b"\n\0 x"[..], Timestamp(-5), 9));
        let cut = parse(ShardId(7), &page[..page.len() - 1], &mut events);
        assert!(matches!(cut, Err(StoreError::Corrupt { .. })), "{cut:?}");
    }
}
