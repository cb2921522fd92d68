//! Parts of messages into frames.

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};
use flate2::{Compress, Compression, FlushCompress};
use holm_model::websocket::{Close, Kind, Part, code};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Role;
use super::decode::mask;

/// Messages shorter than this are not compressed: it would make most of them longer.
const WORTH_IT: usize = 128;

/// What compressed data ends with, and the sender leaves out (RFC 7692, 7.2.1).
const TAIL: &[u8] = &[0, 0, 0xFF, 0xFF];

thread_local! {
    /// It forgets what it has seen behind each message, so sockets share it: it holds 300 KiB.
    static COMPRESS: RefCell<Compress> =
        RefCell::new(Compress::new(Compression::new(3), false));
}

/// Writes frames.
#[derive(Debug)]
pub(super) struct Encode {
    role: Role,
    compresses: bool,
    /// A message has begun, and not ended.
    is_open: bool,
}

impl Encode {
    pub(super) fn new(role: Role, compresses: bool) -> Self {
        Self {
            role,
            compresses,
            is_open: false,
        }
    }

    /// Whether a part of this length would be compressed.
    pub(super) fn is_costly(&self, part: &Part) -> bool {
        self.compresses && part.is_last && !self.is_open && part.bytes.len() >= WORTH_IT
    }

    /// Adds a part. A message in several is not compressed: it is not held back until all of it is there.
    pub(super) fn part(&mut self, part: &Part, out: &mut BytesMut) {
        let opcode = match part.kind {
            _ if self.is_open => Data::Continue,
            Kind::Text => Data::Text,
            Kind::Binary => Data::Binary,
        };
        let squeezed = self.is_costly(part).then(|| squeeze(&part.bytes)).flatten();
        self.is_open = !part.is_last;
        let (payload, rsv1) = match &squeezed {
            Some(squeezed) => (squeezed.as_slice(), true),
            None => (&part.bytes[..], false),
        };
        self.frame(OpCode::Data(opcode), part.is_last, rsv1, payload, out);
    }

    pub(super) fn ping(&self, out: &mut BytesMut) {
        self.frame(OpCode::Control(Control::Ping), true, false, &[], out);
    }

    pub(super) fn pong(&self, payload: &[u8], out: &mut BytesMut) {
        self.frame(OpCode::Control(Control::Pong), true, false, payload, out);
    }

    pub(super) fn close(&self, close: &Close, out: &mut BytesMut) {
        let mut payload = Vec::new();
        if close.code != code::NO_STATUS {
            payload.extend_from_slice(&close.code.to_be_bytes());
            let reason = &close.reason[..close.reason.floor_char_boundary(123)];
            payload.extend_from_slice(reason.as_bytes());
        }
        self.frame(OpCode::Control(Control::Close), true, false, &payload, out);
    }

    fn frame(
        &self,
        opcode: OpCode,
        is_final: bool,
        rsv1: bool,
        payload: &[u8],
        out: &mut BytesMut,
    ) {
        let key = match self.role {
            Role::Server => None,
            Role::Client => Some(random()),
        };
        let header = FrameHeader {
            is_final,
            rsv1,
            rsv2: false,
            rsv3: false,
            opcode,
            mask: key,
        };
        let length = payload.len() as u64;
        out.reserve(header.len(length) + payload.len());
        let written = header.format(length, &mut (&mut *out).writer());
        debug_assert!(written.is_ok(), "writing into memory cannot fail");
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = key {
            mask(&mut out[start..], key, 0);
        }
    }
}

/// Masks keep what a script sends from being taken for something else by a proxy on the way (RFC 6455, 10.3), so they
/// have to be new for each frame, and not to be guessed.
pub(super) fn random() -> [u8; 4] {
    use std::hash::{BuildHasher, RandomState};
    // Keyed by the system's random source, and different each time.
    let hash = RandomState::new().hash_one(0_u8);
    let [a, b, c, d, ..] = hash.to_be_bytes();
    [a, b, c, d]
}

/// The bytes compressed; `None` if they do not get shorter.
fn squeeze(bytes: &[u8]) -> Option<Vec<u8>> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        // No longer than what it is made of, or it is of no use.
        let mut out = Vec::with_capacity(bytes.len());
        let _ = compress
            .compress_vec(bytes, &mut out, FlushCompress::Sync)
            .ok()?;
        let is_all = compress.total_in() == bytes.len() as u64 && out.ends_with(TAIL);
        if !is_all || out.len() == out.capacity() {
            return None;
        }
        out.truncate(out.len() - TAIL.len());
        Some(out)
    })
}
