//! What the fuzz target of frames does (`fuzz/`): whatever comes, it is read the same however it was cut, within its
//! bounds; and what was read can be written and read again.

use bytes::{Bytes, BytesMut};
use holm_model::websocket::{Close, Kind, MAX_PART, Part};

use super::decode::{Decode, Event};
use super::encode::Encode;
use super::{Fault, Role};

const MAX_MESSAGE: u64 = 1 << 16;

/// Frames, put together.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Message(Kind, Vec<u8>),
    Ping(Bytes),
    Pong,
    Close(Close),
    Fault(Fault),
}

/// Reads `wire` whole and cut into pieces of `cut` bytes.
///
/// # Panics
/// What is read depends on how it was cut, or is out of its bounds.
pub fn fuzz_frames(is_server: bool, compresses: bool, cut: usize, wire: &[u8]) {
    let (role, other) = match is_server {
        true => (Role::Server, Role::Client),
        false => (Role::Client, Role::Server),
    };
    let whole = hear(role, compresses, wire.len(), wire);
    let cut = hear(role, compresses, cut, wire);
    assert_eq!(whole, cut, "it matters how the bytes were cut");

    let mut encode = Encode::new(other, compresses);
    let mut wire = BytesMut::new();
    let mut messages = Vec::new();
    for heard in whole {
        if let Heard::Message(kind, bytes) = heard {
            let part = Part {
                kind,
                is_last: true,
                bytes: Bytes::from(bytes.clone()),
            };
            encode.part(&part, &mut wire);
            messages.push(Heard::Message(kind, bytes));
        }
    }
    assert_eq!(messages, hear(role, compresses, wire.len(), &wire));
}

fn hear(role: Role, compresses: bool, cut: usize, wire: &[u8]) -> Vec<Heard> {
    let mut decode = Decode::new(role, compresses, MAX_MESSAGE);
    let (mut input, mut open, mut all) = (BytesMut::new(), Vec::new(), Vec::new());
    for piece in wire.chunks(cut.max(1)) {
        input.extend_from_slice(piece);
        loop {
            match decode.next(&mut input) {
                Ok(Some(Event::Part(part))) => {
                    assert!(part.bytes.len() <= MAX_PART, "a part is too long");
                    open.extend_from_slice(&part.bytes);
                    assert!(open.len() as u64 <= MAX_MESSAGE, "a message is too long");
                    if part.is_last {
                        let message = std::mem::take(&mut open);
                        let is_text = part.kind == Kind::Text;
                        assert!(!is_text || std::str::from_utf8(&message).is_ok());
                        all.push(Heard::Message(part.kind, message));
                    }
                }
                Ok(Some(Event::Ping(payload))) => all.push(Heard::Ping(payload)),
                Ok(Some(Event::Pong)) => all.push(Heard::Pong),
                Ok(Some(Event::Close(close))) => all.push(Heard::Close(close)),
                Ok(None) => break,
                Err(fault) => {
                    all.push(Heard::Fault(fault));
                    return all;
                }
            }
        }
    }
    all
}
