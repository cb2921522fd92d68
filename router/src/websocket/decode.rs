//! Frames into parts of messages.

use std::io::Cursor;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use holm_model::websocket::{Close, Kind, MAX_PART, Part, code};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::inflate::Inflate;
use super::utf8::Utf8;
use super::{Fault, Role};

/// Bytes that a control frame may have (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// Bytes of a frame that are waited for before they are handed on, if there are as many: what comes in single bytes does
/// not go on in as many parts.
const GATHERED: u64 = 16 << 10;

/// What the other side said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Part(Part),
    Ping(Bytes),
    Pong,
    Close(Close),
}

/// Reads what comes from the other side.
#[derive(Debug)]
pub(super) struct Decode {
    role: Role,
    compresses: bool,
    max_message: u64,
    frame: Option<Frame>,
    message: Option<Message>,
}

/// A frame of which not all has come.
#[derive(Debug)]
struct Frame {
    left: u64,
    key: Option<[u8; 4]>,
    /// Bytes of it that were unmasked.
    seen: usize,
    /// What of the input, from its start, is unmasked already.
    clear: usize,
    is_final: bool,
    /// Of a control frame; others are of the message.
    control: Option<Control>,
}

/// A message of which not all has come.
#[derive(Debug)]
struct Message {
    kind: Kind,
    length: u64,
    utf8: Utf8,
    inflate: Option<Box<Inflate>>,
}

const fn broken(reason: &'static str) -> Fault {
    Fault {
        code: code::PROTOCOL,
        reason,
    }
}

impl Decode {
    pub(super) fn new(role: Role, compresses: bool, max_message: u64) -> Self {
        Self {
            role,
            compresses,
            max_message,
            frame: None,
            message: None,
        }
    }

    /// Whether the next step is work beyond its input.
    pub(super) fn is_costly(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|message| message.inflate.is_some())
    }

    /// The next event in `input`, of which it takes what it uses; `None` if there is too little of it.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Fault> {
        loop {
            let Some(frame) = &mut self.frame else {
                if !self.begin(input)? {
                    return Ok(None);
                }
                continue;
            };
            let came = frame.unmask(input);
            if let Some(control) = frame.control {
                if (frame.clear as u64) < frame.left {
                    return Ok(None);
                }
                let payload = input.split_to(frame.clear).freeze();
                self.frame = None;
                return control_event(control, payload).map(Some);
            }
            if let Some(message) = &mut self.message
                && message.kind == Kind::Text
                && message.inflate.is_none()
                && !message.utf8.advance(&input[came])
            {
                return Err(NOT_UTF8);
            }
            match self.data(input)? {
                Step::Part(part) => return Ok(Some(Event::Part(part))),
                Step::Again => {}
                Step::Wait => return Ok(None),
            }
        }
    }

    /// Reads a header. Returns whether it was there.
    fn begin(&mut self, input: &mut BytesMut) -> Result<bool, Fault> {
        let mut cursor = Cursor::new(&input[..]);
        let header = FrameHeader::parse(&mut cursor)
            .map_err(|_| broken("a frame is of a kind that there is not"))?;
        let Some((header, length)) = header else {
            return Ok(false);
        };
        let used = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        input.advance(used);
        if header.rsv2 || header.rsv3 {
            return Err(broken("a frame has reserved bits set"));
        }
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(broken("a client's frame is not masked")),
            (Role::Client, Some(_)) => return Err(broken("a server's frame is masked")),
            (Role::Server, Some(_)) | (Role::Client, None) => {}
        }
        if length > i64::MAX as u64 {
            return Err(broken("a frame has a length that there is not"));
        }
        let control = match header.opcode {
            OpCode::Control(control) => {
                if !header.is_final || header.rsv1 || length > MAX_CONTROL {
                    return Err(broken(
                        "a control frame is fragmented, compressed or too long",
                    ));
                }
                Some(control)
            }
            OpCode::Data(data) => {
                self.begin_data(data, header.rsv1)?;
                None
            }
        };
        if let (None, Some(message)) = (control, &self.message)
            && message.inflate.is_none()
            && message.length.saturating_add(length) > self.max_message
        {
            return Err(TOO_BIG);
        }
        self.frame = Some(Frame {
            left: length,
            key: header.mask,
            seen: 0,
            clear: 0,
            is_final: header.is_final,
            control,
        });
        Ok(true)
    }

    fn begin_data(&mut self, data: Data, rsv1: bool) -> Result<(), Fault> {
        if rsv1 && (!self.compresses || data == Data::Continue) {
            return Err(broken("a frame has reserved bits set"));
        }
        let kind = match (data, &self.message) {
            (Data::Continue, Some(_)) => return Ok(()),
            (Data::Text, None) => Kind::Text,
            (Data::Binary, None) => Kind::Binary,
            (Data::Continue, None) => return Err(broken("a message goes on that has not begun")),
            (_, Some(_)) => return Err(broken("a message begins within another")),
            (Data::Reserved(_), None) => {
                return Err(broken("a frame is of a kind that there is not"));
            }
        };
        self.message = Some(Message {
            kind,
            length: 0,
            utf8: Utf8::default(),
            inflate: rsv1.then(|| Box::new(Inflate::new())),
        });
        Ok(())
    }

    /// The next piece of a data frame.
    fn data(&mut self, input: &mut BytesMut) -> Result<Step, Fault> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            self.frame = None;
            return Ok(Step::Again);
        };
        if (frame.clear as u64) < frame.left.min(GATHERED) {
            return Ok(Step::Wait);
        }
        let is_end = |frame: &Frame| frame.left == 0 && frame.is_final;
        let (bytes, is_last) = match &mut message.inflate {
            None => {
                let bytes = input.split_to(frame.clear.min(MAX_PART)).freeze();
                frame.took(bytes.len());
                (bytes, is_end(frame))
            }
            Some(inflate) => {
                let (step, may_end) = if frame.clear > 0 {
                    let step = inflate.step(&input[..frame.clear])?;
                    input.advance(step.used);
                    frame.took(step.used);
                    (step, false)
                } else if is_end(frame) {
                    (inflate.finish()?, true)
                } else {
                    self.frame = None;
                    return Ok(Step::Again);
                };
                let is_last = may_end && !step.has_more;
                (Bytes::from(step.bytes), is_last)
            }
        };
        message.length += bytes.len() as u64;
        if message.length > self.max_message {
            return Err(TOO_BIG);
        }
        if message.kind == Kind::Text {
            // What came as it is was looked at when it came.
            let is_sound = message.inflate.is_none() || message.utf8.advance(&bytes);
            if !is_sound || (is_last && !message.utf8.is_whole()) {
                return Err(NOT_UTF8);
            }
        }
        let kind = message.kind;
        if is_last {
            self.message = None;
            self.frame = None;
        } else {
            if frame.left == 0 && message.inflate.is_none() {
                self.frame = None;
            }
            if bytes.is_empty() {
                return Ok(Step::Again);
            }
        }
        Ok(Step::Part(Part {
            kind,
            is_last,
            bytes,
        }))
    }
}

const NOT_UTF8: Fault = Fault {
    code: code::INVALID,
    reason: "a text message is not UTF-8",
};

const TOO_BIG: Fault = Fault {
    code: code::TOO_BIG,
    reason: "a message is too long",
};

enum Step {
    Part(Part),
    Again,
    Wait,
}

impl Frame {
    /// Unmasks what is there of it. Returns where in the input it has not been seen before.
    fn unmask(&mut self, input: &mut BytesMut) -> Range<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let here = left.min(input.len());
        if let Some(key) = self.key {
            mask(&mut input[self.clear..here], key, self.seen);
        }
        self.seen = self.seen.wrapping_add(here - self.clear);
        std::mem::replace(&mut self.clear, here)..here
    }

    fn took(&mut self, bytes: usize) {
        self.clear -= bytes;
        self.left -= bytes as u64;
    }
}

/// Masks, or unmasks, bytes of which so many came before.
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4], before: usize) {
    let mut key = key;
    key.rotate_left(before % 4);
    let wide = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

fn control_event(control: Control, payload: Bytes) -> Result<Event, Fault> {
    match control {
        Control::Ping => Ok(Event::Ping(payload)),
        Control::Pong => Ok(Event::Pong),
        Control::Close => close(&payload).map(Event::Close),
        Control::Reserved(_) => Err(broken("a frame is of a kind that there is not")),
    }
}

fn close(payload: &[u8]) -> Result<Close, Fault> {
    let (code, reason) = match payload {
        [] => (code::NO_STATUS, &[][..]),
        [_] => return Err(broken("a close has half a status")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !payload.is_empty() && !CloseCode::from(code).is_allowed() {
        return Err(broken("a close has a status that nobody may send"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Fault {
        code: code::INVALID,
        reason: "the reason of a close is not UTF-8",
    })?;
    Ok(Close {
        code,
        reason: reason.to_owned(),
        is_clean: true,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
