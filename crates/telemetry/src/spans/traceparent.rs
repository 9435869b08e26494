//! The W3C `traceparent` header: `00-<trace id>-<span id>-<flags>` in lower-case hexadecimal.
//!
//! Owns: reading it. Refuses to know: what the caller's trace is for; a header that is not sound is no header.

use super::Link;

/// Reads a header; none when it is not sound, as the recommendation asks.
#[must_use]
pub fn parse_traceparent(text: &str) -> Option<Link> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let version = bytes::<1>(version)?;
    // Version ff is reserved; version 00 has exactly four parts, later ones may have more.
    if version == [0xff] || (version == [0] && parts.next().is_some()) {
        return None;
    }
    bytes::<1>(flags)?;
    let link = Link { trace_id: bytes(trace)?, span_id: bytes(span)? };
    (link.trace_id != [0; 16] && link.span_id != [0; 8]).then_some(link)
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if hex.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    for (at, pair) in hex.as_bytes().chunks_exact(2).enumerate() {
        out[at] = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_headers_are_read_and_others_are_none() {
        let sound = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let link = parse_traceparent(sound).unwrap();
        assert_eq!(link.trace_id[..2], [0x0a, 0xf7]);
        assert_eq!(link.span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        assert_eq!(parse_traceparent(&format!("{}-later", sound.replacen("00", "01", 1))), Some(link));
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-éaf7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse_traceparent(wrong), None, "{wrong:?}");
        }
    }
}
