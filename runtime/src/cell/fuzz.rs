//! What the fuzz target of a cell's messages does (`fuzz/`): a process that has been taken over says anything, and is
//! refused or understood, within its bounds.

use std::sync::Arc;

use holm_model::body::BodyStream;
use holm_model::message::BodyKind;
use holm_model::message::Frames;
use holm_model::message::FromCell;
use holm_model::message::Garbled;
use holm_model::message::SocketId;
use holm_model::message::StreamId;
use holm_model::message::put;
use holm_model::outbound::Account;
use holm_model::websocket::Socket;
use holm_process::page::Page;
use url::Url;

use super::Handle;
use super::sockets::Sockets;
use super::streams::Streams;

/// A cell's messages as far as they are taken in without its pool: streams and sockets are real, and open for the
/// numbers 0 to 3.
#[derive(Debug)]
pub struct Ear {
    handle: Arc<Handle>,
}

impl Ear {
    /// One that can be used again and again.
    ///
    /// # Panics
    /// The system has no memory.
    pub fn new() -> Self {
        let (page, _) = Page::create().expect("a page");
        let handle = Arc::new(Handle::new(0, page));
        Self { handle }
    }

    /// Takes in all of `wire`, or as much as is sound.
    ///
    /// # Panics
    /// A message that was understood is another one when it is written again.
    pub fn hear(&self, wire: &[u8]) {
        let mut all = All::open(&self.handle);
        let mut frames = Frames::of(wire);
        while let Ok(Some((message, payload))) = frames.next::<FromCell<'_>>() {
            let mut again = Vec::new();
            put(&mut again, &message, payload);
            let (second, same) = Frames::of(&again)
                .next::<FromCell<'_>>()
                .expect("it was understood before")
                .expect("it is there");
            assert_eq!(format!("{message:?}"), format!("{second:?}"));
            assert_eq!(payload, same);
            if all.take(message, payload).is_err() {
                break;
            }
        }
        assert!(frames.used() <= wire.len());
        // What others left for the cell's task is dropped with it.
        drop(all);
        drop(self.handle.take_mail());
    }
}

struct All {
    streams: Streams,
    sockets: Sockets,
    bodies: Vec<BodyStream>,
    ends: Vec<Socket>,
    handle: Arc<Handle>,
}

impl All {
    fn open(handle: &Arc<Handle>) -> Self {
        let mut all = Self {
            streams: Streams::default(),
            sockets: Sockets::default(),
            bodies: Vec::new(),
            ends: Vec::new(),
            handle: handle.clone(),
        };
        for number in 0..4 {
            for id in [StreamId::Reply(number), StreamId::Fetch(number)] {
                all.bodies.push(all.streams.expect(id, None, handle));
            }
            let (_, stream) = holm_model::body::BodyStream::channel(None);
            let _ = all.streams.send(
                StreamId::Request(number),
                holm_model::body::Body::Stream(stream),
            );
            let (ours, theirs) = Socket::pair(1 << 20, Account::default());
            all.sockets
                .open(SocketId::Request(number), number, ours, handle);
            all.ends.push(theirs);
        }
        all
    }

    fn take(&mut self, message: FromCell<'_>, payload: &[u8]) -> Result<(), Garbled> {
        match message {
            FromCell::Stream(id, message) => {
                self.streams.hear(id, message, payload)?;
            }
            FromCell::Socket(id, message) => {
                self.sockets.hear(id, message, payload)?;
            }
            FromCell::Reply { fields, body, .. } => {
                fields.to_map()?;
                self.body(body)?;
            }
            FromCell::Fetch {
                url, fields, body, ..
            } => {
                Url::parse(url).map_err(|_| Garbled)?;
                fields.to_map()?;
                self.body(body)?;
            }
            FromCell::Ready
            | FromCell::Started { .. }
            | FromCell::StartFailed(_)
            | FromCell::Code { .. }
            | FromCell::Failed { .. }
            | FromCell::Settled { .. }
            | FromCell::Awake
            | FromCell::Log { .. }
            | FromCell::FetchLeft { .. } => {}
        }
        Ok(())
    }

    fn body(&mut self, kind: BodyKind) -> Result<(), Garbled> {
        match kind {
            BodyKind::Pass { of, length } => {
                let mut stream = self.streams.take_back(of)?;
                if let Some(length) = length {
                    stream.declare(length);
                }
            }
            BodyKind::Stream { length } => {
                let stream = self
                    .streams
                    .expect(StreamId::Reply(9), length, &self.handle);
                self.bodies.push(stream);
            }
            BodyKind::Empty | BodyKind::Whole | BodyKind::Large { .. } | BodyKind::Socket => {}
        }
        Ok(())
    }
}
