//! Asking a process for copies of itself.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use holm_model::message::Purpose;
use holm_process::lifeline::Anchor;
use holm_process::passing::Frame;
use holm_process::passing::PassingError;
use holm_process::passing::Socket;
use holm_process::spawn;
use holm_process::spawn::SpawnError;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::ForkError;

/// A process that forks when it is asked to. It answers in the order in which it is asked.
#[derive(Debug)]
pub(crate) struct Control {
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
}

/// What comes back; an error where the process was made and could not be taken.
type Answer = Result<Frame, ForkError>;

#[derive(Debug)]
struct Shared {
    /// Tokio has no sockets of this kind. It is asked for nothing but readiness, which is the same for all.
    socket: Socket<UnixDatagram>,
    /// Who waits for an answer, and in which order; `None` once there are no more answers.
    waiting: Mutex<Option<VecDeque<oneshot::Sender<Answer>>>>,
    gone: Notify,
}

impl Control {
    /// Over `socket`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking()?;
        let socket = socket.wrapped(|fd| UnixDatagram::from_std(fd.into()))?;
        let shared = Arc::new(Shared {
            socket,
            waiting: Mutex::new(Some(VecDeque::new())),
            gone: Notify::new(),
        });
        let reader = tokio::spawn(read(shared.clone()));
        Ok(Self { shared, reader })
    }

    /// Whether the process is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.shared.waiting().is_none()
    }

    /// Waits until it is.
    pub(crate) async fn gone(&self) {
        let notified = self.shared.gone.notified();
        let mut notified = std::pin::pin!(notified);
        // Listens before it looks.
        notified.as_mut().enable();
        if !self.is_gone() {
            notified.await;
        }
    }

    /// Asks for a process, and waits for what comes of it: `spawn::answer` and its kin read that.
    ///
    /// Dropping the future does not take the request back: whoever reads the answer then closes it.
    pub(crate) async fn fork(
        &self,
        anchor: &Anchor,
        purpose: Purpose,
        name: &str,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Frame, ForkError> {
        let answer = loop {
            if let Some(answer) = self.shared.ask(anchor, purpose, name, fds)? {
                break answer;
            }
            self.shared.socket.inner().writable().await?;
        };
        answer.await.unwrap_or(Err(ForkError::Gone))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Option<VecDeque<oneshot::Sender<Answer>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an answer to whoever waits for it.
    fn answer(&self, answer: Answer) {
        let next = self.waiting().as_mut().and_then(VecDeque::pop_front);
        // If nobody waits any more, nobody has the other end of the process's socket: it ends by that.
        let _ = next.map(|next| next.send(answer));
    }

    /// Asks now. `None`: the socket is full.
    fn ask(
        &self,
        anchor: &Anchor,
        purpose: Purpose,
        name: &str,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Option<oneshot::Receiver<Answer>>, ForkError> {
        // Held while it is sent: answers come in the order of what is sent.
        let mut waiting = self.waiting();
        let Some(queue) = waiting.as_mut() else {
            return Err(ForkError::Gone);
        };
        let send = || match spawn::request(&self.socket, anchor, purpose as u8, name, fds) {
            Err(SpawnError::Passing(PassingError::Io(error))) => Err(error),
            sent => Ok(sent),
        };
        match self.socket.inner().try_io(Interest::WRITABLE, send) {
            Ok(Ok(())) => {
                let (sender, answer) = oneshot::channel();
                queue.push_back(sender);
                Ok(Some(answer))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Hands answers out until there are no more.
async fn read(shared: Arc<Shared>) {
    let receive = || match shared.socket.receive() {
        Err(PassingError::Io(error)) => Err(error),
        received => Ok(received),
    };
    while shared.socket.inner().readable().await.is_ok() {
        match shared.socket.inner().try_io(Interest::READABLE, receive) {
            Ok(Ok(Some(frame))) => shared.answer(Ok(frame)),
            // There is a process, and no descriptor for it: it ends, as nobody keeps the other end of its socket.
            Ok(Err(lost @ PassingError::LostFds)) => {
                let lost = SpawnError::Passing(lost);
                shared.answer(Err(lost.into()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(Ok(None) | Err(_)) | Err(_) => break,
        }
    }
    *shared.waiting() = None;
    shared.gone.notify_waiters();
}
