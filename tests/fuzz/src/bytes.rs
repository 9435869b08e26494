//! Changes of an input as bytes and as text.
//!
//! Owns: the small changes, splices with other inputs, words of a target's dictionary, and long repetitions.
//! Refuses to know: what an input means.

use crate::chance::Chance;

/// Bytes at which readers turn.
const EDGES: [u8; 16] = [0, 1, 9, 10, 13, 32, 34, 39, 48, 92, 123, 127, 128, 192, 254, 255];

/// Numbers at which readers turn, as text.
const NUMBERS: [&str; 26] = [
    "0",
    "-1",
    "1",
    "7",
    "59",
    "60",
    "127",
    "255",
    "256",
    "32768",
    "65535",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e308",
    "1e999",
    "-0.0",
    "0.1",
    "1e-7",
    "NaN",
];

/// Characters that take more than a byte, or none of the width they seem to have.
const STRANGE: [&str; 12] =
    ["é", "ß", "\u{0}", "\u{feff}", "\u{202e}", "e\u{301}", "👩‍👧", "\u{2028}", "İ", "\u{1f}", "ﬀ", "\u{7f}"];

/// What changes are made of.
pub struct Material<'a> {
    /// Words of the target.
    pub words: &'a [String],
    /// Another input.
    pub other: &'a [u8],
    /// No input gets longer.
    pub bytes_max: usize,
}

/// Makes one change.
pub fn change(input: &mut Vec<u8>, from: &Material<'_>, chance: &mut Chance) {
    match chance.below(18) {
        0 => {
            let at = chance.below(input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            let at = chance.below(input.len());
            if let (Some(byte), Some(edge)) = (input.get_mut(at), chance.pick(&EDGES)) {
                *byte = *edge;
            }
        }
        2 | 3 => drop(input.drain(chance.range(input.len(), input.len()))),
        4 => {
            let piece = input[chance.range(input.len(), 64)].to_vec();
            insert(input, &piece, chance);
        }
        5 | 6 => {
            let word = chance.pick(from.words).map_or(" ", String::as_str);
            insert(input, word.as_bytes(), chance);
        }
        7 | 8 => {
            let word = chance.pick(from.words).map_or("x", String::as_str);
            replace_token(input, word.as_bytes(), is_wordy, chance);
        }
        9 | 10 => {
            let number = chance.pick(&NUMBERS).copied().unwrap_or("0");
            replace_token(input, number.as_bytes(), |byte| byte.is_ascii_digit(), chance);
        }
        11 | 12 => {
            let piece = &from.other[chance.range(from.other.len(), from.other.len())];
            insert(input, piece, chance);
        }
        13 => {
            // The beginning of one and the end of the other.
            let (here, there) = (chance.below(input.len() + 1), chance.below(from.other.len() + 1));
            input.truncate(here);
            input.extend_from_slice(&from.other[there..]);
        }
        14 => {
            let strange = chance.pick(&STRANGE).copied().unwrap_or("é");
            insert(input, strange.as_bytes(), chance);
        }
        15 => lines(input, chance),
        16 if chance.one_in(8) => repeat(input, from.bytes_max, chance),
        _ => {
            let at = chance.below(input.len() + 1);
            input.insert(at, chance.next() as u8);
        }
    }
    input.truncate(from.bytes_max);
}

fn is_wordy(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn insert(input: &mut Vec<u8>, piece: &[u8], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    input.splice(at..at, piece.iter().copied());
}

/// Replaces a run of bytes of a kind, looked for behind a place that is drawn.
fn replace_token(input: &mut Vec<u8>, by: &[u8], of: fn(u8) -> bool, chance: &mut Chance) {
    let from = chance.below(input.len());
    let Some(start) = input[from..].iter().position(|byte| of(*byte)).map(|at| from + at) else { return };
    let start = input[..start].iter().rposition(|byte| !of(*byte)).map_or(0, |at| at + 1);
    let length = input[start..].iter().take_while(|byte| of(**byte)).count();
    input.splice(start..start + length, by.iter().copied());
}

/// Moves, copies, drops or indents a line.
fn lines(input: &mut Vec<u8>, chance: &mut Chance) {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = chance.below(lines.len());
    let to = chance.below(lines.len());
    match chance.below(4) {
        0 => lines.swap(at, to),
        1 => drop(lines.remove(at)),
        2 => lines.insert(to, lines[at].clone()),
        _ => drop(lines[at].splice(0..0, std::iter::repeat_n(b' ', 1 + chance.below(4)))),
    }
    *input = lines.join(&b'\n');
}

/// Repeats a short piece until the input is as long as it may be, or a good part of it.
fn repeat(input: &mut Vec<u8>, bytes_max: usize, chance: &mut Chance) {
    let range = chance.range(input.len(), 24);
    let piece = input[range.clone()].to_vec();
    if piece.is_empty() {
        return;
    }
    let room = bytes_max.saturating_sub(input.len()) >> chance.below(8);
    let long: Vec<u8> = piece.iter().copied().cycle().take(room).collect();
    input.splice(range.end..range.end, long);
}
