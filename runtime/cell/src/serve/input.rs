//! The cell's socket, as what the node says comes in over it.

use holm_model::message::Frames;
use holm_model::message::Garbled;

/// Bytes that are read in one go.
const READ: usize = 64 << 10;

/// What was read and is not yet a whole frame.
pub(super) struct Input {
    /// Zeroed once; what is beyond `filled` means nothing.
    pub(super) bytes: Vec<u8>,
    pub(super) filled: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            bytes: vec![0; READ],
            filled: 0,
        }
    }
}

impl Input {
    /// Where more is read to: as much as the frame needs that is there in part.
    pub(super) fn room(&mut self) -> Result<&mut [u8], Garbled> {
        let needs = Frames::of(&self.bytes[..self.filled]).needs()?;
        let wanted = needs.unwrap_or(0).max(self.filled + 1);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        Ok(&mut self.bytes[self.filled..])
    }

    /// Forgets the first bytes.
    pub(super) fn take(&mut self, used: usize) {
        self.bytes.copy_within(used..self.filled, 0);
        self.filled -= used;
        if self.filled == 0 {
            self.bytes.truncate(READ);
            self.bytes.shrink_to(READ);
        }
    }
}
