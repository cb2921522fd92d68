//! What the edge and a zygote say to each other, as bytes.
//!
//! A kind, then fields: numbers in little endian, texts with their length before them. There is one
//! version of it, since both sides are the same program. Whatever else comes is an error and never a panic: a
//! template has run a stranger's code.

use crate::passing::MAX_FDS;
use crate::sandbox::Layer;
use crate::sandbox::Layers;
use crate::sandbox::State;

/// Longest name of a process, in bytes. Names that are longer are cut.
pub const MAX_NAME: usize = 255;

/// Longest text that explains something. Eight layers with one each fit in a frame.
const MAX_TEXT: usize = 400;

/// Most descriptors that a child can be given: its lifeline comes with them.
pub const MAX_CHILD_FDS: usize = MAX_FDS - 1;

/// What the edge asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// One more process, which has `purpose` to tell what it is for. Its lifeline and its descriptors come
    /// with the message.
    Fork { purpose: u8, name: String },
}

/// What a zygote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It serves from now on.
    Ready(Layers),
    /// It cannot serve, and ends.
    Unfit(String),
    /// The process that was asked for. Its pidfd comes with the message.
    Forked { pid: i32 },
    /// There is no such process.
    Failed(ForkFailure),
}

/// Why the edge did not get the process that it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkFailure {
    /// The system lets no more processes run; [`crate::bounds::tightest`] says what bounds them.
    #[error("the system lets no more processes run")]
    Processes,
    /// The system has no memory for another process.
    #[error("the system has no memory for another process")]
    Memory,
    /// Whoever should fork has threads, so a copy could not live.
    #[error("it has {0} threads, and only a process with one can be copied")]
    Threads(u64),
    /// It ended before anything could be said of it.
    #[error("it ended at once")]
    Ended,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What came is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message that means nothing")]
pub struct Garbled;

impl Command {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Fork { purpose, name } => Writer::new(1).byte(*purpose).text(name, MAX_NAME).0,
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut reader = Reader(bytes);
        let command = match reader.byte()? {
            1 => Self::Fork {
                purpose: reader.byte()?,
                name: reader.text(MAX_NAME)?,
            },
            _ => return Err(Garbled),
        };
        reader.end(command)
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready(layers) => {
                layers
                    .iter()
                    .fold(Writer::new(1), |to, (_, state)| match state {
                        State::On => to.byte(0),
                        State::Off => to.byte(1),
                        State::Missing(why) => to.byte(2).text(why, MAX_TEXT),
                    })
            }
            Self::Unfit(why) => Writer::new(2).text(why, MAX_TEXT),
            Self::Forked { pid } => Writer::new(3).number((*pid).into()),
            Self::Failed(why) => {
                let to = Writer::new(4);
                match why {
                    ForkFailure::Processes => to.byte(0),
                    ForkFailure::Memory => to.byte(1),
                    ForkFailure::Threads(threads) => to.byte(2).number((*threads).cast_signed()),
                    ForkFailure::Ended => to.byte(3),
                    ForkFailure::Other(why) => to.byte(4).text(why, MAX_TEXT),
                }
            }
        }
        .0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut reader = Reader(bytes);
        let reply = match reader.byte()? {
            1 => {
                let mut layers = Layers::default();
                for layer in Layer::ALL {
                    let state = match reader.byte()? {
                        0 => State::On,
                        1 => State::Off,
                        2 => State::Missing(reader.text(MAX_TEXT)?),
                        _ => return Err(Garbled),
                    };
                    layers.set(layer, state);
                }
                Self::Ready(layers)
            }
            2 => Self::Unfit(reader.text(MAX_TEXT)?),
            3 => Self::Forked {
                pid: reader.number()?.try_into().map_err(|_| Garbled)?,
            },
            4 => Self::Failed(match reader.byte()? {
                0 => ForkFailure::Processes,
                1 => ForkFailure::Memory,
                2 => ForkFailure::Threads(reader.number()?.cast_unsigned()),
                3 => ForkFailure::Ended,
                4 => ForkFailure::Other(reader.text(MAX_TEXT)?),
                _ => return Err(Garbled),
            }),
            _ => return Err(Garbled),
        };
        reader.end(reply)
    }
}

/// What a fuzz target does: bytes are an error, or a message that is written as them.
///
/// # Panics
/// They are neither.
#[cfg(fuzzing)]
pub fn fuzz_messages(bytes: &[u8]) {
    if let Ok(command) = Command::decode(bytes) {
        assert_eq!(command.encode(), bytes);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode(), bytes);
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn number(mut self, number: i64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// As much of it as fits into `most` bytes, up to a whole character.
    fn text(mut self, text: &str, most: usize) -> Self {
        let text = &text[..text.floor_char_boundary(most)];
        // Both bounds are below 2^16.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Garbled)?;
        self.0 = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, Garbled> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn number(&mut self) -> Result<i64, Garbled> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, most: usize) -> Result<String, Garbled> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > most {
            return Err(Garbled);
        }
        let (text, rest) = self.0.split_at_checked(length).ok_or(Garbled)?;
        self.0 = rest;
        str::from_utf8(text).map(str::to_owned).map_err(|_| Garbled)
    }

    /// `decoded`, if nothing is left.
    fn end<T>(self, decoded: T) -> Result<T, Garbled> {
        if self.0.is_empty() {
            return Ok(decoded);
        }
        Err(Garbled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::passing::MAX_BYTES;

    #[test]
    fn comes_back_as_it_was() {
        let command = Command::Fork {
            purpose: 3,
            name: "hellö".into(),
        };
        assert_eq!(Command::decode(&command.encode()), Ok(command));
        let mut layers = Layers::default();
        layers.set(Layer::Seccomp, State::On);
        layers.set(Layer::Mounts, State::Missing("unshare: no".into()));
        for reply in [
            Reply::Ready(layers),
            Reply::Unfit("why".into()),
            Reply::Forked { pid: 4_194_303 },
            Reply::Failed(ForkFailure::Processes),
            Reply::Failed(ForkFailure::Memory),
            Reply::Failed(ForkFailure::Threads(3)),
            Reply::Failed(ForkFailure::Ended),
            Reply::Failed(ForkFailure::Other("why".into())),
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn the_longest_fit_in_a_frame() {
        let long = "ü".repeat(MAX_BYTES);
        let mut layers = Layers::default();
        for layer in Layer::ALL {
            layers.set(layer, State::Missing(long.clone()));
        }
        assert!(Reply::Ready(layers).encode().len() <= MAX_BYTES);
        let bytes = Command::Fork {
            purpose: 0,
            name: long,
        }
        .encode();
        let Ok(Command::Fork { name, .. }) = Command::decode(&bytes) else {
            panic!("cut between two characters")
        };
        assert_eq!(name.len(), MAX_NAME - 1);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_itself(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(command) = Command::decode(&bytes) {
                prop_assert_eq!(command.encode(), bytes.clone());
            }
            if let Ok(reply) = Reply::decode(&bytes) {
                prop_assert_eq!(reply.encode(), bytes);
            }
        }

        #[test]
        fn what_is_cut_off_or_longer_is_an_error(name in ".{0,40}", cut in any::<prop::sample::Index>()) {
            let whole = Command::Fork { purpose: 1, name }.encode();
            prop_assert_eq!(Command::decode(&whole[..cut.index(whole.len())]), Err(Garbled));
            prop_assert_eq!(Command::decode(&[&whole[..], &[0]].concat()), Err(Garbled));
        }
    }
}
