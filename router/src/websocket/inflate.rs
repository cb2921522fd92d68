//! Compressed messages, undone piece by piece.

use flate2::{Decompress, FlushDecompress, Status};
use holm_model::websocket::{MAX_PART, code};

use super::Fault;

/// What the sender leaves out at the end of each message (RFC 7692, 7.2.2).
const TAIL: &[u8] = &[0, 0, 0xFF, 0xFF];

/// One compressed message. Its window is its own: both sides are told to forget it behind each message, so a socket
/// that rests holds none.
#[derive(Debug)]
pub(super) struct Inflate {
    inner: Decompress,
    /// How much of the tail it has had.
    tail: usize,
}

/// What came of a step.
pub(super) struct Step {
    /// Bytes of the input that are used up.
    pub(super) used: usize,
    /// At most [`MAX_PART`] bytes.
    pub(super) bytes: Vec<u8>,
    /// There may be more in it without more input.
    pub(super) has_more: bool,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self {
            inner: Decompress::new(false),
            tail: 0,
        }
    }

    /// Takes in some of `input`.
    ///
    /// # Errors
    /// It is not compressed data.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, Fault> {
        let mut bytes = Vec::with_capacity(room(input.len()));
        let used = self.run(input, &mut bytes)?;
        let has_more = bytes.len() == bytes.capacity();
        Ok(Step {
            used,
            bytes,
            has_more,
        })
    }

    /// Behind the last byte of the message: the rest of it.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub(super) fn finish(&mut self) -> Result<Step, Fault> {
        let mut bytes = Vec::with_capacity(room(TAIL.len()));
        self.tail += self.run(&TAIL[self.tail..], &mut bytes)?;
        let has_more = bytes.len() == bytes.capacity() || self.tail < TAIL.len();
        Ok(Step {
            used: 0,
            bytes,
            has_more,
        })
    }

    fn run(&mut self, input: &[u8], bytes: &mut Vec<u8>) -> Result<usize, Fault> {
        const BAD: Fault = Fault {
            code: code::INVALID,
            reason: "a message cannot be decompressed",
        };
        let before = self.inner.total_in();
        let had = bytes.len();
        let status = self
            .inner
            .decompress_vec(input, bytes, FlushDecompress::Sync)
            .map_err(|_| BAD)?;
        let used = usize::try_from(self.inner.total_in() - before).map_err(|_| BAD)?;
        match status {
            // A last block may be set as such; what follows is a stream of its own.
            Status::StreamEnd => {
                self.inner.reset(false);
                Ok(used)
            }
            Status::BufError if used == 0 && bytes.len() == had && !input.is_empty() => Err(BAD),
            Status::Ok | Status::BufError => Ok(used),
        }
    }
}

/// Room for what so much input mostly comes to.
fn room(input: usize) -> usize {
    input.saturating_mul(4).clamp(1 << 10, MAX_PART)
}
