//! Connections, and streams of HTTP/2, that have become WebSockets.

use std::sync::{Arc, Mutex, PoisonError};

use holm_model::websocket::Socket;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::debug;

use crate::drain::Drain;
use crate::link::Active;
use crate::websocket::{Conversation, Keeping, Role};

use super::streams::Starter;

/// A socket whose answer is on its way.
pub(super) struct Pending {
    pub(super) upgraded: OnUpgrade,
    pub(super) socket: Box<Socket>,
    pub(super) compresses: bool,
    /// The request, which goes on as long as its socket.
    pub(super) active: Active,
}

/// Who drives the sockets of a connection.
#[derive(Clone)]
pub(super) struct Sockets {
    drain: Arc<Drain>,
    keeping: Keeping,
    home: Home,
}

#[derive(Clone)]
enum Home {
    /// The connection's own task, once HTTP has let go of it.
    Connection(Arc<Mutex<Option<Pending>>>),
    /// A task beside those of the other streams.
    Stream(Starter),
}

impl Sockets {
    /// For a connection that becomes a socket as a whole.
    pub(super) fn of_connection(drain: &Arc<Drain>, keeping: Keeping) -> Self {
        Self {
            drain: Arc::clone(drain),
            keeping,
            home: Home::Connection(Arc::default()),
        }
    }

    /// For streams, which end with their connection.
    pub(super) fn of_streams(drain: &Arc<Drain>, keeping: Keeping, starter: Starter) -> Self {
        Self {
            drain: Arc::clone(drain),
            keeping,
            home: Home::Stream(starter),
        }
    }

    /// A request was answered with a socket.
    pub(super) fn open(&self, pending: Pending) {
        match &self.home {
            Home::Connection(place) => {
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
            }
            Home::Stream(starter) => {
                starter.spawn(converse(pending, Arc::clone(&self.drain), self.keeping));
            }
        }
    }

    /// HTTP is done with the connection: if it is a socket now, that goes on to its end.
    pub(super) async fn go_on(self) {
        let Home::Connection(place) = &self.home else {
            return;
        };
        let pending = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pending) = pending {
            converse(pending, self.drain, self.keeping).await;
        }
    }
}

async fn converse(pending: Pending, drain: Arc<Drain>, keeping: Keeping) {
    let Pending {
        upgraded,
        socket,
        compresses,
        active,
    } = pending;
    // The answer could not be sent: the function's side sees the socket end.
    let Ok(upgraded) = upgraded.await else {
        return;
    };
    let io = TokioIo::new(upgraded);
    let conversation = Conversation::new(io, *socket, Role::Server, compresses, keeping);
    let mut conversation = Box::pin(conversation.belongs_to(active));
    let ended = drain
        .drive(conversation.as_mut(), |conversation| {
            conversation.get_mut().going_away();
            true
        })
        .await;
    if let Err(error) = ended {
        debug!(%error, "a socket ended early");
    }
}
