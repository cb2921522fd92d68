//! What a node and its successor say to each other. They may be of different versions, so it is JSON, and what one of
//! them does not know is left out or refused in words.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use holm_process::passing::MAX_BYTES;
use holm_process::passing::PassingError;
use holm_process::passing::Socket;
use serde::Deserialize;
use serde::Serialize;

use super::sockets::Holder;
use super::sockets::Key;

/// Bytes of a text that are passed on: a message is not longer than [`MAX_BYTES`], and JSON may write a byte as six.
const TEXT: usize = MAX_BYTES / 6 - 64;

/// Of the node.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ToHeir {
    /// The listening sockets, in the order of the descriptors that come along.
    Offer {
        /// The process of the node.
        pid: u32,
        sockets: Vec<Offered>,
    },
    /// Serve.
    Go,
    /// The admin listener is not served any more.
    Released,
}

/// A listening socket.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Offered {
    pub(super) key: Key,
    /// Where the file of the node says to listen.
    pub(super) wanted: String,
    pub(super) name: String,
    pub(super) holder: Holder,
}

/// Of its successor.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FromHeir {
    /// A line of why it ends.
    Failed {
        line: String,
        /// The exit code that it ends with.
        code: u8,
    },
    /// A function of it does not start.
    Broken { function: String, why: String },
    /// All that can start has started.
    Ready,
    /// It serves on these sockets of the node, of those that were offered.
    Serving { taken: Vec<Key> },
}

/// What is wrong with the other side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TalkError {
    /// The end came where a message should.
    #[error("it is gone")]
    Gone,
    /// A message is none of those.
    #[error("it says what this version does not understand: {0}")]
    Strange(String),
    #[error(transparent)]
    Passing(PassingError),
}

impl From<PassingError> for TalkError {
    fn from(error: PassingError) -> Self {
        match error {
            PassingError::Gone => Self::Gone,
            error => Self::Passing(error),
        }
    }
}

pub(super) fn send(
    to: &Socket,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> Result<(), TalkError> {
    let bytes = serde_json::to_vec(message);
    let bytes = bytes.map_err(|error| TalkError::Strange(error.to_string()))?;
    Ok(to.send(&bytes, fds)?)
}

/// The next message; waits for it.
pub(super) fn receive<M: for<'a> Deserialize<'a>>(
    from: &Socket,
) -> Result<(M, Vec<OwnedFd>), TalkError> {
    let frame = from.receive()?.ok_or(TalkError::Gone)?;
    let message = serde_json::from_slice(&frame.bytes);
    let message = message.map_err(|error| TalkError::Strange(error.to_string()))?;
    Ok((message, frame.fds))
}

/// As much of it as a message takes.
pub(super) fn cut(text: &str) -> String {
    let text = text.trim_end();
    text[..text.floor_char_boundary(TEXT)].to_owned()
}

/// The descriptors of these.
pub(super) fn descriptors<'a>(of: impl Iterator<Item = &'a OwnedFd>) -> Vec<BorrowedFd<'a>> {
    of.map(AsFd::as_fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits_whatever_it_is_made_of() {
        let (one, other) = Socket::pair().expect("a pair");
        for text in ["\u{1}", "\"", "ä", "x"] {
            let why = cut(&text.repeat(MAX_BYTES));
            let broken = FromHeir::Broken {
                function: "f".repeat(63),
                why,
            };
            send(&one, &broken, &[]).expect("it fits");
            let (received, fds) = receive::<FromHeir>(&other).expect("it comes");
            assert_eq!(received, broken);
            assert!(fds.is_empty());
        }
    }

    #[test]
    fn what_is_not_known_is_refused_in_words() {
        let (one, other) = Socket::pair().expect("a pair");
        one.send(b"{\"perhaps\":{}}", &[]).expect("sent");
        let error = receive::<FromHeir>(&other).expect_err("no such message");
        assert!(error.to_string().contains("perhaps"), "{error}");
        drop(one);
        let error = receive::<FromHeir>(&other).expect_err("the end");
        assert!(matches!(error, TalkError::Gone));
    }
}
