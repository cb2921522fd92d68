//! HTTP/2 as bytes, for what no client library sends.

use crate::support::Client;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
pub(crate) const END_STREAM: u8 = 1;
/// The same bit, on PING and SETTINGS.
pub(crate) const ACK: u8 = 1;
/// A type that nobody has defined.
pub(crate) const UNKNOWN: u8 = 0xFA;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET http://a.test/wait`, without compression (RFC 7541, 6.2.2).
pub(crate) fn head() -> Vec<u8> {
    head_of("/wait")
}

pub(crate) fn head_of(path: &str) -> Vec<u8> {
    // Indexed: `:method: GET`, `:scheme: http`.
    let mut block = vec![0x82, 0x86];
    for (name_index, value) in [(1, "a.test"), (4, path)] {
        block.push(name_index);
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend(value.bytes());
    }
    block
}

/// A head of these fields, without compression.
pub(crate) fn head_with(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend(text.bytes());
        }
    }
    block
}

/// Reads on to the next frame of a kind on a stream; returns its payload.
pub(crate) fn next_frame(client: &mut Client, wanted: u8, on: u32) -> Vec<u8> {
    next_frame_of(client, &[wanted], on).1
}

/// Reads on to the next frame of one of these kinds on a stream; returns kind and payload.
pub(crate) fn next_frame_of(client: &mut Client, wanted: &[u8], on: u32) -> (u8, Vec<u8>) {
    loop {
        let (kind, stream, payload) = any_frame(client);
        if wanted.contains(&kind) && stream == on {
            return (kind, payload);
        }
    }
}

/// What the server makes of a mistake on a stream: the error code with which it ends the stream, or the
/// connection; or nothing, and it answers.
pub(crate) fn error_of(client: &mut Client, on: u32) -> Option<u32> {
    loop {
        match any_frame(client) {
            (GOAWAY, 0, payload) => return Some(number(&payload[4..])),
            (RST_STREAM, stream, payload) if stream == on => return Some(number(&payload)),
            (DATA, stream, _) if stream == on => return None,
            _ => {}
        }
    }
}

/// Reads the next frame: its kind, its stream and its payload.
fn any_frame(client: &mut Client) -> (u8, u32, Vec<u8>) {
    let header = client.bytes(9);
    let length = usize::from(header[1]) << 8 | usize::from(header[2]);
    let stream = number(&header[5..]);
    (header[3], stream, client.bytes(length))
}

/// The number that a payload starts with.
pub(crate) fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(*payload.first_chunk().expect("four bytes"))
}
