//! What is in a file, piece by piece.
//!
//! Each piece is read when the one before it has been taken, on one of tokio's blocking threads, of which reading
//! uses a few. A file is open only while a piece is read: a slow client holds no descriptor. So each time it is looked
//! at whether it still is the file that the answer began with.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::future::FutureExt;
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Assets;
use super::folder::Stamp;
use super::folder::open;

/// Bytes that are read at a time.
const PIECE: u64 = 64 << 10;

/// Pieces that are read at the same time, over all functions.
const AT_ONCE: usize = 32;

/// The threads that read files.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    turns: Arc<Semaphore>,
    io: Handle,
}

impl Reads {
    /// On the blocking threads of `io`.
    pub(crate) fn new(io: Handle) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            io,
        }
    }

    /// Where what reads is spawned.
    pub(super) fn io(&self) -> &Handle {
        &self.io
    }
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// There is no such file any more.
    #[error("the file is gone")]
    Gone,
    /// It is another one, or was written to.
    #[error("the file was changed while it was read")]
    Changed,
    /// The system's words.
    #[error("the file cannot be read: {0}")]
    Failed(#[from] io::Error),
}

impl Assets {
    /// Up to [`PIECE`] bytes of the file at `path`, and what it looks like; `most` bytes at most.
    pub(super) async fn read(
        self: Arc<Self>,
        path: Box<str>,
        expected: Option<Stamp>,
        start: u64,
        most: u64,
    ) -> Result<(Bytes, Stamp), ReadError> {
        let Reads { turns, io } = &self.reads;
        let turn = turns.clone().acquire_owned().await;
        let turn = turn.map_err(io::Error::other)?;
        let assets = self.clone();
        // Goes on when nobody waits any more, so the turn goes along.
        let read = io.spawn_blocking(move || {
            let read = assets.read_now(&path, expected, start, most);
            drop(turn);
            read
        });
        read.await.map_err(io::Error::other)?
    }

    fn read_now(
        &self,
        path: &str,
        expected: Option<Stamp>,
        start: u64,
        most: u64,
    ) -> Result<(Bytes, Stamp), ReadError> {
        let (file, stamp) = open(&self.folder.root, path).map_err(|error| match error {
            // What lies there now is none of ours.
            Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::XDEV => {
                ReadError::Gone
            }
            other => ReadError::Failed(other.into()),
        })?;
        if expected.is_some_and(|expected| expected != stamp) {
            return Err(ReadError::Changed);
        }
        let length = stamp.size.saturating_sub(start).min(most).min(PIECE);
        let mut piece = vec![0; length as usize];
        let read = File::from(file).read_exact_at(&mut piece, start);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Changed,
            _ => ReadError::Failed(error),
        })?;
        Ok((piece.into(), stamp))
    }
}

/// The rest of a file, or of a part of it, and what was read of it ahead.
pub(crate) struct Reading {
    pub(super) assets: Arc<Assets>,
    pub(super) path: Box<str>,
    pub(super) stamp: Stamp,
    pub(super) ahead: Option<Bytes>,
    /// Where the next piece begins.
    pub(super) next: u64,
    /// Behind the last byte.
    pub(super) end: u64,
    pub(super) piece: Option<BoxFuture<'static, Result<(Bytes, Stamp), ReadError>>>,
}

impl Reading {
    /// Bytes that are left.
    pub(crate) fn length(&self) -> u64 {
        let ahead = self.ahead.as_ref().map_or(0, Bytes::len) as u64;
        ahead + self.end.saturating_sub(self.next)
    }

    /// Polls for the next piece, which is not empty; `None` at the end.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ReadError>>> {
        if let Some(ahead) = self.ahead.take() {
            return Poll::Ready(Some(Ok(ahead)));
        }
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        let (next, most) = (self.next, self.end - self.next);
        let piece = self.piece.get_or_insert_with(|| {
            let assets = self.assets.clone();
            let (path, stamp) = (self.path.clone(), self.stamp);
            assets.read(path, Some(stamp), next, most).boxed()
        });
        let read = ready!(piece.poll_unpin(cx));
        self.piece = None;
        Poll::Ready(Some(match read {
            Ok((bytes, _)) if bytes.is_empty() => Err(ReadError::Changed),
            Ok((bytes, _)) => {
                self.next += bytes.len() as u64;
                Ok(bytes)
            }
            Err(error) => Err(error),
        }))
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
